"""Group commit: requests that arrive while a transaction runs share the next one.

A sync of the disk costs the same for one mark as for fifty, so that concurrent senders wait for one commit between
them instead of one each. Promises: a request is answered only after the commit that holds it; one that cannot be done
fails alone, because those it came with are then done one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

MOST = 500  # requests in one transaction
PAUSE = 0.0005  # seconds in which those join who are about to ask, when fewer asked than shared the last transaction

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class Together(Generic[Request, Answer]):
    """Calls `commit` with what was asked meanwhile; it answers each request, in their order."""

    def __init__(self, commit: Callable[[Sequence[Request]], Awaitable[Sequence[Answer]]]) -> None:
        self._commit = commit
        self._waiting: list[tuple[Request, asyncio.Future[Answer]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._last = 0  # requests that shared the last transaction

    def __call__(self, request: Request) -> asyncio.Future[Answer]:
        """Have one request done, after all that were made before it; its answer is to be awaited."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answer))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write(), name="group commit")
        return answer

    async def _write(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                some, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                self._last = len(some)
                await self._write_some(some)
        finally:
            self._writer = None
            for _, answer in self._waiting:  # cut off: nobody may wait for ever
                answer.cancel()
            self._waiting = []

    async def _gather(self) -> None:
        """Let those join who are about to ask: a commit costs more than another look at what the loop has ready."""
        if len(self._waiting) < self._last:
            await asyncio.sleep(PAUSE)
        before = 0
        while before < len(self._waiting) < MOST:
            before = len(self._waiting)
            await asyncio.sleep(0)

    async def _write_some(self, some: Sequence[tuple[Request, asyncio.Future[Answer]]]) -> None:
        """Do requests together, or one by one when that fails."""
        try:
            if await self._write_at_once(some):
                return
            for each in some:
                await self._write_at_once([each])
        finally:
            for _, waiting in some:  # cut off: nobody may wait for ever
                if not waiting.done():
                    waiting.cancel()

    async def _write_at_once(self, some: Sequence[tuple[Request, asyncio.Future[Answer]]]) -> bool:
        """Do requests together and answer them; False when that fails, and none of several is answered."""
        try:
            answers = await self._commit([request for request, _ in some])
        except Exception as fault:
            if len(some) > 1:
                return False
            if not some[0][1].done():
                some[0][1].set_exception(fault)
            return True
        for (_, waiting), answer in zip(some, answers, strict=True):
            if not waiting.done():  # whoever asked may have been cut off meanwhile
                waiting.set_result(answer)
        return True
