"""Holdings: everything that a subscriber's own page shows, read at once.

The page is the one that everybody has of their own, so that nothing of it can be kept ready: its statements are built
once, and are done in one transaction that waits for the database once.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, Select, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.model import Holdings, OutboxId, OutboxState, Sent
from notifier.store import schema
from notifier.store.feeds import Feeds, held, private
from notifier.store.rows import to_subscriber, to_subscription

_message, _delivery = schema.message, schema.delivery
_OWNER = select(schema.subscriber).where(schema.subscriber.c.token == bindparam("token"))
_SENT: Select[Any] = (
    select(
        _message.c.id, _message.c.queued_at, _message.c.settled_at, _message.c.state,
        select(func.count()).where(_delivery.c.message_id == _message.c.id).scalar_subquery().label("papers"),
    )
    .where(_message.c.subscriber_id == bindparam("owner"), _message.c.kind == "digest")
    .order_by(_message.c.id.desc())
    .limit(bindparam("most"))
)  # fmt: skip


class Held(Feeds):
    """The verb of a subscriber's own page."""

    async def holdings(self, link: str, most: int) -> Holdings | None:
        """Return all that a link to manage shows, the newest `most` digests; None when it opens nothing."""
        token = self.opened("manage", link)
        if token is None:
            return None

        async def read(connection: AsyncConnection) -> Holdings | None:
            owner = (await connection.execute(_OWNER, {"token": token})).first()
            if owner is None:
                return None
            mine, before = await held(connection, owner.id)
            sent = await connection.execute(_SENT, {"owner": owner.id, "most": most})
            return Holdings(
                subscriber=to_subscriber(owner),
                subscriptions=tuple(to_subscription(row) for row in mine),
                sent=tuple(to_sent(row) for row in sent),
                feeds=tuple(private(owner, mine, before)),
            )

        return await self._database.transact(read, writes=False)


def to_sent(row: Row[Any]) -> Sent:
    """Read a digest with the number of its `papers`."""
    return Sent(
        outbox_id=OutboxId(row.id), queued_at=row.queued_at, settled_at=row.settled_at,
        state=OutboxState(row.state), papers=row.papers,
    )  # fmt: skip
