"""Shortcut: what nearly all messages go through, on SQLite, in few statements: keeping their bytes, the marks before
the final dot and the answers "sent". What `stroke` is on PostgreSQL.

Every step of a statement hands the interpreter to another thread and takes it back, which costs more than the step:
so there are no rows to fetch, and none is changed by a statement of its own. It does what `outbox._mark` and
`outbox._settle_all` do, or raises Uncommon and has done nothing: then they do it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.store.engine import chunks
from notifier.store.score import STALE_AFTER
from notifier.store.sqlite import instant

KEPT_AT_ONCE = 50  # messages in one statement

# "+state": or SQLite looks for them by the index of states, among all that are claimed.
_KEPT = """INSERT INTO content (message_id, octets, packed_at)
    SELECT m.id, given.column2, given.column3 FROM (VALUES {rows}) given
    JOIN message m ON m.id = given.column1 AND m.owner = ? AND m.state = 'claimed' WHERE true
    ON CONFLICT (message_id) DO UPDATE SET octets = excluded.octets, packed_at = excluded.packed_at"""
_MARK = """UPDATE message SET state = 'in-doubt', lease_until = coalesce(?, lease_until)
    WHERE id IN (SELECT value FROM json_each(?)) AND owner = ? AND +state = 'claimed'"""
_SENT = """UPDATE message SET state = 'sent', attempts = attempts + 1, crashes = 0, owner = NULL, lease_until = NULL,
    code = json_extract(said.value, '$[1]'), reply = json_extract(said.value, '$[2]'),
    settled_at = json_extract(said.value, '$[3]')
    FROM json_each(?) said WHERE message.id = json_extract(said.value, '$[0]') AND +state IN ('claimed', 'in-doubt')"""
_FORGOTTEN = "DELETE FROM content WHERE message_id IN (SELECT value FROM json_each(?))"
_WELL = """UPDATE subscriber SET bounce_score = 0.0, bounced_at = NULL, health = ''
    WHERE id IN (SELECT m.subscriber_id FROM json_each(?) j JOIN message m ON m.id = j.value) AND state = 'confirmed'
    AND (bounced_at IS NULL OR bounced_at < ?) AND (health <> '' OR bounce_score <> 0)"""


class Uncommon(Exception):
    """Something is not as it is for nearly every message: each is looked at more closely."""


def shortcut(
    database: sqlite3.Connection,
    marks: Sequence[tuple[int, str, datetime | None]],
    sent: Sequence[tuple[int, int | None, str, datetime]],
) -> None:
    """Mark messages and settle those that the relay took, as part of a transaction that Uncommon undoes.

    `marks` are the number, the owner and the new lease of messages whose final dot follows, `sent` the number, the
    code, the words and the time of those that the relay took. Raises Uncommon when one of them is none of ours any
    more, or is there twice.
    """
    for owner in {owner for _, owner, _ in marks}:
        ids = [number for number, mine, _ in marks if mine == owner]
        until = max((lease for _, mine, lease in marks if mine == owner and lease), default=None)
        if database.execute(_MARK, (until and instant(until), json.dumps(ids), owner)).rowcount != len(ids):
            raise Uncommon
    if not sent:
        return
    said = [(number, code, words, instant(at)) for number, code, words, at in sent]
    if database.execute(_SENT, (json.dumps(said),)).rowcount != len(sent):
        raise Uncommon
    these = json.dumps([number for number, *_ in sent])
    database.execute(_FORGOTTEN, (these,))
    database.execute(_WELL, (these, instant(max(at for *_, at in sent) - STALE_AFTER)))


async def keep_rows(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]], owner: str) -> None:
    """Store the `bytes` of messages that are claimed by `owner`, by `number`, with when they were packed (`at`)."""
    for some in chunks(rows, KEPT_AT_ONCE):
        values = [value for row in some for value in (row["number"], row["bytes"], row["at"] and instant(row["at"]))]
        statement = _KEPT.format(rows=", ".join(["(?, ?, ?)"] * len(some)))
        await connection.exec_driver_sql(statement, (*values, owner))
