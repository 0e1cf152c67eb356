"""Courtesy: work that readers ask for gives way to mail while mail is being sent.

Both have one processor and one lock of the interpreter between them. What is dear, a feed that is not among the ready
ones, waits for its turn then, one after the other: none of it begins in the first seconds of a mail run (HUSH), and
after them all of it gets SHARE of the time of a processor. So digests that are due at the full hour are not late
because their readers' programs ask at the full hour too. What it takes is measured where it is done, in the event loop
and in threads, and charged. Without mail nobody waits.

Raises Busy for who would be one too many to wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic, thread_time
from typing import Any, ParamSpec, TypeVar

from notifier.errors import Busy

SHARE = 0.03  # of the time of one processor, for what gives way
ADVANCE = 0.001  # seconds of a processor that are charged when a turn begins; what is beyond is charged as it goes
MOST_DEBT = 2.0  # seconds until the next turn at most, whatever the last one took
MOST_WAITING = 500
HUSH = 2.0  # seconds at the start of a mail run in which nothing dear begins: a small one is over by then
HURRY = 5.0  # seconds at the start of a mail run, in which most installations have sent all of it
LOOK_AGAIN = 0.1  # seconds, for the mail may be gone before

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(slots=True)
class Courtesy:
    """Who is sending, and when the next of those who give way may begin. `spent` is the processor time of a thread."""

    clock: Callable[[], float] = monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    spent: Callable[[], float] = thread_time
    _sending: int = 0
    _since: float = 0.0  # when the mail run that lasts began
    _waiting: int = 0
    _free_at: float = 0.0
    _next: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def wanted(self) -> bool:
        """Whether mail is being sent."""
        return self._sending > 0

    @property
    def in_hurry(self) -> bool:
        """Whether mail is being sent, and not for long yet."""
        return self._sending > 0 and self.clock() - self._since < HURRY

    @contextmanager
    def first(self) -> Iterator[None]:
        """Go first: mail is being sent until the block ends."""
        if not self._sending:
            self._since = self.clock()
        self._sending += 1
        try:
            yield
        finally:
            self._sending -= 1

    async def turn(self) -> None:
        """Give way: wait until it is one's turn. Raises Busy when MOST_WAITING wait already."""
        if not self._sending:
            return
        if self._waiting >= MOST_WAITING:
            raise Busy("too many wait while mail is being sent")
        self._waiting += 1
        try:
            async with self._next:
                while self._sending and (wait := max(self._free_at, self._since + HUSH) - self.clock()) > 0:
                    await self.sleep(min(wait, LOOK_AGAIN))
                self._charge(ADVANCE)
        finally:
            self._waiting -= 1

    async def counted(self, work: Coroutine[Any, Any, T], paid: float = 0.0) -> T:
        """Do work in the event loop, and charge what it takes beyond what is `paid`."""
        done: T = await _Counted(self, work, paid)
        return done

    async def aside(self, work: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Do work in a thread, and charge what it takes."""
        took = 0.0

        def measured() -> T:
            nonlocal took
            began = self.spent()
            try:
                return work(*args, **options)
            finally:
                took = self.spent() - began

        try:
            return await asyncio.to_thread(measured)
        finally:
            self._charge(took)

    def _charge(self, seconds: float) -> None:
        """Put off the next turn, so that these seconds are SHARE of the time until then."""
        if self._sending:
            now = self.clock()
            self._free_at = min(max(self._free_at, now) + seconds / SHARE, now + MOST_DEBT)


class _Counted:
    """Awaits a coroutine, and measures each of its steps."""

    __slots__ = ("_courtesy", "_paid", "_work")

    def __init__(self, courtesy: Courtesy, work: Coroutine[Any, Any, Any], paid: float) -> None:
        self._courtesy = courtesy
        self._work = work
        self._paid = paid

    def __await__(self) -> Generator[Any, Any, Any]:
        steps, thrown = self._work.__await__(), None
        while True:
            began = self._courtesy.spent()
            try:
                waits_for = steps.throw(thrown) if thrown else next(steps)
            except StopIteration as end:
                return end.value
            finally:
                self._take(self._courtesy.spent() - began)
            try:
                yield waits_for
                thrown = None
            except BaseException as fault:  # a task that is cancelled gets it here
                thrown = fault

    def _take(self, seconds: float) -> None:
        charged = max(0.0, seconds - self._paid)
        self._paid = max(0.0, self._paid - seconds)
        if charged:
            self._courtesy._charge(charged)
