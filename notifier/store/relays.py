"""Relays: which of them would not talk to us, and when each is asked again. The circuit breaker, kept over restarts.

A relay that works has no row, or one with no failures. One probe at a time: whoever moves its rest ahead asks.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, or_, select, update

from notifier.errors import RelayTrouble
from notifier.model import RelayRest
from notifier.retry import PERMANENT_REST, relay_rest
from notifier.store import schema
from notifier.store.engine import Database


class Relays:
    """The verbs of leaving a relay alone."""

    _database: Database

    async def resting_relays(self) -> list[RelayRest]:
        """Return the relays that would not talk to us when last asked."""
        async with self._database.read() as connection:
            return [_rest(row) for row in await connection.execute(select(schema.relay))]

    async def resting(self, relay: str) -> RelayRest | None:
        """Return how a relay rests; None when it works."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(schema.relay).filter_by(relay=relay))).first()
        return _rest(row) if row else None

    async def probe(self, relay: str, now: datetime) -> bool:
        """Take the right to ask a relay whose rest is over; False when it rests, or another process asks.

        A rest longer than any that is given was set under a clock that was wrong: it is over.
        """
        table = schema.relay
        over = or_(table.c.rests_until <= now, table.c.rests_until > now + PERMANENT_REST)
        async with self._database.write() as connection:
            taken = await connection.execute(
                update(table)
                .where(table.c.relay == relay, over)
                .values(rests_until=now + relay_rest(1, permanent=False))
            )
        return bool(taken.rowcount)

    async def relay_failed(self, relay: str, trouble: RelayTrouble, now: datetime) -> datetime:
        """Record that a relay would not talk to us; return until when it rests."""
        table = schema.relay
        async with self._database.write() as connection:
            row = (await connection.execute(select(table).filter_by(relay=relay))).first()
            failures = (row.failures if row else 0) + 1
            until = now + relay_rest(failures, permanent=trouble.permanent)
            values = {
                "failures": failures, "rests_until": until, "since": row.since if row else now,
                "permanent": trouble.permanent, "code": trouble.code, "reason": trouble.reason[:500],
            }  # fmt: skip
            added = self._database.insert(table).values(relay=relay, **values)
            await connection.execute(added.on_conflict_do_update(index_elements=["relay"], set_=values))
        return until

    async def relay_works(self, relay: str) -> None:
        """Record that a relay talks to us again."""
        async with self._database.write() as connection:
            await connection.execute(delete(schema.relay).where(schema.relay.c.relay == relay))


def _rest(row: Row[Any]) -> RelayRest:
    return RelayRest(
        relay=row.relay, failures=row.failures, until=row.rests_until, since=row.since, permanent=row.permanent,
        code=row.code, reason=row.reason,
    )  # fmt: skip
