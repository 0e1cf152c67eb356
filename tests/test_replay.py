"""The real pages, through the whole program."""

from __future__ import annotations

import json
import re
import sqlite3
import tarfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest

from notifier.daemon import once
from notifier.model import OutboxState, Outcome
from tests.world import World

pytestmark = pytest.mark.captures


async def test_three_daily_pages_bring_90_73_and_49_papers(installation: World, captures: Path) -> None:
    """The first poll records, the next two find what is new, and a repeated run sends nothing."""
    installation.listing("daily")
    everything, survey = "everything@example.org", "survey@example.org"
    await installation.subscribe(everything, "*")
    await installation.subscribe(survey, "recommendation AND survey")
    news = []
    for number in (1, 2, 3):
        page = (captures / f"listings/daily-papers-{number}.txt").read_bytes()
        installation.pages.put("/daily", page, etag=f'"{number}"')
        (poll,), sent = await installation.run()
        news.append((poll.outcome, poll.read, poll.new, sent))
        (poll,), sent = await installation.run()
        assert (poll.outcome, poll.new, sent) == (Outcome.WAITING, 0, {})
    assert [(read, new) for _, read, new, _ in news] == [(90, 0), (92, 73), (84, 49)]
    assert news[0][3] == {}
    assert all(states == {OutboxState.SENT: 1} for *_, states in news[1:])
    assert [mail["Subject"].split()[0] for mail in installation.mails(everything)] == ["73", "49"]
    async with installation.opened() as running:
        assert await running.store.paper_counts() == (212, 122)


@pytest.mark.parametrize("words", [("recommendation", "survey"), ("graph", "reasoning"), ("benchmark",), ("mamba",)])
async def test_each_reader_gets_exactly_the_papers_that_hold_the_words(
    installation: World, captures: Path, words: tuple[str, ...]
) -> None:
    """The truth to compare with is found here by a plain regular expression over titles and abstracts."""
    installation.listing("daily", first="owe")
    reader = "reader@example.org"
    await installation.subscribe(reader, " AND ".join(words))
    wanted: set[str] = set()
    for number in (1, 2, 3):
        content = (captures / f"listings/daily-papers-{number}.txt").read_text()
        paragraphs = [each.strip() for each in content.split("\n\n") if each.strip()]
        start = next(at for at, each in enumerate(paragraphs) if re.fullmatch(r"[A-Z][a-z]{2} \d+", each)) + 1
        for title, abstract in zip(paragraphs[start::2], paragraphs[start + 1 :: 2], strict=True):
            if all(
                re.search(rf"(?<![^\W_]){word}s?(?![^\W_])", f"{title} {abstract}", re.IGNORECASE) for word in words
            ):
                wanted.add(" ".join(title.split()))
        installation.pages.put("/daily", content)
        await installation.run()
    source = "CASE p.title_tex WHEN '' THEN p.title ELSE p.title_tex END"  # as the page spells it
    sent = [title for title, _ in delivered(installation.folder / "notifier.db", source)]
    assert sorted(sent) == sorted(wanted)
    assert sum(int(mail["Subject"].split()[0]) for mail in installation.mails(reader)) == len(wanted)


def delivered(database: Path, column: str) -> list[tuple[str, int]]:
    """Return a column of every paper in a sent message, and in how many it was."""
    with sqlite3.connect(database) as connection:
        return connection.execute(
            f"SELECT {column}, count(*) FROM delivery d JOIN paper p ON p.id = d.paper_id "
            f"JOIN message m ON m.id = d.message_id AND m.state = 'sent' GROUP BY {column}"
        ).fetchall()


def hf_days(captures: Path) -> Iterator[tuple[date, bytes]]:
    """Every captured day of the Daily Papers API, in order."""
    with tarfile.open(captures / "captures/hf-daily-api/2024-05-27_to_2026-05-29.tar.xz") as archive:
        for member in sorted(archive.getmembers(), key=lambda each: each.name):
            file = archive.extractfile(member)
            assert file is not None
            yield date.fromisoformat(Path(member.name).stem), file.read()


# The archiver wrote these days as Python's repr of each item; the last one as an object around such a list.
BADLY_DUMPED = {date(2024, 12, 11) + timedelta(days=n) for n in range(31)}


@pytest.mark.slow
async def test_g1_g2_every_paper_of_two_years_is_owed_exactly_once(installation: World, captures: Path) -> None:
    """All days of the Daily Papers API through the real pipeline, to a reader of everything: nothing missed or doubled.

    The truth to compare with is read from the pages here, without the program's parser: the distinct ids.
    """
    days = list(hf_days(captures))
    installation.listing("trending", "hf-daily", first="owe")
    reader = "everything@example.org"
    expected: set[str] = set()
    failed = []
    await installation.subscribe(reader, "*")
    async with installation.opened() as running:
        for day, content in days:
            installation.now = datetime.combine(day, time(18, 0), tzinfo=UTC)
            installation.pages.put("/trending", content, etag=f'"{day}"')
            (poll,), _ = await once(running)
            try:
                expected |= {item["paper"]["id"] for item in json.loads(content)}
            except TypeError:
                failed.append(day)
                assert (poll.outcome, poll.new) == (Outcome.FAILED, 0), day
            else:
                assert poll.outcome is Outcome.FRESH, (day, poll.reason)
    assert len(failed) == 22
    assert set(failed) <= BADLY_DUMPED
    owed = delivered(installation.folder / "notifier.db", "p.arxiv_id")
    assert {count for _, count in owed} == {1}
    assert {paper for paper, _ in owed} == expected
    assert len(installation.mails(reader)) == len(days) - 22
