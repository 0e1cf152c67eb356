"""Move an installation from SQLite to PostgreSQL: every row, verified by reading both sides through.

The copy is one transaction: the target has everything, or is as empty as before. Nothing is sent again because of it:
what left stays sent, and what was under its final dot when its process died is held for a person. The source is marked
so that no mail leaves it any more, should somebody start it again.

Fails with StoreError and leaves both as they were; with DatabaseInUse while the program runs on the source.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Integer, Table, func, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.errors import StoreError
from notifier.model import OutboxState
from notifier.store import schema
from notifier.store.engine import Database
from notifier.store.migrate import migrate, revision

ROWS = 500  # read and written at once: of messages with their bytes, some 50 MB
LEFT_OUT = {"worker"}  # processes of the old place
DOUBTFUL = "it may have been sent before the installation was moved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What was copied of a table: its rows, and the digest of their contents, alike on both sides."""

    table: str
    rows: int
    digest: str


async def move(
    source: Database, target: Database, now: datetime, progress: Callable[[str, int], None] = lambda _table, _rows: None
) -> list[Moved]:
    """Copy everything from an SQLite database to an empty PostgreSQL one; `progress` is told (table, rows so far)."""
    source.hold()
    found, head = await revision(source)
    if found != head:
        raise StoreError(f"{source.place} has schema {found or 'none'}, not {head}: run `notifier migrate` on it first")
    if target.is_sqlite:
        raise StoreError(f"{target.place} is no PostgreSQL")
    await migrate(target)
    tables = [table for table in schema.metadata.sorted_tables if table.name not in LEFT_OUT]
    try:
        async with source.read(longest=None) as old, target.write() as new:
            await _refuse_used(new, tables, target.place)
            written = [await _copy(old, new, table, progress) for table in tables]
            for table in tables:
                await _continue_numbers(old, new, table)
            for table, sum_ in zip(tables, written, strict=True):
                read = await _sum(_rows(new, table), table.name)
                if read != sum_:
                    raise StoreError(
                        f"{table.name}: {sum_.rows} rows were written and {read.rows} read back, or they differ"
                    )
    except DBAPIError as trouble:
        raise StoreError(f"{target.place} does not take it: {trouble.orig}") from None
    await _retire(source, target.place, now)
    return written


async def _refuse_used(new: AsyncConnection, tables: Sequence[Table], place: str) -> None:
    for table in tables:
        if (await new.execute(select(table).limit(1))).first():
            raise StoreError(f"{place} is not empty ({table.name} has rows): name a new database")


async def _copy(
    old: AsyncConnection, new: AsyncConnection, table: Table, progress: Callable[[str, int], None]
) -> Moved:
    """Copy a table; return what was written."""

    async def passing() -> AsyncIterator[Sequence[Mapping[str, Any]]]:
        done = 0
        async for rows in _rows(old, table):
            changed = [_freed(row) for row in rows] if table is schema.message else rows
            await new.execute(insert(table), changed)
            yield changed
            done += len(rows)
            progress(table.name, done)

    return await _sum(passing(), table.name)


def _freed(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take a message from a process that is gone: it waits again, or is held if it may have arrived."""
    state = row["state"]
    if state not in (OutboxState.CLAIMED, OutboxState.IN_DOUBT):
        return row
    free = {**row, "owner": None, "lease_until": None}
    if state == OutboxState.CLAIMED:
        return {**free, "state": OutboxState.QUEUED.value}
    return {**free, "state": OutboxState.HELD.value, "doubts": row["doubts"] + 1, "reply": DOUBTFUL}


async def _rows(connection: AsyncConnection, table: Table) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
    """Yield the rows of a table, some thousand at a time, in no order."""
    result = await connection.stream(select(table))
    async for rows in result.mappings().partitions(ROWS):
        yield [dict(row) for row in rows]


async def _sum(parts: AsyncIterator[Sequence[Mapping[str, Any]]], name: str = "") -> Moved:
    """Count rows and sum the digests of their contents, whatever their order."""
    rows, total = 0, 0
    async for part in parts:
        for row in part:
            plain = "\x1f".join(f"{key}={_plain(row[key])}" for key in sorted(row))
            total += int.from_bytes(hashlib.sha256(plain.encode("utf-8", "surrogatepass")).digest(), "big")
        rows += len(part)
    return Moved(table=name, rows=rows, digest=f"{total % 2**256:064x}")


def _plain(value: object) -> str:
    return repr(bytes(value) if isinstance(value, bytes | memoryview) else value)


async def _continue_numbers(old: AsyncConnection, new: AsyncConnection, table: Table) -> None:
    """Let new rows be numbered after every number that was ever given, those of deleted rows too."""
    column = table.autoincrement_column
    if column is None or not isinstance(column.type, Integer):
        return
    given = await old.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table.name}) or 0
    newest = await new.scalar(select(func.max(column))) or 0
    if last := max(given, newest):
        named = select(func.setval(func.pg_get_serial_sequence(table.name, column.name), last))
        await new.execute(named)


async def _retire(source: Database, place: str, now: datetime) -> None:
    """Let no mail leave the old place any more."""
    reason = f"moved to {place} on {now:%Y-%m-%d %H:%M} UTC"
    async with source.write() as connection:
        added = source.insert(schema.setting).values(key="hold", value=reason)
        await connection.execute(added.on_conflict_do_update(index_elements=["key"], set_={"value": reason}))
