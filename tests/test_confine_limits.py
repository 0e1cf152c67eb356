"""What a page may cost the worker that parses it: processor time, wall clock, memory, and hostile pages within them."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from notifier.confine import MIB, Limits, confine
from notifier.confined import Request, _parsed
from notifier.errors import ParserKilled
from notifier.model import Batch
from tests.confined import TIGHT, feed, long_page, page, processor_time, read, web_page


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
    """The test as a whole, its workers included, takes no more of a processor than hostile pages may."""

    def spent() -> float:
        mine, workers = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        return mine.ru_utime + mine.ru_stime + workers.ru_utime + workers.ru_stime

    before = spent()
    yield
    assert spent() - before < 60


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
