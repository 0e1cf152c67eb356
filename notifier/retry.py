"""Retry: when is a deferred message offered again, and when is it given up? The one table of that policy.

RFC 5321 4.5.4.1 asks for at least 4-5 days of tries; the steps grow from five minutes to four hours.
"""

from __future__ import annotations

from datetime import datetime, timedelta

STEPS = (5, 10, 20, 40, 80, 160, 240)  # minutes before the second attempt, the third ..; the last one repeats
GIVE_UP_AFTER = timedelta(days=5)
JITTER = 0.2  # up to this share of a step is added, so that a thousand deferred messages do not return as one
# A due time further ahead was computed while the system clock was wrong: due now.
IMPOSSIBLE_WAIT = timedelta(days=1)
MAX_CRASHES = 3  # how often a process may die over one message before it is held; from the last but one it goes alone
RELAY_STEPS = (1, 2, 4, 8, 15)  # minutes before a relay that would not talk to us is asked again; the last one repeats
PERMANENT_REST = timedelta(minutes=15)  # the same after it said so for good (login, TLS): a person must mend it
MAX_DOUBTS = 5  # how often one message may be left without an answer after its final dot before it is held


def next_attempt(attempts: int, queued_at: datetime, now: datetime, spread: float) -> datetime | None:
    """Return when to offer a message again after its `attempts`-th deferral (1-based), None to give it up.

    `spread` in [0, 1) places this message within the jitter; derive it from the message, not from chance.
    """
    if now - queued_at >= GIVE_UP_AFTER:
        return None
    step = timedelta(minutes=STEPS[min(attempts, len(STEPS)) - 1])
    return now + step * (1 + JITTER * spread)


def relay_rest(failures: int, *, permanent: bool) -> timedelta:
    """Return how long to leave a relay alone after its `failures`-th refusal in a row (1-based) to talk to us."""
    return PERMANENT_REST if permanent else timedelta(minutes=RELAY_STEPS[min(failures, len(RELAY_STEPS)) - 1])
