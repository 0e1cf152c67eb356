"""Workers as processes, and people who are subscribed to everything."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from notifier.model import Cadence, DigestClock, Quiet, Versions, Wish
from tests.world import START, World


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
