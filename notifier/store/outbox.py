"""The outbox: what is owed, queued, offered, and what became of it.

The commit points after `record_poll`, in the order a message meets them:

- `queue_digests`: the message and which papers it carries. Power fails before: the hits are still owed.
- `claim` / `keep`: a lease, and the bytes that every attempt will carry. Power fails: claimed again, same bytes.
- `mark_in_doubt`: just before the final dot. Power fails after it: offered once more, same Message-ID.
- `settle`: the reply. After `sent` nothing sends these papers to this subscriber again: the key of `delivery` forbids.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier import cadence
from notifier.model import (
    Cadence,
    Coverage,
    DigestClock,
    OutboxId,
    OutboxState,
    Outcome,
    PaperId,
    QueryId,
    QueuedMessage,
    Reply,
    SubscriberState,
    Verdict,
)
from notifier.retry import MAX_DOUBTS, next_attempt
from notifier.store import schema
from notifier.store.engine import Database
from notifier.store.rows import PAPER_COLUMNS, to_paper

SUPPRESS_AFTER = 5  # messages refused for one recipient in a row


class Outbox:
    """The verbs of sending."""

    def __init__(self, database: Database, secret: bytes) -> None:
        self._database = database
        self._secret = secret

    async def queue_digests(self, now: datetime, domain: str, limit: int = 200) -> int:
        """Queue a message for each of up to `limit` subscribers who are due; return how many were looked at (0: done).

        One transaction. A subscriber's due subscriptions of one cadence share one message; each paper is in it once
        and in no other. Nothing to say queues nothing. `domain` is the right side of the Message-IDs.
        """
        async with self._database.write() as connection:
            newest = await connection.scalar(select(func.max(schema.poll.c.id))) or 0
            due = await _due(connection, now, limit)
            for group in due:
                await self._queue(connection, group, newest, now, domain)
        return len(due)

    async def claim(self, owner: str, now: datetime, lease: timedelta, limit: int) -> list[QueuedMessage]:
        """Lease up to `limit` messages whose time has come, oldest first, with all that composing them needs."""
        message = schema.message
        waiting = and_(
            message.c.state.in_([OutboxState.QUEUED, OutboxState.DEFERRED]), message.c.next_attempt_at <= now
        )
        lapsed = and_(message.c.state == OutboxState.CLAIMED, message.c.lease_until <= now)
        async with self._database.write() as connection:
            wanted = (
                select(message.c.id)
                .join(schema.subscriber)
                .where(or_(waiting, lapsed), schema.subscriber.c.state == SubscriberState.CONFIRMED)
                .order_by(message.c.next_attempt_at, message.c.id)
                .limit(limit)
                .with_for_update(of=message, skip_locked=True)
            )
            ids = list((await connection.execute(wanted)).scalars())
            await connection.execute(
                update(message)
                .where(message.c.id.in_(ids))
                .values(state=OutboxState.CLAIMED, owner=owner, lease_until=now + lease)
            )
            return [await _queued(connection, OutboxId(number)) for number in ids]

    async def keep(self, contents: Sequence[tuple[OutboxId, bytes]]) -> None:
        """Store the composed bytes of claimed messages: every attempt will carry these."""
        async with self._database.write() as connection:
            for outbox_id, content in contents:
                await connection.execute(
                    update(schema.message).where(schema.message.c.id == outbox_id).values(content=content)
                )

    async def mark_in_doubt(self, outbox_id: OutboxId, owner: str) -> bool:
        """Record that the final dot follows; False when the message is no longer ours to send (its reader left)."""
        return await self._move(outbox_id, owner, OutboxState.CLAIMED, state=OutboxState.IN_DOUBT)

    async def release(self, outbox_id: OutboxId, owner: str) -> None:
        """Give a claimed message back unharmed: it was not offered."""
        await self._move(outbox_id, owner, OutboxState.CLAIMED, state=OutboxState.QUEUED, owner=None, lease_until=None)

    async def postpone(self, outbox_id: OutboxId, owner: str, until: datetime, reason: str) -> None:
        """Give a message back until the relay may talk to us again; it counts as no attempt of the message.

        From in doubt too: the relay ended the connection before it could have taken the message.
        """
        for state in (OutboxState.CLAIMED, OutboxState.IN_DOUBT):
            await self._move(
                outbox_id, owner, state,
                state=OutboxState.DEFERRED, owner=None, lease_until=None, next_attempt_at=until, reply=reason,
            )  # fmt: skip

    async def settle(self, outbox_id: OutboxId, reply: Reply, now: datetime, *, resend: bool) -> OutboxState:
        """Record what the relay said of a message; return the state that it is in now.

        `resend` says whether a message without an answer after its final dot is offered again, or held for a person.
        """
        async with self._database.write() as connection:
            row = (await connection.execute(select(schema.message).filter_by(id=outbox_id))).one()
            return await _settle(connection, row, reply, now, resend)

    async def recover(self, now: datetime, *, resend: bool) -> tuple[int, int]:
        """After a crash, as the only process: free claimed messages, resend or hold those in doubt.

        Returns how many of each there were. A message in doubt too often is held, whatever `resend` says.
        """
        message = schema.message
        async with self._database.write() as connection:
            claimed = await connection.execute(
                update(message)
                .where(message.c.state == OutboxState.CLAIMED)
                .values(state=OutboxState.QUEUED, owner=None, lease_until=None, next_attempt_at=now)
            )
            doubtful = await connection.execute(select(message).filter_by(state=OutboxState.IN_DOUBT))
            rows = doubtful.all()
            for row in rows:
                again = resend and row.doubts + 1 < MAX_DOUBTS
                await connection.execute(
                    update(message)
                    .where(message.c.id == row.id)
                    .values(
                        state=OutboxState.DEFERRED if again else OutboxState.HELD,
                        doubts=row.doubts + 1,
                        next_attempt_at=now,
                        owner=None,
                        reply="the process ended between the final dot and the reply",
                    )
                )
            return claimed.rowcount, len(rows)

    async def next_attempt_at(self) -> datetime | None:
        """Return when the next waiting message may be offered; None when nothing waits."""
        async with self._database.read() as connection:
            waiting = schema.message.c.state.in_([OutboxState.QUEUED, OutboxState.DEFERRED])
            earliest: datetime | None = await connection.scalar(
                select(func.min(schema.message.c.next_attempt_at)).where(waiting)
            )
        return earliest

    async def depth(self) -> dict[OutboxState, int]:
        """Count the messages in each state."""
        async with self._database.read() as connection:
            rows = await connection.execute(
                select(schema.message.c.state, func.count()).group_by(schema.message.c.state)
            )
            return {OutboxState(state): count for state, count in rows}

    async def message(self, outbox_id: OutboxId) -> QueuedMessage | None:
        """Return a message with its papers, whatever its state: for its web copy and for looking into the outbox."""
        async with self._database.read() as connection:
            if not (await connection.execute(select(schema.message.c.id).filter_by(id=outbox_id))).first():
                return None
            return await _queued(connection, outbox_id)

    async def _move(self, outbox_id: OutboxId, mine: str, expected: OutboxState, **values: Any) -> bool:
        message = schema.message
        async with self._database.write() as connection:
            moved = await connection.execute(
                update(message)
                .where(message.c.id == outbox_id, message.c.owner == mine, message.c.state == expected)
                .values(**values)
            )
        return bool(moved.rowcount)

    async def _queue(
        self, connection: AsyncConnection, group: Sequence[Row[Any]], newest: int, now: datetime, domain: str
    ) -> None:
        """Queue one message for subscriptions of one subscriber and one cadence, and move their cursors."""
        owed = await _owed(connection, group, newest)
        done = {"cursor": newest}
        if owed:
            number = await self._add_message(connection, group, newest, now, domain)
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
                .values(next_due_at=cadence.next_due(_clock(row), now), **done)
            )

    async def _add_message(
        self, connection: AsyncConnection, group: Sequence[Row[Any]], newest: int, now: datetime, domain: str
    ) -> int | None:
        """Add a queued message and return its number; None when the subscriber has one for this period."""
        first = group[0]
        period = _period(first, newest, now)
        name = hmac.new(self._secret, f"{first.email}\n{period}".encode(), hashlib.sha256).hexdigest()[:32]
        added = self._database.insert(schema.message).values(
            message_id=f"<{name}@{domain}>",
            subscriber_id=first.subscriber_id,
            period=period,
            cadence=first.cadence,
            state=OutboxState.QUEUED,
            recipient=first.email,
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

    async def _carry(
        self, connection: AsyncConnection, subscriber_id: int, number: int, carried: dict[PaperId, list[QueryId]]
    ) -> None:
        rows = [
            {"subscriber_id": subscriber_id, "paper_id": paper, "message_id": number, "query_ids": queries}
            for paper, queries in carried.items()
        ]
        added = self._database.insert(schema.delivery)
        await connection.execute(
            added.on_conflict_do_update(
                index_elements=[schema.delivery.c.subscriber_id, schema.delivery.c.paper_id],
                set_={"message_id": added.excluded.message_id, "query_ids": added.excluded.query_ids},
                where=schema.delivery.c.message_id.is_(None),
            ),
            rows,
        )


async def _due(connection: AsyncConnection, now: datetime, limit: int) -> list[list[Row[Any]]]:
    """Group the due subscriptions by subscriber and cadence; at most `limit` subscriptions' groups, whole ones only."""
    table = schema.subscription
    hit = exists().where(schema.hit.c.query_id == table.c.query_id, schema.hit.c.poll_id > table.c.cursor)
    # A due time further away than any clock allows was computed while the system clock was wrong.
    impossible = table.c.next_due_at > now + cadence.LONGEST_WAIT
    immediate = and_(table.c.cadence == Cadence.IMMEDIATE, hit)
    due: ColumnElement[bool] = or_(immediate, table.c.next_due_at <= now, impossible)
    ready = and_(table.c.active, schema.subscriber.c.state == SubscriberState.CONFIRMED, due)
    who = select(table.c.subscriber_id).join(schema.subscriber).where(ready).distinct().limit(limit)
    rows = await connection.execute(
        select(table, schema.subscriber.c.email)
        .join(schema.subscriber)
        .where(ready, table.c.subscriber_id.in_(who))
        .order_by(table.c.subscriber_id, table.c.id)
    )
    groups: dict[tuple[int, str], list[Row[Any]]] = {}
    for row in rows:
        groups.setdefault((row.subscriber_id, row.cadence), []).append(row)
    return list(groups.values())


