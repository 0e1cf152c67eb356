"""Which queries are asked: those of active subscriptions. Parts of transactions.

Matchers keep queries in memory and leave out those that nobody asks. Whoever begins or ends a subscription turns its
query: numbers it anew, so that every matcher looks at it again before it records another poll.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.store import schema
from notifier.store.engine import chunks


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
