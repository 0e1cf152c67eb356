"""Review: what the operator sees of the outbox, and does to messages by hand. No content is loaded to show a list."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.model import OutboxId, OutboxState, Parcel
from notifier.store import schema
from notifier.store.engine import Database, chunks
from notifier.store.settle import forget, return_papers

COLUMNS = tuple(each for each in schema.message.c if each.name not in ("poll_from", "poll_to", "lease_until", "owner"))
MAY = {  # what may be done to a message in which states
    "retry": (OutboxState.DEFERRED,),
    "hold": (OutboxState.QUEUED, OutboxState.DEFERRED),
    "release": (OutboxState.HELD,),
    "discard": (OutboxState.QUEUED, OutboxState.DEFERRED, OutboxState.HELD),
}


BY_HAND = "held by hand"  # instead of a reply


class Review:
    """The verbs of looking after the outbox."""

    _database: Database

    async def parcels(
        self,
        *,
        states: Sequence[OutboxState] = (),
        recipient: str = "",
        domain: str = "",
        ids: Sequence[OutboxId] = (),
        limit: int = 50,
    ) -> list[Parcel]:
        """Return messages as an operator sees them, newest first; each filter that is given narrows them."""
        table = schema.message
        asked = select(*COLUMNS).order_by(table.c.id.desc()).limit(limit)
        if states:
            asked = asked.where(table.c.state.in_(list(states)))
        if recipient:
            asked = asked.where(table.c.recipient == recipient)
        if domain:
            asked = asked.where(table.c.domain == domain)
        if ids:
            asked = asked.where(table.c.id.in_(list(ids)))
        async with self._database.read() as connection:
            return [_parcel(row) for row in await connection.execute(asked)]

    async def retry(self, ids: Sequence[OutboxId], now: datetime) -> list[OutboxId]:
        """Make deferred messages due now; return those that were."""
        return await self._by_hand("retry", ids, next_attempt_at=now)

    async def set_aside(self, ids: Sequence[OutboxId]) -> list[OutboxId]:
        """Hold messages that wait, until they are released; return those that did."""
        return await self._by_hand("hold", ids, state=OutboxState.HELD, reply=BY_HAND)

    async def undecided(self) -> int:
        """Count the messages that were held for the operator to decide, not by the operator."""
        table = schema.message
        asked = select(func.count()).where(table.c.state == OutboxState.HELD, table.c.reply != BY_HAND)
        async with self._database.read() as connection:
            return await connection.scalar(asked) or 0

    async def let_go(self, ids: Sequence[OutboxId], now: datetime) -> list[OutboxId]:
        """Release held messages: they are due now, with the same bytes and no faults counted."""
        return await self._by_hand(
            "release", ids, state=OutboxState.QUEUED, next_attempt_at=now, queued_at=now, crashes=0, doubts=0
        )

    async def discard(self, ids: Sequence[OutboxId], now: datetime, *, return_to_owed: bool) -> list[OutboxId]:
        """Fail messages that wait or are held; their papers go with the next digest if `return_to_owed`."""
        values = {"state": OutboxState.FAILED, "reply": "discarded by hand", "settled_at": now}
        async with self._database.write() as connection:
            done = await _change(connection, "discard", ids, values)
            await forget(connection, done)
            if return_to_owed:
                for number in done:
                    await return_papers(connection, number)
        return done

    async def _by_hand(self, what: str, ids: Sequence[OutboxId], **values: Any) -> list[OutboxId]:
        async with self._database.write() as connection:
            return await _change(connection, what, ids, values)


async def _change(
    connection: AsyncConnection, what: str, ids: Sequence[OutboxId], values: dict[str, Any]
) -> list[OutboxId]:
    table, done = schema.message, list[OutboxId]()
    for some in chunks(ids):
        changed = update(table).where(table.c.id.in_(some), table.c.state.in_(MAY[what])).values(values)
        done += (await connection.execute(changed.returning(table.c.id))).scalars()
    return sorted(done)


def _parcel(row: Row[Any]) -> Parcel:
    return Parcel(
        outbox_id=OutboxId(row.id), message_id=row.message_id, kind=row.kind, state=OutboxState(row.state),
        recipient=row.recipient, period=row.period, queued_at=row.queued_at, next_attempt_at=row.next_attempt_at,
        attempts=row.attempts, doubts=row.doubts, crashes=row.crashes, code=row.code, reply=row.reply,
        settled_at=row.settled_at,
    )  # fmt: skip
