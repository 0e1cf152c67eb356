"""Shared lines: what the bytes of many messages have in common is stored once, and not 40 kB a message.

A message that is kept names its shared lines by the digest of what they are; messages that differ in their own lines
alone name one list of names, their blank, which is stored among the lines. They are kept for as long as any stored
message names them, and half a day more than it takes to be sure of that: `prune_lines` goes by `kept_at`, which is
never more than FRESH older than the newest message that needs them. Parts of transactions.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier import log
from notifier.model import Blank, Content, Lines, OutboxState, Written, lines
from notifier.model.lines import APART, blank, blank_name, keys, unpacked
from notifier.store import schema
from notifier.store.engine import Database, chunks

FRESH = timedelta(hours=12)  # lines that were kept so long ago are not written again for the next message
OLD = timedelta(days=3)  # messages older than this are asked which lines they need; the younger ones keep them by age
SETTLED = (OutboxState.SENT, OutboxState.FAILED)  # states of messages that will not be offered any more
AT_ONCE = 1_000  # messages read at a time


def packed(contents: Iterable[Content]) -> tuple[list[bytes], dict[bytes, bytes]]:
    """Return contents as they are stored, and by their keys what that names: lines, and blanks of several messages.

    A blank that one message alone has stays with it, and goes when it goes.
    """
    given = list(contents)
    blanks = {each.blank.key: each.blank for each in given if isinstance(each, Written)}
    times = Counter([each.blank.key for each in given if isinstance(each, Written)])
    stored = [each.packed(apart=times[each.blank.key] > 1) if isinstance(each, Written) else each for each in given]
    named = {line.key: line.octets for each in blanks.values() for line in each.shared()}
    named |= {key: each.packed for key, each in blanks.items() if times[key] > 1}
    return stored, named


async def keep_lines(
    database: Database, connection: AsyncConnection, named: Mapping[bytes, bytes], now: datetime
) -> None:
    """Store lines and blanks, by their keys, that are not there yet."""
    table = schema.lines
    for part in chunks(sorted(named)):  # in order, so that no two processes wait for each other
        fresh = select(table.c.key).where(table.c.key.in_(part), table.c.kept_at > now - FRESH)
        there = {bytes(key) for key in (await connection.execute(fresh)).scalars()}
        rows = [{"key": key, "octets": named[key], "kept_at": now} for key in part if key not in there]
        if rows:
            added = database.insert(table)
            again = added.on_conflict_do_update(index_elements=["key"], set_={"kept_at": added.excluded.kept_at})
            await connection.execute(again, rows)


async def whole(connection: AsyncConnection, stored: Sequence[tuple[int, bytes]]) -> Mapping[int, Content]:
    """Return messages as they were kept, by their numbers; one that cannot be read, or lacks something, is left out."""
    names = _names(stored)
    there = await _packed_blanks(connection, set(names.values()))
    octets = await _octets(connection, _keys(there.values()))
    known, blanks, found = dict[bytes, Lines](), dict[bytes, Blank](), dict[int, Content]()
    for key, each in octets.items():
        with contextlib.suppress(ValueError):
            if (shared := lines(each)).key == key:
                known[key] = shared
    for name, each in there.items():
        with contextlib.suppress(KeyError, ValueError):
            if (made := blank(each, known)).key == name[1:] or not name.startswith(APART):
                blanks[name] = made
    for number, each in stored:
        with contextlib.suppress(KeyError, ValueError):
            found[number] = unpacked(each, blanks)
    return found


def _names(stored: Iterable[tuple[int, bytes]]) -> dict[int, bytes]:
    """Return what names the blank of each message; those that cannot be read are left out, and the log says so."""
    names = dict[int, bytes]()
    for number, octets in stored:
        try:
            names[number] = blank_name(octets)
        except ValueError as fault:
            log.content_unreadable(number, fault)
    return names


def _keys(blanks: Iterable[bytes]) -> set[bytes]:
    """Return the keys that packed blanks name, as far as these can be read."""
    found = set[bytes]()
    for each in blanks:
        with contextlib.suppress(ValueError):
            found.update(keys(each))
    return found


async def _packed_blanks(connection: AsyncConnection, names: Collection[bytes]) -> dict[bytes, bytes]:
    """Return the blanks that messages name, and those that they hold, by these names."""
    apart = await _octets(connection, {name[1:] for name in names if name.startswith(APART)})
    found = {APART + key: each for key, each in apart.items()}
    return found | {name: name[1:] for name in names if not name.startswith(APART)}


async def _octets(connection: AsyncConnection, wanted: Collection[bytes]) -> dict[bytes, bytes]:
    table, found = schema.lines, dict[bytes, bytes]()
    for part in chunks(sorted(wanted)):
        asked = select(table.c.key, table.c.octets).where(table.c.key.in_(part))
        found |= {bytes(row.key): bytes(row.octets) for row in await connection.execute(asked)}
    return found


async def prune_lines(database: Database, now: datetime) -> int:
    """Delete the lines that no message needs any more, and bytes of settled ones; return how many lines there were."""
    content, table, used = schema.content, schema.lines, set[bytes]()
    settled = schema.message.c.id == content.c.message_id, schema.message.c.state.in_(SETTLED)
    async with database.write() as connection:
        await connection.execute(delete(content).where(exists().where(*settled)))
    last = 0
    while True:
        old = content.c.message_id > last, content.c.packed_at < now - OLD
        asked = select(content.c.message_id, content.c.octets).where(*old).order_by(content.c.message_id)
        async with database.read() as connection:
            rows = (await connection.execute(asked.limit(AT_ONCE))).all()
        if not rows:
            break
        async with database.read() as connection:
            names = _names((row.message_id, bytes(row.octets)) for row in rows)
            blanks = await _packed_blanks(connection, set(names.values()))
        used |= {name[1:] for name in blanks if name.startswith(APART)}
        used |= _keys(blanks.values())
        last = rows[-1].message_id
    async with database.write() as connection:
        for part in chunks(sorted(used)):
            needed = table.c.key.in_(part), table.c.kept_at < now
            await connection.execute(update(table).where(*needed).values(kept_at=now))
        unused = table.c.kept_at < now - OLD - FRESH - FRESH
        count: int = await connection.scalar(select(func.count()).select_from(table).where(unused)) or 0
        await connection.execute(delete(table).where(unused))
    return count
