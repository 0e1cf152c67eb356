"""The real pages, through the whole program."""

from __future__ import annotations

import json
import re
import time as clocks
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from notifier import pipeline
from notifier.daemon import once
from notifier.model import OutboxState, Outcome, Poll, Versions
from tests.replay import (
    API,
    ARXIV,
    EVERYTHING,
    JSON_FEED,
    Snapshot,
    api_days,
    arxiv_days,
    delivered,
    json_feeds,
    once_each,
    packed,
)
from tests.servers.http import Answer, Request
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


def hf_days(captures: Path) -> Iterator[tuple[date, bytes]]:
    """Every captured day of the Daily Papers API, in order."""
    for name, content in packed(captures / "captures/hf-daily-api/2024-05-27_to_2026-05-29.tar.xz"):
        yield date.fromisoformat(Path(name).stem), content


# The archiver wrote these days as Python's repr of each item; the last one as an object around such a list.
FRIDAY = 4
BADLY_DUMPED = {date(2024, 12, 11) + timedelta(days=n) for n in range(31)}


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_g1_g2_every_paper_of_two_years_is_owed_exactly_once(installation: World, captures: Path) -> None:
    """All days of the Daily Papers API through the real pipeline, to a reader of everything: nothing missed or doubled.

    The truth to compare with is read from the pages here, without the program's parser: the distinct ids.
    """
    days = list(hf_days(captures))
    installation.listing("trending", "hf-daily", first="owe")
    reader = "everything@example.org"
    expected: set[str] = set()
    failed, mails = [], 0
    await installation.subscribe(reader, "*")
    async with installation.opened() as running:
        (listing,) = running.config.listings
        for day, content in days:
            installation.now = datetime.combine(day, time(18, 0), tzinfo=UTC)
            installation.pages.put("/trending", content, etag=f'"{day}"')
            poll = await pipeline.poll(listing, running.intake, installation.now)
            try:
                expected |= {item["paper"]["id"] for item in json.loads(content)}
            except TypeError:
                failed.append(day)
                assert (poll.outcome, poll.new) == (Outcome.FAILED, 0), day
            else:
                assert poll.outcome is Outcome.FRESH, (day, poll.reason)
            if day.weekday() == FRIDAY or day == days[-1][0]:
                await pipeline.queue_digests(running.store, running.desk.head, installation.now)
                drained = await pipeline.drain_outbox(running.desk)
                mails += drained.states[OutboxState.SENT]
    assert len(failed) == 22
    assert set(failed) <= BADLY_DUMPED
    owed = delivered(installation.folder / "notifier.db", "p.arxiv_id")
    assert {count for _, count in owed} == {1}
    assert {paper for paper, _ in owed} == expected
    assert len(installation.mails(reader)) == mails > 90


# --- three listings of the same weeks, together -----------------------------------------------------------------------

CROSS, WORDS = "cross@example.org", "words@example.org"


class DailyPapersApi:
    """The Daily Papers API on the installation's site: the day it shows, and every earlier one by `?date=`."""

    def __init__(self, installation: World, days: Mapping[date, bytes]) -> None:
        self.days = days
        self.shown: date | None = None
        self.asked: list[date] = []
        installation.pages.otherwise = self.answer

    def answer(self, request: Request) -> Answer:
        url = urlsplit(request.target)
        query = parse_qs(url.query)
        if url.path != f"/{API}" or self.shown is None:
            return Answer(status=503, body=b"not there yet")
        day = self.shown
        if "date" in query:
            day = date.fromisoformat(query["date"][0])
            self.asked.append(day)
        content = self.days.get(day, b"[]") if day <= self.shown and "p" not in query else b"[]"
        return Answer(body=content, etag=f'"{day}"', headers=(("Content-Type", "application/json"),))


def owed(snapshots: Sequence[Snapshot], first: str, kinds: Sequence[str]) -> set[str]:
    """Return the ids that are news on some listing: not on its first page, if that one is only recorded."""
    recorded: dict[str, set[str]] = {}
    news: set[str] = set()
    for page in snapshots:
        if first == "record" and page.listing not in recorded:
            recorded[page.listing] = set(page.papers)
        news |= {name for name in page.papers if page.kinds[name] in kinds} - recorded.get(page.listing, set())
    return news


def holds_the_words(text: str) -> bool:
    """Tell by regular expression what the query of the reader of a few words asks for."""

    def has(word: str) -> bool:
        return re.search(rf"(?<![^\W_]){word}s?(?![^\W_])", text, re.IGNORECASE) is not None

    return has("segmentation") or (has("video") and has("generation"))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("first", ["owe", "record"])
