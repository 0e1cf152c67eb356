"""Rhythm: an announcement is read minutes after it is out, in winter and in summer, with few requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from notifier.model import Listing, ListingState, Outcome, Validators
from notifier.rhythm import next_poll, pause_after, why
from tests.listings import arxiv_feed
from tests.world import World

PAGE = Listing(name="cs.CL page", url="https://arxiv.org/list/cs.CL/new", format="arxiv-list")
FEED = Listing(name="cs.CL feed", url="https://rss.arxiv.org/rss/cs.CL", format="arxiv-feed")
OTHER = Listing(name="Daily Papers", url="https://example.org/", format="hf-daily", poll=timedelta(minutes=45))

MINUTES, HOURS = timedelta(minutes=1), timedelta(hours=1)
MOST_REQUESTS = 30  # in a week of punctual batches; every 30 minutes would be 336. Each 10 minutes late cost one more


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def polls(listing: Listing, batches: Sequence[datetime], start: datetime, days: int = 7) -> list[tuple[datetime, int]]:
    """Poll a page that turns at these instants: (when, number of batches that were out by then) of each poll."""
    done: list[tuple[datetime, int]] = []
    now, fresh_at = start, None
    while now < start + timedelta(days=days):
        out = sum(batch <= now for batch in batches)
        before = done[-1][1] if done else -1
        outcome = Outcome.FRESH if out > before else Outcome.WAITING
        done.append((now, out))
        following = next_poll(listing, outcome, fresh_at, now)
        fresh_at = now if outcome is Outcome.FRESH else fresh_at
        assert now < following <= now + 6 * HOURS
        now = following
    return done


WINTER = ["2026-01-12 01:00", "2026-01-13 01:00", "2026-01-14 01:00", "2026-01-15 01:00", "2026-01-16 01:00"]
SUMMER = ["2026-07-13 00:00", "2026-07-14 00:00", "2026-07-15 00:00", "2026-07-16 00:00", "2026-07-17 00:00"]
# In New York the clock goes forward on Sunday 8 March 2026 and back on Sunday 1 November 2026, at 02:00.
SPRING = ["2026-03-06 01:00", "2026-03-09 00:00", "2026-03-10 00:00", "2026-03-11 00:00", "2026-03-12 00:00"]
AUTUMN = ["2026-10-30 00:00", "2026-11-02 01:00", "2026-11-03 01:00", "2026-11-04 01:00", "2026-11-05 01:00"]


@pytest.mark.parametrize("late", [0, 3, 25, 95, 230], ids="{} minutes late".format)
@pytest.mark.parametrize("listing", [PAGE, FEED], ids=["page", "feed"])
@pytest.mark.parametrize(
    ("week", "start"),
    [
        (WINTER, "2026-01-10 12:00"),
        (SUMMER, "2026-07-11 12:00"),
        (SPRING, "2026-03-05 21:00"),
        (AUTUMN, "2026-10-29 21:00"),
    ],
    ids=["winter", "summer", "spring", "autumn"],
)
def test_a_week_of_announcements_is_read_within_12_minutes_each_with_few_requests(
    week: list[str], start: str, listing: Listing, late: int
) -> None:
    """Pages turn at 20:00 in New York, feeds four hours later, each `late` minutes after its time."""
    delay = late * MINUTES + (4 * HOURS if listing is FEED else 0 * HOURS)
    batches = [utc(text) + delay for text in week]
    done = polls(listing, batches, utc(start))
    for number, batch in enumerate(batches, start=1):
        read_at = next(now for now, out in done if out >= number)
        assert read_at - batch <= 12 * MINUTES, f"the batch of {batch} was read at {read_at}"
    assert len(done) <= MOST_REQUESTS + 5 * -(-late // 10)


def test_on_a_holiday_the_page_is_watched_for_four_hours_then_polled_at_its_own_interval() -> None:
    """No batch comes on Sunday evening; Monday's does."""
    sunday, monday = utc("2026-07-13 00:00"), utc("2026-07-14 00:00")
    thursday = utc("2026-07-10 00:00")
    done = [now for now, _ in polls(PAGE, [thursday, monday + 5 * MINUTES], utc("2026-07-09 21:00"), days=6)]
    watched = [now for now in done if sunday <= now <= sunday + 4 * HOURS]
    assert len(watched) == 25
    after = [now for now in done if sunday + 4 * HOURS <= now < monday]
    assert {later - now for now, later in pairwise(after)} == {30 * MINUTES}
    assert [now for now in done if monday <= now <= monday + HOURS] == [monday, monday + 10 * MINUTES]


def test_a_weekend_is_quiet_but_never_longer_than_six_hours() -> None:
    friday = utc("2026-07-17 00:10")
    done = [now for now, _ in polls(PAGE, [friday], friday, days=3)]
    assert len(done) == 13
    assert done[-1] == utc("2026-07-20 00:00")


