"""Rhythm: when is a listing polled next?

arXiv announces on Sunday to Thursday at 20:00 in New York (https://info.arxiv.org/help/availability.html), its feeds
follow at midnight there (https://info.arxiv.org/help/rss.html): such a listing is asked often from then on until its
batch is out, and rarely for the rest of the day. Every other listing is polled at its own interval.

A hint, never a verdict: on a holiday, or when the schedule changes, a listing is still polled at least every
LONGEST_REST, so a wrong idea of the clock delays papers by hours and loses none. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from notifier.model import Listing, ListingState, Outcome


@dataclass(frozen=True, slots=True)
class Announcement:
    """When a kind of page turns to its next batch: local time in New York, on weekdays with 0 = Monday."""

    at: time
    weekdays: frozenset[int]


MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SUNDAY = 0, 1, 2, 3, 4, 6
ANNOUNCED = {
    "arxiv-list": Announcement(time(20), frozenset({SUNDAY, MONDAY, TUESDAY, WEDNESDAY, THURSDAY})),
    "arxiv-feed": Announcement(time(0), frozenset({MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY})),
}
WATCHED_EVERY = timedelta(minutes=10)  # from the announcement on until its batch is out
WATCHED_FOR = timedelta(hours=4)  # after that it is late, or a holiday: the listing's own interval
DATED_AHEAD = timedelta(hours=4)  # what is announced in the evening carries the date of the next day
LONGEST_AHEAD = timedelta(days=2)  # a day further ahead is a slip of the page
LONGEST_REST = timedelta(hours=6)  # between polls once the batch is out
LONGEST_BACKOFF = timedelta(hours=6)  # between polls of a listing that keeps failing
LONGEST_PAUSE_DAYS = 7  # between two announcements, more than any weekend

NEW_YORK = ZoneInfo("America/New_York")


def next_poll(
    listing: Listing, outcome: Outcome, fresh_at: datetime | None, now: datetime, listed_on: date | None = None
) -> datetime:
    """Return when to poll a listing again after a poll at `now` that ended as `outcome`.

    `fresh_at` is when its last fresh batch came before this poll, None for never; `listed_on` the newest day that the
    listing ever named, None when it names none. The day decides where there is one: a first poll right after an
    announcement may still read the batch before it, and that is as fresh to us.
    """
    announced = ANNOUNCED.get(listing.format)
    if announced is None:
        return now + listing.poll
    latest, following = _latest(announced, now), _following(announced, now)
    if listed_on is not None and listed_on <= (now + LONGEST_AHEAD).date():
        out = listed_on >= (latest.astimezone(NEW_YORK) + DATED_AHEAD).date()
    else:
        out = outcome is Outcome.FRESH or _is_out(latest, fresh_at, now)
    if out:
        return min(now + LONGEST_REST, following)
    if now < latest + WATCHED_FOR:
        return now + WATCHED_EVERY
    return min(now + listing.poll, now + LONGEST_REST, following)


def pause_after(listing: Listing, failures: int) -> timedelta:
    """Return how long a listing is left alone that failed so many times in a row: longer each time."""
    return max(listing.poll, min(listing.poll * (1 << min(max(failures - 1, 0), 10)), LONGEST_BACKOFF))


def why(listing: Listing, state: ListingState, rests_until: datetime | None = None) -> str:
    """Say why the next poll is when it is; `rests_until` is when the pause of its host ends, None without one.

    "" where it was planned by hand, for another configuration, or before a past day was read.
    """
    after = state.next_poll_at - state.polled_at
    usual = f"every {_in_words(listing.poll)}"
    if state.outcome is Outcome.FAILED:
        if rests_until is not None and rests_until >= state.next_poll_at:
            return "its host is left alone until then"
        pause = pause_after(listing, state.failures)
        longer = f"later after each failure, {_in_words(LONGEST_BACKOFF)} at most"
        return "" if after != pause else longer if pause > listing.poll else usual
    announced = ANNOUNCED.get(listing.format)
    if announced:
        if state.next_poll_at == _following(announced, state.polled_at):
            return "arXiv announces then"
        if after == LONGEST_REST:  # with a longer interval of its own, whether the batch is out or not
            again = " until arXiv announces again" if listing.poll < LONGEST_REST else ""
            return f"every {_in_words(LONGEST_REST)}{again}"
        if after == WATCHED_EVERY and state.polled_at < _latest(announced, state.polled_at) + WATCHED_FOR:
            return f"every {_in_words(WATCHED_EVERY)} until the batch that arXiv announced is there"
    return usual if after == listing.poll else ""


def _in_words(span: timedelta) -> str:
    seconds = span.total_seconds()
    if seconds >= 7_200 and not seconds % 3_600:
        return f"{seconds / 3_600:g} hours"
    count, unit = (seconds, "second") if seconds % 60 else (seconds / 60, "minute")
    return f"{count:g} {unit}{'' if count == 1 else 's'}"


def _is_out(latest: datetime, fresh_at: datetime | None, now: datetime) -> bool:
    """Tell whether the latest batch was read; an instant that is still to come was noted under a wrong clock."""
    return fresh_at is not None and latest <= fresh_at <= now


def _latest(announced: Announcement, now: datetime) -> datetime:
    return next(at for at in _around(announced, now, -1) if at <= now)


def _following(announced: Announcement, now: datetime) -> datetime:
    return next(at for at in _around(announced, now, +1) if at > now)


def _around(announced: Announcement, now: datetime, step: int) -> list[datetime]:
    """Return the announcements from the local day of `now` on, backwards or forwards, in UTC."""
    zone = now.tzinfo
    today = now.astimezone(NEW_YORK).date()
    days = (today + timedelta(days=step * n) for n in range(LONGEST_PAUSE_DAYS + 1))
    return [
        datetime.combine(day, announced.at, NEW_YORK).astimezone(zone)
        for day in days
        if day.weekday() in announced.weekdays
    ]
