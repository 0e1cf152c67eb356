"""Shards: runs of queries that a poll's changes are still to be matched against, one by one, by whichever worker.

`record_poll` stores them in place of the hits: a paper is seen in the transaction that says against what it is still to
be matched (G1). A shard ends in the transaction that stores its hits, so done twice it does nothing twice. Digests take
what was met before the oldest poll that has a shard left; then they take the rest.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.model import AnnounceType, Change, ChangeKind, Hits, Paper, PaperId, PollId, QueryId
from notifier.store import schema
from notifier.store.asked import poll_matched
from notifier.store.engine import Database, again
from notifier.store.hits import add_hits
from notifier.store.jobs import QUEUE, Call, Jobs
from notifier.store.rows import PAPER_FIELDS, paper_values

SHARD = 100_000  # queries: some seconds of work, some tens of megabytes
SHARDS_CALLED = 64  # at once
_DATES = ("announced_on",)
_INSTANTS = ("published_at", "updated_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """The queries numbered `first` to `last`, and the changes of poll `poll_id` to match them against."""

    poll_id: PollId
    first: QueryId
    last: QueryId
    changes: tuple[Change, ...]


def settled_poll() -> ColumnElement[int]:
    """The newest poll such that it and all before it are matched against every query."""
    oldest_left = select(func.min(schema.shard.c.poll_id) - 1).scalar_subquery()
    newest = select(func.max(schema.poll.c.id)).scalar_subquery()
    return func.coalesce(oldest_left, newest, 0)


class Shards:
    """The verbs of matching apart."""

    _database: Database
    _jobs: Jobs

    async def unmatched(self) -> list[tuple[PollId, QueryId]]:
        """Return the (poll, first query) of every shard that is left, oldest first."""
        table = schema.shard
        async with self._database.read() as connection:
            rows = await connection.execute(
                select(table.c.poll_id, table.c.first_query).order_by(table.c.poll_id, table.c.first_query)
            )
            return [(PollId(row.poll_id), QueryId(row.first_query)) for row in rows]

    async def call_matchers(self) -> None:
        """Call workers for the shards that are left."""
        left = await self.unmatched()
        async with self._database.write(alone=False) as connection:
            await self._jobs.call(connection, [_call(*each) for each in left[:SHARDS_CALLED]])

    async def shard(self, poll_id: int, first: int) -> Shard | None:
        """Return a shard that is left; None when it was matched meanwhile."""
        table, batch = schema.shard, schema.batch
        async with self._database.read() as connection:
            row = (
                await connection.execute(
                    select(table.c.last_query, batch.c.changes)
                    .join_from(table, batch, batch.c.poll_id == table.c.poll_id)
                    .where(table.c.poll_id == poll_id, table.c.first_query == first)
                )
            ).first()
        if row is None:
            return None
        return Shard(
            poll_id=PollId(poll_id), first=QueryId(first), last=QueryId(row.last_query), changes=_read(row.changes)
        )

    @again
    async def record_hits(self, shard: Shard, hits: Sequence[Hits]) -> bool:
        """Store the hits of a shard, whose positions are those of its `changes`; False when somebody else did."""
        table = schema.shard
        this = table.c.poll_id == shard.poll_id, table.c.first_query == shard.first
        async with self._database.write() as connection:
            if not (await connection.execute(delete(table).where(*this))).rowcount:
                return False
            papers = [change.paper_id or PaperId(0) for change in shard.changes]
            await add_hits(self._database, connection, hits, shard.changes, papers, shard.poll_id)
            more = await connection.scalar(select(exists().where(table.c.poll_id == shard.poll_id)))
            if not more:
                await connection.execute(delete(schema.batch).where(schema.batch.c.poll_id == shard.poll_id))
                await poll_matched(connection, shard.poll_id)
                await self._jobs.call(connection, [QUEUE])
        return True


async def cut(
    connection: AsyncConnection, jobs: Jobs, changes: Sequence[Change], papers: Sequence[PaperId], poll_id: PollId
) -> None:
    """Store the shards of a poll, within its transaction, and call for them."""
    kept = [
        (change, paper)
        for change, paper in zip(changes, papers, strict=True)
        if change.kind is not ChangeKind.KNOWN or change.before is not None
    ]
    last = await connection.scalar(select(func.max(schema.query.c.id))) or 0
    if not kept or not last:
        return
    await connection.execute(insert(schema.batch).values(poll_id=poll_id, changes=_written(kept)))
    firsts = range(1, last + 1, SHARD)
    rows = [{"poll_id": poll_id, "first_query": n, "last_query": min(n + SHARD - 1, last)} for n in firsts]
    await connection.execute(insert(schema.shard), rows)
    await jobs.call(connection, [_call(poll_id, QueryId(n)) for n in firsts[:SHARDS_CALLED]])


def _call(poll_id: PollId, first: QueryId) -> Call:
    return Call(queue="match", task="match", key=f"match {poll_id} {first}", args={"poll": poll_id, "first": first})


# --- changes as text --------------------------------------------------------------------------------------------------


def _written(changes: Sequence[tuple[Change, PaperId]]) -> str:
    rows = [
        {
            "id": paper_id,
            "kind": change.kind,
            "paper": paper_values(change.paper),
            "before": paper_values(change.before) if change.before and change.kind is ChangeKind.KNOWN else None,
        }
        for change, paper_id in changes
    ]
    return json.dumps(rows, default=_plain)


def _plain(value: object) -> str:
    assert isinstance(value, date | datetime)
    return value.isoformat()


def _read(text: str) -> tuple[Change, ...]:
    return tuple(
        Change(
            kind=ChangeKind(row["kind"]),
            paper=_paper(row["paper"]),
            keys=(),
            paper_id=PaperId(row["id"]),
            before=_paper(row["before"]) if row["before"] else None,
        )
        for row in json.loads(text)
    )


def _paper(row: dict[str, Any]) -> Paper:
    values = {name: row[name] for name in PAPER_FIELDS}
    for name in _DATES:
        values[name] = values[name] and date.fromisoformat(values[name])
    for name in _INSTANTS:
        values[name] = values[name] and datetime.fromisoformat(values[name])
    if values["announce_type"] is not None:
        values["announce_type"] = AnnounceType(values["announce_type"])
    values["authors"], values["categories"] = tuple(row["authors"]), tuple(row["categories"])
    return Paper(**values)
