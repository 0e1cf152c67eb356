"""Shared lines: what the bytes of many messages have in common is stored once, and not 40 kB a message.

A message that is kept names its shared lines by the digest of what they are. They are kept for as long as any stored
message names them, and half a day more than it takes to be sure of that: `prune_lines` goes by `kept_at`, which is
never more than FRESH older than the newest message that needs them. Parts of transactions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.model import Content, Lines, Run, Written, lines, unpacked
from notifier.model.lines import keys
from notifier.store import schema
from notifier.store.engine import Database, chunks

FRESH = timedelta(hours=12)  # lines that were kept so long ago are not written again for the next message
OLD = timedelta(days=3)  # messages older than this are asked which lines they need; the younger ones keep them by age
AT_ONCE = 1_000  # messages read at a time


async def keep_lines(database: Database, connection: AsyncConnection, some: Iterable[Lines], now: datetime) -> None:
    """Store lines that are not there yet."""
    table = schema.lines
    wanted = {each.key: each for each in some}
    for part in chunks(sorted(wanted)):  # in order, so that no two processes wait for each other
        fresh = select(table.c.key).where(table.c.key.in_(part), table.c.kept_at > now - FRESH)
        there = {bytes(key) for key in (await connection.execute(fresh)).scalars()}
        rows = [{"key": key, "octets": wanted[key].octets, "kept_at": now} for key in part if key not in there]
        if rows:
            added = database.insert(table)
            again = added.on_conflict_do_update(index_elements=["key"], set_={"kept_at": added.excluded.kept_at})
            await connection.execute(again, rows)


def shared(contents: Iterable[Content]) -> list[Lines]:
    """Return the lines that messages share; most share whole runs of them, and those are looked at once."""
    runs = {id(part): part for each in contents if isinstance(each, Written) for part in each.parts}
    return [line for run in runs.values() if isinstance(run, Run) for line in run.lines if line.key]


async def whole(connection: AsyncConnection, packed: Sequence[tuple[int, bytes]]) -> Mapping[int, Content]:
    """Return messages as they were kept, by their numbers; one whose lines are gone is left out."""
    table, known = schema.lines, dict[bytes, Lines]()
    for part in chunks(sorted({key for _, octets in packed for key in keys(octets)})):
        asked = select(table.c.key, table.c.octets).where(table.c.key.in_(part))
        known |= {bytes(row.key): lines(bytes(row.octets)) for row in await connection.execute(asked)}
    found: dict[int, Written] = {}
    for number, octets in packed:
        try:
            found[number] = unpacked(octets, known)
        except KeyError:
            continue
    return found


async def prune_lines(database: Database, now: datetime) -> int:
    """Delete the lines that no message needs any more; return how many there were."""
    content, table, used = schema.content, schema.lines, set[bytes]()
    last = 0
    while True:
        old = content.c.message_id > last, content.c.packed_at < now - OLD
        asked = select(content.c.message_id, content.c.octets).where(*old).order_by(content.c.message_id)
        async with database.read() as connection:
            rows = (await connection.execute(asked.limit(AT_ONCE))).all()
        if not rows:
            break
        used |= {key for row in rows for key in keys(bytes(row.octets))}
        last = rows[-1].message_id
    async with database.write() as connection:
        for part in chunks(sorted(used)):
            needed = table.c.key.in_(part), table.c.kept_at < now
            await connection.execute(update(table).where(*needed).values(kept_at=now))
        unused = table.c.kept_at < now - OLD - FRESH - FRESH
        count: int = await connection.scalar(select(func.count()).select_from(table).where(unused)) or 0
        await connection.execute(delete(table).where(unused))
    return count
