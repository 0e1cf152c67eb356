"""A bounded pool of connections to one relay: opened one after the other, used again, left when they are worn.

Promises: never more than `places` connections; who waits longest is served first; a connection that fails concerns
only whom it served. When a new connection is refused for now while others still serve, the pool makes do with those
for NARROW_PAUSE. Fails with RelayTrouble, for everybody who waits, when the only connection cannot be opened.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from notifier.deliver.connection import Connection
from notifier.errors import RelayTrouble

NARROW_PAUSE = 60.0  # seconds without asking for another connection, after the relay refused one


class Pool:
    """Connections that are taken and given back; `open` makes one."""

    def __init__(
        self,
        places: int,
        open: Callable[[], Awaitable[Connection]],
        *,
        most_messages: int,
        longest_age: float,
        longest_idle: float,
    ) -> None:
        self.places = places
        self._open = open
        self._most_messages = most_messages
        self._longest_age = longest_age
        self._longest_idle = longest_idle
        self._idle: list[Connection] = []
        self._count = 0  # connections that exist, from the first SYN to the end of QUIT
        self._opening = self._closing = False
        self._narrow_until = 0.0
        self._queue: deque[_Place] = deque()
        self._leaving: set[asyncio.Task[None]] = set()
        self._fewer = asyncio.Event()
        self._sweep: asyncio.TimerHandle | None = None

    async def take(self) -> Connection:
        """Return a connection for one message: an idle one, else a new one as long as there is room."""
        place = _Place()
        if self._queue:
            await self._turn(place)
        try:
            while True:
                if (found := self._idle_one()) is not None:
                    return found
                if self._may_open() and (opened := await self._opened()) is not None:
                    return opened
                await self._turn(place)
        finally:
            if place in self._queue:
                self._queue.remove(place)

    def give(self, connection: Connection, *, clean: bool) -> None:
        """Take a connection back; one that is not clean is closed at once."""
        connection.used = _now()
        if not clean:
            connection.abort()
            self._gone()
        elif self._closing or self.worn(connection):
            self._leave(connection)
        else:
            self._idle.append(connection)
            self._sweep = self._sweep or asyncio.get_running_loop().call_later(self._longest_idle, self._swept)
            self._next()

    async def narrow(self, places: int) -> None:
        """Leave idle connections politely, those unused for longest first, while there are more than `places`."""
        over = self._count - len(self._leaving) - places
        for connection in self._idle[: max(0, over)]:
            self._idle.remove(connection)
            self._leave(connection)
        await asyncio.gather(*self._leaving, return_exceptions=True)

    async def close(self) -> None:
        """Leave every connection politely, those in use as soon as they are given back."""
        self._closing = True
        try:
            while self._idle:
                self._leave(self._idle.pop())
            while self._count:
                self._fewer.clear()
                await self._fewer.wait()
        finally:
            self._closing = False
            if self._sweep is not None:
                self._sweep.cancel()
                self._sweep = None

    @property
    def wanted(self) -> bool:
        """Tell whether somebody waits for a connection."""
        return bool(self._queue)

    @property
    def closing(self) -> bool:
        """Tell whether every connection is left as soon as it is given back."""
        return self._closing

    # --- connections --------------------------------------------------------------------------------------------------

    def _idle_one(self) -> Connection | None:
        """Return the idle connection that was used last, so that those too many grow old and are left."""
        while self._idle:
            connection = self._idle.pop()
            if not self.worn(connection):
                return connection
            self._leave(connection)
        return None

    def worn(self, connection: Connection) -> bool:
        """Tell whether a connection has served long enough, or is not there any more."""
        now = _now()
        return (
            not connection.dialogue.silent  # closed, or told us that it will be
            or connection.messages >= self._most_messages
            or now - connection.opened > self._longest_age
            or now - connection.used >= self._longest_idle
        )

    def _may_open(self) -> bool:
        """Tell whether to open one more: one at a time, so that a refused password is shown once."""
        narrow = self._count > 0 and _now() < self._narrow_until
        return not self._opening and self._count < self.places and not narrow

    async def _opened(self) -> Connection | None:
        """Return a new connection, None if the relay has enough of us; raises RelayTrouble if it was the only one."""
        self._count += 1
        self._opening = True
        connection = None
        try:
            connection = await self._open()
        except RelayTrouble as trouble:
            if self._count == 1:
                self._fail(trouble)  # before the next in turn is told: one who was refused asks for all
                raise
            self._narrow_until = _now() + NARROW_PAUSE
        finally:
            self._opening = False
            if connection is None:
                self._gone()
            self._next()
        return connection

    def _leave(self, connection: Connection) -> None:
        """Say QUIT while others go on."""
        task = asyncio.create_task(connection.quit())
        self._leaving.add(task)
        task.add_done_callback(self._left)

    def _left(self, task: asyncio.Task[None]) -> None:
        self._leaving.discard(task)
        self._gone()

    def _gone(self) -> None:
        self._count -= 1
        self._fewer.set()
        self._next()

    def _swept(self) -> None:
        """Leave the connections that nobody used for long."""
        self._sweep = None
        for connection in [each for each in self._idle if self.worn(each)]:
            self._idle.remove(connection)
            self._leave(connection)
        if self._idle:
            self._sweep = asyncio.get_running_loop().call_later(self._longest_idle, self._swept)

    # --- the queue ----------------------------------------------------------------------------------------------------

    async def _turn(self, place: _Place) -> None:
        """Wait until something changed and we are the one to look; the place is kept until it is served."""
        place.told = asyncio.get_running_loop().create_future()
        if place not in self._queue:
            self._queue.append(place)
        try:
            await place.told
        except BaseException as error:
            self._queue.remove(place)
            if not isinstance(error, RelayTrouble) and place.told.done() and not place.told.cancelled():
                self._next()  # what we were told is for another now
            raise

    def _next(self) -> None:
        """Tell the one who waits longest that there may be a connection."""
        for place in self._queue:
            if place.told is not None and not place.told.done():
                place.told.set_result(None)
                return

    def _fail(self, trouble: RelayTrouble) -> None:
        """Tell everybody who waits that there will be none."""
        for place in self._queue:
            if place.told is not None and not place.told.done():
                place.told.set_exception(
                    RelayTrouble(trouble.relay, trouble.reason, code=trouble.code, permanent=trouble.permanent)
                )


class _Place:
    """A place in the queue, and what its owner waits for."""

    __slots__ = ("told",)

    def __init__(self) -> None:
        self.told: asyncio.Future[None] | None = None


def _now() -> float:
    return asyncio.get_running_loop().time()
