"""Jobs: calls to the workers, stored in the transaction of the rows that they concern (PostgreSQL, Procrastinate).

A call says only that there may be something to do: the rows say what. At most one call of a key waits, so that a
database without workers gathers no heap of them, and a call that is lost is made again by the next tick.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.store.engine import Database

# The table rather than its function `procrastinate_defer_jobs_v1`, which has no ON CONFLICT: a key that waits already
# would undo the rows as well.
_ADDED = text(
    """INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, queueing_lock, args)
    VALUES (:queue, :task, :priority, :lock, :key, CAST(:args AS jsonb)) ON CONFLICT DO NOTHING"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call: `key` tells it from others that wait, of one `lock` one is done at a time, the highest priority first."""

    queue: str
    task: str
    key: str
    lock: str | None = None
    priority: int = 0
    args: Mapping[str, object] = field(default_factory=dict)


QUEUE = Call(queue="keep", task="queue", key="queue", lock="queue", priority=1)
SENDERS = 16  # calls to send that may wait: more workers than that are called by those before them
BATCH = 500  # messages that one call sends


def senders(messages: int) -> list[Call]:
    """Return the calls for so many messages."""
    return [Call(queue="send", task="send", key=f"send {n}") for n in range(min(-(-messages // BATCH), SENDERS))]


class Jobs:
    """Calls workers, where there are any."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_there = False

    async def call(self, connection: AsyncConnection, calls: Sequence[Call]) -> None:
        """Store calls with what the transaction does; nothing where no worker ever ran."""
        if not calls or not await self.are_there(connection):
            return
        rows = [
            {"queue": each.queue, "task": each.task, "priority": each.priority, "lock": each.lock, "key": each.key,
             "args": json.dumps(dict(each.args))}
            for each in calls
        ]  # fmt: skip
        await connection.execute(_ADDED, rows)

    async def are_there(self, connection: AsyncConnection) -> bool:
        """Tell whether the engine's tables are in this database."""
        if not self._is_there and not self._database.is_sqlite:
            found = await connection.scalar(text("SELECT to_regclass('procrastinate_jobs') IS NOT NULL"))
            self._is_there = bool(found)
        return self._is_there
