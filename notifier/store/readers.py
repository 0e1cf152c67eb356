"""Readers: what a subscriber does with what is theirs - change it, see what was sent, take it along, have it erased.

Every verb names the subscriber as well as what is theirs, so that no number of somebody else's does anything.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row, Table, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier import cadence
from notifier.model import Cadence, OutboxState, SubscriberId, Subscription, SubscriptionId, Wish
from notifier.store import schema
from notifier.store.asked import end
from notifier.store.engine import chunks
from notifier.store.rows import to_clock
from notifier.store.settle import call_back
from notifier.store.subscribers import keep_shown
from notifier.store.wishes import Wishes

MAILED = (Cadence.IMMEDIATE, Cadence.DAILY)
UNDER_WAY = (OutboxState.CLAIMED, OutboxState.IN_DOUBT)


class Readers(Wishes):
    """The verbs of a subscriber's own page."""

    async def change(
        self, subscriber_id: SubscriberId, subscription_id: SubscriptionId, wish: Wish, now: datetime
    ) -> Subscription | None:
        """Make a subscription what its owner wishes; None when it is not theirs, or the configuration's.

        Another query is another subscription: it owes nothing of the past, and the old one ends. Its feed stays, with
        all that it showed; it closes only if there is a subscription to the new query already, which has its own.
        """
        async with self._database.write() as connection:
            row = await _own(connection, subscriber_id, subscription_id)
            if row is None:
                return None
            table = schema.subscription
            mine = select(table.c.id).where(table.c.subscriber_id == subscriber_id, table.c.active)
            active = set((await connection.execute(mine)).scalars())
            made = await self._subscribe(connection, subscriber_id, wish, "web", now)
            if made.subscription_id not in active:
                await _hand_over(connection, row, made.subscription_id)
            if made.subscription_id != subscription_id:
                await end(connection, schema.subscription.c.id == subscription_id)
            return made

    async def add(self, subscriber_id: SubscriberId, wish: Wish, now: datetime) -> Subscription:
        """Add a subscription on the wish of its owner."""
        async with self._database.write() as connection:
            return await self._subscribe(connection, subscriber_id, wish, "web", now)

    async def end(self, subscriber_id: SubscriberId, subscription_id: SubscriptionId) -> bool:
        """End one subscription; False when it is not theirs, or the configuration's."""
        async with self._database.write() as connection:
            if await _own(connection, subscriber_id, subscription_id) is None:
                return False
            await end(connection, schema.subscription.c.id == subscription_id)
            return True

    async def less_often(self, subscriber_id: SubscriberId, now: datetime) -> int:
        """Make everything that is mailed more often than weekly weekly; return how many subscriptions that were."""
        table = schema.subscription
        mine = table.c.subscriber_id == subscriber_id, table.c.active, table.c.cadence.in_(MAILED)
        async with self._database.write() as connection:
            rows = (await connection.execute(select(table).where(*mine))).all()
            for row in rows:
                clock = to_clock(row)
                weekly = type(clock)(Cadence.WEEKLY, clock.timezone, clock.at, clock.weekday)
                values = {"cadence": Cadence.WEEKLY, "next_due_at": cadence.next_due(weekly, now)}
                await connection.execute(update(table).where(table.c.id == row.id).values(values))
            return len(rows)

    async def take_along(self, subscriber_id: SubscriberId) -> dict[str, list[dict[str, Any]]]:
        """Return every row that is about a subscriber, by table, without what opens their links."""
        message, delivery, paper, query = schema.message, schema.delivery, schema.paper, schema.query
        address = select(schema.subscriber.c.email).where(schema.subscriber.c.id == subscriber_id)
        hidden = {"token", "content", "owner", "lease_until"}
        found: dict[str, list[dict[str, Any]]] = {}
        asked = {
            "subscriber": select(schema.subscriber).where(schema.subscriber.c.id == subscriber_id),
            "subscriptions": select(schema.subscription, query.c.canonical)
            .join(query)
            .where(schema.subscription.c.subscriber_id == subscriber_id)
            .order_by(schema.subscription.c.id),
            "earlier": select(schema.earlier, query.c.canonical)
            .select_from(schema.earlier)
            .join(query)
            .where(schema.earlier.c.subscriber_id == subscriber_id)
            .order_by(schema.earlier.c.id),
            "asked": select(schema.asking).where(schema.asking.c.email.in_(address)),
            "unconfirmed": select(schema.wish).where(schema.wish.c.subscriber_id == subscriber_id),
            "messages": select(message).where(message.c.subscriber_id == subscriber_id).order_by(message.c.id),
            "papers": select(
                delivery.c.message_id,
                paper.c.guid,
                paper.c.title,
                paper.c.url,
                delivery.c.edition,
                delivery.c.query_ids,
            )
            .join_from(delivery, paper)
            .where(delivery.c.subscriber_id == subscriber_id)
            .order_by(delivery.c.message_id, delivery.c.paper_id),
        }
        async with self._database.read() as connection:
            for name, statement in asked.items():
                rows = (await connection.execute(statement)).mappings()
                found[name] = [{key: value for key, value in row.items() if key not in hidden} for row in rows]
        return found

    async def erase(self, subscriber_id: SubscriberId, now: datetime) -> None:
        """Forget a subscriber: nothing that is theirs remains, and nothing more is sent to them.

        Of a message that is under way its bare row stays, without address and content, for the reply that comes.
        """
        message = schema.message
        async with self._database.write() as connection:
            email = await connection.scalar(select(schema.subscriber.c.email).filter_by(id=subscriber_id))
            mine = (message.c.subscriber_id == subscriber_id) | (message.c.recipient == email)
            under_way = list(
                (await connection.execute(select(message.c.id).where(mine, message.c.state.in_(UNDER_WAY)))).scalars()
            )
            await call_back(connection, subscriber_id, "erased", now)
            numbers = list((await connection.execute(select(message.c.id).where(mine))).scalars())
            await _delete_referring(connection, schema.message, numbers)
            for number in under_way:
                values = {
                    "state": OutboxState.FAILED, "recipient": "", "period": f"erased {number}", "reply": "erased",
                    "settled_at": now, "subscriber_id": None, "domain": "",
                }  # fmt: skip
                await connection.execute(update(message).where(message.c.id == number).values(values))
            await connection.execute(delete(message).where(mine))
            await connection.execute(delete(schema.asking).where(schema.asking.c.email == email))
            await _delete_referring(connection, schema.subscriber, [subscriber_id])
            await connection.execute(delete(schema.subscriber).where(schema.subscriber.c.id == subscriber_id))


