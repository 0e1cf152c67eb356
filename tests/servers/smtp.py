"""A small SMTP server for tests: it keeps what it accepted, and fails where a test says so.

    async with post() as server:
        server.fault("rcpt paul@example.org", "450 4.2.1 later", "ok")   # once, and from then on accepted
        server.fault("dot", "lost")                                      # accepted, but nobody is told
        ... f"smtp://127.0.0.1:{server.port}" ...
        assert [m.recipients for m in server.accepted] == [...]

A fault belongs to a stage - greeting, ehlo, helo, starttls, auth, mail, rcpt, data, content (while it arrives), dot,
rset, noop, quit - or, from rcpt on, to a stage and a recipient. Its steps are used up one by one, the last one stays:
    ok          what a good server does                 close, reset   end the connection with FIN, with RST
    NNN words   this reply (421 closes as well)         silent         say nothing more
    raw:TEXT    these characters, then the next stage   wait:SECONDS   then ok
    lost, swallow   (dot) record the message, then reset or stay silent
    deaf            read nothing more
Every accepted message is one JSON line of the ledger, written and fsynced BEFORE the reply: the truth to compare with.

As a program, for tests that kill things: `python -m tests.servers.smtp --ledger FILE [--port N] [--size N]
[--fault 'STAGE[ RECIPIENT]=STEP' ...]` prints `ready PORT`; `read_ledger(FILE)` reads what it accepted.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import re
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from email import message_from_bytes
from pathlib import Path

from tests.servers.http import linger_zero

PROJECT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """One message as it was accepted; `content` without the dot stuffing, latin-1."""

    at: float
    sender: str
    recipients: list[str]
    message_id: str
    content: str
    tls: bool = False
    user: str = ""


class _Gone(Exception):
    """This connection is to end."""


@dataclass(slots=True)
class Post:
    """A running server: `accepted` messages, every command `line` it read, `connections` so far."""

    ledger: Path | None = None
    size: int = 0
    tls: ssl.SSLContext | None = None
    login: tuple[str, str] | None = None
    methods: str = "PLAIN LOGIN"
    esmtp: bool = True
    pipelining: bool = True
    trusting: bool = False
    keeping: bool = False
    guard: str = ""
    port: int = 0
    accepted: list[Accepted] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    connections: int = 0
    open_connections: int = 0
    faults: dict[str, list[str]] = field(default_factory=dict)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def fault(self, where: str, *steps: str) -> None:
        """Let the server fail at a stage, or at a stage for one recipient; without steps it is good again."""
        self.faults[where] = list(steps)

    def count(self, command: str) -> int:
        """Return how often a command that starts so was read."""
        return sum(line.upper().startswith(command) for line in self.lines)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` is true; it is looked at whenever a client, a line or a part of a message comes."""
        async with self._changed:
            await self._changed.wait_for(condition)

    def step(self, stage: str, recipients: Sequence[str]) -> str:
        for where in (*(f"{stage} {recipient}" for recipient in recipients), stage):
            if steps := self.faults.get(where):
                return steps.pop(0) if len(steps) > 1 else steps[0]
        return "ok"

    def record(self, session: _Session, content: bytes) -> None:
        message = Accepted(
            at=time.time(),
            sender=session.sender or "",
            recipients=session.recipients,
            message_id=str(message_from_bytes(content)["Message-ID"]),
            content=content.decode("latin-1"),
            tls=session.secure,
            user=session.user,
        )
        if self.ledger is not None:
            with self.ledger.open("ab") as file:
                file.write(json.dumps(asdict(message)).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        self.accepted.append(message)

    async def tell(self, *lines: str) -> None:
        async with self._changed:
            self.lines.extend(lines)
            self._changed.notify_all()


@dataclass(slots=True)
class _Session:
    """One connection."""

    server: Post
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    secure: bool = False
    user: str = ""
    sender: str | None = None
    recipients: list[str] = field(default_factory=list)

    async def run(self) -> None:
        await self.answer("greeting", "220 test.example ESMTP")
        while True:
            line = await self.line()
            verb, _, words = line.partition(" ")
            command = getattr(self, f"on_{verb.lower()}", None)
            if command is None:
                await self.say("500 5.5.1 unknown command")
            else:
                await command(words)

    async def line(self) -> str:
        line = (await self.reader.readuntil(b"\r\n"))[:-2].decode("latin-1")
        await self.server.tell(line)
        return line

    async def say(self, reply: str) -> None:
        self.writer.write(reply.encode("latin-1") + b"\r\n")
        await self.writer.drain()

    async def answer(self, stage: str, good: str) -> bool:
        """Answer a stage as planned; return whether it was the good answer."""
        step = self.server.step(stage, self.recipients)
        name, _, argument = step.partition(":")
        if step == "close":
            raise _Gone
        if step in ("reset", "lost"):
            linger_zero(self.writer)
            self.writer.transport.abort()
            raise _Gone
        if step == "deaf":
            assert isinstance(self.writer.transport, asyncio.Transport)
            self.writer.transport.pause_reading()
        if step in ("silent", "swallow", "deaf"):
            await asyncio.get_running_loop().create_future()
        if name == "raw":
            self.writer.write(argument.encode("latin-1"))
            await self.writer.drain()
            return False
        if name == "wait":
            await asyncio.sleep(float(argument))
        reply = good if step == "ok" or name == "wait" else step
        if reply:
            await self.say(reply)
        if reply.startswith("421"):
            raise _Gone
        return reply == good or reply.startswith("2")

    async def on_ehlo(self, _words: str) -> None:
        if not self.server.esmtp:
            await self.say("502 5.5.1 no")
            return
        extensions = ["test.example", "ENHANCEDSTATUSCODES"]
        extensions += ["PIPELINING"] if self.server.pipelining else []
        extensions += [f"SIZE {self.server.size}"] if self.server.size else []
        extensions += ["STARTTLS"] if self.server.tls and not self.secure else []
        extensions += [f"AUTH {self.server.methods}"] if self.server.login else []
        lines = [f"250-{text}" for text in extensions[:-1]] + [f"250 {extensions[-1]}"]
        await self.answer("ehlo", "\r\n".join(lines))

    async def on_helo(self, _words: str) -> None:
        await self.answer("helo", "250 test.example")

    async def on_starttls(self, _words: str) -> None:
        if self.server.tls is None:
            await self.say("502 5.5.1 no")
        elif await self.answer("starttls", "220 2.0.0 go ahead"):
            await self.writer.start_tls(self.server.tls)
            self.secure = True

    async def on_auth(self, words: str) -> None:
        method, _, initial = words.partition(" ")
        if method == "PLAIN":
            _, user, password = base64.b64decode(initial).decode().split("\0")
        else:
            await self.say("334 UGFzc3dvcmQ6")
            user, password = (base64.b64decode(text).decode() for text in (initial, await self.line()))
        good = (user, password) == self.server.login
        self.user = user if good else ""
        await self.answer("auth", "235 2.7.0 welcome" if good else "535 5.7.8 wrong")

    async def on_mail(self, words: str) -> None:
        if self.server.login and not self.user:
            await self.say("530 5.7.0 authentication required")
            return
        match = re.fullmatch(r"FROM:<([^<>\s]*)>( SIZE=[0-9]+)?", words)
        if match is None or (self.sender is not None and not self.server.keeping):
            await self.say("501 5.5.4 syntax" if match is None else "503 5.5.1 nested MAIL")
        elif await self.answer("mail", "250 2.1.0 ok"):
            self.sender = match[1]

    async def on_rcpt(self, words: str) -> None:
        match = re.fullmatch(r"TO:<([^<>\s]+)>", words)
        if match is None or (self.sender is None and not self.server.trusting):
            await self.say("501 5.5.4 syntax" if match is None else "503 5.5.1 MAIL first")
            return
        self.recipients.append(match[1])
        if not await self.answer("rcpt", "250 2.1.5 ok"):
            self.recipients.pop()

    async def on_data(self, _words: str) -> None:
        if not self.recipients and not self.server.trusting:
            await self.say("503 5.5.1 RCPT first")
            return
        if not await self.answer("data", "354 go ahead"):
            return
        content, early = bytearray(), False
        while (line := await self.reader.readuntil(b"\r\n")) != b".\r\n":
            content += line.removeprefix(b".")
            if not early:
                early = True
                await self.answer("content", "")
                await self.server.tell()
        await self.server.tell(".")
        if not self.recipients or self.sender is None:
            await self.say("554 5.5.1 no valid recipients")
            return
        if self.server.guard and self.reader._buffer:  # type: ignore[attr-defined]  # what came with the dot
            self.server.fault(f"dot {self.recipients[0]}", self.server.guard, "ok")
        steps = self.server.faults
        step = next((steps[w][0] for w in (f"dot {self.recipients[0]}", "dot") if steps.get(w)), "ok")
        if step.startswith("2") or step.partition(":")[0] in ("ok", "wait", "lost", "swallow", "raw"):
            self.server.record(self, bytes(content))
        try:
            await self.answer("dot", "250 2.0.0 accepted")
        finally:
            if not (self.server.keeping and step[:1] in ("4", "5")):
                self.sender, self.recipients = None, []

    async def on_rset(self, _words: str) -> None:
        if await self.answer("rset", "250 2.0.0 ok"):
            self.sender, self.recipients = None, []

    async def on_noop(self, _words: str) -> None:
        await self.answer("noop", "250 2.0.0 ok")

    async def on_quit(self, _words: str) -> None:
        await self.answer("quit", "221 2.0.0 bye")
        raise _Gone


@asynccontextmanager
async def post(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ledger: Path | None = None,
    size: int = 0,
    tls: ssl.SSLContext | None = None,
    implicit: bool = False,
    login: tuple[str, str] | None = None,
    methods: str = "PLAIN LOGIN",
    esmtp: bool = True,
    pipelining: bool = True,
    trusting: bool = False,
    keeping: bool = False,
    guard: str = "",
) -> AsyncIterator[Post]:
    """Run a server in this event loop; `tls` offers STARTTLS, or speaks TLS from the start with `implicit`.

    With `trusting` it awaits a message although it refused who it is from or for (RFC 2920 3.1). With `keeping` it
    keeps the recipients of a message that it refused, and takes another MAIL. `guard` is its step at a dot with which
    more came.
    """
    here = Post(
        ledger=ledger,
        size=size,
        tls=tls,
        login=login,
        methods=methods,
        esmtp=esmtp,
        pipelining=pipelining,
        trusting=trusting,
        keeping=keeping,
        guard=guard,
    )
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        here.connections += 1
        here.open_connections += 1
        await here.tell()
        try:
            with suppress(_Gone, ConnectionError, asyncio.IncompleteReadError):
                await _Session(here, reader, writer, secure=implicit).run()
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            writer.close()
            tasks.discard(task)
            here.open_connections -= 1
            await here.tell()

    server = await asyncio.start_server(connected, host, port, ssl=tls if implicit else None, limit=2**26)
    here.port = server.sockets[0].getsockname()[1]
    try:
        yield here
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def read_ledger(path: Path) -> list[Accepted]:
    """Return what a server accepted so far; a line cut off by a kill was never acknowledged and does not count."""
    if not path.exists():
        return []
    return [Accepted(**json.loads(line)) for line in path.read_bytes().split(b"\n")[:-1]]


def command(ledger: Path, *faults: str, port: int = 0) -> list[str]:
    """Return the command line of this server, to be run in PROJECT."""
    options = [option for fault in faults for option in ("--fault", fault)]
    return [sys.executable, "-m", "tests.servers.smtp", "--ledger", str(ledger), "--port", str(port), *options]


async def _serve(chosen: argparse.Namespace) -> None:
    async with post(port=chosen.port, ledger=chosen.ledger, size=chosen.size) as here:
        for fault in chosen.fault:
            where, _, step = fault.partition("=")
            here.faults.setdefault(where, []).append(step)
        print("ready", here.port, flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--size", type=int, default=0)
    parser.add_argument("--fault", action="append", default=[])
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args()))
