"""Claims: the messages that a drain holds, leased to it and to nobody else, and what is known of each of them.

A message is held from its claim until what became of it is stored. As long as it waits its lease is renewed, however
slow the relay is. Whatever cuts the drain off, `unfinished` says what is to be stored later, and of a message whose
final dot may have been written without an answer it says nothing: it is in doubt, and its lease lapses.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime, timedelta

from notifier import log
from notifier.model import OutboxId, QueuedMessage, Reply
from notifier.store import Store

LEASE = timedelta(minutes=20)  # longer than one message may take, its final dot included
RENEWAL = 240.0  # seconds between renewals of the leases of what stands in line: a slow relay lets none of them lapse
LAST_CLAIM = 10.0  # seconds that a claim has to end when the drain is cut off


class Claims:
    """What `owner` holds; it claims `most` messages at most, suspects apart."""

    def __init__(
        self, store: Store, owner: str, clock: Callable[[], datetime], *, pace: Mapping[str, int], most: int | None
    ) -> None:
        self._store = store
        self._owner = owner
        self._clock = clock
        self._pace = pace
        self._left = most
        self._held: dict[OutboxId, Reply | None] = {}  # with the answer, if there is one
        self._marked: set[OutboxId] = set()  # of these, those whose final dot may follow, or have followed

    @property
    def exhausted(self) -> bool:
        """Tell whether as many were claimed as may be."""
        return self._left == 0

    async def take(self, most: int, *, suspects: bool = False) -> list[QueuedMessage]:
        """Claim some messages; see `Store.claim`. Cut off, it waits for those that are its own by then."""
        if self._left is not None and not suspects:
            most = min(most, self._left)
        claim = self._store.claim(self._owner, self._clock(), LEASE, most, pace=self._pace, suspects=suspects)
        claiming = asyncio.create_task(claim, name="claim")
        try:
            messages = await asyncio.shield(claiming)
        except asyncio.CancelledError:  # they may be ours all the same: only those we know of can be given back
            with contextlib.suppress(Exception):
                async with asyncio.timeout(LAST_CLAIM):
                    self._held.update((message.outbox_id, None) for message in await claiming)
            raise
        if self._left is not None and not suspects:
            self._left -= len(messages)
        self._held.update((message.outbox_id, None) for message in messages)
        return messages

    def marked(self, number: OutboxId) -> None:
        """Take note that the final dot of a message may follow now."""
        self._marked.add(number)

    def answered(self, number: OutboxId, reply: Reply) -> None:
        """Take note of what the relay said of a message."""
        self._held[number] = reply

    def has_answer(self, number: OutboxId) -> bool:
        """Tell whether the relay said something of a message that is not stored yet."""
        return self._held.get(number) is not None

    def ended(self, number: OutboxId) -> None:
        """Take note that what became of a message is stored."""
        self._held.pop(number, None)
        self._marked.discard(number)

    def unfinished(self) -> dict[OutboxId, Reply | None]:
        """Return what is to be stored later; of a message whose final dot may have been written nobody knows."""
        return {
            number: reply for number, reply in self._held.items() if reply is not None or number not in self._marked
        }

    @contextlib.asynccontextmanager
    async def renewing(self) -> AsyncIterator[None]:
        """Keep what is held ours for as long as it takes: others take what a lease no longer covers."""
        renewing = asyncio.create_task(self._renew(), name="renew leases")
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEWAL)
            waiting = [number for number, reply in self._held.items() if reply is None and number not in self._marked]
            try:
                if waiting:
                    await self._store.renew(waiting, self._owner, self._clock() + LEASE)
            except Exception as fault:  # what is marked has a new lease; a database that is away ends the drain there
                log.step_failed("renew leases", fault)