async def _owed(connection: AsyncConnection, group: Sequence[Row[Any]], newest: int) -> dict[PaperId, list[QueryId]]:
    """The papers that these subscriptions hit and no message carried yet, each with the queries that hit it."""
    subscriber_id = group[0].subscriber_id
    owed: dict[PaperId, list[QueryId]] = {}
    back = select(schema.delivery).filter_by(subscriber_id=subscriber_id, message_id=None)
    for row in await connection.execute(back):
        owed[PaperId(row.paper_id)] = [QueryId(query) for query in row.query_ids]
    hit, delivery = schema.hit, schema.delivery
    carried = exists().where(
        delivery.c.subscriber_id == subscriber_id,
        delivery.c.paper_id == hit.c.paper_id,
        delivery.c.message_id.is_not(None),
    )
    for row in group:
        rows = await connection.execute(
            select(hit.c.paper_id)
            .where(hit.c.query_id == row.query_id, hit.c.poll_id > row.cursor, hit.c.poll_id <= newest, ~carried)
            .order_by(hit.c.paper_id)
        )
        for paper_id in rows.scalars():
            queries = owed.setdefault(PaperId(paper_id), [])
            if row.query_id not in queries:
                queries.append(QueryId(row.query_id))
    return owed


def _period(row: Row[Any], newest: int, now: datetime) -> str:
    if row.cadence == Cadence.IMMEDIATE:
        return f"immediate {newest}"
    return cadence.period(_clock(row), now)


