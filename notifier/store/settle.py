"""Settle: what each answer of a relay makes of a message, its papers and its reader. Parts of transactions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.model import BounceKind, OutboxState, Reply, Verdict
from notifier.retry import MAX_DOUBTS, next_attempt
from notifier.store import schema
from notifier.store.engine import chunks
from notifier.store.score import count, went_well

DIGEST = "digest"  # the kind of a message that is no letter
LONGEST_REPLY = 2000  # characters kept of a relay's words

_FORGOTTEN = delete(schema.content).where(schema.content.c.message_id.in_(bindparam("ids", expanding=True)))


async def settle(connection: AsyncConnection, row: Row[Any], reply: Reply, now: datetime, resend: bool) -> OutboxState:
    """Apply the table of what each verdict means."""
    attempts = row.attempts + 1
    values: dict[str, Any] = {
        "attempts": attempts,
        "crashes": 0,
        "owner": None,
        "lease_until": None,
        "code": reply.code,
    }
    person: dict[str, Any] = {"health": f"{reply.code or ''} {reply.text}".strip()[:500]}
    text, state, again, back = reply.text[:LONGEST_REPLY], OutboxState.FAILED, None, False
    if reply.verdict is Verdict.SENT:
        state, person = OutboxState.SENT, {}
    elif reply.verdict is Verdict.REFUSED_RECIPIENT:
        back = True
    elif reply.verdict is Verdict.REFUSED_MESSAGE:
        state = OutboxState.HELD  # our fault, not the reader's: a person looks at it
    else:
        doubts = row.doubts + (reply.verdict is Verdict.IN_DOUBT)
        values["doubts"] = doubts
        again = next_attempt(attempts, row.queued_at, now, spread=spread(row))
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
        values |= {"settled_at": now}
        await forget(connection, [row.id])
    await connection.execute(update(schema.message).where(schema.message.c.id == row.id).values(values))
    if person and row.subscriber_id is not None:
        await connection.execute(
            update(schema.subscriber).where(schema.subscriber.c.id == row.subscriber_id).values(person)
        )
    if back:
        await return_papers(connection, row.id)
    if row.subscriber_id is None:
        return state
    if reply.verdict is Verdict.SENT:
        await went_well(connection, [row.subscriber_id], now)
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
        values = {"state": OutboxState.FAILED, "reply": why, "settled_at": now}
        await connection.execute(update(message).where(message.c.id == number).values(values))
        await return_papers(connection, number)
        await forget(connection, [number])


async def forget(connection: AsyncConnection, outbox_ids: Sequence[int]) -> None:
    """Drop the bytes of messages that will not be offered any more."""
    for some in chunks(outbox_ids):
        await connection.execute(_FORGOTTEN, {"ids": some})


async def return_papers(connection: AsyncConnection, outbox_id: int) -> None:
    """Make the papers of a message owed again."""
    carried = update(schema.delivery).where(schema.delivery.c.message_id == outbox_id)
    await connection.execute(carried.values(message_id=None))


def spread(row: Row[Any]) -> float:
    """Where in the jitter this message falls: its own place, evenly spread by the golden ratio."""
    return float(row.id * 0.618034 % 1)
