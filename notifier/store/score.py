"""The score of a subscriber: when mail has come back often enough to stop sending it. The one rule, in one place.

A refusal in the SMTP dialogue and a bounce that comes by mail are the same to it. Like Mailman's: a hard bounce counts
1, a soft one a half, at most one a day counts, at 5 the subscriber is suppressed, and a week without any wipes the
score. A complaint suppresses at once. What is refused because of us or of what we wrote counts nothing.

Suppression ends mail, not the subscription: a private feed goes on, and a confirmed subscription or `notifier
subscriber resume` lifts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.model import BounceKind, SubscriberState
from notifier.store import schema

WEIGHTS = {BounceKind.HARD: 1.0, BounceKind.SOFT: 0.5}
THRESHOLD = 5.0
STALE_AFTER = timedelta(days=7)  # between two bounces, by their calendar days in UTC: weekly digests are just in time
LONGEST_HEALTH = 500  # characters kept of the words about a failed delivery
HEALTHY: dict[str, Any] = {"bounce_score": 0.0, "bounced_at": None, "health": ""}
_WELL = (
    update(schema.subscriber)
    .where(
        schema.subscriber.c.id.in_(bindparam("ids", expanding=True)),
        schema.subscriber.c.state == SubscriberState.CONFIRMED,
        schema.subscriber.c.bounced_at.is_(None) | (schema.subscriber.c.bounced_at < bindparam("stale")),
        (schema.subscriber.c.health != "") | (schema.subscriber.c.bounce_score != 0),
    )
    .values(HEALTHY)
)


@dataclass(frozen=True, slots=True)
class Counted:
    """Whether a bounce was held against the subscriber, and whether it was the last straw."""

    counted: bool = False
    suppressed: bool = False


async def count(
    connection: AsyncConnection, subscriber_id: int, kind: BounceKind, words: str, now: datetime
) -> Counted:
    """Hold a bounce against a confirmed subscriber, within the caller's transaction; `words` are kept as the reason."""
    table = schema.subscriber
    row = (await connection.execute(select(table).filter_by(id=subscriber_id).with_for_update())).one()
    if row.state != SubscriberState.CONFIRMED or (kind not in WEIGHTS and kind is not BounceKind.COMPLAINT):
        return Counted()
    days = (now.date() - row.bounced_at.date()).days if row.bounced_at else None
    if kind is not BounceKind.COMPLAINT and days == 0:
        return Counted()
    fresh = days is not None and 0 <= days <= STALE_AFTER.days  # a day in the future was a wrong clock's
    score = (row.bounce_score if fresh else 0.0) + WEIGHTS.get(kind, 0.0)
    over = kind is BounceKind.COMPLAINT or score >= THRESHOLD
    values: dict[str, Any] = {"bounce_score": score, "bounced_at": now, "health": words[:LONGEST_HEALTH]}
    if over:
        values |= {"state": SubscriberState.SUPPRESSED, "since": now}
    await connection.execute(update(table).where(table.c.id == subscriber_id).values(values))
    return Counted(counted=True, suppressed=over)


async def went_well(connection: AsyncConnection, subscriber_ids: Sequence[int], now: datetime) -> None:
    """Wipe the score of those who were sent a message and have had no bounce for a week.

    That a relay took a message says little while the bounce of the last one may still be under way.
    """
    await connection.execute(_WELL, {"ids": subscriber_ids, "stale": now - STALE_AFTER})
