"""Workers: the processes that share a PostgreSQL, and what only one of them, or so many, may do at a time.

A worker says again and again that it lives. One that was silent for LAPSE is taken for dead: what it had claimed goes
back, and its places at the relay are given to others. One that was only cut off finds that its messages are no longer
its own (`mark_in_doubt`), so nothing is sent twice; what it had under its final dot waits for the lease of the message.
All instants here are the database's. On SQLite there is one process, and nothing to share.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from notifier.store import schema
from notifier.store.engine import Database

BEAT = timedelta(seconds=10)  # between two signs of life
LAPSE = timedelta(seconds=45)  # of silence
FORGOTTEN = timedelta(days=1)  # a worker that is listed no more

NOW = func.clock_timestamp()
_ALIVE = schema.worker.c.seen_at > NOW - LAPSE
SILENT = select(schema.worker.c.owner).where(~_ALIVE)  # the owners that are taken for dead


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """A process that shares the work, and for how long it was silent."""

    owner: str
    roles: str
    silent: timedelta
    places: int


class Workers:
    """The verbs of sharing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def beat(self, owner: str, roles: str) -> None:
        """Say that a worker lives."""
        if self._database.is_sqlite:
            return
        table = schema.worker
        new = insert(table).values(owner=owner, roles=roles, seen_at=NOW, relay="", places=0)
        async with self._database.write(alone=False) as connection:
            await connection.execute(
                new.on_conflict_do_update(index_elements=[table.c.owner], set_={"roles": roles, "seen_at": NOW})
            )
            await connection.execute(delete(table).where(table.c.seen_at < NOW - FORGOTTEN))

    async def sign_off(self, owner: str) -> None:
        """Say that a worker ends; it has given everything back."""
        if self._database.is_sqlite:
            return
        async with self._database.write(alone=False) as connection:
            await connection.execute(delete(schema.worker).where(schema.worker.c.owner == owner))

    async def workers(self) -> list[WorkerState]:
        """Return the processes that share the work, those that fell silent lately included."""
        if self._database.is_sqlite:
            return []
        table = schema.worker
        async with self._database.read() as connection:
            rows = await connection.execute(
                select(table, (NOW - table.c.seen_at).label("silent")).order_by(table.c.owner)
            )
            return [WorkerState(owner=row.owner, roles=row.roles, silent=row.silent, places=row.places) for row in rows]

    async def take_places(self, owner: str, relay: str, most: int) -> int:
        """Take a fair share of the `most` connections that all workers together may hold to a relay; it may be none.

        What the others hold is not taken from them: they give back what is over their share when they next ask.
        """
        if self._database.is_sqlite:
            return most
        table = schema.worker
        new = insert(table).values(owner=owner, roles="", seen_at=NOW, relay=relay, places=0)
        async with self._database.write() as connection:
            await connection.execute(
                new.on_conflict_do_update(index_elements=[table.c.owner], set_={"relay": relay, "seen_at": NOW})
            )
            held = await connection.execute(select(table.c.owner, table.c.places).where(table.c.relay == relay, _ALIVE))
            others = [row.places for row in held if row.owner != owner]
            share = max(0, min(-(-most // (len(others) + 1)), most - sum(others)))
            await connection.execute(update(table).where(table.c.owner == owner).values(places=share))
        return int(share)

    async def give_places(self, owner: str) -> None:
        """Give back what `take_places` took."""
        if self._database.is_sqlite:
            return
        async with self._database.write(alone=False) as connection:
            await connection.execute(update(schema.worker).where(schema.worker.c.owner == owner).values(places=0))
