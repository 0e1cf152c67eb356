"""Workers: the processes that share a PostgreSQL, and what only one of them, or so many, may do at a time.

A worker says again and again that it lives. One that was silent for LAPSE is taken for dead: what it had claimed goes
back, and its places at the relay are given to others. One that was only cut off finds that its messages are no longer
its own (`mark_in_doubt`), so nothing is sent twice; what it had under its final dot waits for the lease of the message.
All instants here are the database's. On SQLite there is one process, and nothing to share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, text, update

from notifier.errors import StoreError
from notifier.store import schema
from notifier.store.engine import Database
from notifier.store.jobs import BATCH, SENDERS, Call, Jobs, senders

BEAT = timedelta(seconds=10)  # between two signs of life
LAPSE = timedelta(seconds=40)  # of silence
FORGOTTEN = timedelta(days=1)  # a worker that is listed no more

LEAST = (
    10  # places at the relay that a worker is given, if there are so many: fewer share a commit among fewer messages
)

JOBS = "jobs"  # the setting that holds the version of the engine's tables

NOW = func.clock_timestamp()
_ALIVE = schema.worker.c.seen_at > NOW - LAPSE
SILENT = select(schema.worker.c.owner).where(~_ALIVE)  # the owners that are taken for dead

_SILENT_ENGINES = text("DELETE FROM procrastinate_workers WHERE last_heartbeat < clock_timestamp() - :lapse")
_STALLED = text("DELETE FROM procrastinate_jobs WHERE status = 'doing' AND worker_id IS NULL RETURNING task_name")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """A process that shares the work, and for how long it was silent."""

    owner: str
    roles: str
    silent: timedelta
    places: int


class Workers:
    """The verbs of sharing."""

    _database: Database
    _jobs: Jobs

    @property
    def is_shared(self) -> bool:
        """Whether other processes may send from this database, too."""
        return not self._database.is_sqlite

    async def beat(self, owner: str, roles: str) -> None:
        """Say that a worker lives."""
        if self._database.is_sqlite:
            return
        table = schema.worker
        new = self._database.insert(table).values(owner=owner, roles=roles, seen_at=NOW, relay="", places=0)
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

    async def call_workers(self, calls: Sequence[Call]) -> None:
        """Call workers for rows that have been there before."""
        async with self._database.write(alone=False) as connection:
            await self._jobs.call(connection, calls)

    async def call_senders(self, now: datetime) -> None:
        """Call workers to send what is due, as many as it takes."""
        message = schema.message
        due = select(message.c.id).where(schema.WAITING, message.c.next_attempt_at <= now).limit(SENDERS * BATCH)
        async with self._database.write(alone=False) as connection:
            waiting = await connection.scalar(select(func.count()).select_from(due.subquery())) or 0
            await self._jobs.call(connection, senders(waiting))

    async def prepare_jobs(self, version: str, scripts: Callable[[str | None], Sequence[str]]) -> None:
        """Bring the engine's tables to its `version`; `scripts` are what a database of another one wants."""
        setting = schema.setting
        async with self._database.write() as connection:
            found: str | None = await connection.scalar(select(setting.c.value).filter_by(key=JOBS))
            if found == version:
                return
            if found is None and await self._jobs.are_there(connection):
                raise StoreError("the database has tables of Procrastinate that are not ours: give notifier its own")
            for script in scripts(found):
                await connection.exec_driver_sql(script.replace("%", "%%"))
            new = self._database.insert(setting).values(key=JOBS, value=version)
            await connection.execute(new.on_conflict_do_update(index_elements=[setting.c.key], set_={"value": version}))

    async def end_stalled_jobs(self) -> list[str]:
        """End the jobs of workers that are taken for dead; return their names. What they left is called for anew."""
        async with self._database.write() as connection:
            if not await self._jobs.are_there(connection):
                return []
            await connection.execute(_SILENT_ENGINES, {"lapse": LAPSE})
            return list((await connection.execute(_STALLED)).scalars())

    async def take_places(self, owner: str, relay: str, most: int) -> int:
        """Take a fair share of the `most` connections that all workers together may hold to a relay; it may be none.

        It is LEAST at least, so that some may have to wait. What the others hold is not taken from them: they give back
        what is over their share when they next ask.
        """
        if self._database.is_sqlite:
            return most
        table = schema.worker
        new = self._database.insert(table).values(owner=owner, roles="", seen_at=NOW, relay=relay, places=0)
        async with self._database.write() as connection:
            await connection.execute(
                new.on_conflict_do_update(index_elements=[table.c.owner], set_={"relay": relay, "seen_at": NOW})
            )
            held = await connection.execute(select(table.c.owner, table.c.places).where(table.c.relay == relay, _ALIVE))
            others = [row.places for row in held if row.owner != owner]
            least = min(LEAST, most)
            sharers = min(len(others) + 1, most // least)
            share = min(-(-most // sharers), most - sum(others))
            share = share if share >= least else 0
            await connection.execute(update(table).where(table.c.owner == owner).values(places=share))
        return int(share)

    async def give_places(self, owner: str) -> None:
        """Give back what `take_places` took."""
        if self._database.is_sqlite:
            return
        async with self._database.write(alone=False) as connection:
            mine = schema.worker.c.owner == owner
            await connection.execute(update(schema.worker).where(mine).values(places=0, relay=""))
