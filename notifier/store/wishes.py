"""Wishes: subscriptions that somebody asked for on the site, until their address confirms them (G7).

Whoever types an address is nobody yet: a wish owes nothing and sends nothing. It waits KEPT, then it is forgotten, and
with it an address that never confirmed anything. Confirming takes the wishes that were chosen and drops the others, so
that a link that is used twice finds nothing to do.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.model import (
    Asking,
    AskingId,
    PaperId,
    Subscriber,
    SubscriberId,
    SubscriberState,
    Subscription,
    Versions,
    Waiting,
    Wish,
    WishId,
)
from notifier.store import schema
from notifier.store.engine import Database, again, chunks
from notifier.store.rows import to_clock, to_subscriber
from notifier.store.score import HEALTHY
from notifier.store.subscribers import TOKEN_BYTES, Subscribers

KEPT = timedelta(days=7)  # from asking to confirming
MOST_WAITING = 10  # wishes of one address
FORGOTTEN_AT_ONCE = 500


class Wishes(Subscribers):
    """The verbs of signing up."""

    async def ask(self, wish: Wish, now: datetime) -> Subscriber:
        """Let a wish wait for its address to confirm it; return whom to write to.

        The same wish again waits anew. What waited too long is forgotten, and so is the oldest of too many.
        """
        async with self._database.write() as connection:
            await _forget(connection, now)
            new = self._database.insert(schema.subscriber).values(
                email=wish.email, state=SubscriberState.PENDING, since=now, token=secrets.token_hex(TOKEN_BYTES),
                **HEALTHY,
            )  # fmt: skip
            await connection.execute(new.on_conflict_do_nothing())
            row = (await connection.execute(select(schema.subscriber).filter_by(email=wish.email))).one()
            table = schema.wish
            values = _columns(wish) | {"asked_at": now}
            added = self._database.insert(table).values(subscriber_id=row.id, **values)
            await connection.execute(
                added.on_conflict_do_update(index_elements=["subscriber_id", "canonical"], set_=values)
            )
            newest = (
                select(table.c.id)
                .where(table.c.subscriber_id == row.id)
                .order_by(table.c.asked_at.desc(), table.c.id.desc())
            )
            kept = list((await connection.execute(newest.limit(MOST_WAITING))).scalars())
            await connection.execute(delete(table).where(table.c.subscriber_id == row.id, table.c.id.not_in(kept)))
            return to_subscriber(row)

    async def note_asking(self, email: str, wish: Wish | None, now: datetime) -> Asking:
        """Keep what somebody asked for on the site until it is dealt with: the same work whoever they are."""
        row: dict[str, Any] = {"email": email, "asked_at": now}
        async with self._database.write() as connection:
            added = insert(schema.asking).values(row | (_columns(wish) if wish else {}))
            number = (await connection.execute(added.returning(schema.asking.c.id))).scalar_one()
        return Asking(asking_id=AskingId(number), email=email, wish=wish, asked_at=now)

    async def askings(self, before: datetime) -> list[Asking]:
        """Return what was asked for before an instant and is not dealt with: the program ended in between."""
        table = schema.asking
        async with self._database.read() as connection:
            rows = await connection.execute(select(table).where(table.c.asked_at < before).order_by(table.c.id))
            return [
                Asking(
                    asking_id=AskingId(row.id), email=row.email, wish=_wish(row) if row.label is not None else None,
                    asked_at=row.asked_at,
                )
                for row in rows
            ]  # fmt: skip

    async def dealt_with(self, asking: Asking) -> None:
        """Forget what was asked for: it is dealt with."""
        async with self._database.write() as connection:
            await connection.execute(delete(schema.asking).where(schema.asking.c.id == asking.asking_id))

    async def waiting(self, subscriber_id: SubscriberId, now: datetime) -> list[Waiting]:
        """Return the wishes that a subscriber may still confirm, the oldest first."""
        async with self._database.read() as connection:
            return await _waiting(connection, subscriber_id, now)

    @again
    async def confirm(
        self,
        subscriber_id: SubscriberId,
        chosen: Collection[WishId],
        now: datetime,
        history: Mapping[WishId, Sequence[PaperId]] | None = None,
    ) -> list[Subscription]:
        """Make the chosen wishes subscriptions, drop the others, and confirm their address.

        `history` gives the papers of the past that a wish asks for too (G4): they are owed with the first digest.
        Subscriptions that the address had left stay ended. Nothing waits: nothing is done, and the result is empty.
        """
        async with self._database.write() as connection:
            waiting = [each for each in await _waiting(connection, subscriber_id, now) if each.wish_id in chosen]
            await connection.execute(delete(schema.wish).where(schema.wish.c.subscriber_id == subscriber_id))
            if not waiting:
                return []
            await self._confirm(connection, waiting[0].wish.email, now)
            made = []
            for each in waiting:
                made.append(await self._subscribe(connection, subscriber_id, each.wish, "web", now))
                papers = (history or {}).get(each.wish_id, ())
                if papers:
                    await _owe_history(self._database, connection, made[-1], papers)
            return made


def _columns(wish: Wish) -> dict[str, Any]:
    return {
        "label": wish.label, "canonical": wish.canonical, "cadence": wish.clock.cadence, "at": wish.clock.at,
        "weekday": wish.clock.weekday, "timezone": wish.clock.timezone, "versions": wish.versions,
    }  # fmt: skip


def _wish(row: Row[Any]) -> Wish:
    """Read the wish of a row with the `email` of who wishes."""
    return Wish(
        email=row.email, label=row.label, canonical=row.canonical, clock=to_clock(row),
        versions=Versions(row.versions),
    )  # fmt: skip


async def _forget(connection: AsyncConnection, now: datetime) -> None:
    """Drop wishes that waited too long, and the addresses that never confirmed any."""
    table, person = schema.wish, schema.subscriber
    await connection.execute(delete(table).where(table.c.asked_at < now - KEPT))
    empty = (
        select(person.c.id)
        .where(person.c.state == SubscriberState.PENDING, person.c.since < now - KEPT)
        .where(~exists().where(table.c.subscriber_id == person.c.id))
        .limit(FORGOTTEN_AT_ONCE)
    )
    ids = list((await connection.execute(empty)).scalars())
    for some in chunks(ids):
        await connection.execute(delete(person).where(person.c.id.in_(some)))


async def _waiting(connection: AsyncConnection, subscriber_id: SubscriberId, now: datetime) -> list[Waiting]:
    table = schema.wish
    rows = await connection.execute(
        select(table, schema.subscriber.c.email)
        .join(schema.subscriber)
        .where(table.c.subscriber_id == subscriber_id, table.c.asked_at >= now - KEPT)
        .order_by(table.c.id)
    )
    return [Waiting(wish_id=WishId(row.id), wish=_wish(row), asked_at=row.asked_at) for row in rows]


async def _owe_history(
    database: Database, connection: AsyncConnection, made: Subscription, papers: Sequence[PaperId]
) -> None:
    """Record that a subscription's query hit papers of the past, by the polls that made them news."""
    table, paper, hit = schema.subscription, schema.paper, schema.hit
    query_id = await connection.scalar(select(table.c.query_id).filter_by(id=made.subscription_id))
    first = None
    for some in chunks(papers):
        news = select(paper.c.id, paper.c.news_poll_id).where(paper.c.id.in_(some), paper.c.news_poll_id.is_not(None))
        rows = [
            {"query_id": query_id, "paper_id": row.id, "edition": 0, "kind": "new", "poll_id": row.news_poll_id}
            for row in await connection.execute(news)
        ]
        if rows:
            await connection.execute(database.insert(hit).on_conflict_do_nothing(), rows)
            first = min([row["poll_id"] for row in rows] + ([first] if first is not None else []))
    if first is not None:
        back = {"began": first - 1, "cursor": first - 1}
        mine = update(table).where(table.c.id == made.subscription_id, table.c.cursor >= first)
        await connection.execute(mine.values(back))