def test_a_fresh_batch_lets_the_listing_rest_and_a_failed_poll_does_not() -> None:
    now, before = utc("2026-07-14 00:20"), utc("2026-07-13 00:05")
    assert next_poll(PAGE, Outcome.FRESH, before, now) == now + 6 * HOURS
    for outcome in (Outcome.WAITING, Outcome.QUIET, Outcome.STALE, Outcome.FAILED):
        assert next_poll(PAGE, outcome, before, now) == now + 10 * MINUTES


def test_a_rest_ends_at_the_next_announcement() -> None:
    now = utc("2026-07-14 22:00")
    assert next_poll(PAGE, Outcome.WAITING, utc("2026-07-14 00:05"), now) == utc("2026-07-15 00:00")


def test_a_listing_that_was_never_fresh_is_watched_from_the_announcement_on() -> None:
    now = utc("2026-07-14 00:20")
    assert next_poll(PAGE, Outcome.QUIET, None, now) == now + 10 * MINUTES


def test_a_batch_noted_under_a_clock_that_was_ahead_is_not_taken_for_the_latest() -> None:
    now = utc("2026-07-14 00:20")
    assert next_poll(PAGE, Outcome.WAITING, utc("2031-01-01 00:00"), now) == now + 10 * MINUTES


def test_an_interval_longer_than_the_rest_is_cut_for_a_page_that_is_announced() -> None:
    slow = Listing(name="slow", url=PAGE.url, format=PAGE.format, poll=timedelta(days=7))
    now = utc("2026-07-14 08:00")
    assert next_poll(slow, Outcome.WAITING, None, now) == now + 6 * HOURS


@pytest.mark.parametrize("outcome", list(Outcome))
def test_any_other_listing_is_polled_at_its_own_interval(outcome: Outcome) -> None:
    now = utc("2026-07-14 00:20")
    assert next_poll(OTHER, outcome, now, now) == now + 45 * MINUTES


# --- in a whole installation ------------------------------------------------------------------------------------------


async def test_a_poll_is_recorded_with_the_next_one_as_the_rhythm_says(installation: World) -> None:
    """On Tuesday 3 March 2026 the feeds turn at 05:00 UTC; 304 answers are no fresh batch either."""
    installation.listing("cs.CL", "arxiv-feed")
    installation.pages.put("/cs.CL", arxiv_feed(1), etag='"monday"')
    planned = []
    for now in ("2026-03-03 03:00", "2026-03-03 05:00", "2026-03-03 05:10"):
        installation.now = utc(now)
        if now.endswith("05:10"):
            installation.pages.put("/cs.CL", arxiv_feed(2, 3), etag='"tuesday"')
        await installation.run(minutes=0)
        async with installation.opened() as running:
            state = await running.store.listing_state("cs.CL")
        assert state is not None
        planned.append((str(state.outcome), f"{state.next_poll_at:%d %H:%M}"))
    assert planned == [("fresh", "03 05:00"), ("waiting", "03 05:10"), ("fresh", "03 11:10")]


@pytest.mark.parametrize("listing", [PAGE, FEED], ids=["page", "feed"])
def test_a_first_poll_that_still_reads_the_batch_before_keeps_watching(listing: Listing) -> None:
    """Monday's batch is announced on Sunday evening in New York, dated Monday; Friday's was the one before."""
    now = utc("2026-01-12 05:02") if listing is FEED else utc("2026-01-12 01:02")
    friday, monday = date(2026, 1, 9), date(2026, 1, 12)
    assert next_poll(listing, Outcome.FRESH, None, now, friday) == now + 10 * MINUTES
    assert next_poll(listing, Outcome.WAITING, now, now + 10 * MINUTES, friday) == now + 20 * MINUTES
    assert next_poll(listing, Outcome.FRESH, now, now + 20 * MINUTES, monday) > now + 5 * HOURS


def test_a_day_that_is_far_ahead_is_not_believed() -> None:
    now = utc("2026-01-12 01:02")
    assert next_poll(PAGE, Outcome.WAITING, None, now, date(2062, 1, 12)) == now + 10 * MINUTES


def planned(
    listing: Listing,
    now: datetime,
    next_poll_at: datetime,
    outcome: Outcome,
    failures: int = 0,
    rests_until: datetime | None = None,
) -> str:
    """Why a listing polled at `now` is polled next when it is."""
    state = ListingState(
        name=listing.name, url=listing.url, validators=Validators(), primed=True, polled_at=now, fresh_at=None,
        next_poll_at=next_poll_at, failures=failures, outcome=outcome, reason="",
    )  # fmt: skip
    return why(listing, state, rests_until)


