"""Parsing in a worker process: the same comes out of it as without, and what kills it, or its program, costs one page.

Real worker processes, pages made here.
"""

from __future__ import annotations

import asyncio
import io
import os
import pickle
import pickletools
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from notifier import pipeline
from notifier.confine import MIB, Limits, _Reader, confine
from notifier.confined import PAPERS, _pickled
from notifier.errors import PageError, ParserFailed, ParserKilled
from notifier.model import AnnounceType, Batch
from notifier.parse import FORMATS, parse
from tests.confined import GOLDEN, SELECTORS, feed, long_page, page, read, status, until_it_works
from tests.world import World, text_page


def open_files(pid: int | None) -> set[str]:
    """Return the files that a process has open; pipes and sockets are none."""
    targets = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
    return {target for target in targets if target.startswith("/")}


# --- the same as parse ------------------------------------------------------------------------------------------------


async def test_every_golden_page_gives_the_same_in_the_worker_as_outside() -> None:
    pages = [path for path in sorted(GOLDEN.glob("*/*")) if not path.name.endswith(".expected.json")]
    assert {path.parent.name for path in pages} == set(FORMATS)
    async with confine() as worker:
        for path in pages:
            one = page(path.read_bytes())
            try:
                expected: Batch | str = parse(one, path.parent.name, SELECTORS)
            except PageError as fault:
                expected = fault.reason
            try:
                found: Batch | str = await worker.parse(one, path.parent.name, SELECTORS)
            except PageError as fault:
                found = fault.reason
            assert found == expected, path


@pytest.mark.captures
async def test_a_real_page_gives_the_same_in_the_worker_as_outside(captures: Path) -> None:
    one = page((captures / "listings" / "daily-papers-1.txt").read_bytes())
    async with confine() as worker:
        assert await worker.parse(one, "daily-papers-text") == parse(one, "daily-papers-text")


async def test_an_exception_inside_names_its_type_and_brings_its_traceback() -> None:
    async with confine() as worker:
        with pytest.raises(ParserFailed, match=r"the parser of no-such-format failed: KeyError") as caught:
            await worker.parse(page(feed()), "no-such-format")
        assert "in parse" in caught.value.traceback
        assert isinstance(await read(worker, feed()), Batch)


async def test_pages_that_come_at_once_each_get_their_own_answer() -> None:
    async with confine() as worker:
        batches = await asyncio.gather(*(worker.parse(page(feed(f"Paper {n}")), "arxiv-api") for n in range(20)))
    assert [batch.papers[0].title for batch in batches] == [f"Paper {n}" for n in range(20)]


def test_an_answer_can_name_nothing_but_what_a_batch_is_made_of() -> None:
    """A parser that was taken over could otherwise have its reader call any function."""

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, ("exit 1",)

    with pytest.raises(pickle.UnpicklingError, match=r"system is no part of a batch"):
        _Reader(io.BytesIO(pickle.dumps(Evil()))).load()


def test_what_the_worker_answers_names_no_function_whatever_python_it_runs() -> None:
    """Before Python 3.11.4 an enum was pickled as a call of getattr, which the reader refuses."""
    content = _pickled((PAPERS, (AnnounceType.CROSS,)))
    named = {argument for opcode, argument, _ in pickletools.genops(content) if isinstance(argument, str)}
    assert "AnnounceType" in named
    assert "getattr" not in named


# --- the process ------------------------------------------------------------------------------------------------------


async def test_the_worker_is_started_by_the_first_page_and_kept_for_the_next() -> None:
    async with confine() as worker:
        assert worker.pid is None
        await read(worker, feed())
        first = worker.pid
        assert first is not None
        await read(worker, "not a page of this format")
        assert worker.pid == first
    assert status(first, "stat") == ""


async def test_a_poll_that_is_answered_304_starts_no_worker(installation: World) -> None:
    installation.listing("daily")
    installation.pages.put("/daily", text_page("A Fictional Paper on Ferries"), etag='"1"')
    await installation.run()
    async with installation.opened() as running:
        (listing,) = running.config.listings
        await pipeline.poll(listing, running.intake, installation.now)
        assert running.intake.worker.pid is None


async def test_the_worker_has_its_limits_and_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFIER_MAIL__PASSWORD", "a-secret")
    async with confine(Limits(memory=512 * MIB)) as worker:
        await read(worker, feed())
        limits, environment = status(worker.pid, "limits"), status(worker.pid, "environ")
        assert open_files(worker.pid) == {"/dev/null"}
    found = {line[:25].strip(): line[25:].split()[:2] for line in limits.splitlines()}
    assert found["Max address space"] == [str(512 * MIB)] * 2
    assert found["Max file size"] == found["Max core file size"] == found["Max processes"] == ["0", "0"]
    assert found["Max open files"] == ["32", "32"]
    assert "PATH=" in environment
    assert "a-secret" not in environment


async def test_f093_a_worker_killed_while_idle_is_replaced_and_no_page_is_blamed() -> None:
    async with confine() as worker:
        await read(worker, feed())
        assert worker.pid
        os.kill(worker.pid, signal.SIGKILL)
        found = await read(worker, feed())
        assert isinstance(found, Batch) or found.startswith("the parser was gone")
        assert isinstance(await read(worker, feed()), Batch)


async def test_f093_a_worker_killed_over_a_page_is_that_pages_kill_and_the_next_is_read() -> None:
    async with confine() as worker:
        task = asyncio.create_task(worker.parse(long_page(), "daily-papers-text"))
        os.kill(await until_it_works(worker), signal.SIGKILL)
        with pytest.raises(ParserKilled, match=r"^the parser was killed: it died of SIGKILL$"):
            await task
        assert isinstance(await read(worker, feed()), Batch)


async def test_f096_signals_meant_for_the_program_do_not_disturb_the_page_under_way() -> None:
    """systemd and Ctrl-C tell every process; the worker ends when the program closes its input."""
    async with confine() as worker:
        task = asyncio.create_task(worker.parse(long_page(), "daily-papers-text"))
        pid = await until_it_works(worker)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(pid, number)
        assert len((await task).papers) == 8_000


async def test_a_caller_that_is_cancelled_does_not_spoil_the_next_answer() -> None:
    async with confine() as worker:
        task = asyncio.create_task(worker.parse(long_page(), "daily-papers-text"))
        busy = await until_it_works(worker)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        batch = await worker.parse(page(feed("The Next Page")), "arxiv-api")
        assert [paper.title for paper in batch.papers] == ["The Next Page"]
        assert worker.pid != busy


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_f093_the_worker_dies_with_a_program_that_is_killed(busy: bool) -> None:
    program = (
        "import asyncio\n"
        "from notifier.confine import confine\n"
        "from tests.confined import feed, long_page, read, until_it_works\n"
        "async def main():\n"
        "    async with confine() as worker:\n"
        "        await read(worker, feed())\n"
        f"        task = {busy} and asyncio.create_task(worker.parse(long_page(), 'daily-papers-text'))\n"
        "        print(worker.pid if not task else await until_it_works(worker), flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=GOLDEN.parents[1]
    ) as it:
        assert it.stdout
        pid = int(it.stdout.readline())
        it.kill()
    deadline = time.monotonic() + 20
    while alive(pid):
        assert time.monotonic() < deadline, "the worker outlived the program"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    return status(pid, "stat").rpartition(")")[2].split()[:1] not in ([], ["Z"])


# --- hostile pages ----------------------------------------------------------------------------------------------------