def _clock(row: Row[Any]) -> DigestClock:
    return DigestClock(Cadence(row.cadence), row.timezone, row.at, row.weekday)


async def _settle(connection: AsyncConnection, row: Row[Any], reply: Reply, now: datetime, resend: bool) -> OutboxState:
    """Apply the table of what each verdict means."""
    attempts = row.attempts + 1
    values: dict[str, Any] = {"attempts": attempts, "owner": None, "lease_until": None, "code": reply.code}
    person: dict[str, Any] = {"health": f"{reply.code or ''} {reply.text}".strip()[:500]}
    text, state, again, back = reply.text[:2000], OutboxState.FAILED, None, False
    if reply.verdict is Verdict.SENT:
        state, person = OutboxState.SENT, {"health": "", "refusals": 0}
    elif reply.verdict is Verdict.REFUSED_RECIPIENT:
        back = True
        refusals = await connection.scalar(select(schema.subscriber.c.refusals).filter_by(id=row.subscriber_id)) or 0
        person["refusals"] = refusals + 1
        if refusals + 1 >= SUPPRESS_AFTER:
            person |= {"state": SubscriberState.SUPPRESSED, "since": now}
    elif reply.verdict is Verdict.REFUSED_MESSAGE:
        state = OutboxState.HELD  # our fault, not the reader's: a person looks at it
    else:
        doubts = row.doubts + (reply.verdict is Verdict.IN_DOUBT)
        values["doubts"] = doubts
        again = next_attempt(attempts, row.queued_at, now, spread=(row.id * 0.618034) % 1)
        if doubts >= MAX_DOUBTS or (reply.verdict is Verdict.IN_DOUBT and not resend):
            state, again = OutboxState.HELD, None
        elif again is None:
            back = True
        else:
            state = OutboxState.DEFERRED
    values |= {"state": state, "reply": text}
    if again is not None:
        values["next_attempt_at"] = again
    if state in (OutboxState.SENT, OutboxState.FAILED):
        values |= {"settled_at": now, "content": None}
    await connection.execute(update(schema.message).where(schema.message.c.id == row.id).values(values))
    await connection.execute(
        update(schema.subscriber).where(schema.subscriber.c.id == row.subscriber_id).values(person)
    )
    if back:
        await connection.execute(
            update(schema.delivery).where(schema.delivery.c.message_id == row.id).values(message_id=None)
        )
    return state


