"""Patience with clients: how long one may take over its request before its connection is closed.

uvicorn waits for ever for the first byte and for the end of the headers. Here both have HEADERS_WITHIN, however the
bytes trickle in; a body has BODY_WITHIN (`limits`). A client that takes none of its answer for that long is hung up on
too. Idle connections cost a file descriptor for that long, no more.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADERS_WITHIN = 10.0  # seconds


class Patient(H11Protocol):
    """HTTP/1.1 with a deadline for the headers."""

    _deadline: asyncio.TimerHandle | None = None
    _since = 0.0  # when the wait for a request began, by the clock of the loop
    _busy = False  # whether a request is being answered
    _unsent = 0  # bytes of an answer that waited to be taken when that was last looked at

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for a request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take some bytes: the wait goes on until they are a request."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop()
        super().connection_lost(exc)

    def rest(self) -> None:
        """Begin the wait anew: a request was answered without the application."""
        self._unset_keepalive_if_required()
        self._since = self.loop.time()

    def _watch(self) -> None:
        """Begin to wait for a request when the last one is answered; more bytes of one do not start it anew."""
        cycle: Any = self.cycle
        busy = cycle is not None and not cycle.response_complete
        if busy != self._busy:
            self._busy, self._since = busy, self.loop.time()
        if self._deadline is None and not self.transport.is_closing():
            self._since = self.loop.time()
            self._deadline = self.loop.call_later(HEADERS_WITHIN, self._expire)

    def _expire(self) -> None:
        """Hang up on who sends no request, and on who has taken nothing of an answer since the last look."""
        left = self._since + HEADERS_WITHIN - self.loop.time()
        before, self._unsent = self._unsent, self.transport.get_write_buffer_size()
        if self._unsent and self._unsent == before:
            self.transport.abort()
        elif left <= 0 and not self._unsent and not self._busy:
            self.transport.close()
        else:
            again = left if left > 0 and not self._unsent else HEADERS_WITHIN
            self._deadline = self.loop.call_later(again, self._expire)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
