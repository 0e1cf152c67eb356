"""Messages that wait in the outbox, and a relay of one place whose answers a test says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from notifier.daemon import Running
from notifier.daemon.steps import poll_due
from notifier.model import Envelope
from notifier.pipeline import queue_digests
from tests.world import World, text_page

READERS = [f"reader{number}@{domain}.example.org" for domain in "abc" for number in range(4)]

InDoubt = Callable[[], Awaitable[None]]
Following = Callable[[], Envelope | None]


def nothing() -> None:
    """Nothing follows."""


async def queue(installation: World, readers: list[str]) -> None:
    """Let every reader be owed one digest."""
    installation.listing("daily", first="owe")
    installation.pages.put("/daily", text_page("A Fictional Paper on Queues"))
    for reader in readers:
        await installation.subscribe(reader, "*")
    async with installation.opened() as running:
        await poll_due(running)
        await queue_digests(running.store, running.desk.head, running.clock())


async def execute(running: Running, statement: str) -> None:
    """Execute a statement behind the program's back."""
    async with running.store._database.write() as connection:
        await connection.exec_driver_sql(statement)


class Plain:
    """A relay of one place that keeps nothing; a test says what it answers."""

    places, largest = 1, 0

    def withdraw(self, envelope: Envelope) -> None: ...

    async def narrow(self, places: int) -> None: ...

    async def close(self) -> None:
        return
