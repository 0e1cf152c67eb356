"""How long a host is left alone: the gap between two requests, and every pause it asks for or earns.

Decides over values and does nothing itself. A wait longer than any that we take was set while the system clock was
wrong, and counts as over: a clock that jumped blocks no host for years. Follows RFC 9110 10.2.3 (Retry-After) and the
RateLimit fields of draft-ietf-httpapi-ratelimit-headers, in its newest and its older spelling.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from notifier.model import HostState

# Between the starts of two requests to one host. arXiv asks for 3 s (its API manual) and 15 s (its robots.txt).
GAPS = {
    "export.arxiv.org": timedelta(seconds=3),
    "rss.arxiv.org": timedelta(seconds=3),
    "arxiv.org": timedelta(seconds=15),
    "www.arxiv.org": timedelta(seconds=15),
}
GAP = timedelta(seconds=2)  # of any other host
LONGEST_GAP = timedelta(seconds=60)  # what we obey of a Crawl-delay
SHORT_WAIT = timedelta(seconds=60)  # a longer rest is not waited for
SHORTEST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=24)  # what we obey of a Retry-After
FORBIDDEN_PAUSE = timedelta(hours=24)  # after 403: the site does not want us, and a person should look at it
TOO_MANY_PAUSE = timedelta(minutes=15)  # after "too many" without a time
RATE_EXCEEDED = b"Rate exceeded."  # all that arXiv says, whatever the status

ZERO = timedelta()


# --- a host and the time ----------------------------------------------------------------------------------------------


def rest(state: HostState, now: datetime) -> timedelta:
    """Return how long this host is to be left alone, zero when it may be asked now."""
    return max(_left(state.next_request_at, now, LONGEST_GAP), _left(state.blocked_until, now, LONGEST_PAUSE))


def asked(state: HostState, now: datetime) -> HostState:
    """Return `state` after a request that begins now."""
    name = re.sub(r":\d+$", "", state.host)
    gap = min(max(GAPS.get(name, GAP), state.crawl_delay), LONGEST_GAP)
    return replace(state, next_request_at=now + gap)


def paused(state: HostState, now: datetime, pause: timedelta, reason: str) -> HostState:
    """Return `state` with a pause from now on; a longer one that is under way stays."""
    if _left(state.blocked_until, now, LONGEST_PAUSE) >= pause:
        return state
    return replace(state, blocked_until=now + pause, reason=reason)


def _left(until: datetime | None, now: datetime, longest: timedelta) -> timedelta:
    if until is None or not now < until <= now + longest:
        return ZERO
    return until - now


# --- what an answer asks for ------------------------------------------------------------------------------------------


def error_pause(status: int, headers: Mapping[str, str], start: bytes, now: datetime) -> timedelta | None:
    """Return how long an answer that is no page asks us to stay away, None when it does not; `start` of its body."""
    wishes = [_retry_after(headers, now), used_up(headers, now)]
    wish = max((each for each in wishes if each is not None), default=None)
    if is_rate_exceeded(start):
        return wish or TOO_MANY_PAUSE
    if status == 403:
        return FORBIDDEN_PAUSE
    if status == 429:
        return wish or TOO_MANY_PAUSE
    return wish


def is_rate_exceeded(start: bytes) -> bool:
    """Tell whether a body is arXiv's refusal, which comes with any status."""
    return start[:64].strip() == RATE_EXCEEDED


def used_up(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Return the time until a rate limit that is used up begins anew, None when something is left of it."""
    found = [_seconds(reset) for left, reset in _limits(headers.get("ratelimit", "")) if not int(left)]
    for prefix in ("ratelimit", "x-ratelimit"):
        left, reset = headers.get(f"{prefix}-remaining", "").strip(), headers.get(f"{prefix}-reset", "").strip()
        if re.fullmatch(r"-\d+|0+", left) and re.fullmatch(r"[0-9]+", reset):
            found.append(_seconds(reset, now if prefix == "x-ratelimit" else None))
    pause = max(found, default=ZERO)
    return min(pause, LONGEST_PAUSE) if pause > ZERO else None


def _limits(field: str) -> list[tuple[str, str]]:
    """Return (left, seconds to reset) of each policy: `"a";r=0;t=30, "b";r=5;t=9`, or `remaining=0, reset=30`."""
    bare = re.sub(r'"[^"]*"', "", field)
    old = re.search(r"\bremaining=(\d{1,9})\b.*?\breset=(\d+)", bare)
    if old:
        return [(old[1], old[2])]
    pairs = [(re.search(r";\s*r=(\d{1,9})\b", one), re.search(r";\s*t=(\d+)", one)) for one in bare.split(",")]
    return [(left[1], reset[1]) for left, reset in pairs if left and reset]


def _seconds(text: str, now: datetime | None = None) -> timedelta:
    """Return a number of seconds as a span; with `now` a large one is the moment itself, in Unix time."""
    if len(text) > 11:
        return LONGEST_PAUSE
    seconds = int(text)
    if now is not None and seconds > 1_000_000_000:
        seconds -= int(now.timestamp())
    return timedelta(seconds=max(seconds, 0))


def _retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Return the server's Retry-After within what we obey; nonsense counts as the shortest."""
    text = headers.get("retry-after")
    if text is None:
        return None
    if re.fullmatch(r"[0-9]+", text.strip()):
        wish = _seconds(text.strip().lstrip("0") or "0")
    else:
        try:
            until = parsedate_to_datetime(text)
            wish = (until if until.tzinfo else until.replace(tzinfo=UTC)) - now
        except (ValueError, TypeError, OverflowError, IndexError):
            wish = SHORTEST_PAUSE
    return min(max(wish, SHORTEST_PAUSE), LONGEST_PAUSE)
