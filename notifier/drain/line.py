"""Line: messages that wait for a place at the relay, by recipient domain, each domain in its turn.

So many to one domain are under way at once and no more; one domain's thousands keep no other waiting. In memory only:
what stands in line is claimed, and given back when the line is cleared.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence

from notifier.model import Envelope, QueuedMessage

Item = tuple[QueuedMessage, Envelope]


class Line:
    """Takes messages at one end, gives them out fairly at the other."""

    def __init__(self, per_domain: int) -> None:
        self._per_domain = per_domain
        self._waiting: dict[str, deque[Item]] = {}
        self._turns: deque[str] = deque()  # domains that something waits for
        self._under_way: Counter[str] = Counter()
        self._takers: deque[asyncio.Future[Item | None]] = deque()
        self._closed = False
        self._short = asyncio.Event()
        self.length = 0

    def put(self, items: Sequence[Item]) -> None:
        """Let messages join the line."""
        for item in items:
            domain = domain_of(item[0])
            if domain not in self._waiting:
                self._waiting[domain] = deque()
                self._turns.append(domain)
            self._waiting[domain].append(item)
        self.length += len(items)
        self._serve()

    async def take(self) -> Item | None:
        """Return the next message, None once the line is closed and empty; say `done` when it is not under way."""
        taker: asyncio.Future[Item | None] = asyncio.get_running_loop().create_future()
        self._takers.append(taker)
        self._serve()
        return await taker

    def take_at_once(self) -> Item | None:
        """Return the next message if there is one and nobody else waits for it; say `done` as after `take`."""
        if any(not taker.done() for taker in self._takers):
            return None
        item = self._next()
        if item is not None:
            self._short.set()
        return item

    def done(self, message: QueuedMessage) -> None:
        """Say that a message that was taken is no longer under way."""
        self._under_way[domain_of(message)] -= 1
        self._serve()

    def close(self) -> None:
        """Say that no more will come."""
        self._closed = True
        self._serve()

    def clear(self) -> list[QueuedMessage]:
        """Send home everything that still waits, and return it."""
        left = [message for items in self._waiting.values() for message, _ in items]
        self._waiting.clear()
        self._turns.clear()
        self.length = 0
        self._serve()
        return left

    async def shorter(self, length: int) -> None:
        """Wait until fewer than `length` messages wait."""
        while self.length >= length:
            self._short.clear()
            await self._short.wait()

    def _serve(self) -> None:
        self._short.set()
        while self._takers:
            if self._takers[0].done():  # cut off
                self._takers.popleft()
                continue
            item = self._next()
            if item is None and not (self._closed and not self.length):
                return
            self._takers.popleft().set_result(item)

    def _next(self) -> Item | None:
        for _ in range(len(self._turns)):
            domain = self._turns.popleft()
            if self._under_way[domain] >= self._per_domain:
                self._turns.append(domain)
                continue
            waiting = self._waiting[domain]
            item = waiting.popleft()
            if waiting:
                self._turns.append(domain)
            else:
                del self._waiting[domain]
            self._under_way[domain] += 1
            self.length -= 1
            return item
        return None


def domain_of(message: QueuedMessage) -> str:
    """Return the recipient's domain."""
    return message.recipient.rpartition("@")[2].lower()
