"""Digests: who is due, what they are owed, and the second commit point.

`queue_digests` stores in one transaction the message and which papers it carries. If power fails before its commit the
hits are still owed; after it the key of `delivery` keeps these papers out of every other message to this subscriber.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier import cadence
from notifier.model import (
    Cadence,
    OutboxId,
    OutboxState,
    PaperId,
    QueryId,
    QueuedMessage,
    SubscriberId,
    SubscriberState,
    Versions,
)
from notifier.store import schema
from notifier.store.contents import by_paper, coverage, papers, subscriptions
from notifier.store.engine import Database
from notifier.store.rows import domain_of, to_clock

Owed = dict[tuple[PaperId, int], list[QueryId]]  # (paper, edition) -> the queries that hit it
WANTED = {  # which hits a subscription's policy wants
    Versions.NEW: ("new",),
    Versions.CROSS: ("new", "cross"),
    Versions.REVISED: ("new", "cross", "revised"),
}


FIRST = SubscriberId(0)  # before the first
PUT_OFF = timedelta(hours=1)  # of a subscriber whose digest cannot be queued
RETURN_PAUSE = timedelta(hours=20)  # between messages to an immediate reader whose papers came back


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """What a round of queueing did: groups looked at, the last subscriber (None: nobody is due), who had trouble."""

    groups: int
    last: SubscriberId | None
    troubles: tuple[tuple[str, str], ...]


class Digests:
    """The verbs of deciding what to send."""

    def __init__(self, database: Database, secret: bytes) -> None:
        self._database = database
        self._secret = secret

    async def queue_digests(self, now: datetime, domain: str, after: SubscriberId = FIRST, limit: int = 200) -> Queued:
        """Queue messages for up to `limit` subscribers who are due, of those whose number is above `after`.

        One transaction. A subscriber's subscriptions of one cadence share one message; each paper is in it once and in
        no other. Nothing to say queues nothing. `domain` is the right side of the Message-IDs. A subscriber whose
        digest cannot be queued is put off by an hour and named; it stops nobody else.
        """
        troubles: list[tuple[str, str]] = []
        async with self._database.write() as connection:
            newest = await connection.scalar(select(func.max(schema.poll.c.id))) or 0
            due = await _due(connection, now, after, limit)
            for group in due:
                try:
                    async with connection.begin_nested():
                        await self._queue(connection, group, newest, now, domain)
                except Exception as fault:
                    troubles.append((group[0].email, f"{type(fault).__name__}: {fault}"))
                    await _put_off(connection, group, now + PUT_OFF)
        last = SubscriberId(due[-1][0].subscriber_id) if due else None
        return Queued(groups=len(due), last=last, troubles=tuple(troubles))

    async def preview(self, email: str, now: datetime, *, again: bool) -> QueuedMessage | None:
        """Return the message that an address would be sent now, without queueing it; None for a stranger.

        With `again` it holds what its queries hit at any time, sent or not.
        """
        async with self._database.read() as connection:
            person = (await connection.execute(select(schema.subscriber).filter_by(email=email))).first()
            if person is None:
                return None
            active = [row for row in await subscriptions(connection, person.id) if row.active]
            mine = [row for row in active if again or row.cadence in cadence.MAILED]
            newest = await connection.scalar(select(func.max(schema.poll.c.id))) or 0
            owed = await (_hits(connection, mine) if again else _owed(connection, mine, newest)) if mine else {}
            first = min((row.cursor for row in mine), default=newest)
            return QueuedMessage(
                outbox_id=OutboxId(0),
                message_id="<preview@localhost>",
                kind="digest",
                recipient=email,
                token=person.token,
                period="preview",
                cadence=Cadence(mine[0].cadence) if mine else Cadence.DAILY,
                timezone=mine[0].timezone if mine else "UTC",
                queued_at=now,
                attempts=0,
                doubts=0,
                papers=await papers(connection, by_paper(owed)),
                queries={QueryId(s.query_id): (s.label, s.canonical) for s in mine},
                coverage=await coverage(connection, 0 if again else first, newest),
                content=None,
            )

    async def _queue(
        self, connection: AsyncConnection, group: Sequence[Row[Any]], newest: int, now: datetime, domain: str
    ) -> None:
        """Queue one message for subscriptions of one subscriber and one cadence, and move their cursors."""
        owed = await _owed(connection, group, newest)
        done = {"cursor": newest}
        if owed:
            number = await self._add_message(connection, group, owed, newest, now, domain)
            if (
                number is None
            ):  # this period had its digest (the hour was changed, or a clock): the next one carries them
                done = {}
            else:
                await self._carry(connection, group[0].subscriber_id, number, owed)
        for row in group:
            await connection.execute(
                update(schema.subscription)
                .where(schema.subscription.c.id == row.id)
                .values(next_due_at=cadence.next_due(to_clock(row), now), **done)
            )

    async def _add_message(
        self,
        connection: AsyncConnection,
        group: Sequence[Row[Any]],
        owed: Owed,
        newest: int,
        now: datetime,
        domain: str,
    ) -> int | None:
        """Add a queued message and return its number; None when the subscriber has one for this period."""
        first = group[0]
        period = _period(first, newest, min(paper for paper, _ in owed), now)
        name = hmac.new(self._secret, f"{first.email}\n{period}".encode(), hashlib.sha256).hexdigest()[:32]
        added = self._database.insert(schema.message).values(
            message_id=f"<{name}@{domain}>",
            subscriber_id=first.subscriber_id,
            period=period,
            cadence=first.cadence,
            state=OutboxState.QUEUED,
            recipient=first.email,
            domain=domain_of(first.email),
            poll_from=min(row.cursor for row in group),
            poll_to=newest,
            queued_at=now,
            next_attempt_at=now,
            attempts=0,
            doubts=0,
            reply="",
        )
        number: int | None = await connection.scalar(added.on_conflict_do_nothing().returning(schema.message.c.id))
        return number

    async def _carry(self, connection: AsyncConnection, subscriber_id: int, number: int, carried: Owed) -> None:
        rows = [
            {
                "subscriber_id": subscriber_id, "paper_id": paper, "edition": edition,
                "message_id": number, "query_ids": queries,
            }
            for (paper, edition), queries in carried.items()
        ]  # fmt: skip
        added = self._database.insert(schema.delivery)
        await connection.execute(
            added.on_conflict_do_update(
                index_elements=list(schema.delivery.primary_key.columns),
                set_={"message_id": added.excluded.message_id, "query_ids": added.excluded.query_ids},
                where=schema.delivery.c.message_id.is_(None),
            ),
            rows,
        )


async def _due(connection: AsyncConnection, now: datetime, after: SubscriberId, limit: int) -> list[list[Row[Any]]]:
    """Return, for the next `limit` subscribers who are due, their subscriptions by cadence.

    When one subscription of a cadence is due, all of that cadence are looked at: there is one message a day, whatever
    hour each of them names, and it must not be the same one that always comes first.
    """
    table, subscriber = schema.subscription, schema.subscriber
    due = and_(
        table.c.active,
        subscriber.c.state == SubscriberState.CONFIRMED,
        subscriber.c.id > after,
        _is_due(now),
    )
    who = select(table.c.subscriber_id).join(subscriber).where(due).distinct()
    chosen = list((await connection.execute(who.order_by(table.c.subscriber_id).limit(limit))).scalars())
    rows = await connection.execute(
        select(table, subscriber.c.email, _is_due(now).label("due"))
        .join(subscriber)
        .where(table.c.subscriber_id.in_(chosen), table.c.active)
        .order_by(table.c.subscriber_id, table.c.id)
    )
    groups: dict[tuple[int, str], list[Row[Any]]] = {}
    for row in rows:
        groups.setdefault((row.subscriber_id, row.cadence), []).append(row)
    return [sorted(group, key=lambda row: not row.due) for group in groups.values() if any(row.due for row in group)]


def _is_due(now: datetime) -> ColumnElement[bool]:
    table, delivery, message = schema.subscription, schema.delivery, schema.message
    hit = exists().where(schema.hit.c.query_id == table.c.query_id, schema.hit.c.poll_id > table.c.cursor)
    returned = exists().where(delivery.c.subscriber_id == table.c.subscriber_id, delivery.c.message_id.is_(None))
    recent = exists().where(message.c.subscriber_id == table.c.subscriber_id, message.c.queued_at > now - RETURN_PAUSE)
    immediate = and_(table.c.cadence == Cadence.IMMEDIATE, or_(hit, and_(returned, ~recent)))
    # A due time further away than its clock allows was computed while the system clock was wrong.
    impossible = [
        and_(table.c.cadence == each, table.c.next_due_at > now + wait) for each, wait in cadence.LONGEST_WAIT.items()
    ]
    return or_(immediate, table.c.next_due_at <= now, *impossible)


async def _put_off(connection: AsyncConnection, group: Sequence[Row[Any]], until: datetime) -> None:
    """Look at subscriptions again later; immediate ones have no time to be put off to."""
    table = schema.subscription
    scheduled = table.c.id.in_([row.id for row in group]), table.c.cadence != Cadence.IMMEDIATE
    await connection.execute(update(table).where(*scheduled).values(next_due_at=until))


async def _owed(connection: AsyncConnection, group: Sequence[Row[Any]], newest: int) -> Owed:
    """What these subscriptions hit and no message carried yet, each with the queries that hit it."""
    subscriber_id = group[0].subscriber_id
    owed: Owed = {}
    back = select(schema.delivery).filter_by(subscriber_id=subscriber_id, message_id=None)
    for row in await connection.execute(back):
        owed[PaperId(row.paper_id), row.edition] = [QueryId(query) for query in row.query_ids]
    hit, delivery = schema.hit, schema.delivery
    carried = exists().where(
        delivery.c.subscriber_id == subscriber_id,
        delivery.c.paper_id == hit.c.paper_id,
        delivery.c.edition == hit.c.edition,
        delivery.c.message_id.is_not(None),
    )
    for row in group:
        rows = await connection.execute(
            select(hit.c.paper_id, hit.c.edition)
            .where(hit.c.query_id == row.query_id, hit.c.poll_id > row.cursor, hit.c.poll_id <= newest, ~carried)
            .where(hit.c.kind.in_(WANTED[row.versions]))
            .order_by(hit.c.paper_id)
        )
        for paper_id, edition in rows:
            queries = owed.setdefault((PaperId(paper_id), edition), [])
            if row.query_id not in queries:
                queries.append(QueryId(row.query_id))
    return owed


async def _hits(connection: AsyncConnection, group: Sequence[Row[Any]]) -> Owed:
    """Everything that these subscriptions' queries ever hit, newest last."""
    hit = schema.hit
    found: Owed = {}
    for row in group:
        asked = select(hit).where(hit.c.query_id == row.query_id, hit.c.kind.in_(WANTED[row.versions]))
        for each in await connection.execute(asked.order_by(hit.c.paper_id)):
            found.setdefault((PaperId(each.paper_id), each.edition), []).append(QueryId(each.query_id))
    return found


def _period(row: Row[Any], newest: int, first_paper: PaperId, now: datetime) -> str:
    """Name what there is one message of: for an immediate one the poll, and the papers by their first."""
    if row.cadence == Cadence.IMMEDIATE:
        return f"immediate {newest} {first_paper}"
    return cadence.period(to_clock(row), now)
