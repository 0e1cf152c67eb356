"""Bounces: a mail that came back, stored in one transaction with what it does.

The same mail does nothing twice: its hash is a key. Only what is about a message of ours has an effect - named by the
signed tag of its return path, or by the Message-ID of a message of the last days together with its recipient. Mail
that a person should look at is kept whole, within limits; the rest is forgotten once it was understood.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.model import Bounce, BounceKind, OutboxId, Report, SubscriberState
from notifier.store import schema
from notifier.store.engine import Database, again
from notifier.store.score import LONGEST_HEALTH, Counted, count
from notifier.store.settle import call_back
from notifier.store.subscribers import leave

BY_MESSAGE_ID = timedelta(days=10)  # after it was queued; relays try for five days
KEPT_FOR = timedelta(days=180)  # what is known of a mail that came back
KEPT_BYTES = 64_000  # of one mail
KEPT_MAILS = 500  # the newest ones that a person should look at
KEPT_STRANGERS = 5_000  # the newest ones that are about nobody: anybody may write to the mailbox
AGAINST_SOMEBODY = (BounceKind.HARD, BounceKind.SOFT, BounceKind.COMPLAINT)


class Bounces:
    """The verbs of what comes back."""

    def __init__(self, database: Database, secret: bytes) -> None:
        self._database = database
        self._secret = secret

    @again
    async def record_bounce(
        self, report: Report, content: bytes, now: datetime, *, about: OutboxId | None = None
    ) -> Bounce | None:
        """Store a mail that came back, and do what it says; None for one that is stored already.

        `about` is the message that a signed tag names. A complaint or the score may suppress its subscriber, who then
        gets no more mail; an UNSUBSCRIBE ends all mail to them.
        """
        table = schema.bounce
        async with self._database.write() as connection:
            message = await _message(connection, report, about, now)
            values: dict[str, Any] = {
                "content_hash": sha256(content).hexdigest(), "received_at": now, "kind": report.kind,
                "subscriber_id": message.subscriber_id if message else None,
                "outbox_id": message.id if message else None,
                "recipient": report.recipient[:320], "status": report.status[:16],
                "diagnostic": report.diagnostic[:2000], "counted": False,
                "content": content[:KEPT_BYTES] if _unclear(report, message) else None,
            }  # fmt: skip
            added = self._database.insert(table).values(values).on_conflict_do_nothing().returning(table.c.id)
            number = await connection.scalar(added)
            if number is None:
                return None
            done = await _act(connection, report, message, now) if message else Counted()
            if done.counted:
                await connection.execute(update(table).where(table.c.id == number).values(counted=True))
            await _forget_old(connection, now)
            email = message.email if message else None
        return _bounce({**values, "id": number, "email": email, "counted": done.counted}, suppressed=done.suppressed)

    async def bounces(self, limit: int, *, unclear: bool = False) -> list[Bounce]:
        """Return what came back, newest first; with `unclear` only what a person should look at."""
        async with self._database.read() as connection:
            asked = _select().order_by(schema.bounce.c.id.desc()).limit(limit)
            if unclear:
                asked = asked.where(schema.bounce.c.content.is_not(None))
            return [_bounce(row._asdict()) for row in await connection.execute(asked)]

    async def bounce(self, number: int) -> tuple[Bounce, bytes | None] | None:
        """Return one mail that came back, with its bytes if they are kept."""
        async with self._database.read() as connection:
            row = (await connection.execute(_select().where(schema.bounce.c.id == number))).first()
        return (_bounce(row._asdict()), row.content) if row else None

    async def bounce_counts(self, since: datetime) -> dict[BounceKind, int]:
        """Count what came back since then, by kind."""
        table = schema.bounce
        asked = select(table.c.kind, func.count()).where(table.c.received_at >= since).group_by(table.c.kind)
        async with self._database.read() as connection:
            return {BounceKind(kind): number for kind, number in await connection.execute(asked)}

    async def suppressed_since(self, since: datetime) -> int:
        """Count the subscribers who were suppressed since then: many in a day are a trouble of ours."""
        table = schema.subscriber
        asked = select(func.count()).where(table.c.state == SubscriberState.SUPPRESSED, table.c.since >= since)
        async with self._database.read() as connection:
            return await connection.scalar(asked) or 0

    # --- where a mailbox was read to --------------------------------------------------------------------------------

    async def mailbox_mark(self, mailbox: str) -> tuple[int, int] | None:
        """Return (UIDVALIDITY, UID) up to which an IMAP mailbox was read (RFC 3501 2.3.1.1), None for a new one."""
        async with self._database.read() as connection:
            found = await connection.scalar(select(schema.setting.c.value).filter_by(key=_mark_key(mailbox)))
        if found is None:
            return None
        validity, uid = str(found).split(":")
        return int(validity), int(uid)

    async def set_mailbox_mark(self, mailbox: str, validity: int, uid: int) -> None:
        """Remember up to where an IMAP mailbox was read."""
        async with self._database.write() as connection:
            value = {"value": f"{validity}:{uid}"}
            added = self._database.insert(schema.setting).values(key=_mark_key(mailbox), **value)
            await connection.execute(added.on_conflict_do_update(index_elements=["key"], set_=value))


def _mark_key(mailbox: str) -> str:
    return "mailbox:" + sha256(mailbox.encode()).hexdigest()[:40]


async def _message(connection: AsyncConnection, report: Report, about: OutboxId | None, now: datetime) -> Any:
    """Return the message that a mail is about, with its subscriber's `email`, if that is certain."""
    table = schema.message
    asked = select(
        table.c.id, table.c.subscriber_id, table.c.recipient, table.c.queued_at, schema.subscriber.c.email,
        schema.subscriber.c.state,
    ).outerjoin(schema.subscriber)  # fmt: skip
    if about is not None:
        return (await connection.execute(asked.where(table.c.id == about))).first()
    if not report.message_id or not report.recipient:
        return None
    row = (await connection.execute(asked.where(table.c.message_id == report.message_id))).first()
    if row is None or not _same_address(row.recipient, report.recipient) or row.queued_at < now - BY_MESSAGE_ID:
        return None
    return row


