"""Back-fill: which past days must still be read from a listing?

When a page turns to a new day, the weekdays between it and the last day that was read were missed (an outage, a
holiday: reading them tells which), and a page that grows through its day may have grown after we last looked. Pure; the
store keeps what is owed as *gaps*, in the transaction that records the new day.
"""

from __future__ import annotations

from datetime import date, timedelta

from notifier.parse import past

GROWING = frozenset({"hf-daily"})  # formats whose page of a day still grows after it was first shown
MOST_DAYS = 90  # further back nothing is read; arXiv's catch-up ends there
MOST_TRIES = 48  # of one day, one at each poll of its listing

SATURDAY = 5


def days_to_read(url: str, format: str, last: date | None, current: date | None) -> tuple[date, ...]:
    """Return the past days to read, oldest first, when a page last dated `last` is now dated `current`."""
    if last is None or current is None or current <= last:
        return ()
    first = max(last if format in GROWING else last + timedelta(days=1), current - timedelta(days=MOST_DAYS))
    days = (first + timedelta(days=n) for n in range((current - first).days))
    return tuple(day for day in days if day.weekday() < SATURDAY and past(url, format, day))
