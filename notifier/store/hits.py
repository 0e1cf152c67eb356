"""Hits: which query a paper passed, by which poll. Parts of transactions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.model import Change, ChangeKind, Hits, PaperId, PollId
from notifier.store import schema
from notifier.store.engine import Database, execute_rows

ROWS_AT_ONCE = 50_000  # hits given to the database in one call
KINDS = {ChangeKind.CROSS: "cross", ChangeKind.REVISED: "revised"}


async def add_hits(
    database: Database,
    connection: AsyncConnection,
    hits: Sequence[Hits],
    changes: Sequence[Change],
    papers: Sequence[PaperId],
    poll_id: PollId,
) -> None:
    """Store hits; one of a paper that was only cross-listed becomes that of a new one, owed from now on.

    There may be a million: the statement is compiled once and given plain rows, in the order of its key.
    """
    if not hits:
        return
    marks = [
        (paper, _edition(change), KINDS.get(change.kind, "new")) for paper, change in zip(papers, changes, strict=True)
    ]
    added = database.insert(schema.hit)
    upsert = added.on_conflict_do_update(
        index_elements=list(schema.hit.primary_key.columns),
        set_={
            "kind": added.excluded.kind,
            "poll_id": added.excluded.poll_id,
            "cross_poll_id": schema.hit.c.poll_id,
        },
        where=text("hit.kind = 'cross' AND excluded.kind = 'new'"),
    )
    columns = ("query_id", "paper_id", "edition", "kind", "poll_id")
    ordered = sorted(hits, key=lambda each: each.query)
    rows = ((each.query, *marks[position], poll_id) for each in ordered for position in each.papers)
    while some := list(islice(rows, ROWS_AT_ONCE)):
        await execute_rows(connection, upsert, columns, some)


def _edition(change: Change) -> int:
    """Number what a hit is of: 0 the paper, else its version, or the day where the page gives no version."""
    if change.kind is not ChangeKind.REVISED:
        return 0
    paper = change.paper
    return paper.version or (paper.announced_on.toordinal() if paper.announced_on else 1)