def _same_address(ours: str, theirs: str) -> bool:
    return ours.casefold() == theirs.casefold()


def _unclear(report: Report, message: Any) -> bool:
    """Tell whether a person should look at it: not understood, or a report about somebody we cannot be sure of."""
    return report.kind is BounceKind.UNKNOWN or (message is None and report.kind in AGAINST_SOMEBODY)


async def _act(connection: AsyncConnection, report: Report, message: Any, now: datetime) -> Counted:
    if message.email is None or not _same_address(message.email, message.recipient):
        # A letter to somebody who is no subscriber, or to an address that they no longer have.
        return Counted()
    if report.kind is BounceKind.UNSUBSCRIBE:
        return Counted(counted=await leave(connection, message.subscriber_id, message.state, now))
    words = f"{report.kind}: " + " ".join(part for part in (report.status, report.diagnostic) if part)
    done = await count(connection, message.subscriber_id, report.kind, words[:LONGEST_HEALTH], now)
    if done.suppressed:
        await call_back(connection, message.subscriber_id, "suppressed before it was sent", now)
    return done


async def _forget_old(connection: AsyncConnection, now: datetime) -> None:
    """Keep within limits what anybody may fill."""
    table = schema.bounce
    await connection.execute(delete(table).where(table.c.received_at < now - KEPT_FOR))
    kept = select(table.c.id).where(table.c.content.is_not(None)).order_by(table.c.id.desc())
    oldest = await connection.scalar(kept.offset(KEPT_MAILS).limit(1))
    if oldest is not None:
        old = update(table).where(table.c.id <= oldest, table.c.content.is_not(None))
        await connection.execute(old.values(content=None))
    strangers = select(table.c.id).where(table.c.subscriber_id.is_(None)).order_by(table.c.id.desc())
    oldest = await connection.scalar(strangers.offset(KEPT_STRANGERS).limit(1))
    if oldest is not None:
        await connection.execute(delete(table).where(table.c.id <= oldest, table.c.subscriber_id.is_(None)))


def _select() -> Any:
    table = schema.bounce
    about = table.outerjoin(schema.subscriber, schema.subscriber.c.id == table.c.subscriber_id)
    return select(table, schema.subscriber.c.email).select_from(about)


def _bounce(row: Mapping[str, Any], *, suppressed: bool = False) -> Bounce:
    return Bounce(
        number=row["id"], received_at=row["received_at"], kind=BounceKind(row["kind"]), email=row["email"],
        recipient=row["recipient"], status=row["status"], diagnostic=row["diagnostic"], counted=row["counted"],
        kept=row["content"] is not None, suppressed=suppressed,
    )  # fmt: skip
