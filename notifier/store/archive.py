"""The archive: everything that only reads - what feeds, pages and `status` show."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select

from notifier.model import (
    ListingState,
    OutboxId,
    Outcome,
    Poll,
    StoredPaper,
    SubscriberId,
    SubscriberState,
)
from notifier.store import schema
from notifier.store.engine import Database
from notifier.store.papers import listing_state
from notifier.store.rows import STORED_COLUMNS, to_stored


class Archive:
    """The verbs of reading."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest_papers(self, limit: int) -> list[StoredPaper]:
        """Return the papers that were news, newest first; what a first poll only recorded is not among them."""
        async with self._database.read() as connection:
            rows = await connection.execute(
                select(*STORED_COLUMNS).where(schema.paper.c.counted).order_by(schema.paper.c.id.desc()).limit(limit)
            )
            return [to_stored(row) for row in rows]

    async def feed_version(self) -> tuple[int, datetime | None]:
        """Return what changes whenever the feed of new papers does: the newest paper and the newest change."""
        table = schema.paper
        async with self._database.read() as connection:
            row = (
                await connection.execute(
                    select(func.max(table.c.id), func.max(table.c.changed_at)).where(table.c.counted)
                )
            ).one()
        return row[0] or 0, row[1]

    async def listing_states(self) -> list[ListingState]:
        """Return the state of every listing that was ever polled, by name."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(schema.listing).order_by(schema.listing.c.name))
            return [listing_state(row) for row in rows.mappings()]

    async def last_polls(self, listing: str, limit: int) -> list[Poll]:
        """Return the last polls of a listing, newest first."""
        table = schema.poll
        async with self._database.read() as connection:
            rows = await connection.execute(
                select(table).filter_by(listing=listing).order_by(table.c.id.desc()).limit(limit)
            )
            return [
                Poll(
                    listing=row.listing,
                    polled_at=row.polled_at,
                    outcome=Outcome(row.outcome),
                    reason=row.reason,
                    listed_on=row.listed_on,
                    day_text=row.day_text,
                    read=row.read,
                    stated=row.stated,
                    new=row.new,
                )
                for row in rows
            ]

    async def paper_counts(self) -> tuple[int, int]:
        """Return how many papers are stored, and how many of them were news."""
        async with self._database.read() as connection:
            total = await connection.scalar(select(func.count()).select_from(schema.paper)) or 0
            news = await connection.scalar(select(func.count()).select_from(schema.paper).where(schema.paper.c.counted))
        return total, news or 0

    async def subscriber_counts(self) -> dict[SubscriberState, int]:
        """Count the subscribers in each state."""
        async with self._database.read() as connection:
            rows = await connection.execute(
                select(schema.subscriber.c.state, func.count()).group_by(schema.subscriber.c.state)
            )
            return {SubscriberState(state): count for state, count in rows}

    async def last_message(self, subscriber_id: SubscriberId) -> tuple[OutboxId, datetime] | None:
        """Return the newest message queued for a subscriber and when."""
        table = schema.message
        async with self._database.read() as connection:
            row = (
                await connection.execute(
                    select(table.c.id, table.c.queued_at)
                    .filter_by(subscriber_id=subscriber_id)
                    .order_by(table.c.id.desc())
                    .limit(1)
                )
            ).first()
        return (OutboxId(row.id), row.queued_at) if row else None

    async def message_number(self, subscriber_id: SubscriberId, message_id: str) -> OutboxId | None:
        """Find a subscriber's message by its Message-ID."""
        async with self._database.read() as connection:
            number = await connection.scalar(
                select(schema.message.c.id).filter_by(subscriber_id=subscriber_id, message_id=message_id)
            )
        return OutboxId(number) if number is not None else None
