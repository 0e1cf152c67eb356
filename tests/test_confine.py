"""Parsing in a worker process: what comes out of it, what it costs, what kills it, and which page is blamed.

Real worker processes, pages made here. `tight` limits let an ordinary page overrun them in little time.
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
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from notifier import pipeline
from notifier.confine import MIB, Limits, Worker, _Reader, confine
from notifier.confined import PAPERS, Request, _parsed, _pickled
from notifier.errors import PageError, ParserFailed, ParserKilled
from notifier.model import AnnounceType, Batch, Outcome, Page, Poll
from notifier.parse import FORMATS, parse
from notifier.store import open_store
from notifier.store.quarantine import KEPT
from tests.world import World, text_page

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
GOLDEN = Path(__file__).resolve().parent / "golden"
TIGHT = Limits(cpu=0.12, cpu_per_mib=0)
SELECTORS = {"item": "li", "title": "b", "link": "a"}


def page(content: str | bytes, url: str = "https://listing.example/") -> Page:
    return Page(url=url, content=content.encode() if isinstance(content, str) else content, fetched_at=NOW)


def feed(title: str = "Loud Ploughs", dtd: str = "", entries: int = 1) -> str:
    """An Atom answer of arXiv's API in which each entry has this title."""
    entry = (
        "<entry><id>http://arxiv.org/abs/2605.{:05}v1</id><title>TITLE</title><summary>We listen.</summary>"
        "<published>2026-05-01T08:18:33Z</published><author><name>Ines Quay</name></author></entry>"
    )
    body = "".join(entry.format(n + 1) for n in range(entries)).replace("TITLE", title)
    return (
        f'<?xml version="1.0"?>{dtd}<feed xmlns="http://www.w3.org/2005/Atom"'
        ' xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/"><title>arXiv Query</title>'
        f"<opensearch:totalResults>{entries}</opensearch:totalResults><opensearch:startIndex>0</opensearch:startIndex>"
        f"<opensearch:itemsPerPage>{entries}</opensearch:itemsPerPage>{body}</feed>"
    )


def web_page(title: str = "Loud Ploughs") -> str:
    return f'<!DOCTYPE html><html><body><ul><li><b>{title}</b><a href="/1">1</a></li></ul></body></html>'


def long_page(papers: int = 8_000) -> Page:
    """A right page that takes half a second to read."""
    return page(text_page(*(f"Fictional Paper Number {n} on Patience and $\\alpha_{n}$" for n in range(papers))))


def processor_time(pid: int) -> float:
    """Return the seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def until_it_works(worker: Worker) -> int:
    """Wait until the worker is busy with a page; return its process id."""
    before = None
    for _ in range(10_000):
        if worker.pid:
            now = processor_time(worker.pid)
            before = now if before is None else before
            if now >= before + 0.03:
                return worker.pid
        await asyncio.sleep(0.002)
    raise AssertionError("the worker did nothing")


def status(pid: int | None, file: str) -> str:
    """Return what the kernel says of a process, "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/{file}").read_text()
    except FileNotFoundError:
        return ""


def open_files(pid: int | None) -> set[str]:
    """Return the files that a process has open; pipes and sockets are none."""
    targets = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
    return {target for target in targets if target.startswith("/")}


async def read(worker: Worker, content: str | bytes, format: str = "arxiv-api") -> Batch | str:
    """Return the batch of a page, or the reason why there is none."""
    try:
        return await worker.parse(page(content), format, SELECTORS if format == "html" else None)
    except PageError as fault:
        return fault.reason


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
        "from tests.test_confine import confine, feed, long_page, read, until_it_works\n"
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


# --- limits -----------------------------------------------------------------------------------------------------------


async def test_f095_a_page_over_its_processor_time_is_killed_and_the_next_is_read() -> None:
    async with confine(TIGHT) as worker:
        with pytest.raises(ParserKilled, match=r"^the parser was killed: more than 0.12 CPU-seconds$"):
            await worker.parse(long_page(), "daily-papers-text")
        assert isinstance(await read(worker, feed()), Batch)


async def test_f095_time_grows_with_the_page() -> None:
    async with confine(Limits(cpu=0.12, cpu_per_mib=10)) as worker:
        assert len((await worker.parse(long_page(), "daily-papers-text")).papers) == 8_000


