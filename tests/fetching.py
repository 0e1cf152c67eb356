"""A client that asks a site on loopback: as it is, and with a clock that moves only when it waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from notifier.errors import FetchError
from notifier.fetch import Client, IPAddress, client, fetch
from notifier.model import Listing, Page, Validators
from notifier.store import Store, open_store
from tests.servers.http import Site, site

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
NOTHING = Validators()


@pytest.fixture
async def server() -> AsyncIterator[Site]:
    async with site() as here:
        yield here


@pytest.fixture
async def web() -> AsyncIterator[Client]:
    async with client("ops@example.org", "1.0", deadline=5, clock=lambda: NOW) as opened:
        yield opened


def listing(url: str, **options: bool) -> Listing:
    """Return a listing; one that names loopback by its number may be there, unless told otherwise."""
    return Listing(
        name="test",
        url=url,
        format="feed",
        **{"allow_private": url.partition("//")[2].startswith("127.0.0.1:"), **options},
    )


async def page_of(web: Client, url: str, known: Validators = NOTHING, **options: bool) -> Page:
    page = await fetch(web, listing(url, **options), known)
    assert page is not None
    return page


async def trouble_of(web: Client, url: str, known: Validators = NOTHING, **options: bool) -> FetchError:
    with pytest.raises(FetchError) as caught:
        await fetch(web, listing(url, **options), known)
    assert caught.value.reason.isprintable(), "a reason is one line that can be shown and logged"
    return caught.value


async def at_once(_seconds: float) -> None:
    """Wait for no turn; test_manners.py shows the waits."""


class Names:
    """A resolver that knows these names and remembers what it was asked."""

    def __init__(self, **table: list[str]) -> None:
        self.table = table
        self.asked: list[str] = []

    async def __call__(self, host: str, _port: int) -> Sequence[str]:
        self.asked.append(host)
        if host.partition(".")[0] not in self.table:
            raise OSError(f"no such name: {host}")
        return self.table[host.partition(".")[0]]


MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Time:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = NOW
        self.slept: list[float] = []

    def clock(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        awake = self.now + timedelta(seconds=seconds)
        await asyncio.sleep(0)
        self.now = max(self.now, awake)


@pytest.fixture
def clock() -> Time:
    return Time()


@asynccontextmanager
async def polite(clock: Time, store: Store | None = None) -> AsyncIterator[Client]:
    """Open a client for which every name leads to 127.0.0.1, a public address."""

    async def anywhere(_host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    def none_refused(_address: IPAddress, _allow_private: bool) -> None:
        return None

    async with client(
        "ops@example.org", "1.0", hosts=store, deadline=5, resolve=anywhere, refusal=none_refused, clock=clock.clock,
        sleep=clock.sleep,
    ) as web:  # fmt: skip
        yield web


@asynccontextmanager
async def started(tmp_path: Path, clock: Time) -> AsyncIterator[Client]:
    """Open a client as the program does at its start, with the store that the last run left."""
    async with open_store(f"sqlite:///{tmp_path}/notifier.db") as store, polite(clock, store) as web:
        yield web


def targets(server: Site) -> list[str]:
    return [request.target for request in server.requests]
