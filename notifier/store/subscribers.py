"""Subscribers, their subscriptions and queries.

A subscription owes nothing of what was polled before it began (G4): its cursor starts at the newest poll. Cursors are
poll ids, not times, so a clock that jumps owes nothing twice and skips nothing.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier import cadence
from notifier.model import (
    Cadence,
    QueryId,
    StoredQuery,
    Subscriber,
    SubscriberId,
    SubscriberState,
    Subscription,
    Wish,
)
from notifier.store import schema
from notifier.store.asked import end, is_asked, turn
from notifier.store.engine import Database, again
from notifier.store.rows import to_clock, to_subscriber, to_subscription
from notifier.store.score import HEALTHY
from notifier.store.settle import call_back

TOKEN_BYTES = 20  # 160 bits
SIGNATURE_BYTES = 16  # 128 bits


class Subscribers:
    """The verbs of subscribing."""

    def __init__(self, database: Database, secret: bytes) -> None:
        self._database = database
        self._keyed = hmac.new(secret, digestmod="sha256")

    async def queries(
        self, after: QueryId, last: QueryId | None = None, turned: int = 0, first: QueryId | None = None
    ) -> list[StoredQuery]:
        """Return every query that was added after `after` or turned after `turned`, from `first` to `last`, by id."""
        table = schema.query
        new = select(table, is_asked().label("asked")).where(or_(table.c.id > after, table.c.turned > turned))
        new = new.where(table.c.id >= (first or 0)).order_by(table.c.id)
        async with self._database.read() as connection:
            rows = await connection.execute(new if last is None else new.where(table.c.id <= last))
            return [StoredQuery(QueryId(row.id), row.canonical, row.asked, row.turned) for row in rows]

    async def subscribe(self, wish: Wish, *, origin: str, now: datetime) -> Subscription:
        """Add or change a confirmed subscription; its address is a validated one.

        A subscription that is active already keeps what it is owed; a new or reactivated one owes nothing of the past.
        An address that had left is confirmed again: only call this on its own wish or the operator's.
        """
        async with self._database.write() as connection:
            subscriber_id = await self._confirm(connection, wish.email, now)
            return await self._subscribe(connection, subscriber_id, wish, origin, now)

    async def keep_configured(self, wanted: Sequence[Wish], now: datetime) -> list[str]:
        """Make the subscriptions of the configuration be exactly these.

        Returns the addresses that have unsubscribed since, which stay so: their wish is final.
        """
        left, away = [], []
        kept = []
        async with self._database.write() as connection:
            for wish in wanted:
                row = (await connection.execute(select(schema.subscriber).filter_by(email=wish.email))).first()
                if row and row.state == SubscriberState.UNSUBSCRIBED:
                    left.append(wish.email)
                    away.append(row.id)  # its subscriptions stay as they are: it may come back
                    continue
                subscriber_id = SubscriberId(row.id) if row else await self._confirm(connection, wish.email, now)
                kept.append(await self._subscribe(connection, subscriber_id, wish, "config", now))
            table = schema.subscription
            ids = [each.subscription_id for each in kept]
            gone = table.c.origin == "config", table.c.id.not_in(ids), table.c.subscriber_id.not_in(away)
            await end(connection, and_(*gone))
        return left

    @again
    async def unsubscribe(self, email: str, now: datetime) -> bool:
        """End all mail to an address at once; return whether it was subscribed. Messages not begun are never sent."""
        async with self._database.write() as connection:
            row = (await connection.execute(select(schema.subscriber).filter_by(email=email))).first()
            return row is not None and await leave(connection, SubscriberId(row.id), row.state, now)

    async def subscriber(self, email: str) -> Subscriber | None:
        """Return the subscriber with this address, whatever its state."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(schema.subscriber).filter_by(email=email))).first()
        return to_subscriber(row) if row else None

    async def subscriptions(self, email: str | None = None) -> list[Subscription]:
        """Return the subscriptions of one address, or all, in the order they were made."""
        async with self._database.read() as connection:
            asked = (
                select(schema.subscription, schema.subscriber.c.email, schema.query.c.canonical)
                .select_from(schema.subscription)
                .join(schema.subscriber)
                .join(schema.query)
                .order_by(schema.subscription.c.id)
            )
            if email is not None:
                asked = asked.where(schema.subscriber.c.email == email)
            return [to_subscription(row) for row in await connection.execute(asked)]

    # --- links: /unsubscribe/<token> and its like -------------------------------------------------------------------

    def link(self, purpose: str, token: str) -> str:
        """Derive the link of one purpose from a subscriber's token: a link for one thing opens no other."""
        signature = self._keyed.copy()  # half the time of a new one, and a mail has four links
        signature.update(f"{purpose}:{token}".encode())
        return token + signature.digest()[:SIGNATURE_BYTES].hex()

    async def by_link(self, purpose: str, link: str) -> Subscriber | None:
        """Return whom a link of this purpose belongs to, None for one that is forged, revoked or cut short."""
        token = self.opened(purpose, link)
        if token is None:
            return None

        async def read(connection: AsyncConnection) -> Row[Any] | None:
            return (await connection.execute(select(schema.subscriber).filter_by(token=token))).first()

        row = await self._database.transact(read, writes=False)
        return to_subscriber(row) if row else None

    def opened(self, purpose: str, link: str) -> str | None:
        """Return the token that a link of this purpose was derived from, None when it was derived from none."""
        token = link[: TOKEN_BYTES * 2]
        made = self.link(purpose, token).encode()
        return token if hmac.compare_digest(made, link.encode("utf-8", "replace")) else None

    @again
    async def leave(self, subscriber_id: SubscriberId, now: datetime) -> None:
        """End all mail to a subscriber, on their own wish."""
        async with self._database.write() as connection:
            row = (await connection.execute(select(schema.subscriber).filter_by(id=subscriber_id))).one()
            await leave(connection, subscriber_id, row.state, now)

    async def come_back(self, subscriber_id: SubscriberId, now: datetime) -> None:
        """Undo `leave`: the subscriptions as they were; what was polled meanwhile is owed too."""
        async with self._database.write() as connection:
            table = schema.subscriber
            undo = update(table).where(table.c.id == subscriber_id, table.c.state == SubscriberState.UNSUBSCRIBED)
            await connection.execute(undo.values(state=SubscriberState.CONFIRMED, since=now))

    async def resume(self, email: str, now: datetime) -> bool:
        """Send to a suppressed address again, with a clean score; return whether it was suppressed.

        What was found meanwhile is not owed. Who unsubscribed stays so: only they undo it.
        """
        async with self._database.write() as connection:
            row = (await connection.execute(select(schema.subscriber).filter_by(email=email))).first()
            if row is None or row.state != SubscriberState.SUPPRESSED:
                return False
            await self._confirm(connection, email, now)
            return True

    # --- below: parts of a transaction --------------------------------------------------------------------------------

    async def _confirm(self, connection: AsyncConnection, email: str, now: datetime) -> SubscriberId:
        table = schema.subscriber
        values = {"email": email, "state": SubscriberState.CONFIRMED, "since": now, **HEALTHY}
        added = self._database.insert(table).values(token=secrets.token_hex(TOKEN_BYTES), **values)
        await connection.execute(added.on_conflict_do_nothing())
        row = (await connection.execute(select(table).filter_by(email=email))).one()
        if row.state != SubscriberState.CONFIRMED:
            await connection.execute(update(table).where(table.c.id == row.id).values(values))
            # What was found while the address was away is not owed.
            newest = await connection.scalar(select(func.max(schema.poll.c.id))) or 0
            await keep_shown(connection, schema.subscription.c.subscriber_id == row.id)
            away = update(schema.subscription).where(schema.subscription.c.subscriber_id == row.id)
            await connection.execute(away.values(cursor=newest, began=newest))
        if row.state == SubscriberState.UNSUBSCRIBED:  # what it left stays ended: only what is asked for now begins
            await end(connection, schema.subscription.c.subscriber_id == row.id)
        return SubscriberId(row.id)

    async def _subscribe(
        self, connection: AsyncConnection, subscriber_id: SubscriberId, wish: Wish, origin: str, now: datetime
    ) -> Subscription:
        clock, canonical = wish.clock, wish.canonical
        query_id = await _query(connection, canonical)
        table = schema.subscription
        mine = table.c.subscriber_id == subscriber_id, table.c.query_id == query_id
        old = (await connection.execute(select(table).where(*mine))).first()
        values: dict[str, Any] = {
            "label": wish.label,
            "versions": wish.versions,
            "quiet": wish.quiet,
            "cadence": clock.cadence,
            "at": clock.at,
            "weekday": clock.weekday,
            "timezone": clock.timezone,
            "active": True,
            "origin": origin,
        }
        if old is None or not old.active or to_clock(old) != clock:
            values["next_due_at"] = cadence.next_due(clock, now)
        if old is not None and not old.active:  # it begins anew
            await connection.execute(delete(schema.earlier).where(schema.earlier.c.subscription_id == old.id))
        # What a feed has shown already is not owed by mail.
        if old is None or not old.active or old.cadence == Cadence.FEED != clock.cadence:
            if old is not None:
                await keep_shown(connection, table.c.id == old.id)
            values["cursor"] = values["began"] = await connection.scalar(select(func.max(schema.poll.c.id))) or 0
        if old is None:
            await connection.execute(insert(table).values(subscriber_id=subscriber_id, query_id=query_id, **values))
        else:
            await connection.execute(update(table).where(table.c.id == old.id).values(values))
        found = (
            select(table, schema.subscriber.c.email, schema.query.c.canonical)
            .select_from(table)
            .join(schema.subscriber)
            .join(schema.query)
            .where(*mine)
        )
        return to_subscription((await connection.execute(found)).one())