async def test_f095_processor_time_is_counted_anew_for_each_page() -> None:
    async with confine(Limits(cpu=0.3, cpu_per_mib=0)) as worker:
        spent = 0.0
        while spent < 0.5:
            assert len((await worker.parse(long_page(300), "daily-papers-text")).papers) == 300
            spent = processor_time(worker.pid or 0)


async def test_f095_a_worker_that_gets_nowhere_is_killed_by_the_wall_clock() -> None:
    async with confine(Limits(wall=0.2)) as worker:
        await read(worker, feed())
        assert worker.pid
        os.kill(worker.pid, signal.SIGSTOP)  # as a machine without memory left does
        with pytest.raises(ParserKilled, match=r"more than 0.2 seconds"):
            await worker.parse(page(feed()), "arxiv-api")
        assert isinstance(await read(worker, feed()), Batch)


async def test_f095_the_event_loop_turns_while_a_page_is_parsed() -> None:
    turns, ended = 0, False

    async def beat() -> None:
        nonlocal turns
        while not ended:
            await asyncio.sleep(0.001)
            turns += 1

    async with confine(Limits(cpu=60)) as worker:
        await read(worker, feed())
        beating = asyncio.create_task(beat())
        await worker.parse(long_page(), "daily-papers-text")
        ended = True
        await beating
    assert turns > 20  # a parser on the loop would leave room for one or two


async def test_f094_a_page_over_its_memory_is_killed_and_the_next_is_read() -> None:
    async with confine(Limits(memory=160 * MIB, cpu=60)) as worker:
        found = await read(worker, "[" + "[]," * 5_000_000 + "[]]", "crossref")
        assert found == "the parser was killed: more than 160 MiB of memory"
        assert isinstance(await read(worker, feed()), Batch)


async def test_f094_memory_that_libxml2_does_not_get_is_a_reason_and_ends_nothing() -> None:
    """libxml2 reports it as a document that it cannot read."""
    async with confine(Limits(memory=160 * MIB, cpu=60)) as worker:
        assert isinstance(await read(worker, feed("<i/>" * 900_000)), str)
        assert isinstance(await read(worker, feed()), Batch)


# --- hostile pages ----------------------------------------------------------------------------------------------------