async def _queued(connection: AsyncConnection, outbox_id: OutboxId) -> QueuedMessage:
    message = schema.message
    row = (
        await connection.execute(
            select(message, schema.subscriber.c.token).join(schema.subscriber).where(message.c.id == outbox_id)
        )
    ).one()
    papers = (
        await connection.execute(
            select(schema.paper.c.id, schema.delivery.c.query_ids, *PAPER_COLUMNS)
            .join_from(schema.delivery, schema.paper)
            .where(schema.delivery.c.message_id == outbox_id)
            .order_by(schema.paper.c.id)
        )
    ).all()
    listings: dict[int, list[str]] = {}
    met = select(schema.sighting).join(schema.delivery, schema.delivery.c.paper_id == schema.sighting.c.paper_id)
    for place in await connection.execute(met.where(schema.delivery.c.message_id == outbox_id)):
        listings.setdefault(place.paper_id, []).append(place.listing)
    subscription = schema.subscription
    mine = (
        await connection.execute(
            select(subscription, schema.query.c.canonical)
            .join(schema.query)
            .where(subscription.c.subscriber_id == row.subscriber_id)
            .order_by(subscription.c.id)
        )
    ).all()
    zone = next((s.timezone for s in mine if s.cadence == row.cadence), "UTC")
    return QueuedMessage(
        outbox_id=outbox_id,
        message_id=row.message_id,
        recipient=row.recipient,
        token=row.token,
        period=row.period,
        cadence=Cadence(row.cadence),
        timezone=zone,
        queued_at=row.queued_at,
        attempts=row.attempts,
        doubts=row.doubts,
        papers=tuple(
            (to_paper(p), tuple(QueryId(q) for q in p.query_ids), tuple(listings.get(p.id, ()))) for p in papers
        ),
        queries={QueryId(s.query_id): (s.label, s.canonical) for s in mine},
        coverage=await _coverage(connection, row.poll_from, row.poll_to),
        content=row.content,
    )


async def _coverage(connection: AsyncConnection, poll_from: int, poll_to: int) -> tuple[Coverage, ...]:
    """One line per listing and day of its page, among the polls (poll_from, poll_to]; a failure only if it lasted."""
    table = schema.poll
    rows = await connection.execute(
        select(table).where(table.c.id > poll_from, table.c.id <= poll_to).order_by(table.c.id)
    )
    days: dict[tuple[str, object], Coverage] = {}
    last: dict[str, Row[Any]] = {}
    for row in rows:
        last[row.listing] = row
        if row.outcome != Outcome.FRESH:
            continue
        day = (row.listing, row.listed_on or row.day_text or row.id)
        new = row.new + (days[day].new if day in days else 0)
        days[day] = _covered(row, new)
    silent = [_covered(row, 0) for name, row in last.items() if not any(listing == name for listing, _ in days)]
    broken = [
        _covered(row, 0)
        for name, row in last.items()
        if row.outcome in (Outcome.FAILED, Outcome.STALE) and any(listing == name for listing, _ in days)
    ]
    return tuple(sorted([*days.values(), *silent, *broken], key=lambda c: (c.listing, c.polled_at)))


def _covered(row: Row[Any], new: int) -> Coverage:
    return Coverage(
        listing=row.listing,
        outcome=Outcome(row.outcome),
        polled_at=row.polled_at,
        listed_on=row.listed_on,
        read=row.read,
        stated=row.stated,
        new=new,
        reason=row.reason,
    )
