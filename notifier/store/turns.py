"""Turns: which messages a claim takes. Letters first, then the oldest of each recipient domain, domain after domain.

The next claim goes on behind the domain that the last one ended with, so that none waits for another's thousands. What
waits is found from one domain to the next by an index, never counted or sorted, however much of it there is.
"""
# ruff: noqa: S608  the statements below are put together from constants alone

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.retry import MAX_CRASHES
from notifier.store import schema
from notifier.store.engine import Database

PACE_SPAN = timedelta(seconds=10)  # what a claim takes of a domain whose rate is limited lasts this long
NO_PACE: Mapping[str, int] = {}

# A message that may go: its time has come, and its reader, if it is a digest, is one that mail is sent to.
_MAY_GO = """x.state IN ('queued', 'deferred') AND x.next_attempt_at <= :now AND x.crashes < :suspect
    AND (x.kind <> 'digest' OR EXISTS (
        SELECT 1 FROM subscriber s WHERE s.id = x.subscriber_id AND s.state = 'confirmed'))"""
# The domains that messages wait for, in their order after one of them: from each to the next by the index.
# SQLite must be told which: without, it takes the index by state, and looks at all that waits for every domain.
_NEXT = "SELECT min(m.domain) FROM message m {by} WHERE m.state IN ('queued', 'deferred') AND m.domain >"
_DOMAINS = {
    sqlite: f"""
WITH RECURSIVE waiting(domain) AS (
    {_NEXT.format(by=by)} :after
    UNION ALL
    SELECT ({_NEXT.format(by=by)} waiting.domain) FROM waiting WHERE waiting.domain IS NOT NULL
)
SELECT waiting.domain FROM waiting WHERE waiting.domain IS NOT NULL AND EXISTS (
    SELECT 1 FROM message m WHERE m.state IN ('queued', 'deferred') AND m.domain = waiting.domain
    AND m.next_attempt_at <= :now)
LIMIT :most"""
    for sqlite, by in ((True, "INDEXED BY ix_message_waiting"), (False, ""))
}
_OLDEST = (
    f"SELECT x.id FROM message x WHERE x.domain = d.value AND {_MAY_GO} ORDER BY x.next_attempt_at, x.id LIMIT :share"
)
_OF_EACH = {
    True: f"SELECT m.id, m.domain FROM json_each(:domains) d CROSS JOIN message m ON m.id IN ({_OLDEST})",
    False: f"""SELECT o.id, d.value AS domain FROM unnest(CAST(:domains AS text[])) d(value)
        CROSS JOIN LATERAL ({_OLDEST} FOR UPDATE OF x SKIP LOCKED) o""",
}


_SUSPECT = f"SELECT x.id FROM message x WHERE {_MAY_GO} AND x.crashes >= :doubtful ORDER BY x.id LIMIT :most"
_LETTER = f"SELECT x.id FROM message x WHERE x.kind <> 'digest' AND {_MAY_GO} ORDER BY x.next_attempt_at LIMIT :most"


class Turns:
    """Remembers whose turn it is."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._behind = ""  # the domain that was claimed for last

    async def chosen(
        self, connection: AsyncConnection, now: datetime, limit: int, *, pace: Mapping[str, int], suspects: bool
    ) -> list[int]:
        """Return which messages to claim."""
        times = [bindparam("now", now, schema.Instant())]
        if suspects:
            found = text(_SUSPECT).bindparams(*times)
            rows = await connection.execute(found, {"most": limit, "suspect": MAX_CRASHES, "doubtful": MAX_CRASHES - 1})
            return list(rows.scalars())
        limits = {"most": limit, "suspect": MAX_CRASHES - 1}
        ids = list((await connection.execute(text(_LETTER).bindparams(*times), limits)).scalars())
        if len(ids) >= limit:
            return ids
        await self._queue_up(connection, pace)
        resting = await _paced(connection, pace, now)
        domains = [each for each in await self._domains(connection, times, limit - len(ids)) if each not in resting]
        if not domains:
            return ids
        self._behind = domains[-1]
        rows = await connection.execute(
            text(_OF_EACH[self._database.is_sqlite]).bindparams(*times),
            {
                "domains": json.dumps(domains) if self._database.is_sqlite else domains,
                "share": max(1, (limit - len(ids)) // len(domains)),
                "suspect": MAX_CRASHES - 1,
            },
        )
        of_domain: dict[str, list[int]] = {}
        for number, domain in rows:
            of_domain.setdefault(domain, []).append(number)
        seen = set(ids)
        for domain, numbers in of_domain.items():
            fresh = [number for number in numbers if number not in seen]
            if domain in pace:
                fresh = fresh[: max(1, int(pace[domain] * PACE_SPAN / timedelta(minutes=1)))]
                await self._take_turns(connection, domain, now + timedelta(minutes=1) / pace[domain] * len(fresh))
            ids += fresh
        return ids

    async def _domains(self, connection: AsyncConnection, times: Sequence[Any], most: int) -> list[str]:
        """Return the domains whose turn it is, beginning behind the one that was claimed for last."""
        asked = text(_DOMAINS[self._database.is_sqlite]).bindparams(*times)
        behind = list((await connection.execute(asked, {"after": self._behind, "most": most})).scalars())
        if len(behind) >= most or not self._behind:
            return behind
        first = await connection.execute(asked, {"after": "", "most": most - len(behind)})
        return list(dict.fromkeys([*behind, *first.scalars()]))

    async def _queue_up(self, connection: AsyncConnection, pace: Mapping[str, int]) -> None:
        """Let no other claim look at the domains of limited rate until this one has taken its turns (PostgreSQL)."""
        if not pace or self._database.is_sqlite:
            return
        table, long_ago = schema.domain, datetime(1970, 1, 1, tzinfo=UTC)
        added = self._database.insert(table).on_conflict_do_nothing()
        await connection.execute(added, [{"domain": each, "free_at": long_ago} for each in sorted(pace)])
        mine = select(table.c.domain).where(table.c.domain.in_(list(pace))).order_by(table.c.domain)
        await connection.execute(mine.with_for_update())

    async def _take_turns(self, connection: AsyncConnection, domain: str, free_at: datetime) -> None:
        """Record when the next message may leave for a domain."""
        added = self._database.insert(schema.domain).values(domain=domain, free_at=free_at)
        await connection.execute(added.on_conflict_do_update(index_elements=["domain"], set_={"free_at": free_at}))


async def _paced(connection: AsyncConnection, pace: Mapping[str, int], now: datetime) -> set[str]:
    """Return the domains that must wait; a wait longer than any that is given came from a clock that was wrong."""
    if not pace:
        return set()
    table = schema.domain
    waits = table.c.free_at > now, table.c.free_at <= now + PACE_SPAN + timedelta(minutes=1)
    rows = await connection.execute(select(table.c.domain).where(table.c.domain.in_(list(pace)), *waits))
    return set(rows.scalars())
