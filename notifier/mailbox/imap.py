"""A folder over IMAP (RFC 3501): what came after the last UID that was read, of the same UIDVALIDITY.

In a mailbox that was never read, or that was made anew, it is what nobody has seen. The standard library's client
blocks, so it works in a thread; every answer has a time limit. After a mail was taken it gets the flag `Seen`, and its
UID is remembered: either is enough not to read it twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import imaplib
import re
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from notifier.errors import MailboxTrouble
from notifier.mailbox.place import MOST_BYTES, Place

TIMEOUT = 20.0  # seconds for one answer
MOST_AT_ONCE = 1_000  # mails of one look; the rest comes with the next


T = TypeVar("T")


class Marks(Protocol):
    """Remembers up to where a mailbox was read, as (UIDVALIDITY, UID)."""

    async def mailbox_mark(self, mailbox: str) -> tuple[int, int] | None:
        """Return the mark, None for a mailbox that was never read."""

    async def set_mailbox_mark(self, mailbox: str, validity: int, uid: int) -> None:
        """Remember the mark."""


class ImapMailbox:
    """A folder of an IMAP server; each look is a connection of its own."""

    def __init__(self, place: Place, password: str, marks: Marks, context: ssl.SSLContext | None = None) -> None:
        self._place = place
        self._password = password
        self._marks = marks
        self._context = context or ssl.create_default_context()

    async def read(self, take: Callable[[bytes], Awaitable[None]]) -> int:
        """Hand over every waiting mail, oldest first, and flag it as seen; return their number."""
        session = await self._try(self._open)
        try:
            validity, mark = await self._try(self._validity, session), await self._marks.mailbox_mark(self._place.name)
            last = mark[1] if mark and mark[0] == validity else None
            uids = await self._try(self._waiting, session, last)
            for uid in uids[:MOST_AT_ONCE]:
                content = await self._try(self._content, session, uid)
                if content is not None:
                    await take(content)
                    await self._try(self._mark_seen, session, uid)
                await self._marks.set_mailbox_mark(self._place.name, validity, uid)
            return len(uids[:MOST_AT_ONCE])
        finally:
            await asyncio.to_thread(_close, session)

    async def _try(self, work: Callable[..., T], *args: object) -> T:
        try:
            return await asyncio.to_thread(work, *args)
        except (imaplib.IMAP4.error, OSError, ValueError) as fault:
            raise MailboxTrouble(f"{self._place.name}: {str(fault)[:300] or type(fault).__name__}") from None

    def _open(self) -> imaplib.IMAP4:
        place = self._place
        if place.tls:
            session: imaplib.IMAP4 = imaplib.IMAP4_SSL(
                place.host, place.port, ssl_context=self._context, timeout=TIMEOUT
            )
        else:
            session = imaplib.IMAP4(place.host, place.port, timeout=TIMEOUT)
        try:
            session.login(place.user, self._password)
            _checked(session.select(f'"{place.folder}"'))
        except BaseException:
            _close(session)
            raise
        return session

    def _validity(self, session: imaplib.IMAP4) -> int:
        _, values = session.response("UIDVALIDITY")
        if not values or values[0] is None:
            raise ValueError("the server states no UIDVALIDITY")
        return int(values[0])

    def _waiting(self, session: imaplib.IMAP4, last: int | None) -> list[int]:
        if last is None:
            found = _checked(session.uid("SEARCH", "UNSEEN"))
        else:
            found = _checked(session.uid("SEARCH", f"UID {last + 1}:*"))
        numbers = [int(number) for line in found if line for number in bytes(line).split()]
        return sorted(number for number in numbers if last is None or number > last)  # n:* names the last one always

    def _content(self, session: imaplib.IMAP4, uid: int) -> bytes | None:
        """Return the beginning of a mail; None when it is gone."""
        answer = _checked(session.uid("FETCH", str(uid), f"(BODY.PEEK[]<0.{MOST_BYTES}>)"))
        for part in answer:
            if isinstance(part, tuple) and re.search(rb"BODY\[\]", part[0]):
                return bytes(part[1])
        return None

    def _mark_seen(self, session: imaplib.IMAP4, uid: int) -> None:
        session.uid("STORE", str(uid), "+FLAGS.SILENT", r"(\Seen)")  # where it may not, the remembered UID will do


def _checked(answer: tuple[str, list[Any]]) -> list[Any]:
    kind, values = answer
    if kind != "OK":
        raise ValueError(f"the server answered {kind} {values!r:.200}")
    return values


def _close(session: imaplib.IMAP4) -> None:
    with contextlib.suppress(imaplib.IMAP4.error, OSError):
        session.logout()
