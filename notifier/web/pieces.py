"""Pieces: an answer goes to the transport of its connection a piece at a time, as the client takes it.

asyncio copies what the kernel does not take at once into a buffer of the connection, half a megabyte for a large feed.
Here a connection copies HIGH_WATER and a PIECE at most; the rest is the feed that all its readers share, waiting to be
cut. The kernel is asked to hold little more (`bound_kernel`). What a client has taken is what its machine acknowledged,
not what our kernel was willing to hold for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import struct
import termios
from collections import deque
from typing import Any

PIECE = 64 * 1024  # bytes
HIGH_WATER = 32 * 1024  # bytes that wait in the buffer of a connection before it gets no more pieces
UNSENT = 64 * 1024  # bytes that the kernel holds for a client beyond what is on its way (TCP_NOTSENT_LOWAT)
INTERNET = (socket.AF_INET, socket.AF_INET6)  # of a UNIX socket the kernel counts its own buffers, not the bytes


class Pieces:
    """A transport that writes in pieces; whoever owns it passes `pause` and `go_on` of the event loop on."""

    __slots__ = ("_closing", "_left", "_paused", "_transport", "written")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._left: deque[memoryview] = deque()
        self._paused = False
        self._closing = False
        self.written = 0  # bytes since the connection was made
        transport.set_write_buffer_limits(HIGH_WATER)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write some bytes, now or when the client has taken what was written before."""
        self.written += len(data)
        if len(data) <= PIECE and not self._left and not self._paused:
            self._transport.write(data)
        else:
            self._left.append(memoryview(data))
            self.go_on()

    def pause(self) -> None:
        """Write no more for now."""
        self._paused = True

    def go_on(self) -> None:
        """Write what is left, as far as it is taken."""
        self._paused = self._transport.get_write_buffer_size() > HIGH_WATER
        while self._left and not self._paused and not self._transport.is_closing():
            first = self._left.popleft()
            if len(first) > PIECE:
                self._left.appendleft(first[PIECE:])
            self._transport.write(first[:PIECE])  # may call `pause`
        if self._closing and not self._left:
            self._transport.close()

    def close(self) -> None:
        """Close the connection when all is written; what the client says until then is for its owner to drop."""
        self._closing = True
        if not self._left:
            self._transport.close()

    def abort(self) -> None:
        """Close the connection now."""
        self._left.clear()
        self._transport.abort()

    def is_closing(self) -> bool:
        """Tell whether the connection is, or will be, closed from here."""
        return self._closing or self._transport.is_closing()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait here for the client."""
        return self._transport.get_write_buffer_size() + sum(map(len, self._left))

    @property
    def copied(self) -> int:
        """Return how many bytes of memory this connection has for itself."""
        return self._transport.get_write_buffer_size()

    @property
    def untaken(self) -> int:
        """Return how many bytes the client has not acknowledged, those in the kernel with them."""
        return self.get_write_buffer_size() + self._in_kernel()

    def _in_kernel(self) -> int:
        with contextlib.suppress(OSError, AttributeError):  # closed, or no such system call
            connection = self._transport.get_extra_info("socket")
            if connection.family in INTERNET:
                waiting: int = struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]
                return waiting
        return 0


def bound_kernel(listening: socket.socket) -> None:
    """Let the kernel take no more than UNSENT bytes that it cannot send yet, for the connections of a socket."""
    if hasattr(socket, "TCP_NOTSENT_LOWAT") and listening.family in INTERNET:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
