"""A mail server that takes everything and remembers only how often each Message-ID came, for very many messages."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

MESSAGE_ID = re.compile(rb"^message-id:\s*(<[^>]*>)", re.IGNORECASE | re.MULTILINE)
END = b"\r\n.\r\n"


@dataclass(slots=True)
class Sink:
    """`copies` by Message-ID."""

    port: int = 0
    copies: Counter[bytes] = field(default_factory=Counter)


class _Session(asyncio.Protocol):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._read = bytearray()
        self._in_content = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(b"220 sink.example ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._read += data
        while self._step():
            pass

    def _step(self) -> bool:
        """Answer the next command, or take the content; False when it has not all come."""
        end = END if self._in_content else b"\r\n"
        at = self._read.find(end)
        if at < 0:
            return False
        taken = bytes(self._read[:at])
        del self._read[: at + len(end)]
        if self._in_content:
            found = MESSAGE_ID.search(taken)
            self._sink.copies[found[1] if found else b"none"] += 1
            self._in_content = False
            self._transport.write(b"250 2.0.0 taken\r\n")
            return True
        verb = taken[:4].upper()
        if verb == b"DATA":
            self._in_content = True
            self._transport.write(b"354 go on\r\n")
        elif verb == b"EHLO":
            self._transport.write(b"250-sink.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
        elif verb == b"QUIT":
            self._transport.write(b"221 2.0.0 bye\r\n")
            self._transport.close()
        else:
            self._transport.write(b"250 2.0.0 well\r\n")
        return True


@asynccontextmanager
async def sink() -> AsyncIterator[Sink]:
    """Run one on loopback, in this event loop."""
    here = Sink()
    server = await asyncio.get_running_loop().create_server(lambda: _Session(here), "127.0.0.1", 0)
    here.port = server.sockets[0].getsockname()[1]
    try:
        yield here
    finally:
        server.close()
