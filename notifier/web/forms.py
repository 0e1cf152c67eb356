"""Forms: from the fields of a request to a wish, or to words about what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from functools import lru_cache
from typing import TypeVar
from urllib.parse import parse_qsl
from zoneinfo import available_timezones

from starlette.exceptions import HTTPException
from starlette.requests import Request

from notifier.address import mailbox
from notifier.errors import AddressError, QueryError
from notifier.model import Cadence, DigestClock, Quiet, Subscription, Versions, Wish
from notifier.query import Query, canonical, parse

MOST_FIELDS = 60
LONGEST = 2_000  # characters of a field; a query has its own, lower limit
T = TypeVar("T", Cadence, Versions, Quiet)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a form: `field` is its name, `suggestion` what may have been meant, or ""."""

    field: str
    text: str
    suggestion: str = ""


async def fields(request: Request) -> dict[str, str]:
    """Read the fields of a form, the last of a name; 400 for one that is no form, or too much of one."""
    try:
        body = (await request.body()).decode("utf-8")
        pairs = parse_qsl(body, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except (UnicodeDecodeError, ValueError):
        raise HTTPException(400) from None
    if any(len(value) > LONGEST for _, value in pairs):
        raise HTTPException(413)
    return dict(pairs)


def query_of(text: str) -> tuple[Query | None, Problem | None]:
    """Read a query; at most one of the results is not None, none for an empty text."""
    if not text.strip():
        return None, None
    try:
        return parse(text), None
    except QueryError as fault:
        return None, Problem("q", fault.reason, fault.suggestion or "")


def wish_of(form: Mapping[str, str], email: str, default: DigestClock) -> tuple[Wish | None, list[Problem]]:
    """Read a subscription as its form says it; what the form leaves out is as in `default`."""
    problems = []
    label = " ".join(form.get("q", "").split())
    query, problem = query_of(label)
    if problem:
        problems.append(problem)
    elif query is None:
        problems.append(Problem("q", "write the words that papers should have"))
    try:
        email = mailbox(email)
    except AddressError as fault:
        problems.append(Problem("email", str(fault)))
    clock, wrong = _clock(form, default)
    problems += wrong
    if problems or query is None:
        return None, problems
    return Wish(
        email=email, label=label, canonical=canonical(query), clock=clock,
        versions=_choice(Versions, form.get("versions"), Versions.NEW),
        quiet=_choice(Quiet, form.get("quiet"), Quiet.NOTHING),
    ), []  # fmt: skip


def shown(subscription: Subscription) -> dict[str, str]:
    """Return what a form says of a subscription that is as it is."""
    clock = subscription.clock
    return {
        "q": subscription.label,
        "cadence": str(clock.cadence),
        "at": f"{clock.at:%H:%M}",
        "weekday": str(clock.weekday),
        "timezone": clock.timezone,
        "versions": str(subscription.versions),
        "quiet": str(subscription.quiet),
    }


@lru_cache(maxsize=1)
def zones() -> tuple[str, ...]:
    """Return the names of the time zones that people use: a continent or ocean and a city, and UTC."""
    places = {"Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific"}
    return ("UTC", *sorted(name for name in available_timezones() if name.partition("/")[0] in places))


@lru_cache(maxsize=1)
def _known_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _clock(form: Mapping[str, str], default: DigestClock) -> tuple[DigestClock, list[Problem]]:
    problems = []
    zone = form.get("timezone", "").strip() or default.timezone
    if zone not in _known_zones():
        problems.append(Problem("timezone", "this is no time zone: write one such as Europe/Berlin or UTC"))
    at = default.at
    try:
        at = time.fromisoformat(form["at"]).replace(second=0, microsecond=0, tzinfo=None) if form.get("at") else at
    except ValueError:
        problems.append(Problem("at", "write a time of day such as 08:00"))
    weekday = form.get("weekday", "")
    day = int(weekday) if weekday in set("0123456") and weekday else default.weekday
    return DigestClock(_choice(Cadence, form.get("cadence"), default.cadence), zone, at, day), problems


def _choice(kind: type[T], text: str | None, default: T) -> T:
    try:
        return kind(text or default)
    except ValueError:
        return default
