"""Stroke: many rows in one statement, for what nearly all messages go through: moving their subscriptions on, keeping
their bytes, the marks before the final dot and the answers "sent".

PostgreSQL only. A worker that has few places at the relay shares a transaction among few messages, so that what it
costs by itself counts: a statement that commits by itself takes one round trip where seven were needed. It does what
`outbox._mark` and `outbox._settle_all` do, and locks rows in the order of their numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Integer, LargeBinary, Text, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.store.engine import Database
from notifier.store.schema import Instant
from notifier.store.score import STALE_AFTER

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_STROKE = text("""
WITH marked AS (
    UPDATE message m SET state = 'in-doubt', lease_until = coalesce(given.until, m.lease_until)
    FROM unnest(:marks, :owners, :untils) given(id, owner, until)
    WHERE m.id = given.id AND m.owner = given.owner AND m.state = 'claimed'
    RETURNING m.id
), sent AS (
    UPDATE message m SET state = 'sent', attempts = m.attempts + 1, crashes = 0, owner = NULL, lease_until = NULL,
        code = given.code, reply = given.words, settled_at = given.at
    FROM unnest(:answers, :codes, :words, :times) given(id, code, words, at)
    WHERE m.id = given.id AND m.state IN ('claimed', 'in-doubt')
    RETURNING m.id, m.subscriber_id
), forgotten AS (
    DELETE FROM content c USING sent WHERE c.message_id = sent.id
), healed AS (
    UPDATE subscriber s SET bounce_score = 0, bounced_at = NULL, health = '' FROM sent
    WHERE s.id = sent.subscriber_id AND s.state = 'confirmed' AND (s.bounced_at IS NULL OR s.bounced_at < :stale)
        AND (s.health <> '' OR s.bounce_score <> 0)
)
SELECT id FROM marked UNION ALL SELECT id FROM sent""").bindparams(
    bindparam("marks", type_=ARRAY(BigInteger)),
    bindparam("owners", type_=ARRAY(Text)),
    bindparam("untils", type_=ARRAY(Instant)),
    bindparam("answers", type_=ARRAY(BigInteger)),
    bindparam("codes", type_=ARRAY(Integer)),
    bindparam("words", type_=ARRAY(Text)),
    bindparam("times", type_=ARRAY(Instant)),
    bindparam("stale", type_=Instant()),
)

_GIVEN = {"numbers": "number", "bytes": "bytes", "times": "at"}
# The lock waits for a reader who is leaving: without it the statement would store what that just deleted.
_KEPT = text("""
INSERT INTO content (message_id, octets, packed_at)
SELECT m.id, given.octets, given.at FROM unnest(:numbers, :bytes, :times) given(id, octets, at)
JOIN (
    SELECT id FROM message WHERE id = ANY(:numbers) AND owner = :mine AND state = 'claimed'
    ORDER BY id FOR NO KEY UPDATE
) m ON m.id = given.id
ON CONFLICT (message_id) DO UPDATE SET octets = excluded.octets, packed_at = excluded.packed_at""").bindparams(
    bindparam("numbers", type_=ARRAY(BigInteger)),
    bindparam("bytes", type_=ARRAY(LargeBinary)),
    bindparam("times", type_=ARRAY(Instant)),
)

_MOVED = text("""
UPDATE subscription s SET next_due_at = given.due, cursor = given.last
FROM unnest(:numbers, :times, :polls) given(id, due, last) WHERE s.id = given.id""").bindparams(
    bindparam("numbers", type_=ARRAY(BigInteger)),
    bindparam("times", type_=ARRAY(Instant)),
    bindparam("polls", type_=ARRAY(BigInteger)),
)


async def move_all(connection: AsyncConnection, moved: Sequence[tuple[datetime | None, int, int]]) -> None:
    """Move subscriptions on, given as (when they are due next, the last poll they were told of, their number)."""
    times, polls, numbers = ([row[place] for row in moved] for place in range(3))
    await connection.execute(_MOVED, {"numbers": numbers, "times": times, "polls": polls})


async def keep_all(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]], owner: str) -> None:
    """Store the `bytes` of messages that are claimed by `owner`, by `number`, with when they were packed (`at`)."""
    given = {name: [row[each] for row in rows] for name, each in _GIVEN.items()}
    await connection.execute(_KEPT, given | {"mine": owner})


async def stroke(
    database: Database,
    marks: Mapping[int, tuple[str, datetime | None]],
    answers: Mapping[int, tuple[int | None, str, datetime]],
) -> set[int]:
    """Mark and settle; return the messages that were ours to mark, and those that are sent now.

    `marks` are the owner and the new lease of messages whose final dot follows, `answers` the code, the words and the
    time of those that the relay took.
    """
    given = {
        "marks": (order := sorted(marks)),
        "owners": [marks[number][0] for number in order],
        "untils": [marks[number][1] for number in order],
        "answers": (order := sorted(answers)),
        "codes": [answers[number][0] for number in order],
        "words": [answers[number][1] for number in order],
        "times": [answers[number][2] for number in order],
        "stale": max((at for _, _, at in answers.values()), default=_LONG_AGO) - STALE_AFTER,
    }
    return {row.id for row in await database.once(_STROKE, given)}
