"""Exchange: subscribers and subscriptions as a file (JSON or CSV), and a file as those again. Pure.

A CSV file has a line for each subscription, under a header that names the columns in any order; `email` and `query` are
enough. A JSON file holds subscribers with their subscriptions. What is written can be read again and means the same;
reading finds every mistake at once and says where it is. A cell of a CSV file that a spreadsheet would compute is
written with an apostrophe before it, which reading takes off.

Links in mails, addresses of private feeds and what was sent are not in it: those move with a backup.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from enum import StrEnum
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from notifier.address import mailbox
from notifier.errors import AddressError, ExchangeError, QueryError
from notifier.model import (
    Cadence,
    DigestClock,
    Quiet,
    Subscriber,
    SubscriberState,
    Subscription,
    Versions,
    Wish,
)
from notifier.query import canonical, parse

FORMAT, VERSION = "notifier-subscribers", 1
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
COLUMNS = (
    "email", "state", "query", "cadence", "at", "weekday", "timezone", "versions", "quiet", "active",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet computes
MOST_PROBLEMS = 100  # told of one file
TRUE, FALSE = ("true", "yes", "1", ""), ("false", "no", "0")

Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A subscriber and one of their subscriptions, if they have any; `state` None where the file does not say."""

    email: str
    state: SubscriberState | None
    wish: Wish | None
    active: bool = True


def write(subscribers: Sequence[Subscriber], subscriptions: Sequence[Subscription], form: str) -> str:
    """Write down everybody who has confirmed once, with what they subscribed to; `form` is json or csv.

    Subscriptions of the configuration are left out: they move with it.
    """
    theirs: dict[int, list[Subscription]] = {}
    for each in subscriptions:
        if each.origin != "config":
            theirs.setdefault(each.subscriber_id, []).append(each)
    people = [each for each in subscribers if each.state is not SubscriberState.PENDING]
    return (_json if form == "json" else _csv)(people, theirs)


def read(text: str, form: str, timezone: str) -> list[Entry]:
    """Read a file; what it leaves out is daily at 08:00 in `timezone`. Raises ExchangeError with every mistake."""
    problems: list[str] = []
    entries = []
    for place, row in _json_rows(text) if form == "json" else _csv_rows(text):
        try:
            entries.append(_entry(row, timezone))
        except ExchangeError as fault:
            problems += [f"{place}: {problem}" for problem in fault.problems]
    if problems:
        more = len(problems) - MOST_PROBLEMS
        raise ExchangeError(problems[:MOST_PROBLEMS] + ([f"and {more} more"] if more > 0 else []))
    return entries


# --- write ------------------------------------------------------------------------------------------------------------


def _json(people: Sequence[Subscriber], theirs: Mapping[int, Sequence[Subscription]]) -> str:
    found = [
        {
            "email": person.email,
            "state": person.state,
            "since": person.since.isoformat(),
            "subscriptions": [_values(each) for each in theirs.get(person.subscriber_id, ())],
        }
        for person in people
    ]
    return json.dumps({"format": FORMAT, "version": VERSION, "subscribers": found}, indent=1, ensure_ascii=False) + "\n"


def _csv(people: Sequence[Subscriber], theirs: Mapping[int, Sequence[Subscription]]) -> str:
    written = io.StringIO()
    lines = csv.DictWriter(written, COLUMNS, lineterminator="\n")
    lines.writeheader()
    for person in people:
        for values in [_values(each) for each in theirs.get(person.subscriber_id, ())] or [{}]:
            row = {"email": person.email, "state": person.state, **values}
            lines.writerow({name: _guarded(str(value)) for name, value in row.items()})
    return written.getvalue()


def _values(subscription: Subscription) -> dict[str, object]:
    clock = subscription.clock
    return {
        "query": subscription.label,
        "cadence": clock.cadence,
        "at": f"{clock.at:%H:%M}",
        "weekday": DAYS[clock.weekday],
        "timezone": clock.timezone,
        "versions": subscription.versions,
        "quiet": subscription.quiet,
        "active": str(subscription.active).lower(),
    }


def _guarded(cell: str) -> str:
    return f"'{cell}" if cell.startswith((*FORMULA, "'")) else cell


def _unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith((*FORMULA, "'")) else cell


# --- read -------------------------------------------------------------------------------------------------------------


