"""Workers as processes on one PostgreSQL: what they share, and what the death of one does to the work."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from notifier.model import Cadence, DigestClock, Quiet, Versions, Wish
from tests.servers.postgres import Cluster
from tests.servers.smtp import post
from tests.world import START, World, text_page, world


@pytest.fixture
def postgresql(request: pytest.FixtureRequest) -> str:
    """The URL of a PostgreSQL database that nobody used before; left out with --sqlite-only."""
    if request.config.getoption("--sqlite-only"):
        pytest.skip("workers share a PostgreSQL")
    postgres: Cluster = request.getfixturevalue("postgres")
    return postgres.database()


@pytest.fixture
async def shared(postgresql: str, tmp_path: Path) -> AsyncIterator[World]:
    """An installation on PostgreSQL."""
    async with world(tmp_path, postgresql) as opened:
        opened.extra = '[web]\nlisten = "127.0.0.1:0"\n'
        yield opened


@asynccontextmanager
async def workers(installation: World, *roles: str) -> AsyncIterator[Sequence[asyncio.subprocess.Process]]:
    """Start a worker for each of these roles; those that still run at the end are killed."""
    assert installation.config
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "notifier", "worker", "--roles", each,
            "--config", str(installation.folder / "config.toml"),
            stdout=(installation.folder / f"worker{number}.log").open("wb"), stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        for number, each in enumerate(roles)
    ]  # fmt: skip
    try:
        yield started
    finally:
        for each in started:
            if each.returncode is None:
                each.kill()
            await each.wait()


async def subscribe_all(installation: World, people: Sequence[str]) -> None:
    """Subscribe people to everything, at once."""
    async with installation.opened() as running:
        for email in people:
            wish = Wish(
                email=email, label="*", canonical="*", versions=Versions.NEW, quiet=Quiet.NOTHING,
                clock=DigestClock(Cadence.IMMEDIATE, "UTC"),
            )  # fmt: skip
            await running.store.subscribe(wish, origin="cli", now=START)


async def test_two_workers_read_match_and_send_everything_once(shared: World) -> None:
    async with post() as server:
        shared.relay = f"smtp://127.0.0.1:{server.port}"
        shared.listing("daily", first="owe")
        shared.pages.put("/daily", text_page("A Fictional Paper on Sharing", "A Fictional Paper on Turns"))
        people = [f"reader{n}@example{n % 7}.org" for n in range(300)]
        await subscribe_all(shared, people)
        async with workers(shared, "poll,match,send", "poll,match,send") as started:
            async with asyncio.timeout(80):
                await server.until(lambda: len(server.accepted) == len(people))
            for each in started:
                each.send_signal(signal.SIGTERM)
            assert [await asyncio.wait_for(each.wait(), 15) for each in started] == [0, 0]
        assert sorted(each.recipients[0] for each in server.accepted) == sorted(people)
        assert len([each for each in shared.pages.requests if each.target == "/daily"]) == 1