async def test_g1_g2_three_listings_of_the_same_weeks_owe_each_paper_once(
    installation: World, captures: Path, first: str
) -> None:
    """Daily Papers by API and as a JSON Feed, and cs.CV as RSS, polled together whenever one of them has a new page.

    The truth is made of ids found in the files by regular expression: what Daily Papers shows and arXiv announces as
    new; for a reader of cross-lists those too; a replacement alone is no news.
    """
    snapshots = sorted([*api_days(captures), *json_feeds(captures), *arxiv_days(captures)], key=lambda page: page.at)
    assert len(snapshots) == 12 + 68 + 18
    api = DailyPapersApi(installation, {p.day: p.content for p in snapshots if p.listing == API})
    installation.listing(ARXIV, "arxiv-feed", first=first)
    installation.listing(JSON_FEED, "feed", first=first)
    installation.listing(API, "hf-daily", first=first)
    await installation.subscribe(EVERYTHING, "*")
    await installation.subscribe(CROSS, "*", versions=Versions.CROSS)
    await installation.subscribe(WORDS, "segmentation OR (video AND generation)")
    texts: dict[str, str] = {}
    outcomes: dict[tuple[str, date], list[Poll]] = {}
    started = clocks.perf_counter()
    installation.pages.put(f"/{JSON_FEED}", b"not there yet", status=503)
    async with installation.opened() as running:
        for page in snapshots:
            installation.now = page.at
            if page.listing == API:
                api.shown = page.day
            else:
                installation.pages.put(f"/{page.listing}", page.content, etag=f'"{page.at}"')
            polls, drained = await once(running)
            assert drained.paused_until is None
            (poll,) = (poll for poll in polls if poll.listing == page.listing)
            outcomes.setdefault((page.listing, page.day), []).append(poll)
            for name, text in page.papers.items():
                texts.setdefault(name, text)
    took = clocks.perf_counter() - started
    listed = owed(snapshots, first, ["listed", "new"])
    crossed = owed(snapshots, first, ["listed", "new", "cross"])
    print(f"\n{len(snapshots)} pages, 3 polls each: {took:.1f} s; {len(listed)} and {len(crossed)} papers owed")
    assert once_each(installation, EVERYTHING) == listed
    assert once_each(installation, CROSS) == crossed
    assert once_each(installation, WORDS) == {name for name in listed if holds_the_words(texts[name])}
    for (listing, day), polls in outcomes.items():
        said = [poll.outcome for poll in polls]
        if listing == ARXIV:
            weekend = day.weekday() >= 5
            assert said == [Outcome.QUIET if weekend else Outcome.FRESH], (day, polls)
        else:
            assert set(said) <= {Outcome.FRESH, Outcome.WAITING}, (listing, day, polls)


async def test_g1_three_days_that_were_not_polled_are_read_by_date_and_owed_once(
    installation: World, captures: Path
) -> None:
    days = {page.day: page for page in api_days(captures)}
    friday, monday, back = date(2026, 4, 17), date(2026, 4, 20), date(2026, 4, 24)
    missed = [date(2026, 4, 21), date(2026, 4, 22), date(2026, 4, 23)]
    api = DailyPapersApi(installation, {day: page.content for day, page in days.items()})
    installation.listing(API, "hf-daily")
    await installation.subscribe(EVERYTHING, "*")
    for day in (friday, monday, back):
        api.shown, installation.now = day, days[day].at
        (poll,), _ = await installation.run()
        assert poll.outcome is Outcome.FRESH
    assert api.asked == [
        friday,
        monday,
        *missed,
    ]  # a day is read once more when the next one is there: it may have grown
    assert once_each(installation, EVERYTHING) == set().union(*(days[day].papers for day in (monday, *missed, back)))
    async with installation.opened() as running:
        assert await running.store.gaps(API) == []
        late = [poll.listed_on for poll in await running.store.last_polls(API, 20) if "late" in poll.reason]
    assert sorted(late) == [friday, monday, *missed]


async def test_g2_a_paper_that_daily_papers_showed_twice_six_days_apart_is_owed_once(
    installation: World, captures: Path
) -> None:
    wanted = {date(2026, 4, 9) + timedelta(days=n) for n in range(8)}
    days = {day: content for day, content in hf_days(captures) if day in wanted}
    twice = "2604.07429"
    assert [day for day in days if f'"id": "{twice}"'.encode() in days[day]] == [date(2026, 4, 10), date(2026, 4, 16)]
    api = DailyPapersApi(installation, days)
    installation.listing(API, "hf-daily")
    await installation.subscribe(EVERYTHING, "*")
    for day in days:
        api.shown, installation.now = day, datetime.combine(day, time(18), tzinfo=UTC)
        await installation.run()
    assert len(days) == 6
    assert twice in once_each(installation, EVERYTHING)
