"""Back-fill: after an outage every missed day is read, late but once."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from notifier.intake.backfill import days_to_read
from notifier.model import Outcome
from notifier.status import lines, status
from tests.day_pages import Days, day_page
from tests.servers.http import Answer, Request
from tests.world import World, text

READER = "reader@example.org"
API = "https://huggingface.co/api/daily_papers"
FRIDAY, MONDAY, THURSDAY = date(2026, 3, 6), date(2026, 3, 9), date(2026, 3, 12)


@pytest.mark.parametrize(
    ("url", "format", "last", "current", "expected"),
    [
        (API, "hf-daily", FRIDAY, MONDAY, [6]),  # grew after we last looked; a weekend is no gap
        (API, "hf-daily", FRIDAY, THURSDAY, [6, 9, 10, 11]),
        ("https://arxiv.org/list/cs.CL/new", "arxiv-list", FRIDAY, MONDAY, []),
        ("https://arxiv.org/list/cs.CL/new", "arxiv-list", FRIDAY, THURSDAY, [9, 10, 11]),
        ("https://example.org/feed.xml", "feed", FRIDAY, THURSDAY, []),
        (API, "hf-daily", None, MONDAY, []),
        (API, "hf-daily", MONDAY, MONDAY, []),
        (API, "hf-daily", MONDAY, FRIDAY, []),
    ],
)
def test_the_weekdays_between_two_pages_are_to_be_read(
    url: str, format: str, last: date | None, current: date, expected: list[int]
) -> None:
    assert [day.day for day in days_to_read(url, format, last, current)] == expected


@pytest.fixture
async def days(installation: World) -> Days:
    """A primed listing that has shown Monday."""
    made = Days(installation)
    installation.listing("api/daily_papers", "hf-daily")
    await installation.subscribe(READER, "*")
    made.days["2026-03-09"] = day_page("2026-03-09", 1, 2)
    await installation.run()
    return made


async def test_g1_days_missed_in_an_outage_are_read_in_order_and_sent_once(installation: World, days: Days) -> None:
    days.days |= {
        "2026-03-09": day_page("2026-03-09", 1, 2, 3),  # grew after we last looked
        "2026-03-10": day_page("2026-03-10", 4),
        "2026-03-11": day_page("2026-03-11", 5, 6),
        "2026-03-12": day_page("2026-03-12", 7),
    }
    await installation.run(minutes=3 * 24 * 60)
    await installation.run()
    shown = " ".join(text(mail) for mail in installation.mails(READER))
    assert [number for number in range(1, 9) if f"Fictional paper {number} for" in shown] == [3, 4, 5, 6, 7]
    async with installation.opened() as running:
        assert await running.store.gaps("api/daily_papers") == []
        polls = await running.store.last_polls("api/daily_papers", 10)
    assert [poll.listed_on.day for poll in polls if "late" in poll.reason] == [11, 10, 9]


async def test_g1_a_past_day_that_cannot_be_read_stays_a_gap_until_it_can(installation: World, days: Days) -> None:
    days.days |= {"2026-03-10": day_page("2026-03-10", 4), "2026-03-11": day_page("2026-03-11", 5)}
    days.broken = {"2026-03-10"}
    await installation.run(minutes=24 * 60)
    async with installation.opened() as running:
        assert date(2026, 3, 10) in await running.store.gaps("api/daily_papers")
    days.broken = set()
    await installation.run()
    shown = " ".join(text(mail) for mail in installation.mails(READER))
    assert "Fictional paper 4 for" in shown
    assert shown.count("Fictional paper 5 for") == 1


async def test_g5_a_batch_dated_today_that_holds_only_what_was_shown_before_is_stale(
    installation: World, days: Days
) -> None:
    days.days["2026-03-10"] = day_page("2026-03-09", 1, 2).replace(b"2026-03-09T06", b"2026-03-10T06")
    (poll,), _ = await installation.run(minutes=24 * 60)
    assert poll.outcome is Outcome.STALE
    assert "all of 2 were shown before" in poll.reason
    (poll,), _ = await installation.run(minutes=60)
    assert poll.outcome is Outcome.STALE, "it is, as long as it shows nothing else"
    days.days["2026-03-10"] = day_page("2026-03-10", 3)
    (poll,), _ = await installation.run(minutes=60)
    assert poll.outcome is Outcome.FRESH
    (poll,), _ = await installation.run(minutes=60)
    assert poll.outcome is Outcome.WAITING


async def test_g5_a_page_is_stale_after_a_poll_that_failed_too(installation: World, days: Days) -> None:
    days.days["2026-03-10"] = day_page("2026-03-09", 1, 2).replace(b"2026-03-09T06", b"2026-03-10T06")
    read, found = days.answer, []
    for way in ("read", "fail", "unchanged", "unchanged"):

        def answer(request: Request, way: str = way) -> Answer:
            if way == "fail":
                return Answer(status=500)
            return replace(read(request), etag='"as-it-was"')

        installation.pages.otherwise = answer
        (poll,), _ = await installation.run(minutes=24 * 60 if way == "read" else 60)
        found.append((poll.outcome, poll.reason.rpartition("; ")[2] == "not modified since"))
    assert found == [
        (Outcome.STALE, False), (Outcome.FAILED, False), (Outcome.STALE, True), (Outcome.STALE, False),
    ]  # fmt: skip


async def test_g5_a_batch_far_below_the_usual_for_its_weekday_is_flagged(installation: World, days: Days) -> None:
    number = 100
    for week in range(1, 5):
        monday = date(2026, 3, 9 + 7 * week) if week < 4 else date(2026, 4, 6)
        size = 12 if week < 4 else 2
        days.days = {str(monday): day_page(str(monday), *range(number, number + size))}
        number += size
        (poll,), _ = await installation.run(minutes=7 * 24 * 60)
    assert "far below the usual 12" in poll.reason
    await installation.run(minutes=60)
    async with installation.opened() as running:
        seen = await status(running.store, running.config.listings, installation.now)
    assert any(line.endswith("2 read, 2 new, far below the usual 12") for line in lines(seen)), "as long as it is shown"
