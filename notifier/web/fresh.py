"""Pages that are the same for everybody, kept for a moment: a crowd costs one rendering."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic

KEPT = 3.0  # seconds
MOST = 200  # pages


@dataclass(slots=True)
class Fresh:
    """Bytes by their address."""

    _pages: OrderedDict[str, tuple[float, asyncio.Task[bytes]]] = field(default_factory=OrderedDict)

    async def get(self, address: str, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return a page that is at most KEPT old; whoever asks while it is being made waits for the same one."""
        at, task = self._pages.get(address, (0.0, None))
        if task is None or monotonic() - at > KEPT or (task.done() and task.exception() is not None):
            task = asyncio.ensure_future(_made(make))
            self._pages[address] = (monotonic(), task)
            self._pages.move_to_end(address)
            while len(self._pages) > MOST:
                self._pages.popitem(last=False)
        return await asyncio.shield(task)


async def _made(make: Callable[[], Awaitable[bytes]]) -> bytes:
    return await make()
