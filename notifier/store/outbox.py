"""The outbox: what is queued is offered, and what became of it.

The commit points after `queue_digests`, in the order a message meets them:

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

from sqlalchemy import ColumnElement, Row, and_, func, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.model import (
    BounceKind,
    Letter,
    OutboxId,
    OutboxState,
    QueuedMessage,
    Reply,
    SubscriberState,
    Verdict,
)
from notifier.retry import IMPOSSIBLE_WAIT, MAX_DOUBTS, next_attempt
from notifier.store import schema
from notifier.store.contents import queued
from notifier.store.engine import Database
from notifier.store.rows import domain_of
from notifier.store.score import count, went_well

UNDER_WAY = (OutboxState.CLAIMED, OutboxState.IN_DOUBT)
DIGEST = "digest"  # the kind of a message that is no letter
NEXT_IN_LINE = timedelta(minutes=1)  # how long after the others a message comes over which the relay turned us away


class Outbox:
    """The verbs of sending."""

    def __init__(self, database: Database, secret: bytes) -> None:
        self._database = database
        self._secret = secret

    def letter_name(self, letter: Letter, domain: str) -> str:
        """Return the Message-ID of a letter: one for each recipient and key."""
        name = hmac.new(self._secret, f"letter\n{letter.recipient}\n{letter.key}".encode(), hashlib.sha256)
        return f"<{name.hexdigest()[:32]}@{domain}>"

    async def add_letter(self, letter: Letter, message_id: str, content: bytes, now: datetime) -> bool:
        """Queue a composed letter; False when this recipient and key had one already, whatever became of it."""
        added = self._database.insert(schema.message).values(
            message_id=message_id,
            kind=letter.kind,
            subscriber_id=letter.subscriber_id,
            period=letter.key,
            cadence="",
            state=OutboxState.QUEUED,
            recipient=letter.recipient,
            domain=domain_of(letter.recipient),
            poll_from=0,
            poll_to=0,
            queued_at=now,
            next_attempt_at=now,
            attempts=0,
            doubts=0,
            content=content,
            reply="",
        )
        async with self._database.write() as connection:
            return bool((await connection.execute(added.on_conflict_do_nothing())).rowcount)

    async def has_letter(self, recipient: str, key: str) -> bool:
        """Tell whether there is a letter for this recipient and key."""
        message = schema.message
        mine = select(message.c.id).where(schema.LETTER, message.c.recipient == recipient, message.c.period == key)
        async with self._database.read() as connection:
            return (await connection.execute(mine)).first() is not None

    async def claim(self, owner: str, now: datetime, lease: timedelta, limit: int) -> list[QueuedMessage]:
        """Lease up to `limit` messages whose time has come, oldest first, with all that composing them needs."""
        message = schema.message
        due = or_(message.c.next_attempt_at <= now, message.c.next_attempt_at > now + IMPOSSIBLE_WAIT)
        waiting = and_(message.c.state.in_([OutboxState.QUEUED, OutboxState.DEFERRED]), due)
        async with self._database.write() as connection:
            wanted = (
                select(message.c.id)
                .join(schema.subscriber, isouter=True)
                .where(waiting, or_(message.c.kind != DIGEST, schema.subscriber.c.state == SubscriberState.CONFIRMED))
                .order_by(message.c.kind == DIGEST, message.c.next_attempt_at, message.c.id)
                .limit(limit)
                .with_for_update(of=message, skip_locked=True)
            )
            ids = list((await connection.execute(wanted)).scalars())
            await connection.execute(
                update(message)
                .where(message.c.id.in_(ids))
                .values(state=OutboxState.CLAIMED, owner=owner, lease_until=now + lease)
            )
            return [await queued(connection, OutboxId(number)) for number in ids]

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
        """Give back a claimed message that was not offered, because the relay will not talk to us before `until`."""
        await self._move(
            outbox_id, owner, OutboxState.CLAIMED,
            state=OutboxState.DEFERRED, owner=None, lease_until=None, next_attempt_at=until, reply=reason[:2000],
        )  # fmt: skip

    async def turned_away(self, outbox_id: OutboxId, until: datetime, reason: str, now: datetime) -> OutboxState:
        """Record that the relay turned us away over this message: nobody is to blame, and others go before it.

        It waits longer each time, and is given up like any deferred message; its papers are owed again then.
        """
        message = schema.message
        async with self._database.write() as connection:
            row = (await connection.execute(select(message).filter_by(id=outbox_id))).one()
            if row.state not in UNDER_WAY:
                return OutboxState(row.state)
            again = next_attempt(row.attempts + 1, row.queued_at, now, spread=_spread(row))
            values = {"attempts": row.attempts + 1, "owner": None, "lease_until": None, "reply": reason[:2000]}
            if again is None and row.doubts:
                values |= {"state": OutboxState.HELD}  # it may have arrived: a person decides
            elif again is None:
                values |= {"state": OutboxState.FAILED, "settled_at": now, "content": None}
                await _return_papers(connection, outbox_id)
            else:
                values |= {"state": OutboxState.DEFERRED, "next_attempt_at": max(again, until + NEXT_IN_LINE)}
            await connection.execute(update(message).where(message.c.id == outbox_id).values(values))
        return OutboxState(values["state"])

    async def hold(self, outbox_id: OutboxId, owner: str, reason: str) -> None:
        """Set a claimed message aside for a person to look at; its papers stay with it."""
        await self._move(
            outbox_id, owner, OutboxState.CLAIMED,
            state=OutboxState.HELD, owner=None, lease_until=None, reply=reason[:2000],
        )  # fmt: skip

    async def settle(self, outbox_id: OutboxId, reply: Reply, now: datetime, *, resend: bool) -> OutboxState:
        """Record what the relay said of a message; return the state that it is in now.

        `resend` says whether a message without an answer after its final dot is offered again, or held for a person.
        """
        async with self._database.write() as connection:
            row = (await connection.execute(select(schema.message).filter_by(id=outbox_id))).one()
            if row.state not in UNDER_WAY:  # its reader left meanwhile: what was called back stays so
                return OutboxState(row.state)
            return await _settle(connection, row, reply, now, resend)

    async def recover(self, now: datetime, *, resend: bool) -> tuple[int, int]:
        """After a crash, as the only process: free claimed messages, resend or hold those in doubt.

        Returns how many of each there were. A message in doubt too often is held, whatever `resend` says.
        """
        return await self._free(now, true(), resend)

    async def free_lapsed(self, now: datetime, *, resend: bool) -> tuple[int, int]:
        """Do the same for messages whose lease lapsed: whoever held them could not say what became of them."""
        return await self._free(now, schema.message.c.lease_until <= now, resend)

    async def _free(self, now: datetime, which: ColumnElement[bool], resend: bool) -> tuple[int, int]:
        message = schema.message
        under_way = message.c.state.in_([OutboxState.CLAIMED, OutboxState.IN_DOUBT])
        async with self._database.read() as connection:
            if not (await connection.execute(select(message.c.id).where(under_way, which).limit(1))).first():
                return 0, 0
        async with self._database.write() as connection:
            rows = (await connection.execute(select(message).where(under_way, which))).all()
            for row in rows:
                values: dict[str, Any] = {"owner": None, "lease_until": None, "next_attempt_at": now}
                if row.state == OutboxState.CLAIMED:
                    values["state"] = OutboxState.QUEUED
                else:
                    again = resend and row.doubts + 1 < MAX_DOUBTS
                    values["state"] = OutboxState.DEFERRED if again else OutboxState.HELD
                    values |= {"doubts": row.doubts + 1, "reply": "no answer to the final dot was recorded"}
                await connection.execute(update(message).where(message.c.id == row.id).values(values))
        doubtful = sum(row.state == OutboxState.IN_DOUBT for row in rows)
        return len(rows) - doubtful, doubtful

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
            return await queued(connection, outbox_id)

    async def _move(self, outbox_id: OutboxId, mine: str, expected: OutboxState, **values: Any) -> bool:
        message = schema.message
        async with self._database.write() as connection:
            moved = await connection.execute(
                update(message)
                .where(message.c.id == outbox_id, message.c.owner == mine, message.c.state == expected)
                .values(**values)
            )
        return bool(moved.rowcount)


async def _settle(connection: AsyncConnection, row: Row[Any], reply: Reply, now: datetime, resend: bool) -> OutboxState:
    """Apply the table of what each verdict means."""
    attempts = row.attempts + 1
    values: dict[str, Any] = {"attempts": attempts, "owner": None, "lease_until": None, "code": reply.code}
    person: dict[str, Any] = {"health": f"{reply.code or ''} {reply.text}".strip()[:500]}
    text, state, again, back = reply.text[:2000], OutboxState.FAILED, None, False
    if reply.verdict is Verdict.SENT:
        state, person = OutboxState.SENT, {}
    elif reply.verdict is Verdict.REFUSED_RECIPIENT:
        back = True
    elif reply.verdict is Verdict.REFUSED_MESSAGE:
        state = OutboxState.HELD  # our fault, not the reader's: a person looks at it
    else:
        doubts = row.doubts + (reply.verdict is Verdict.IN_DOUBT)
        values["doubts"] = doubts
        again = next_attempt(attempts, row.queued_at, now, spread=_spread(row))
        if doubts >= MAX_DOUBTS or (reply.verdict is Verdict.IN_DOUBT and not resend):
            state, again = OutboxState.HELD, None
        elif again is None and doubts:
            state = OutboxState.HELD  # it may have arrived: a person decides
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
    if person and row.subscriber_id is not None:
        await connection.execute(
            update(schema.subscriber).where(schema.subscriber.c.id == row.subscriber_id).values(person)
        )
    if back:
        await _return_papers(connection, row.id)
    if row.subscriber_id is None:
        return state
    if reply.verdict is Verdict.SENT:
        await went_well(connection, row.subscriber_id, now)
    elif reply.verdict is Verdict.REFUSED_RECIPIENT:
        counted = await count(connection, row.subscriber_id, BounceKind.HARD, person["health"], now)
        if counted.suppressed:
            await call_back(connection, row.subscriber_id, "suppressed before it was sent", now)
    return state


async def call_back(connection: AsyncConnection, subscriber_id: int, why: str, now: datetime) -> None:
    """Fail every digest to a subscriber that is not under its final dot; its papers are owed again."""
    message = schema.message
    waiting = message.c.state.in_([OutboxState.QUEUED, OutboxState.CLAIMED, OutboxState.DEFERRED])
    asked = select(message.c.id).where(message.c.subscriber_id == subscriber_id, waiting, message.c.kind == DIGEST)
    for number in (await connection.execute(asked)).scalars().all():
        values = {"state": OutboxState.FAILED, "reply": why, "settled_at": now, "content": None}
        await connection.execute(update(message).where(message.c.id == number).values(values))
        await _return_papers(connection, number)


async def _return_papers(connection: AsyncConnection, outbox_id: int) -> None:
    """Make the papers of a message owed again."""
    carried = update(schema.delivery).where(schema.delivery.c.message_id == outbox_id)
    await connection.execute(carried.values(message_id=None))


def _spread(row: Row[Any]) -> float:
    """Where in the jitter this message falls: its own place, evenly spread by the golden ratio."""
    return float(row.id * 0.618034 % 1)
