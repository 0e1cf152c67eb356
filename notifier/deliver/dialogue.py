"""Lines out, replies in, in the order in which they were asked for (RFC 5321 4.2, RFC 2920).

Takes over an open transport from aiosmtplib, whose own protocol can hear one reply at a time and drops what comes
besides: with pipelined commands several replies arrive together, and a reply that nobody asked for (a 421 to an idle
client, say) must be noticed and not forgotten.

Promises that replies are bounded in memory. Fails with SMTPServerDisconnected once the connection ended, and with
SMTPResponseException for what is no reply; both are final for this connection.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque

from aiosmtplib import SMTPException, SMTPResponse, SMTPResponseException, SMTPServerDisconnected

LONGEST_LINE = 8192  # octets; RFC 5321 4.5.3.1.5 allows a reply line 512
LONGEST_REPLY = 32768  # octets, all lines of it
NO_REPLY = -1  # the code of what is not a reply

_CODE = re.compile(rb"[0-9]{3}(?![0-9])")
_PLAIN = re.compile(rb"([0-9]{3}) ([!-~](?:[ -~]{0,500}[!-~])?)\r\n")  # nearly every reply
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


class Dialogue(asyncio.Protocol):
    """One side of an SMTP session after its greeting."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._unread = bytearray()
        self._replies: deque[SMTPResponse] = deque()
        self._ended: SMTPException | None = None
        self._paused = False
        self._waiting: asyncio.Future[None] | None = None
        self._until = 0.0  # when who waits has waited long enough
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        transport.set_protocol(self)
        transport.set_write_buffer_limits(high=1, low=0)  # paused means: something is still with us
        if transport.is_closing():
            self._end(SMTPServerDisconnected("Connection lost"))

    @property
    def silent(self) -> bool:
        """Tell whether the other side said nothing yet that we have not read, and is there."""
        return not self._replies and not self._unread and self._ended is None

    @property
    def answered(self) -> bool:
        """Tell whether a reply, or the end, is there to be read at once."""
        return bool(self._replies) or self._ended is not None

    def say(self, *commands: str) -> None:
        """Write commands together; each will be answered by one reply. Raises ValueError for a control character."""
        lines = [command.encode("ascii") for command in commands]
        if any(map(_CONTROL.search, lines)):
            raise ValueError("a command contains a control character")
        self.write(b"\r\n".join(lines) + b"\r\n")

    def write(self, content: bytes) -> None:
        """Write bytes as they are; what cannot leave at once leaves when it can."""
        if self._ended is not None or self._transport.is_closing():
            raise self._ended or SMTPServerDisconnected("Connection lost")
        self._transport.write(content)

    async def reply(self, seconds: float) -> SMTPResponse:
        """Return the next reply; one reader at a time. Raises TimeoutError when it does not come in time."""
        while not self.answered:
            await self._wait(seconds)
        if self._replies:
            return self._replies.popleft()
        assert self._ended is not None
        raise self._ended

    async def flushed(self, seconds: float) -> None:
        """Return when all that was written has left us, or the other side has answered or ended; or TimeoutError."""
        while self._paused and not self.answered:
            await self._wait(seconds)

    def abort(self) -> None:
        """Close at once and forget what has not left: a message that nobody waits for is better not accepted."""
        self._transport.abort()

    async def _wait(self, seconds: float) -> None:
        """Wait until something came.

        One timer serves many waits, as most end long before it: a timer for each costs as much as the rest.
        """
        self._until = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._until:
            self._set_timer(self._until)
        self._waiting = waiting = self._loop.create_future()
        try:
            await waiting
        finally:
            self._waiting = None

    def _set_timer(self, at: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if at is None else self._loop.call_at(at, self._late)

    def _late(self) -> None:
        """Tell who waits that it is too late, or look again when it is."""
        self._timer = None
        if self._waiting is None or self._waiting.done():
            return
        if self._loop.time() < self._until:
            self._set_timer(self._until)
        else:
            self._waiting.set_exception(TimeoutError())

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _end(self, why: SMTPException) -> None:
        self._ended = self._ended or why
        self._set_timer(None)
        self._wake()

    # --- asyncio.Protocol ---------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._ended is not None:
            return
        self._unread += data
        try:
            while (found := _first_reply(self._unread)) is not None:
                reply, length = found
                del self._unread[:length]
                self._replies.append(reply)
            if len(self._unread) > LONGEST_REPLY or len(self._replies) > LONGEST_REPLY // 4:
                raise SMTPResponseException(NO_REPLY, "the reply has no end")
        except SMTPResponseException as error:
            self._unread.clear()
            self._end(error)
        self._wake()

    def eof_received(self) -> bool:
        self._end(SMTPServerDisconnected("Connection closed"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        error = SMTPServerDisconnected(f"Connection lost: {exc}" if exc else "Connection lost")
        error.__cause__ = exc
        self._end(error)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._wake()


def _first_reply(unread: bytearray) -> tuple[SMTPResponse, int] | None:
    """Return the reply that `unread` starts with and its length in octets, None if it is not complete yet."""
    if plain := _PLAIN.match(unread):
        return SMTPResponse(int(plain[1]), plain[2].decode()), plain.end()
    lines: list[bytes] = []
    start = 0
    while (end := unread.find(b"\n", start)) >= 0:
        line = bytes(unread[start:end]).strip(b" \t\r")
        start = end + 1
        if not _CODE.match(line) or len(line) > LONGEST_LINE:
            raise SMTPResponseException(NO_REPLY, f"no reply: {line[:200].decode('utf-8', 'replace')}")
        lines.append(line[4:].strip())
        if line[3:4] != b"-":
            return SMTPResponse(int(line[:3]), b"\n".join(lines).decode("utf-8", "surrogateescape")), start
        if start > LONGEST_REPLY:
            raise SMTPResponseException(NO_REPLY, "the reply has no end")
    return None
