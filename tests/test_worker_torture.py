"""Torture of the workers: they are killed, PostgreSQL crashes, a network is cut, and every digest arrives once.

The short form runs with the other tests. The long one: `make torture-workers DIGESTS=100000 WORKERS=8`.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg
import pytest

from notifier.store import open_store
from tests.servers.http import site
from tests.servers.namespaces import Machine, may, network
from tests.servers.postgres import cluster
from tests.servers.smtp import Post, post
from tests.world import World, text_page

DIGESTS = int(os.environ.get("DIGESTS", "400"))
WORKERS = int(os.environ.get("WORKERS", "3"))
PAGES = 2  # each brings a digest to everybody
CUT = float(os.environ.get("CUT", "3"))  # seconds
PAUSE = (0.5, 2.5) if DIGESTS <= 1_000 else (2, 8)  # seconds between two kills: a start costs two or three of a core


@dataclass(slots=True)
class Herd:
    """Worker processes, each on a machine of its own or on this one, that are started again when they die."""

    config: Path
    machines: Sequence[Machine | None]
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    killed: int = 0

    def start(self, number: int) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", "notifier", "worker", "--roles", "poll,match,send", "--config", str(self.config)]
        machine = self.machines[number]
        with self.config.with_name(f"worker{number}.log").open("ab") as file:
            compiled = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}  # once, not at each start
            return subprocess.Popen(
                machine.command(*words) if machine else words, stdout=file, stderr=file, env=compiled
            )

    def start_all(self) -> None:
        self.running = [self.start(number) for number in range(len(self.machines))]

    def kill_one(self) -> None:
        """Kill one of them."""
        number = random.randrange(len(self.running))
        if self.running[number].poll() is None:
            self.running[number].kill()
            self.running[number].wait()
            self.killed += 1

    def start_again(self) -> None:
        """Start those that died, of themselves too, as systemd would."""
        for number, each in enumerate(self.running):
            if each.poll() is not None:
                self.running[number] = self.start(number)

    def end(self) -> None:
        for each in self.running:
            each.kill()
            each.wait()


@dataclass(slots=True)
class Ledger:
    """What the SMTP server took: who got which title in which messages, and how often each message came."""

    server: Post
    titles: Sequence[str]
    read: int = 0
    carried: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    times: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        """Read on, and return how many titles reached somebody; the contents are not kept."""
        for number in range(self.read, len(self.server.accepted)):
            message = self.server.accepted[number]
            self.times[message.message_id] += 1
            for title in self.titles:
                if title in message.content:
                    self.carried.setdefault((message.recipients[0], title), set()).add(message.message_id)
            self.server.accepted[number] = replace(message, content="")
        self.read = len(self.server.accepted)
        return len(self.carried)


async def populate(url: str, readers: int) -> list[str]:
    """Subscribe so many to everything at once; return their addresses."""
    async with open_store(url):
        pass
    people = [f"reader{number}@domain{number % 40}.example" for number in range(readers)]
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO query (canonical, turned) VALUES ('*', 0)")
        columns = "email, state, since, token, bounce_score, health, feed"
        with cursor.copy(f"COPY subscriber ({columns}) FROM STDIN") as copy:
            for number, email in enumerate(people):
                copy.write_row((email, "confirmed", "2026-01-01Z", f"{number:064}", 0.0, "", f"s{number:039}"))
        cursor.execute(
            "INSERT INTO subscription (subscriber_id, query_id, label, cadence, at, weekday, timezone, versions, quiet,"
            " began, cursor, active, origin, feed, feed_name) SELECT id, 1, '*', 'immediate', '08:00', 0, 'UTC', 'new',"
            " 'nothing', 0, 0, true, 'cli', 'q' || lpad(id::text, 39, '0'), "
            "'n' || lpad(id::text, 39, '0') FROM subscriber"
        )
    return people


@asynccontextmanager
async def shared(folder: Path, workers: int) -> AsyncIterator[tuple[World, Post, Herd, list[Machine], object]]:
    """An installation for workers, half of them on machines of their own where namespaces may be made."""
    async with AsyncExitStack() as stack:
        sync = stack.enter_context(ExitStack())
        net = sync.enter_context(network()) if may() else None
        machines = [sync.enter_context(net.machine()) for _ in range(workers // 2)] if net else []
        here = net.here if net else "127.0.0.1"
        postgres = sync.enter_context(cluster(host=here, synchronous_commit="on"))
        pages = await stack.enter_async_context(site(here))
        server = await stack.enter_async_context(post(host=here))
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE papers")
        installation = World(folder, pages, postgres.url_at(here, "papers"), relay=f"smtp://{here}:{server.port}")
        herd = Herd(folder / "config.toml", [*machines, *[None] * (workers - len(machines))])
        stack.callback(herd.end)
        yield installation, server, herd, machines, postgres


@pytest.mark.slow
@pytest.mark.timeout(0 if DIGESTS > 10_000 else 900)  # what is deferred once comes after five minutes and more
async def test_p20_f079_f080_workers_killed_cut_off_and_without_a_database_send_everything_once(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if request.config.getoption("--sqlite-only"):
        pytest.skip("workers share a PostgreSQL")
    async with shared(tmp_path, WORKERS) as (installation, server, herd, machines, postgres):
        installation.extra = 'base_url = "http://127.0.0.1:8080"\n'
        installation.mail = f'starttls = "never"\nconnections = {10 * WORKERS}\n'
        installation.listing("daily", first="owe", poll="1s")
        assert installation.config
        people = await populate(installation.database, DIGESTS // PAGES)
        titles = [f"A Fictional Paper on Torture, Number {number}" for number in range(PAGES)]
        ledger = Ledger(server, titles)
        began = time.monotonic()
        installation.pages.put("/daily", text_page(*titles[:1]))
        herd.start_all()
        await server.until(lambda: len(ledger) >= DIGESTS // 20)
        kills = asyncio.create_task(_kill(herd, server))
        try:
            await server.until(lambda: len(ledger) >= DIGESTS // 4)
            if machines:
                machines[0].cut()
            await server.until(lambda: len(ledger) >= DIGESTS // 3)
            await asyncio.to_thread(postgres.restart)
            await asyncio.sleep(CUT)
            if machines:
                machines[0].mend()
            installation.pages.put("/daily", text_page(*titles))
            await server.until(lambda: len(ledger) >= DIGESTS * 4 // 5)
            kills.cancel()
            await asyncio.to_thread(herd.start_again)
            await server.until(lambda: len(ledger) >= DIGESTS)
        finally:
            kills.cancel()
        seconds = time.monotonic() - began
        assert set(ledger.carried) == {(email, title) for email in people for title in titles}, "something was missed"
        assert all(len(names) == 1 for names in ledger.carried.values()), "a paper in two messages"
        twice = {name: times for name, times in ledger.times.items() if times > 1}
        doubts = await _doubts(installation.database, list(twice))
        assert all(times - 1 <= doubts[name] for name, times in twice.items()), "a double that was not in doubt"
        print(
            f"\n{len(ledger)} digests over {WORKERS} workers, {len(machines)} of them on machines of their own, in "
            f"{seconds:.0f} s; {herd.killed} killed, PostgreSQL crashed once, {len(twice)} came twice, all in doubt"
        )


async def _kill(herd: Herd, server: Post) -> None:
    """Kill one after the other, at random moments, as long as mail leaves in between."""
    while True:
        before = len(server.accepted)
        await asyncio.sleep(random.uniform(*PAUSE))
        if len(server.accepted) > before:
            await asyncio.to_thread(herd.kill_one)
        await asyncio.to_thread(herd.start_again)


async def _doubts(url: str, names: Sequence[str]) -> dict[str, int]:
    """Return how often each of these messages was left without a recorded answer."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT message_id, doubts FROM message WHERE message_id = ANY(%s)", (list(names),))
        return dict(rows.fetchall())