async def _query(connection: AsyncConnection, canonical: str) -> int:
    """Return the number of a query that is asked from now on."""
    table = schema.query
    old = (
        await connection.execute(select(table.c.id, is_asked().label("asked")).filter_by(canonical=canonical))
    ).first()
    if old is None:
        new = insert(table).values(canonical=canonical).returning(table.c.id)
        return int((await connection.execute(new)).scalar_one())
    if not old.asked:
        await turn(connection, [old.id])
    return int(old.id)


async def keep_shown(connection: AsyncConnection, which: ColumnElement[bool]) -> None:
    """Note what active subscriptions looked for until now, before they begin anew: their feeds go on showing it."""
    table, now = schema.subscription, select(func.max(schema.poll.c.id)).scalar_subquery()
    columns = ("subscriber_id", "query_id", "label", "versions", "began")
    shown = select(table.c.id, *(table.c[name] for name in columns), now).where(which, table.c.active)
    into = insert(schema.earlier).from_select(["subscription_id", *columns, "until"], shown.where(table.c.began < now))
    await connection.execute(into)


async def leave(connection: AsyncConnection, subscriber_id: SubscriberId, state: str, now: datetime) -> bool:
    """Set a subscriber UNSUBSCRIBED and call back every message that is not under way; its papers are owed again."""
    if state == SubscriberState.UNSUBSCRIBED:
        return False
    table = schema.subscriber
    gone = update(table).where(table.c.id == subscriber_id)
    await connection.execute(gone.values(state=SubscriberState.UNSUBSCRIBED, since=now))
    await call_back(connection, subscriber_id, "unsubscribed before it was sent", now)
    return True