def _csv_rows(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    lines = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    try:
        columns = [name.strip().lower() for name in lines.fieldnames or ()]
        _check_columns(columns)
        lines.fieldnames = columns
        for row in lines:
            place = f"line {lines.line_num}"
            if None in row or None in row.values():
                raise ExchangeError([f"{place}: it has not as many cells as the first line names columns"])
            yield place, {name: _unguarded(cell.strip()) for name, cell in row.items()}
    except csv.Error as fault:
        raise ExchangeError([f"line {lines.line_num + 1}: {fault}"]) from None


def _check_columns(columns: Sequence[str]) -> None:
    missing = [name for name in ("email", "query") if name not in columns]
    if missing:
        raise ExchangeError([f"line 1: it must name the columns, {' and '.join(missing)} among them"])
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown or len(set(columns)) < len(columns):
        wrong = f"no such column: {', '.join(unknown)}" if unknown else "a column is named twice"
        raise ExchangeError([f"line 1: {wrong}; there are {', '.join(COLUMNS)}"])


def _json_rows(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        found = json.loads(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as fault:
        raise ExchangeError([f"line {fault.lineno}, column {fault.colno}: no JSON: {fault.msg}"]) from None
    people = found.get("subscribers") if isinstance(found, dict) else None
    if not isinstance(people, list) or found.get("format") != FORMAT:
        raise ExchangeError([f'no file of subscribers: it must say "format": "{FORMAT}" and hold "subscribers"'])
    if found.get("version") != VERSION:
        raise ExchangeError([f"version {found.get('version')} is not known here: install a newer notifier"])
    for number, person in enumerate(people, 1):
        place = f"subscriber {number}"
        subscriptions = person.get("subscriptions", []) if isinstance(person, dict) else None
        if not isinstance(subscriptions, list) or not all(isinstance(each, dict) for each in subscriptions):
            raise ExchangeError([f'{place}: it must be an object with an "email" and "subscriptions"'])
        own = {"email": person.get("email", ""), "state": person.get("state", "")}
        for count, each in enumerate(subscriptions, 1):
            yield f"{place}, subscription {count}", {**each, **own}
        if not subscriptions:
            yield place, own


def _entry(row: Mapping[str, Any], timezone: str) -> Entry:
    """Read one row. Raises ExchangeError with all that is wrong with it."""
    problems: list[str] = []
    values = {name: str(value).strip() for name, value in row.items() if value is not None}
    for name in values:
        if name not in COLUMNS:
            problems.append(f"{name}: there is no such thing; there are {', '.join(COLUMNS)}")
    email, meaning = "", ""
    try:
        email = mailbox(values.get("email", ""))
    except AddressError as fault:
        problems.append(f"email: {fault}")
    label = values.get("query", "")
    if label:
        try:
            meaning = canonical(parse(label))
        except QueryError as fault:
            problems.append(f"query: {fault}")
    state = _choice(SubscriberState, "state", values, None, problems)
    if state is SubscriberState.PENDING:
        problems.append("state: who has not confirmed cannot be imported; they sign up again")
    cadence = _choice(Cadence, "cadence", values, Cadence.DAILY, problems)
    versions = _choice(Versions, "versions", values, Versions.NEW, problems)
    quiet = _choice(Quiet, "quiet", values, Quiet.NOTHING, problems)
    clock = _clock(values, cadence or Cadence.DAILY, timezone, problems)
    active = values.get("active", "").lower()
    if active not in (*TRUE, *FALSE):
        problems.append("active: true or false")
    if problems:
        raise ExchangeError(problems)
    assert versions and quiet
    wish = Wish(email=email, label=label, canonical=meaning, clock=clock, versions=versions, quiet=quiet)
    return Entry(email=email, state=state, wish=wish if label else None, active=active in TRUE)


def _clock(values: Mapping[str, str], cadence: Cadence, timezone: str, problems: list[str]) -> DigestClock:
    at, zone = time(8), values.get("timezone") or timezone
    try:
        at = time.fromisoformat(values["at"]).replace(second=0, microsecond=0, tzinfo=None) if values.get("at") else at
    except ValueError:
        problems.append("at: a time of day such as 08:00")
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        problems.append(f"timezone: {zone} is no IANA time zone such as Europe/Berlin")
    weekday = values.get("weekday", "").lower() or DAYS[0]
    if weekday not in DAYS:
        problems.append(f"weekday: one of {', '.join(DAYS)}")
        weekday = DAYS[0]
    return DigestClock(cadence, zone, at, DAYS.index(weekday))


def _choice(
    kind: type[Choice], name: str, values: Mapping[str, str], default: Choice | None, problems: list[str]
) -> Choice | None:
    text = values.get(name, "").lower()
    if not text:
        return default
    try:
        return kind(text)
    except ValueError:
        problems.append(f"{name}: one of {', '.join(kind)}")
        return default
