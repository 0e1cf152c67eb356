"""Hosts: when each may be asked again, and what its robots.txt says to us. A restart forgets neither (G9).

On PostgreSQL a host is asked by one of all processes at a time: whoever enters it holds it until leaving it, or for
HELD by the database's clock when it died there. On SQLite the one process sees to that by itself.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import RowMapping, delete, func, or_, select, update

from notifier.model import HostState
from notifier.store import schema
from notifier.store.engine import Database

FORGOTTEN = timedelta(days=90)  # a host that no listing led to
HELD = timedelta(seconds=150)  # longer than a turn is waited for, and a fetch lasts
_UNKNOWN = {"reason": "", "robots": "", "crawl_delay": 0}  # of a host that was never asked
_STATE = tuple(each for each in schema.host.c if not each.name.startswith("busy"))


class Hosts:
    """The verbs of politeness."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def host_state(self, host: str) -> HostState | None:
        """Return how we stand with a host, None when it was never asked."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(*_STATE).filter_by(host=host))).mappings().first()
        return _host_state(row) if row else None

    async def keep_host(self, state: HostState) -> None:
        """Remember how we stand with a host."""
        values = asdict(state) | {"crawl_delay": int(state.crawl_delay.total_seconds())}
        table = schema.host
        async with self._database.write() as connection:
            change = self._database.insert(table).values(values)
            await connection.execute(change.on_conflict_do_update(index_elements=[table.c.host], set_=values))

    async def enter_host(self, host: str, who: str) -> bool:
        """Take the right to ask a host; False while another process has it."""
        if self._database.is_sqlite:
            return True
        table, now = schema.host, func.clock_timestamp()
        mine = {"busy_by": who, "busy_until": now + HELD}
        async with self._database.write(alone=False) as connection:
            new = self._database.insert(table).values(**_UNKNOWN, host=host).on_conflict_do_nothing()
            free = or_(table.c.busy_until.is_(None), table.c.busy_until <= now)
            taken = update(table).where(table.c.host == host, free).values(mine)
            if (await connection.execute(taken)).rowcount:
                return True
            if not (await connection.execute(new)).rowcount:
                return False
            return bool((await connection.execute(taken)).rowcount)

    async def leave_host(self, host: str, who: str) -> None:
        """Give the right back."""
        if self._database.is_sqlite:
            return
        table = schema.host
        async with self._database.write(alone=False) as connection:
            mine = table.c.host == host, table.c.busy_by == who
            await connection.execute(update(table).where(*mine).values(busy_by=None, busy_until=None))

    async def forget_hosts(self, now: datetime) -> int:
        """Forget hosts that were not asked for FORGOTTEN and are not left alone; return how many there were."""
        table = schema.host
        old = [or_(each.is_(None), each < now - FORGOTTEN) for each in (table.c.next_request_at, table.c.blocked_until)]
        async with self._database.write() as connection:
            return (await connection.execute(delete(table).where(*old, table.c.robots_until < now))).rowcount

    async def resting_hosts(self, now: datetime) -> list[HostState]:
        """Return the hosts that are left alone for longer than the gap, by name."""
        table = schema.host
        async with self._database.read() as connection:
            rows = await connection.execute(select(*_STATE).where(table.c.blocked_until > now).order_by(table.c.host))
            return [_host_state(row) for row in rows.mappings()]

    async def resume_host(self, host: str, listings: Collection[str], now: datetime) -> bool:
        """End the pause of a host and make these listings of it due; return whether there was a pause."""
        table = schema.host
        async with self._database.write() as connection:
            resting = table.c.host == host, table.c.blocked_until > now
            ended = await connection.execute(update(table).where(*resting).values(blocked_until=None, reason=""))
            if not ended.rowcount:
                return False
            theirs = schema.listing.c.name.in_(listings)
            await connection.execute(update(schema.listing).where(theirs).values(next_poll_at=now))
        return True


def _host_state(row: RowMapping) -> HostState:
    return HostState(**{**row, "crawl_delay": timedelta(seconds=row["crawl_delay"])})
