"""A small IMAP server for tests: one mailbox, and the commands that reading it takes (RFC 3501).

async with imap({"user": "password"}) as server:
    server.add(b"Subject: x\n\nA mail.")
    ... f"imap://user@127.0.0.1:{server.port}/INBOX" ...
    assert server.mails[0].seen
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Stored:
    """One mail of the mailbox."""

    uid: int
    content: bytes
    seen: bool = False


@dataclass(slots=True)
class Imap:
    """A running server: its mails, and the commands that it read."""

    logins: Mapping[str, str]
    port: int = 0
    validity: int = 1
    mails: list[Stored] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def add(self, content: bytes, *, seen: bool = False, uid: int | None = None) -> None:
        """Put a mail into the mailbox."""
        following = max((mail.uid for mail in self.mails), default=0) + 1
        self.mails.append(Stored(uid or following, content, seen))

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until it leaves."""
        writer.write(b"* OK ready\r\n")
        while line := (await reader.readline()).decode("latin-1").strip():
            self.lines.append(line)
            tag, _, rest = line.partition(" ")
            for answer in self._answers(rest):
                writer.write(answer + b"\r\n")
            ok = not (rest.upper().startswith("LOGIN") and not self._may(rest))
            writer.write(f"{tag} {'OK done' if ok else 'NO wrong password'}\r\n".encode())
            await writer.drain()
            if rest.upper().startswith("LOGOUT"):
                break
        writer.close()

    def _may(self, rest: str) -> bool:
        user, password = (part.strip('"') for part in rest.split()[1:3])
        return self.logins.get(user) == password

    def _answers(self, rest: str) -> list[bytes]:
        words = rest.upper()
        if words.startswith("CAPABILITY"):
            return [b"* CAPABILITY IMAP4rev1"]
        if words.startswith("SELECT"):
            return [b"* %d EXISTS" % len(self.mails), b"* OK [UIDVALIDITY %d] valid" % self.validity]
        if words.startswith("LOGOUT"):
            return [b"* BYE"]
        if words.startswith("UID SEARCH"):
            return [b"* SEARCH" + b"".join(b" %d" % mail.uid for mail in self._found(words))]
        if found := re.match(r"UID FETCH (\d+)", words):
            return [self._fetched(place, mail) for place, mail in enumerate(self.mails, 1) if mail.uid == int(found[1])]
        if found := re.match(r"UID STORE (\d+) \+FLAGS", words):
            for mail in self.mails:
                mail.seen |= mail.uid == int(found[1])
        return []

    def _found(self, words: str) -> list[Stored]:
        if since := re.search(r"UID (\d+):\*", words):
            last = max((mail.uid for mail in self.mails), default=0)
            return [mail for mail in self.mails if mail.uid >= int(since[1]) or mail.uid == last]
        return [mail for mail in self.mails if not mail.seen]

    def _fetched(self, place: int, mail: Stored) -> bytes:
        return b"* %d FETCH (UID %d BODY[]<0> {%d}\r\n%s)" % (place, mail.uid, len(mail.content), mail.content)


@asynccontextmanager
async def imap(logins: Mapping[str, str]) -> AsyncIterator[Imap]:
    """Serve a mailbox on a free port of loopback."""
    served = Imap(logins)
    server = await asyncio.start_server(served.converse, "127.0.0.1", 0)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        await server.wait_closed()