def test_each_plan_says_why_it_is_so() -> None:
    evening, night, noon = utc("2026-07-14 00:05"), utc("2026-07-14 21:00"), utc("2026-07-14 12:00")
    for listing, now, fresh_at, expected in (
        (OTHER, noon, None, "every 45 minutes"),
        (PAGE, evening, evening - 20 * HOURS, "every 10 minutes until the batch that arXiv announced is there"),
        (PAGE, evening, evening, "every 6 hours until arXiv announces again"),
        (PAGE, night, night, "arXiv announces then"),
        (PAGE, noon, None, "every 30 minutes"),
    ):
        following = next_poll(listing, Outcome.WAITING, fresh_at, now)
        assert planned(listing, now, following, Outcome.WAITING) == expected


def every(interval: timedelta, listing: Listing = PAGE) -> Listing:
    return replace(listing, poll=interval)


def test_a_pause_after_failures_says_whose_it_is() -> None:
    now = utc("2026-07-14 12:00")
    for failures, pause, rests_until, expected in (
        (1, 45 * MINUTES, None, "every 45 minutes"),
        (3, 3 * HOURS, None, "later after each failure, 6 hours at most"),
        (9, 6 * HOURS, None, "later after each failure, 6 hours at most"),
        (3, 3 * HOURS, now + 1 * HOURS, "later after each failure, 6 hours at most"),
        (1, 24 * HOURS, now + 24 * HOURS, "its host is left alone until then"),  # after a 403
        (1, 45 * MINUTES, now + 2 * HOURS, "its host is left alone until then"),
    ):
        assert planned(OTHER, now, now + pause, Outcome.FAILED, failures, rests_until) == expected


def test_a_pause_that_nobody_gives_a_reason_for_any_more_has_none() -> None:
    """The host was to be asked again by hand, or the interval is another one since."""
    now = utc("2026-07-14 12:00")
    assert planned(OTHER, now, now + 24 * HOURS, Outcome.FAILED, 1) == ""
    assert planned(OTHER, now, now + 1 * MINUTES, Outcome.FAILED, 1) == ""
    assert planned(every(10 * MINUTES, OTHER), now, now + 45 * MINUTES, Outcome.FAILED, 1) == ""
    assert planned(every(3 * HOURS, OTHER), now, now + 45 * MINUTES, Outcome.FAILED, 1) == ""


@pytest.mark.parametrize(
    ("interval", "failures", "hours"),
    [(1 * HOURS, 0, 1), (1 * HOURS, 1, 1), (1 * HOURS, 2, 2), (1 * HOURS, 9, 6), (8 * HOURS, 1, 8), (8 * HOURS, 9, 8)],
)
def test_a_listing_that_fails_is_polled_later_each_time_and_never_sooner_than_usual(
    interval: timedelta, failures: int, hours: int
) -> None:
    assert pause_after(every(interval), failures) == hours * HOURS


def test_a_listing_of_a_long_interval_that_fails_keeps_to_it() -> None:
    now = utc("2026-07-14 12:00")
    assert planned(every(8 * HOURS), now, now + 8 * HOURS, Outcome.FAILED, 5) == "every 8 hours"


def test_a_page_of_a_long_interval_does_not_say_that_its_batch_is_out() -> None:
    """It is polled every six hours at least, whether the batch is there or missing."""
    slow, noon = every(8 * HOURS), utc("2026-07-14 12:00")
    for fresh_at in (None, noon - 30 * HOURS, noon - 11 * HOURS):
        following = next_poll(slow, Outcome.WAITING, fresh_at, noon)
        assert planned(slow, noon, following, Outcome.WAITING) == "every 6 hours"


def test_an_interval_like_the_watch_is_the_interval_when_the_watch_is_over() -> None:
    noon = utc("2026-07-14 12:00")
    assert planned(every(10 * MINUTES), noon, noon + 10 * MINUTES, Outcome.WAITING) == "every 10 minutes"


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        (timedelta(seconds=1), "1 second"), (timedelta(seconds=61), "61 seconds"), (timedelta(minutes=1), "1 minute"),
        (timedelta(minutes=60), "60 minutes"), (timedelta(minutes=150), "150 minutes"), (timedelta(hours=2), "2 hours"),
        (timedelta(days=1), "24 hours"),
    ],
)  # fmt: skip
def test_an_interval_is_said_in_whole_units(interval: timedelta, words: str) -> None:
    now = utc("2026-07-14 12:00")
    assert planned(every(interval, OTHER), now, now + interval, Outcome.WAITING) == f"every {words}"


def test_a_plan_that_was_made_otherwise_says_nothing() -> None:
    """By hand, or for another configuration."""
    now = utc("2026-07-14 12:00")
    assert planned(OTHER, now, now, Outcome.WAITING) == ""
    assert planned(PAGE, now, now, Outcome.WAITING) == ""
    assert planned(OTHER, now, now + 11 * MINUTES, Outcome.FRESH) == ""
