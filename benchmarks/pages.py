"""Pages under readers: how long a page takes at 50 readers at once, with 100,000 papers and subscriptions stored.

    python benchmarks/pages.py [papers] [subscriptions]

A process of its own serves the site on loopback; each reader asks again as soon as it was answered. Beside the pages
stands /healthz, which does nothing: what the server itself takes. Then the live preview, over 20,000 papers of 30 days,
one visitor at a time, each query asked for the first time.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import secrets
import sqlite3
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from match import make_papers, make_queries, make_words, written

from notifier import daemon
from notifier.config import load
from notifier.daemon import site as serving
from notifier.model import Change, ChangeKind, Diff, Outcome, Paper, PaperId, Poll, QueryId, Seen
from notifier.query import canonical, parse
from notifier.store import open_store

READERS, ROUNDS = 50, 40
DAYS, RECENT = 30, 20_000
PREVIEWS = 30
CONFIG = 'contact = "benchmark@example.org"\n[web]\nlisten = "127.0.0.1:{port}"\n[[listing]]\nname = "made-up"\n' + (
    'url = "http://127.0.0.1:1/"\nformat = "feed"\nallow_private = true\n'
)


async def fill(file: Path, papers: int, subscriptions: int) -> str:
    """Store papers, the newest RECENT of them in the last DAYS days, and subscribers; return one's token."""
    words = make_words(random.Random(1))
    made = [
        Paper(source="made-up", source_key=str(number), title=title, abstract=abstract, url="https://example.org/")
        for number, (title, abstract) in enumerate(make_papers(words, papers, seed=3))
    ]
    now = datetime.now(UTC)
    per_day = RECENT // DAYS
    async with open_store(f"sqlite:///{file}") as store:
        at = 0
        while at < papers:
            left = papers - at
            back = min(left // per_day, 400) if left > RECENT else (left - 1) // per_day
            some = made[at : at + per_day]
            polled = now - timedelta(days=back, minutes=5)
            changes = tuple(Change(ChangeKind.NEW, paper, (f"made-up:{paper.source_key}",)) for paper in some)
            news = len(some)
            poll = Poll(listing="made-up", polled_at=polled, outcome=Outcome.FRESH, reason="", read=news, new=news)
            await store.record_poll(
                poll, Diff(changes, Outcome.FRESH, ""), [], None, seen=Seen({}, PaperId(at)),
                queries_up_to=QueryId(0), next_poll_at=now + timedelta(days=9),
            )  # fmt: skip
            at += per_day
    queries = sorted({canonical(parse(written(each))) for each in make_queries(words, max(1, subscriptions // 4))})
    tokens = [secrets.token_hex(20) for _ in range(subscriptions)]
    with sqlite3.connect(file) as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(subscriber)")]
        people = {"state": "confirmed", "since": str(now)[:19], "health": "", "refusals": 0, "bounce_score": 0.0}
        used = [name for name in columns if name in people]
        database.executemany("INSERT INTO query (canonical) VALUES (?)", [(text,) for text in queries])
        database.executemany(
            f"INSERT INTO subscriber (email, token, {', '.join(used)}) VALUES (?, ?{', ?' * len(used)})",
            [(f"reader{n}@example.org", token, *(people[name] for name in used)) for n, token in enumerate(tokens)],
        )
        database.execute(
            "INSERT INTO subscription (subscriber_id, query_id, label, cadence, at, weekday, timezone, versions, "
            "quiet, began, cursor, active, origin) SELECT id, 1 + id % ?, 'made up', 'daily', '08:00:00.000000', "
            "0, 'UTC', 'new', 'nothing', 0, 0, 1, 'web' FROM subscriber",
            (len(queries),),
        )
    return tokens[0]


def serve(folder: str) -> None:
    """Serve the site until told to stop."""

    async def run() -> None:
        config = load(Path(folder) / "config.toml", environment={})
        async with daemon.opened(config) as running:
            await serving.server(running).serve(sockets=[serving.listener(config.web.listen)])

    asyncio.run(run())


async def read(url: str, path: str) -> list[float]:
    """Return what each answer took, in seconds."""
    took: list[float] = []

    async def reader(client: httpx.AsyncClient) -> None:
        for _ in range(ROUNDS):
            started = time.perf_counter()
            (await client.get(path)).raise_for_status()
            took.append(time.perf_counter() - started)

    limits = httpx.Limits(max_connections=READERS, max_keepalive_connections=READERS)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as client:
        await client.get(path)
        async with asyncio.TaskGroup() as group:
            for _ in range(READERS):
                group.create_task(reader(client))
    return took


async def measure(url: str, manage: str) -> None:
    """Print the table."""
    async with httpx.AsyncClient(base_url=url, timeout=300) as client:
        for _ in range(600):
            try:
                await client.get("/healthz")
                break
            except httpx.TransportError:
                await asyncio.sleep(0.1)
        print(f"{READERS} readers at once, each asking again when answered; milliseconds")
        print(f"{'page':<14}{'median':>10}{'95 %':>10}{'alone':>10}{'kB':>8}")
        for path in ("/healthz", "/", "/status", "/papers", "/papers/77", manage):
            alone = []
            for _ in range(15):
                started = time.perf_counter()
                answer = await client.get(path)
                alone.append(time.perf_counter() - started)
            took = sorted(await read(url, path))
            print(
                f"{'/manage' if path == manage else path:<14}{statistics.median(took) * 1e3:>10.1f}"
                f"{took[len(took) * 95 // 100] * 1e3:>10.1f}{statistics.median(alone) * 1e3:>10.1f}"
                f"{len(answer.content) / 1e3:>8.1f}"
            )
        words = make_words(random.Random(1))
        while "being read" in (await client.get("/", params={"q": f"warm{random.random()}"[:6]})).text:  # noqa: ASYNC110
            await asyncio.sleep(1)
        took = []
        for made in make_queries(words, PREVIEWS * 7)[::7]:
            started = time.perf_counter()
            await client.get("/", params={"q": written(made)})
            took.append(time.perf_counter() - started)
        middle, longest = statistics.median(took) * 1e3, max(took) * 1e3
        print(f"preview of {RECENT:,} papers: median {middle:.0f} ms, longest {longest:.0f} ms")


def main() -> None:
    papers = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    subscriptions = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.toml").write_text(CONFIG.format(port=18437))
        token = asyncio.run(fill(Path(folder) / "notifier.db", papers, subscriptions))

        async def link() -> str:
            async with open_store(f"sqlite:///{folder}/notifier.db") as store:
                return f"/manage/{store.link('manage', token)}"

        manage = asyncio.run(link())
        server = multiprocessing.get_context("spawn").Process(target=serve, args=(folder,))
        server.start()
        try:
            asyncio.run(measure("http://127.0.0.1:18437", manage))
        finally:
            server.terminate()
            server.join()


if __name__ == "__main__":
    main()