async def _own(connection: AsyncConnection, subscriber_id: SubscriberId, subscription_id: SubscriptionId) -> Any:
    """Find a subscription of somebody's, unless the operator keeps it in the configuration."""
    table = schema.subscription
    mine = table.c.id == subscription_id, table.c.subscriber_id == subscriber_id, table.c.origin != "config"
    return (await connection.execute(select(table).where(*mine))).first()


async def _hand_over(connection: AsyncConnection, old: Row[Any], new: SubscriptionId) -> None:
    """Let a subscription with other words have the feed of the old one: its address, its name and what it showed."""
    table, earlier = schema.subscription, schema.earlier
    await connection.execute(delete(earlier).where(earlier.c.subscription_id == new))  # of a feed that is closed
    await keep_shown(connection, table.c.id == old.id)
    await connection.execute(update(earlier).where(earlier.c.subscription_id == old.id).values(subscription_id=new))
    fresh = {"feed": schema.feed_seed(), "feed_name": schema.feed_seed()}
    await connection.execute(update(table).where(table.c.id == old.id).values(fresh))
    kept = {"feed": old.feed, "feed_name": old.feed_name}
    await connection.execute(update(table).where(table.c.id == new).values(kept))


async def _delete_referring(connection: AsyncConnection, to: Table, numbers: list[int]) -> None:
    """Delete the rows of every other table that refer to some rows, whatever tables there are."""
    for table in reversed(schema.metadata.sorted_tables):
        for column in table.columns:
            if table is not to and any(key.column is to.c.id for key in column.foreign_keys):
                for some in chunks(numbers):
                    await connection.execute(delete(table).where(column.in_(some)))
