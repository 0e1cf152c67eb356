"""Letters: queued with their content, one for each recipient and key."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime

from sqlalchemy import insert, select

from notifier.model import Letter, OutboxState
from notifier.store import schema
from notifier.store.engine import Database
from notifier.store.jobs import Jobs, senders
from notifier.store.rows import domain_of


class Letters:
    """The verbs of writing to people beside their digests."""

    _jobs: Jobs
    _database: Database
    _secret: bytes

    def letter_name(self, letter: Letter, domain: str) -> str:
        """Return the Message-ID of a letter: one for each recipient and key."""
        name = hmac.new(self._secret, f"letter\n{letter.recipient}\n{letter.key}".encode(), hashlib.sha256)
        return f"<{name.hexdigest()[:32]}@{domain}>"

    async def add_letter(self, letter: Letter, message_id: str, content: bytes, now: datetime) -> bool:
        """Queue a composed letter; False when this recipient and key had one already, whatever became of it."""
        added = self._database.insert(schema.message).values(
            message_id=message_id,
            kind=letter.kind,
            subscriber_id=letter.subscriber_id,
            period=letter.key,
            cadence="",
            state=OutboxState.QUEUED,
            recipient=letter.recipient,
            domain=domain_of(letter.recipient),
            poll_from=0,
            poll_to=0,
            queued_at=now,
            next_attempt_at=now,
            attempts=0,
            doubts=0,
            reply="",
        )
        once = added.on_conflict_do_nothing().returning(schema.message.c.id)
        async with self._database.write() as connection:
            number = await connection.scalar(once)
            if number is not None:
                await connection.execute(insert(schema.content).values(message_id=number, octets=content))
            await self._jobs.call(connection, senders(int(number is not None)))
        return number is not None

    async def has_letter(self, recipient: str, key: str) -> bool:
        """Tell whether there is a letter for this recipient and key."""
        message = schema.message
        mine = select(message.c.id).where(schema.LETTER, message.c.recipient == recipient, message.c.period == key)
        async with self._database.read() as connection:
            return (await connection.execute(mine)).first() is not None
