"""Contents: what a message holds - its papers, the queries that hit them, the batches it covers. Reading only."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, Text, and_, bindparam, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.model import Cadence, Content, Coverage, OutboxId, Outcome, Paper, PaperId, QueryId, QueuedMessage
from notifier.store import schema
from notifier.store.engine import chunks
from notifier.store.lines import whole
from notifier.store.rows import PAPER_COLUMNS, to_paper

MOST_PAPERS, MOST_TOLD = 1_000, 1_000  # remembered while mail leaves: about 4 kB each, and 2 kB
LONGEST_COVERED = timedelta(days=8)  # what a digest says it covers; a weekly one covers seven days

Told = tuple[tuple[Paper, tuple[QueryId, ...], tuple[str, ...]], ...]

# Made once, of the columns that are needed alone: reading the others costs more than finding the row.
_MESSAGES = (
    select(
        *(schema.message.c[name] for name in (
            "id", "message_id", "kind", "subscriber_id", "period", "cadence", "recipient", "poll_from", "poll_to",
            "queued_at", "attempts", "doubts",
        )),
        schema.content.c.octets, schema.content.c.packed_at, schema.subscriber.c.token, schema.subscriber.c.feed,
    )
    .select_from(schema.message)
    .join(schema.subscriber, isouter=True)
    .join(schema.content, schema.content.c.message_id == schema.message.c.id, isouter=True)
    .where(schema.message.c.id.in_(bindparam("ids", expanding=True)))
)  # fmt: skip

_CADENCES = {str(each): each for each in Cadence}
_PAPERS: dict[int, tuple[Paper, tuple[str, ...]]] = {}
_TOLD: dict[str, tuple[tuple[tuple[Paper, tuple[str, ...]] | None, ...], Told]] = {}


async def contents(connection: AsyncConnection, ids: Sequence[int], *, always: bool = False) -> list[QueuedMessage]:
    """Load messages in the order given; what they share, papers and batches, is loaded once and shared.

    One that was composed already comes without its papers, unless `always`: its bytes are there.
    """
    found: dict[int, Row[Any]] = {}
    for some in chunks(ids):
        found |= {row.id: row for row in (await connection.execute(_MESSAGES, {"ids": some})).all()}
    packed = [(row.id, bytes(row.octets)) for row in found.values() if row.packed_at]
    written: dict[int, Content] = {
        row.id: bytes(row.octets) for row in found.values() if row.octets and not row.packed_at
    }
    written |= await whole(connection, packed)
    digests = [row for row in found.values() if row.kind == "digest" and (always or row.id not in written)]
    carried = await _carried(connection, [row.id for row in digests])
    told = await _told(connection, set(carried.values()))
    theirs = await _subscriptions(connection, sorted({row.subscriber_id for row in digests}))
    covered = {span: await coverage(connection, *span) for span in {(row.poll_from, row.poll_to) for row in digests}}
    return [
        _queued(
            found[number],
            told[carried[number]] if number in carried else (),
            theirs.get(found[number].subscriber_id, []) if number in carried or always else [],
            covered.get((found[number].poll_from, found[number].poll_to), ()) if found[number].kind == "digest" else (),
            written.get(number),
            lost=found[number].octets is not None and number not in written,
        )
        for number in ids
        if number in found
    ]


def _queued(
    row: Row[Any],
    papers: tuple[tuple[Paper, tuple[QueryId, ...], tuple[str, ...]], ...],
    mine: Sequence[Row[Any]],
    coverage: tuple[Coverage, ...],
    content: Content | None,
    *,
    lost: bool,
) -> QueuedMessage:
    return QueuedMessage(
        outbox_id=OutboxId(row.id),
        message_id=row.message_id,
        kind=row.kind,
        recipient=row.recipient,
        token=row.token or "",
        feed=row.feed or "",
        period=row.period,
        cadence=_CADENCES.get(row.cadence, Cadence.IMMEDIATE),
        timezone=_timezone(row.cadence, mine),
        queued_at=row.queued_at,
        attempts=row.attempts,
        doubts=row.doubts,
        papers=papers,
        queries={QueryId(s.query_id): (s.label, s.canonical) for s in mine},
        coverage=coverage,
        content=content,
        lost=lost,
    )


def _timezone(cadence: str, mine: Sequence[Row[Any]]) -> str:
    """Return the time zone of the first subscription of a cadence, else of the first one."""
    for each in mine:
        if each.cadence == cadence:
            return str(each.timezone)
    return str(mine[0].timezone) if mine else "UTC"


async def _carried(connection: AsyncConnection, numbers: Sequence[int]) -> dict[int, str]:
    """Return which papers each message carries, with the queries that hit them, as one text for each."""
    delivery = schema.delivery
    carried = dict.fromkeys(numbers, "")
    each = (
        cast(delivery.c.paper_id, Text) + " " + cast(delivery.c.edition, Text) + " " + cast(delivery.c.query_ids, Text)
    )
    for some in chunks(numbers):
        rows = await connection.execute(
            select(delivery.c.message_id, func.aggregate_strings(each, ";"))
            .where(delivery.c.message_id.in_(some))
            .group_by(delivery.c.message_id)
        )
        carried |= {row[0]: row[1] for row in rows}
    return carried


async def _told(connection: AsyncConnection, texts: Collection[str]) -> dict[str, Told]:
    """Return the papers that `_carried` texts name. Equal texts have the very same, from one claim to the next, too.

    What is made of them can be found again by identity then, which is all that comparing readers costs.
    """
    mine = {text: _hits(text) for text in texts}
    known = await _papers(connection, list(dict.fromkeys(paper for hits in mine.values() for paper in hits)))
    for number, found in known.items():
        known[number] = _PAPERS[number] = found if _PAPERS.get(number) != found else _PAPERS[number]
    told: dict[str, Told] = {}
    for text, hits in mine.items():
        papers = tuple(map(known.get, hits))  # None for one that is gone
        before = _TOLD.get(text)
        if before is None or before[0] != papers:
            hit_by = zip(papers, hits.values(), strict=True)
            new = tuple([(here[0], tuple(queries), here[1]) for here, queries in hit_by if here is not None])
            before = _TOLD[text] = (papers, new)
        told[text] = before[1]
    if len(_PAPERS) > MOST_PAPERS or len(_TOLD) > MOST_TOLD:
        forget_told()
    return told


def forget_told() -> None:
    """Forget the papers of the last claims."""
    _PAPERS.clear()
    _TOLD.clear()
    _hits.cache_clear()


@lru_cache(MOST_TOLD)
def _hits(text: str) -> Mapping[PaperId, Sequence[QueryId]]:
    """Return the papers and queries of a `_carried` text, in the order of the papers."""
    found: dict[tuple[PaperId, int], list[QueryId]] = {}
    for each in text.split(";") if text else ():
        paper, edition, queries = each.split(" ", 2)
        found[PaperId(int(paper)), int(edition)] = json.loads(queries)
    return by_paper(dict(sorted(found.items())))


async def _subscriptions(connection: AsyncConnection, people: Sequence[int]) -> dict[int, list[Row[Any]]]:
    """Return the subscriptions of each subscriber, with the canonical text of their queries."""
    table = schema.subscription
    found: dict[int, list[Any]] = {}
    columns = (table.c.subscriber_id, table.c.query_id, table.c.label, table.c.timezone, table.c.cadence)
    for some in chunks(people):
        rows = await connection.execute(
            select(*columns, schema.query.c.canonical)
            .join(schema.query, schema.query.c.id == table.c.query_id)
            .where(table.c.subscriber_id.in_(some))
            .order_by(table.c.id)
        )
        for row in rows.all():
            found.setdefault(row.subscriber_id, []).append(row)
    return found


async def subscriptions(connection: AsyncConnection, subscriber_id: int) -> Sequence[Row[Any]]:
    subscription = schema.subscription
    return (
        await connection.execute(
            select(subscription, schema.query.c.canonical, schema.subscriber.c.email)
            .join(schema.query, schema.query.c.id == subscription.c.query_id)
            .join(schema.subscriber, schema.subscriber.c.id == subscription.c.subscriber_id)
            .where(subscription.c.subscriber_id == subscriber_id)
            .order_by(subscription.c.id)
        )
    ).all()


def by_paper(
    carried: Mapping[tuple[PaperId, int], Sequence[QueryId]],
) -> dict[PaperId, list[QueryId]]:
    """Join the editions of a paper: a message shows it once, as it is now."""
    found: dict[PaperId, list[QueryId]] = {}
    for (paper_id, _), queries in carried.items():
        mine = found.setdefault(paper_id, [])
        mine += [query for query in queries if query not in mine]
    return found


async def papers(
    connection: AsyncConnection, hits: Mapping[PaperId, Sequence[QueryId]]
) -> tuple[tuple[Paper, tuple[QueryId, ...], tuple[str, ...]], ...]:
    """Load papers in the order given, each with the queries that hit it and the listings it was met on."""
    found = await _papers(connection, list(hits))
    return tuple(
        (found[number][0], tuple(QueryId(query) for query in queries), found[number][1])
        for number, queries in hits.items()
        if number in found
    )


async def _papers(connection: AsyncConnection, numbers: Sequence[int]) -> dict[int, tuple[Paper, tuple[str, ...]]]:
    """Load papers, each with the listings it was met on."""
    found: dict[int, Paper] = {}
    listings: dict[int, list[str]] = {}
    for some in chunks(numbers):
        rows = await connection.execute(select(schema.paper.c.id, *PAPER_COLUMNS).where(schema.paper.c.id.in_(some)))
        found |= {row.id: to_paper(row) for row in rows}
        for place in await connection.execute(select(schema.sighting).where(schema.sighting.c.paper_id.in_(some))):
            listings.setdefault(place.paper_id, []).append(place.listing)
    return {number: (paper, tuple(listings.get(number, ()))) for number, paper in found.items()}


async def coverage(connection: AsyncConnection, poll_from: int, poll_to: int) -> tuple[Coverage, ...]:
    """One line per listing and day of its page, among the polls (poll_from, poll_to]; a failure only if it lasted."""
    table = schema.poll
    covered = and_(table.c.id > poll_from, table.c.id <= poll_to)
    newest = await connection.scalar(select(func.max(table.c.polled_at)).where(covered))
    if newest is not None:
        covered = and_(covered, table.c.polled_at > newest - LONGEST_COVERED)
    rows = await connection.execute(select(table).where(covered).order_by(table.c.id))
    state = schema.listing
    fresh = {each.name: each.fresh_at for each in await connection.execute(select(state.c.name, state.c.fresh_at))}
    days: dict[tuple[str, object], Coverage] = {}
    last: dict[str, Row[Any]] = {}
    for row in rows:
        last[row.listing] = row
        if row.outcome != Outcome.FRESH:
            continue
        day = (row.listing, row.listed_on or row.day_text or row.id)
        new = row.new + (days[day].new if day in days else 0)
        days[day] = _covered(row, new)
    silent = [
        _covered(row, 0, fresh.get(name))
        for name, row in last.items()
        if not any(listing == name for listing, _ in days)
    ]
    broken = [
        _covered(row, 0, fresh.get(name))
        for name, row in last.items()
        if row.outcome in (Outcome.FAILED, Outcome.STALE) and any(listing == name for listing, _ in days)
    ]
    return tuple(sorted([*days.values(), *silent, *broken], key=lambda c: (c.listing, c.polled_at)))


def _covered(row: Row[Any], new: int, fresh_at: datetime | None = None) -> Coverage:
    return Coverage(
        listing=row.listing,
        outcome=Outcome(row.outcome),
        polled_at=row.polled_at,
        listed_on=row.listed_on,
        read=row.read,
        stated=row.stated,
        new=new,
        reason=row.reason,
        fresh_at=fresh_at,
    )
