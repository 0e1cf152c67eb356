"""Pages under readers: how long a page takes at 50 readers at once, with 100,000 papers and subscriptions stored.

    python benchmarks/pages.py [papers] [subscriptions] [folder to keep what was stored]

A process of its own serves the site on loopback. A reader opens a page a second; beside that stands what it takes when
all ask again as soon as they are answered (wrk), and /healthz, which does nothing: what the server itself takes. Then
the live preview, over 20,000 papers of 30 days, one visitor at a time, each query asked for the first time.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import random
import re
import secrets
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from match_input import make_papers, make_queries, make_words, written

from notifier import daemon
from notifier.config import load
from notifier.daemon import site as serving
from notifier.model import Change, ChangeKind, Diff, Outcome, Paper, PaperId, Poll, QueryId, Seen
from notifier.query import canonical, parse
from notifier.store import open_store

READERS, PAGES, PAUSE = 50, 6, 1.0  # readers, pages of each, seconds between
DAYS, RECENT = 30, 20_000
PREVIEWS = 30
QUERIES = 2_000  # distinct ones
PEOPLE = ("Ada", "Bo", "Chen", "Dele", "Eva", "Finn", "Gro", "Hala", "Ines", "Jun", "Kofi")
CONFIG = 'contact = "benchmark@example.org"\n[web]\nlisten = "127.0.0.1:{port}"\n[[listing]]\nname = "made-up"\n' + (
    'url = "http://127.0.0.1:1/"\nformat = "feed"\nallow_private = true\n'
)


async def fill(file: Path, papers: int, subscriptions: int) -> list[str]:
    """Store papers, the newest RECENT of them in the last DAYS days, and subscribers; return some tokens."""
    words = make_words(random.Random(1))
    made = [
        Paper(source="made-up", source_key=str(number), title=title, abstract=abstract, url="https://example.org/")
        for number, (title, abstract) in enumerate(make_papers(words, papers, seed=3))
    ]
    now = datetime.now(UTC)
    async with open_store(f"sqlite:///{file}") as store:  # one paper as the program stores it; the others are like it
        change = Change(ChangeKind.NEW, made[0], ("made-up:0",))
        poll = Poll(listing="made-up", polled_at=now, outcome=Outcome.FRESH, reason="", read=1, new=1)
        await store.record_poll(
            poll, Diff((change,), Outcome.FRESH, ""), [], None, seen=Seen({}, PaperId(0)),
            queries_up_to=QueryId(0), next_poll_at=now + timedelta(days=9),
        )  # fmt: skip
    with sqlite3.connect(file) as database:
        names = [row[1] for row in database.execute("PRAGMA table_info(paper)")]
        first = dict(zip(names, database.execute("SELECT * FROM paper").fetchone(), strict=True))
        database.executescript("DELETE FROM paper_key; DELETE FROM sighting; DELETE FROM paper;")
        rows = []
        for number, paper in enumerate(made):
            back = (
                (papers - 1 - number) * DAYS // RECENT
                if papers - number <= RECENT
                else DAYS + (papers - number) // RECENT
            )
            seen = f"{now - timedelta(days=min(back, 400), minutes=5):%Y-%m-%d %H:%M:%S.%f}"
            own = {"id": number + 1, "guid": f"urn:uuid:{uuid.UUID(int=number)}", "source_key": str(number)}
            own |= {"title": paper.title, "abstract": paper.abstract, "seen_at": seen, "changed_at": seen}
            own["authors"] = json.dumps([f"{PEOPLE[number % 7]} {PEOPLE[number * 3 % 11]}son", "Ada Fictional"])
            rows.append(tuple({**first, **own}.values()))
        database.executemany(f"INSERT INTO paper VALUES (?{', ?' * (len(names) - 1)})", rows)
        database.execute("INSERT INTO paper_key (key, paper_id) SELECT 'made-up:' || id, id FROM paper")
        database.execute("INSERT INTO sighting (paper_id, listing, poll_id) SELECT id, 'made-up', 1 FROM paper")
    queries = sorted({canonical(parse(written(each))) for each in make_queries(words, QUERIES)})
    tokens = [secrets.token_hex(20) for _ in range(subscriptions)]
    with sqlite3.connect(file) as database:
        database.executemany("INSERT INTO query (canonical, turned) VALUES (?, 0)", [(text,) for text in queries])
        database.executemany(
            "INSERT INTO subscriber (email, token, state, since, health, bounce_score, feed) "
            f"VALUES (?, ?, 'confirmed', '{str(now)[:19]}', '', 0.0, lower(hex(randomblob(20))))",
            [(f"reader{n}@example.org", token) for n, token in enumerate(tokens)],
        )
        database.execute(
            "INSERT INTO subscription (subscriber_id, query_id, label, cadence, at, weekday, timezone, versions, "
            "quiet, began, cursor, active, origin, feed, feed_name) "
            "SELECT id, 1 + id % ?, 'made up', 'daily', '08:00:00.000000', 0, 'UTC', 'new', 'nothing', 0, 0, 1, 'web', "
            "lower(hex(randomblob(20))), lower(hex(randomblob(20))) FROM subscriber",
            (len(queries),),
        )
    return tokens[:READERS]


def serve(folder: str) -> None:
    """Serve the site until told to stop."""

    async def run() -> None:
        config = load(Path(folder) / "config.toml", environment={})
        async with daemon.opened(config) as running:
            await serving.server(running, warm=True).serve(sockets=[serving.listener(config.web.listen)])

    asyncio.run(run())


async def read(url: str, paths: list[str]) -> list[float]:
    """Let READERS read, each a page and then none for PAUSE; return what each answer took, in seconds."""
    took: list[float] = []

    async def reader(client: httpx.AsyncClient, number: int) -> None:
        await asyncio.sleep(PAUSE * number / READERS)
        for turn in range(PAGES):
            started = time.perf_counter()
            (await client.get(paths[(number + turn) % len(paths)])).raise_for_status()
            took.append(time.perf_counter() - started)
            await asyncio.sleep(PAUSE)

    limits = httpx.Limits(max_connections=READERS, max_keepalive_connections=READERS)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as client, asyncio.TaskGroup() as group:
        for number in range(READERS):
            group.create_task(reader(client, number))
    return took


def hurried(url: str) -> tuple[float, float]:
    """Let READERS read who ask again as soon as they are answered; return answers per second, and the median in ms."""
    said = subprocess.run(
        ["wrk", "-t1", f"-c{READERS}", "-d2s", "--latency", url], capture_output=True, text=True, check=True
    ).stdout
    rate, median = re.search(r"Requests/sec:\s+([\d.]+)", said), re.search(r"50%\s+([\d.]+)(us|ms|s)", said)
    assert rate, said
    assert median, said
    return float(rate[1]), float(median[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[median[2]]


async def measure(url: str, manage: list[str]) -> None:
    """Print the table."""
    async with httpx.AsyncClient(base_url=url, timeout=300) as client:
        for _ in range(600):
            try:
                await client.get("/healthz")
                break
            except httpx.TransportError:
                await asyncio.sleep(0.1)
        waited = time.perf_counter()
        while "being read" in (await client.get("/", params={"q": f"w{random.random()}"[:6]})).text:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        print(f"the papers of the preview were read {time.perf_counter() - waited:.1f} s after the start")
        print(f"{READERS} readers at once; milliseconds. In a hurry: each asks again when it was answered")
        print(f"{'page':<14}{'median':>10}{'95 %':>10}{'alone':>10}{'kB':>8}{'hurry':>10}{'answers/s':>11}")
        pages = {path: [path] for path in ("/healthz", "/", "/status", "/papers", "/papers?q=fictional", "/papers/77")}
        for name, paths in {**pages, "/manage": manage}.items():
            alone = []
            for turn in range(15):
                started = time.perf_counter()
                answer = await client.get(paths[turn % len(paths)])
                alone.append(time.perf_counter() - started)
            took = sorted(await read(url, paths))
            rate, median = await asyncio.to_thread(hurried, url + paths[0])
            print(
                f"{name:<14.14}{statistics.median(took) * 1e3:>10.1f}{took[len(took) * 95 // 100] * 1e3:>10.1f}"
                f"{statistics.median(alone) * 1e3:>10.1f}{len(answer.content) / 1e3:>8.1f}{median:>10.1f}{rate:>11.0f}"
            )
        words = make_words(random.Random(1))
        took = []
        asked = [written(made) for made in make_queries(words, PREVIEWS * 7)[::7]]
        for query in [*asked, 'author:"ada boson"', "author:fictional", "*", "NOT the"]:
            started = time.perf_counter()
            await client.get("/", params={"q": query})
            took.append((time.perf_counter() - started, query))
        middle, longest = statistics.median(took for took, _ in took) * 1e3, sorted(took)[-4:]
        print(f"preview of {RECENT:,} papers: median {middle:.0f} ms; longest:")
        print("\n".join(f"  {took * 1e3:.0f} ms {query}" for took, query in longest))


def main() -> None:
    papers = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    subscriptions = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    with tempfile.TemporaryDirectory() as made:
        folder = sys.argv[3] if len(sys.argv) > 3 else made
        (Path(folder) / "config.toml").write_text(CONFIG.format(port=18437))
        if (Path(folder) / "token").exists():
            tokens = (Path(folder) / "token").read_text().split()
        else:
            tokens = asyncio.run(fill(Path(folder) / "notifier.db", papers, subscriptions))
            (Path(folder) / "token").write_text("\n".join(tokens))

        async def links() -> list[str]:
            async with open_store(f"sqlite:///{folder}/notifier.db") as store:
                return [f"/manage/{store.link('manage', each)}" for each in tokens]

        manage = asyncio.run(links())
        server = multiprocessing.get_context("spawn").Process(target=serve, args=(folder,))
        server.start()
        try:
            asyncio.run(measure("http://127.0.0.1:18437", manage))
        finally:
            server.terminate()
            server.join()


if __name__ == "__main__":
    main()
