"""Patience with clients: how long one may take over its request before its connection is closed.

uvicorn waits for ever for the first byte and for the end of the headers. Here both have HEADERS_WITHIN, however the
bytes trickle in; a body has BODY_WITHIN (`limits`). A client that takes its answer at less than SLOWEST is hung up on
too, by what its machine acknowledged. Idle connections cost a file descriptor for that long, no more, and slow ones a
piece of their answer (`pieces`).

A client that has said its last word, and shuts its side, still gets its answers: for a feed that waits for its turn
while mail is sent, that is 503 (`courteous`). What it says after a request
that was to be the last is read and dropped: were it left unread, the kernel would take back the end of the answer.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from notifier.web.pieces import Pieces

HEADERS_WITHIN = 10.0  # seconds
LEFT = "notifier.left"  # in the scope of a request: called when the client hangs up, or says no more, before its answer
SLOWEST = 1_000  # bytes of an answer in a second, over HEADERS_WITHIN; a modem takes five times that


class Patient(H11Protocol):
    """HTTP/1.1 with a deadline for the headers."""

    _deadline: asyncio.TimerHandle | None = None
    _since = 0.0  # when the wait for a request began, by the clock of the loop
    _busy = False  # whether a request is being answered
    _ended = False  # whether the client said that it says no more
    _untaken = 0  # bytes of answers that the client had not taken when that was last looked at ..
    _written = 0  # .. and all that were written until then
    transport: Pieces  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for a request."""
        super().connection_made(Pieces(transport))  # type: ignore[arg-type]
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take some bytes: the wait goes on until they are a request."""
        if not self.transport.is_closing():
            super().data_received(data)
            self._watch()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Close when all that was asked for is answered: who says no more may still listen."""
        self._ended = True
        if not self._is_answering() or self.cycle.more_body:
            self.transport.close()
        self._say_left()
        return True  # asyncio would close now, without what is left

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        if self._ended and not self._is_answering():
            self.transport.close()
        self._watch()

    def pause_writing(self) -> None:
        """Write no more of an answer for now."""
        super().pause_writing()
        self.transport.pause()

    def resume_writing(self) -> None:
        """Write more of an answer."""
        super().resume_writing()
        self.transport.go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop()
        self._say_left()
        super().connection_lost(exc)

    def rest(self) -> None:
        """Begin the wait anew: a request was answered without the application."""
        self._unset_keepalive_if_required()
        self._since = self.loop.time()

    def _say_left(self) -> None:
        scope: Any = self.scope
        if self._is_answering() and LEFT in scope:
            scope[LEFT]()

    def _is_answering(self) -> bool:
        cycle: Any = self.cycle
        return cycle is not None and not cycle.response_complete

    def _watch(self) -> None:
        """Begin to wait for a request when the last one is answered; more bytes of one do not start it anew."""
        busy = self._is_answering()
        if busy != self._busy:
            self._busy, self._since = busy, self.loop.time()
        if self._deadline is None and not self.transport.is_closing():
            self._since = self.loop.time()
            self._deadline = self.loop.call_later(HEADERS_WITHIN, self._expire)

    def _expire(self) -> None:
        """Hang up on who sends no request, and on who takes an answer too slowly."""
        left = self._since + HEADERS_WITHIN - self.loop.time()
        untaken, written = self.transport.untaken, self.transport.written
        taken = max(0, self._untaken + written - self._written - untaken)  # at the first look nothing is too little
        slow = taken < min(self._untaken, SLOWEST * HEADERS_WITHIN)
        self._untaken, self._written = untaken, written
        if slow:
            self.transport.abort()
        elif left <= 0 and not untaken and not self._busy:
            self.transport.close()
        else:
            again = left if left > 0 and not untaken else HEADERS_WITHIN
            self._deadline = self.loop.call_later(again, self._expire)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
