"""Courtesy: work that readers ask for gives way to mail while mail is being sent.

Both have one processor and one lock of the interpreter between them. What is long, the rendering of a feed that is not
ready, is done one after the other while mail is being sent, and takes SHARE of the time at most: digests that are due
at the full hour are not late because their readers' programs ask at the full hour too. Without mail nobody waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from time import monotonic

SHARE = 0.1  # of the time, for what gives way


@dataclass(slots=True)
class Courtesy:
    """Who is sending, and when the next of those who give way may begin."""

    clock: Callable[[], float] = monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _sending: int = 0
    _free_at: float = 0.0
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def wanted(self) -> bool:
        """Whether mail is being sent."""
        return self._sending > 0

    @contextmanager
    def first(self) -> Iterator[None]:
        """Go first: mail is being sent until the block ends."""
        self._sending += 1
        try:
            yield
        finally:
            self._sending -= 1

    @asynccontextmanager
    async def after(self) -> AsyncIterator[None]:
        """Give way: begin when it is one's turn, and let the next wait for what this took."""
        if not self._sending:
            yield
            return
        async with self._turn:
            while self._sending and (wait := self._free_at - self.clock()) > 0:
                await self.sleep(min(wait, 0.1))  # the mail may be gone before
            began = self.clock()
            try:
                yield
            finally:
                now = self.clock()
                self._free_at = now + (now - began) * (1 - SHARE) / SHARE