@pytest.fixture
def within_limits() -> Iterator[None]:
    """The test as a whole takes no longer than hostile pages may."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < 60


ATTRIBUTES = "<b" + "".join(f' a{n}="1"' for n in range(200_000)) + ">x</b>"
HOSTILE = {
    "f026 200,000 attributes": (ATTRIBUTES, "a tag with 20000"),
    "f027 100,000 elements inside each other": ("<i>" * 100_000 + "x" + "</i>" * 100_000, None),
    "f028 20,000 open comments": ("<!--" * 20_000, None),
    "f036 a million combining marks": ("a" + "\u0301" * 1_000_000, 1),
    "f036 a million ligatures": ("\ufdfa" * 1_000_000, 1),
    "f037 a title of 5 MB": ("word " * 1_000_000, 1),
}


@pytest.mark.usefixtures("within_limits")
@pytest.mark.parametrize("format", ["arxiv-api", "html", "feed"])
@pytest.mark.parametrize("attack", HOSTILE)
async def test_hostile_titles_are_bounded(attack: str, format: str) -> None:
    title, expected = HOSTILE[attack]
    async with confine() as worker:
        found = await read(worker, web_page(title) if format == "html" else feed(title), format)
        if isinstance(found, Batch):
            assert len(found.papers) <= 1
            assert all(len(paper.title) <= 1_000 for paper in found.papers)
        elif isinstance(expected, str):
            assert expected in found
        else:
            assert expected is None, found
        good = web_page() if format == "html" else feed()
        assert isinstance(await read(worker, good, format), Batch)


@pytest.mark.parametrize("format", ["arxiv-api", "feed"])
async def test_f029_an_external_entity_reads_no_file(tmp_path: Path, format: str) -> None:
    (tmp_path / "secret").write_text("the secret of this machine")
    dtd = f'<!DOCTYPE feed [<!ENTITY x SYSTEM "{(tmp_path / "secret").as_uri()}">]>'
    async with confine() as worker:
        found = await read(worker, feed("A &x; B", dtd), format)
    assert "the secret" not in repr(found)


@pytest.mark.usefixtures("within_limits")
@pytest.mark.parametrize("format", ["arxiv-api", "feed"])
async def test_f030_a_billion_laughs_are_not_heard(format: str) -> None:
    grow = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    async with confine() as worker:
        found = await read(worker, feed("&l9;", f'<!DOCTYPE feed [<!ENTITY l0 "ha">{grow}]>'), format)
        assert isinstance(await read(worker, feed(), format), Batch)
    assert "hahaha" not in repr(found)


async def test_f028_a_page_that_gets_past_the_bounds_of_its_parser_is_killed() -> None:
    async with confine(TIGHT) as worker:  # no bound of the parser's refuses a page that is only long
        found = await read(worker, feed(entries=9_000), "feed")
        assert found == "the parser was killed: more than 0.12 CPU-seconds"
        assert isinstance(await read(worker, feed(), "feed"), Batch)


@pytest.mark.usefixtures("within_limits")
async def test_f040_of_50_000_entries_no_more_than_the_limit_come_out() -> None:
    async with confine() as worker:
        found = await read(worker, feed(entries=50_000))
    assert isinstance(found, str) or len(found.papers) <= 10_000


def test_an_answer_is_cut_into_frames_that_are_read_in_no_time() -> None:
    request = Request(long_page(1_000), "daily-papers-text", {}, 60, 60)
    assert max(len(frame) for frame in _parsed(request)) < MIB


# --- quarantine -------------------------------------------------------------------------------------------------------


async def poll(installation: World, limits: Limits) -> Poll:
    """Poll the only listing in an installation that is opened for it, with a worker of these limits."""
    installation.now += timedelta(hours=1)
    async with installation.opened() as running, confine(limits) as worker:
        (listing,) = running.config.listings
        return await pipeline.poll(listing, replace(running.intake, worker=worker), installation.now)


async def test_p9_f095_a_page_that_kills_three_times_is_parsed_again_only_when_it_changed(installation: World) -> None:
    """Every poll is a start of the program of its own: the count survives."""
    installation.listing("daily")
    deadly = long_page().content
    installation.pages.put("/daily", deadly)
    first, second, third = [await poll(installation, TIGHT) for _ in range(3)]
    assert first.outcome is second.outcome is third.outcome is Outcome.FAILED
    assert first.reason == second.reason == "the parser was killed: more than 0.12 CPU-seconds"
    assert third.reason.startswith("quarantined: the parser was killed: more than 0.12 CPU-seconds, 3 times")

    fourth = await poll(installation, Limits(cpu=60))  # it would be read now, if it were tried
    assert (fourth.outcome, fourth.reason) == (Outcome.FAILED, third.reason)

    installation.pages.put("/daily", deadly + b" It changed.")
    changed = await poll(installation, Limits(cpu=60))
    assert (changed.outcome, changed.read) == (Outcome.FRESH, 8_000)


async def test_p9_a_quarantined_page_leaves_the_other_listings_alone(installation: World) -> None:
    installation.listing("daily")
    installation.pages.put("/daily", long_page().content)
    for _ in range(3):
        await poll(installation, TIGHT)
    installation.listing("other")
    installation.pages.put("/other", text_page("A Fictional Paper on Ferries"))
    polls, _ = await installation.run()
    assert [(each.listing, each.outcome) for each in polls] == [("daily", Outcome.FAILED), ("other", Outcome.FRESH)]


async def test_kills_are_counted_by_listing_and_page_and_are_few(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/notifier.db") as store:
        assert await store.kills("daily") == []
        counts = [await store.record_kill("daily", "hash", "why", NOW + timedelta(hours=n)) for n in range(3)]
        assert counts == [1, 2, 3]
        assert await store.record_kill("other", "hash", "why", NOW) == 1
        for n in range(2 * KEPT):
            await store.record_kill("daily", f"hash {n}", "why", NOW + timedelta(days=1, hours=n))
        kept = await store.kills("daily")
        assert [kill.content_hash for kill in kept] == [f"hash {n}" for n in range(2 * KEPT)][: -KEPT - 1 : -1]
        assert [kill.times for kill in await store.kills("other")] == [1]


def test_what_the_worker_answers_names_no_function_whatever_python_it_runs() -> None:
    """Before Python 3.11.4 an enum was pickled as a call of getattr, which the reader refuses."""
    content = _pickled((PAPERS, (AnnounceType.CROSS,)))
    named = {argument for opcode, argument, _ in pickletools.genops(content) if isinstance(argument, str)}
    assert "AnnounceType" in named
    assert "getattr" not in named
