"""Keeping: the verbs of an operator over the whole database: hold its mail, release it, prune what grows for ever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, exists, func, select

from notifier.model import OutboxState, Outcome
from notifier.store import schema
from notifier.store.engine import Database
from notifier.store.lines import prune_lines
from notifier.store.sqlite import BUSY_TIMEOUT

READERS_PATIENCE = 1_000  # milliseconds to wait for readers before the log is cut short
AT_ONCE = 5_000  # rows in one transaction, so that nothing else waits long
TRIAL = 500_000  # bytes that must find room after a full disk, before anything else is tried
DULL = (Outcome.QUIET, Outcome.WAITING, Outcome.STALE, Outcome.FAILED)  # polls that brought nothing


WAITING = (OutboxState.QUEUED, OutboxState.CLAIMED, OutboxState.DEFERRED, OutboxState.IN_DOUBT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a monitor wants to know of the whole database; None where nothing is due or waits."""

    oldest_due: datetime | None
    oldest_message: datetime | None
    deferred: Mapping[int | None, int]
    bounces: Mapping[str, int]


class Keeping:
    """Holding, releasing, pruning."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def mail_held(self) -> str | None:
        """Return why no mail leaves; None when it may."""
        async with self._database.read() as connection:
            found: str | None = await connection.scalar(select(schema.setting.c.value).filter_by(key="hold"))
        return found

    async def ahead_of(self, now: datetime) -> timedelta:
        """Return how far the clock of the database is ahead of `now`; nothing on SQLite, which has none of its own."""
        if self._database.is_sqlite:
            return timedelta()
        async with self._database.read() as connection:
            its: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
        return its - now

    async def release_mail(self) -> bool:
        """Let the mail leave again; False when nothing held it."""
        async with self._database.write() as connection:
            done = await connection.execute(delete(schema.setting).where(schema.setting.c.key == "hold"))
        return bool(done.rowcount)

    async def ensure_writable(self, now: datetime) -> None:
        """Store that we tried to store something. Raises Unwritable; takes as long for everybody who asks.

        After a failure more is tried than a stamp: a disk may have room for that and for nothing else.
        """
        if self._database.unwritable:
            await self._try(now.isoformat().ljust(TRIAL))
            self._database.unwritable = ""
        await self._try(now.isoformat())

    async def _try(self, value: str) -> None:
        row = {"key": "tried", "value": value}
        async with self._database.write() as connection:
            tried = self._database.insert(schema.setting).values(row)
            await connection.execute(tried.on_conflict_do_update(index_elements=["key"], set_=row))

    async def figures(self, now: datetime) -> Figures:
        """Return the age of what waits, deferred messages by the code of the last reply, and bounces by kind."""
        subscription, message, bounce = schema.subscription, schema.message, schema.bounce
        due = select(func.min(subscription.c.next_due_at)).where(
            subscription.c.active, subscription.c.next_due_at <= now
        )
        oldest = select(func.min(message.c.queued_at)).where(message.c.state.in_(WAITING))
        codes = select(message.c.code, func.count()).where(message.c.state == OutboxState.DEFERRED)
        kinds = select(bounce.c.kind, func.count()).group_by(bounce.c.kind)
        async with self._database.read() as connection:
            return Figures(
                oldest_due=await connection.scalar(due),
                oldest_message=await connection.scalar(oldest),
                deferred={row[0]: row[1] for row in await connection.execute(codes.group_by(message.c.code))},
                bounces={row[0]: row[1] for row in await connection.execute(kinds)},
            )

    async def prune_lines(self, now: datetime) -> int:
        """Delete lines of messages that none needs any more; return how many there were."""
        return await prune_lines(self._database, now)

    async def shorten_log(self) -> bool:
        """Bring SQLite's write-ahead log into the database and cut it short; False while a reader holds on to it.

        Whoever wants to write waits meanwhile, so readers are not waited for as long as writers are.
        """
        if not self._database.is_sqlite:
            return True
        async with self._database.outside() as connection:
            await connection.exec_driver_sql(f"PRAGMA busy_timeout = {READERS_PATIENCE}")
            busy = (await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")).first()
            await connection.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_TIMEOUT * 1000}")
        return busy is not None and not busy[0]

    async def prune_polls(self, now: datetime, after: timedelta) -> int:
        """Delete polls that brought nothing and are older than `after`; return how many there were.

        What a paper, sighting or hit refers to stays, and so does the first good poll of each listing. No paper and no
        key ever goes: nothing becomes news twice.
        """
        poll, total = schema.poll, 0
        first = select(func.min(poll.c.id)).where(poll.c.outcome != Outcome.FAILED).group_by(poll.c.listing)
        unused = [
            ~exists().where(column == poll.c.id)
            for column in (
                schema.paper.c.poll_id,
                schema.sighting.c.poll_id,
                schema.hit.c.poll_id,
                schema.batch.c.poll_id,
                schema.shard.c.poll_id,
            )
        ]
        old = (
            select(poll.c.id)
            .where(poll.c.polled_at < now - after, poll.c.outcome.in_(DULL), poll.c.new == 0)
            .where(poll.c.id.not_in(first), *unused)
            .limit(AT_ONCE)
        )
        while True:
            async with self._database.write() as connection:
                done = await connection.execute(delete(poll).where(poll.c.id.in_(old)))
            total += done.rowcount
            if done.rowcount < AT_ONCE:
                return total
