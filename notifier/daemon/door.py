"""The door: takes in connections a few at a time, and while mail is being sent fewer.

A crowd of readers at the full hour waits in the kernel's backlog, where it costs nothing, instead of in the event loop
and before the interpreter's lock. Each turn of the loop lets ADMITTED in, so that everything else has its turn after a
few of them; while mail is being sent it is BESIDE_MAIL, at its start IN_HURRY, and the door is shut for PAUSE after
each turn: a mail run of some seconds is over before the crowd costs it much, and beside a long one nobody waits long.
Who waits when the backlog is full is asked by TCP to try again, after a second at first.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

from notifier.courtesy import Courtesy
from notifier.web.pieces import bound_kernel

BACKLOG = 4096  # connections that wait; Linux takes no more unless told to
ADMITTED = 16  # connections in one turn of the event loop
BESIDE_MAIL = 16  # the same while mail is being sent ..
IN_HURRY = 5  # and in its first seconds (`courtesy.HURRY`) ..
PAUSE = 0.05  # .. with so many seconds between two turns: 320, or 100, connections in a second; few turns, each costs
WITHOUT_ROOM = 1.0  # seconds to wait when the process, or the machine, has no file descriptors or memory left
NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Door:
    """Takes in the connections of a listening socket; to a server it is what `loop.create_server` returns."""

    def __init__(self, listening: socket.socket, protocol: Callable[[], asyncio.Protocol], courtesy: Courtesy) -> None:
        self._socket = listening
        self._protocol = protocol
        self._courtesy = courtesy
        self._loop = asyncio.get_running_loop()
        self._coming: set[asyncio.Task[object]] = set()
        self._opening: asyncio.TimerHandle | None = None
        self._closed = False
        listening.setblocking(False)
        listening.listen(BACKLOG)
        bound_kernel(listening)
        self._open()

    def close(self) -> None:
        """Take in nobody any more."""
        if not self._closed:
            self._closed = True
            self._shut()
            self._socket.close()

    async def wait_closed(self) -> None:
        """Wait for those who are in the door."""
        if self._coming:
            await asyncio.wait(self._coming)

    def _open(self) -> None:
        self._opening = None
        self._loop.add_reader(self._socket.fileno(), self._admit)

    def _shut(self, seconds: float | None = None) -> None:
        """Shut the door, for some seconds or for good."""
        self._loop.remove_reader(self._socket.fileno())
        if self._opening:
            self._opening.cancel()
        self._opening = None if seconds is None else self._loop.call_later(seconds, self._open)

    def _admit(self) -> None:
        mail = self._courtesy.wanted
        for _ in range(IN_HURRY if self._courtesy.in_hurry else BESIDE_MAIL if mail else ADMITTED):
            try:
                visitor, _address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as fault:
                if fault.errno not in NO_ROOM:
                    raise
                words = {"message": "no room for a connection", "exception": fault}
                self._loop.call_exception_handler(words)
                self._shut(WITHOUT_ROOM)
                return
            coming = self._loop.create_task(self._enter(visitor))
            self._coming.add(coming)
            coming.add_done_callback(self._coming.discard)
        if mail:
            self._shut(PAUSE)

    async def _enter(self, visitor: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, visitor)
        except OSError:  # hung up meanwhile
            visitor.close()
