"""Quarantine: which pages killed the parser, and how often.

A page is known by a hash that its reader chooses (`intake.fingerprint`), so that a page that changed is another
page. Rows are few: a listing keeps its latest KEPT.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select

from notifier.store import schema
from notifier.store.engine import Database

KEPT = 50  # pages of one listing; one whose content changes with every look is slowed down by its failures instead


@dataclass(frozen=True, slots=True)
class Kill:
    """A page that killed the parser `times` times, the last time at `last_at`, for `reason`."""

    listing: str
    content_hash: str
    times: int
    last_at: datetime
    reason: str


class Quarantine:
    """The verbs of pages that kill."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def kills(self, listing: str | None = None) -> list[Kill]:
        """Return the pages that killed the parser, of one listing or of all, the latest first."""
        table = schema.kill
        wanted = select(table).order_by(table.c.last_at.desc(), table.c.listing)
        async with self._database.read() as connection:
            rows = await connection.execute(wanted.filter_by(listing=listing) if listing else wanted)
            return [Kill(row.listing, row.content_hash, row.times, row.last_at, row.reason) for row in rows]

    async def record_kill(self, listing: str, content_hash: str, reason: str, now: datetime) -> int:
        """Count a page that killed the parser; return how often it has."""
        table = schema.kill
        added = self._database.insert(table).values(
            listing=listing, content_hash=content_hash, times=1, last_at=now, reason=reason
        )
        counted = added.on_conflict_do_update(
            index_elements=["listing", "content_hash"],
            set_={"times": table.c.times + 1, "last_at": now, "reason": reason},
        ).returning(table.c.times)
        latest = select(table.c.content_hash).filter_by(listing=listing).order_by(table.c.last_at.desc()).limit(KEPT)
        async with self._database.write() as connection:
            times = (await connection.execute(counted)).scalar_one()
            await connection.execute(
                delete(table).where(table.c.listing == listing, table.c.content_hash.not_in(latest))
            )
        return int(times)
