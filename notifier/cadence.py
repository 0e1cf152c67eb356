"""Cadence: when is a digest due, and which local period does it belong to (G10)?

Exactly one daily digest per local calendar day in every IANA zone, on the 23- and the 25-hour day. A period is a name
that two digests of one subscriber can never share; the database holds it UNIQUE, so that neither a second process nor
a clock that jumps back sends twice.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from notifier.model import Cadence, DigestClock

DAY = timedelta(days=1)
MAILED = (Cadence.IMMEDIATE, Cadence.DAILY, Cadence.WEEKLY)
# The cadences that go by a clock. No next digest is further away than this: a due time beyond it was computed under a
# clock that was wrong.
LONGEST_WAIT = {Cadence.DAILY: timedelta(hours=49), Cadence.WEEKLY: timedelta(days=9)}


def next_due(clock: DigestClock, after: datetime) -> datetime | None:
    """Return the first instant (UTC) strictly after `after` at which a digest is due; None if it goes by no clock."""
    if clock.cadence not in LONGEST_WAIT:
        return None
    day = after.astimezone(ZoneInfo(clock.timezone)).date() - DAY
    while True:
        due = _due_on(clock, day)
        if due is not None and due > after:
            return due
        day += DAY


def lateness(clock: DigestClock, now: datetime) -> timedelta:
    """Return how long ago the newest due time at or before `now` was; zero if it goes by no clock."""
    if clock.cadence not in LONGEST_WAIT:
        return timedelta()
    return now - _newest_due(clock, now)[1]


def period(clock: DigestClock, now: datetime) -> str:
    """Name the local period of the newest due time at or before `now`, such as `daily 2026-11-21`.

    After an outage that is one period, however many were missed: one catch-up.
    """
    if clock.cadence not in LONGEST_WAIT:
        raise ValueError(f"a digest of cadence {clock.cadence} belongs to no period")
    return f"{clock.cadence} {_newest_due(clock, now)[0].isoformat()}"


def _newest_due(clock: DigestClock, now: datetime) -> tuple[date, datetime]:
    """Return the newest due time at or before `now`, and its local day."""
    day = now.astimezone(ZoneInfo(clock.timezone)).date() + DAY
    while True:
        due = _due_on(clock, day)
        if due is not None and due <= now:
            return day, due
        day -= DAY


def _due_on(clock: DigestClock, day: date) -> datetime | None:
    """The instant of `clock.at` on a local day, None on a day without a digest or one that the zone skipped.

    A wall time that occurs twice means the first; one that is skipped means the same time by the clock before the
    change, or, when that falls on the next day, by the clock after it.
    """
    if clock.cadence is Cadence.WEEKLY and day.weekday() != clock.weekday:
        return None
    zone = ZoneInfo(clock.timezone)
    for fold in (0, 1):
        due = datetime.combine(day, clock.at, tzinfo=zone).replace(fold=fold).astimezone(UTC)
        if due.astimezone(zone).date() == day:
            return due
    return None
