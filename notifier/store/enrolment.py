"""Enrolment: everybody out of the store, and a list of people into it. Nothing of the past is owed to who comes (G4).

Done again it changes nothing. What somebody here decided since is kept: who left or is suppressed stays away, and a
subscription that was ended stays ended.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.exchange import Entry
from notifier.model import Subscriber, SubscriberId, SubscriberState, Subscription, Wish
from notifier.store import schema
from notifier.store.asked import end
from notifier.store.readers import Readers
from notifier.store.rows import to_subscriber, to_subscription
from notifier.store.score import HEALTHY
from notifier.store.subscribers import TOKEN_BYTES

AT_ONCE = 200  # entries in one transaction
AWAY = (SubscriberState.UNSUBSCRIBED, SubscriberState.SUPPRESSED)


class Enrolment(Readers):
    """The verbs of moving people."""

    async def everybody(self) -> list[Subscriber]:
        """Return all subscribers, whatever their state, in the order they came."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(schema.subscriber).order_by(schema.subscriber.c.id))
            return [to_subscriber(row) for row in rows]

    async def enrol(self, entries: Sequence[Entry], now: datetime) -> Counter[str]:
        """Let these people in; an entry that does not say its state is of somebody who confirmed.

        Returns how many people and subscriptions were added, how many subscriptions changed or were there already, how
        many were left alone because their owner ended them here, and how many entries were of people who left here or
        there and are something else on the other side.
        """
        done: Counter[str] = Counter()
        for start in range(0, len(entries), AT_ONCE):
            async with self._database.write() as connection:
                for entry in entries[start : start + AT_ONCE]:
                    done.update(await self._enrol(connection, entry, now))
        return done

    async def _enrol(self, connection: AsyncConnection, entry: Entry, now: datetime) -> list[str]:
        table, state = schema.subscriber, entry.state or SubscriberState.CONFIRMED
        row = (await connection.execute(select(table).filter_by(email=entry.email))).first()
        done = []
        if row is None or row.state == SubscriberState.PENDING:
            done.append("people")
            if state is SubscriberState.CONFIRMED:
                await self._confirm(connection, entry.email, now)
            else:
                await self._keep_away(connection, entry.email, state, now)
            row = (await connection.execute(select(table).filter_by(email=entry.email))).one()
        elif (row.state in AWAY) != (state in AWAY):
            return ["away"]
        if entry.wish is not None:
            done.append(await self._enrol_subscription(connection, SubscriberId(row.id), entry.wish, entry.active, now))
        return done

    async def _keep_away(self, connection: AsyncConnection, email: str, state: SubscriberState, now: datetime) -> None:
        values = {"email": email, "state": state, "since": now, **HEALTHY}
        added = self._database.insert(schema.subscriber).values(token=secrets.token_hex(TOKEN_BYTES), **values)
        await connection.execute(added.on_conflict_do_update(index_elements=["email"], set_=values))

    async def _enrol_subscription(
        self, connection: AsyncConnection, subscriber_id: SubscriberId, wish: Wish, active: bool, now: datetime
    ) -> str:
        old = await self._subscription(connection, subscriber_id, wish.canonical)
        if old is not None and (old.origin == "config" or not active or _same(old, wish)):
            return "unchanged" if old.active or not active else "ended"
        if old is not None and not old.active:
            return "ended"
        made = await self._subscribe(connection, subscriber_id, wish, old.origin if old else "cli", now)
        if not active:
            await end(connection, schema.subscription.c.id == made.subscription_id)
        return "changed" if old else "subscriptions"

    async def _subscription(
        self, connection: AsyncConnection, subscriber_id: SubscriberId, canonical: str
    ) -> Subscription | None:
        table = schema.subscription
        asked = (
            select(table, schema.subscriber.c.email, schema.query.c.canonical)
            .select_from(table)
            .join(schema.subscriber)
            .join(schema.query)
            .where(table.c.subscriber_id == subscriber_id, schema.query.c.canonical == canonical)
        )
        row = (await connection.execute(asked)).first()
        return to_subscription(row) if row else None


def _same(old: Subscription, wish: Wish) -> bool:
    return old.active and (old.label, old.clock, old.versions, old.quiet) == (
        wish.label, wish.clock, wish.versions, wish.quiet,
    )  # fmt: skip
