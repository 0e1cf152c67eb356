"""Which queries are asked: those of active subscriptions, and what one asked before its owner changed the words for as
long as a poll of that time has shards left: its feed is to show what they find. Parts of transactions.

Matchers keep queries in memory and leave out those that nobody asks. Whoever begins or ends a subscription turns its
query: numbers it anew, so that every matcher looks at it again before it records another poll.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.store import schema
from notifier.store.engine import chunks


def is_asked() -> ColumnElement[bool]:
    """Tell of a row of `query` whether anybody asks it."""
    query, subscription, earlier = schema.query, schema.subscription, schema.earlier
    oldest_left = select(func.min(schema.shard.c.poll_id)).scalar_subquery()
    now = exists().where(subscription.c.query_id == query.c.id, subscription.c.active)
    return or_(now, query.c.id.in_(select(earlier.c.query_id).where(earlier.c.until >= oldest_left)))


async def poll_matched(connection: AsyncConnection, poll: int) -> None:
    """Let matchers look again at what was asked only for the sake of a poll that is matched against everything now."""
    earlier = schema.earlier
    found = await connection.execute(select(earlier.c.query_id).where(earlier.c.until >= poll).distinct())
    if queries := found.scalars().all():
        await turn(connection, queries)


async def turn(connection: AsyncConnection, queries: Collection[int]) -> None:
    """Let matchers look again whether anybody asks these queries."""
    table = schema.query
    newest = await connection.scalar(select(func.max(table.c.turned))) or 0
    for some in chunks(sorted(queries)):
        await connection.execute(update(table).where(table.c.id.in_(some)).values(turned=newest + 1))


async def end(connection: AsyncConnection, which: ColumnElement[bool]) -> None:
    """End subscriptions: nothing more is owed to them."""
    table = schema.subscription
    queries = (await connection.execute(select(table.c.query_id).where(which, table.c.active))).scalars().all()
    await connection.execute(update(table).where(which).values(active=False))
    await turn(connection, set(queries))
