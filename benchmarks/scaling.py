"""Scaling: what PostgreSQL and more workers cost and bring, beside SQLite and one process, on this machine.

    python benchmarks/scaling.py path [MESSAGES]       claim to settle, one process: PostgreSQL beside SQLite
    python benchmarks/scaling.py workers [MESSAGES [COUNT ...]]  1, 2, 4, 8 `notifier worker`s: messages a second, whose time
    python benchmarks/scaling.py jobs                  the cost of a job beside that of the 500 messages it sends
    python benchmarks/scaling.py seen [PAPERS [KEYS]]  which of a page's keys were seen, PostgreSQL beside SQLite
    python benchmarks/scaling.py match [QUERIES]       one batch against shards, and storing the hits

Both databases are on this machine's disk with every commit synced (SQLite WAL with synchronous=FULL, PostgreSQL as it
comes). The relay is Debian's `smtp-sink`, in a process of its own. Databases are made anew and thrown away.
"""
# ruff: noqa: E501  statements are easier to read on one line

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sqlalchemy import insert, select, text

from benchmarks.delivery import sink
from benchmarks.owed import CONNECTIONS, NOW, QUERIES, fill, letterhead, open_desk
from notifier import log
from notifier.drain import drain_outbox
from notifier.intake import Queries, match_shard
from notifier.model import Change, ChangeKind, Paper, PaperId, PollId, QueryId
from notifier.pipeline import queue_digests
from notifier.store import open_store, schema
from notifier.store.jobs import BATCH, Call
from notifier.store.shards import SHARD, Shard
from tests.servers.postgres import Cluster, cluster

DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "shared_buffers": "256MB"}
COUNTED = """SELECT xact_commit, wal_sync FROM pg_stat_database, pg_stat_wal WHERE datname = current_database()"""
SETTLED = 3.0  # seconds that a worker takes at most from its first sign of life until it asks for jobs
TICKS = os.sysconf("SC_CLK_TCK")


# --- claim to settle --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Way:
    """Messages a second, queued and sent, and what each cost in milliseconds of a processor: this process, PostgreSQL."""

    queued: float
    sent: float
    queueing: tuple[float, float]
    sending: tuple[float, float]

    def __str__(self) -> str:
        return (
            f"{self.queued:10,.0f} queued/s ({self.queueing[0]:.2f} + {self.queueing[1]:.2f} ms)"
            f"{self.sent:10,.0f} sent/s ({self.sending[0]:.2f} + {self.sending[1]:.2f} ms)"
        )


async def path(url: str, messages: int, port: int, postgres: Cluster | None = None) -> Way:
    """Queue and drain in this process; `postgres` is whose time is counted, too."""

    def marked() -> tuple[float, float, float]:
        return time.perf_counter(), time.process_time(), spent([], postgres).postgres if postgres else 0.0

    async with open_store(url) as store, open_desk(store, port) as desk:
        await fill(store, messages)
        began = marked()
        await queue_digests(store, desk.head, NOW)
        queued, sent = marked(), 0
        while sent < messages:
            sent += sum((await drain_outbox(desk, most=BATCH)).states.values())
        ended = marked()
    queueing, draining = (
        [then - before for before, then in zip(*pair, strict=True)] for pair in ((began, queued), (queued, ended))
    )
    each = 1_000 / messages
    return Way(
        messages / queueing[0], messages / draining[0],
        (queueing[1] * each, queueing[2] * each), (draining[1] * each, draining[2] * each),
    )  # fmt: skip


def compare_paths(postgres: Cluster, folder: Path, messages: int) -> None:
    """Print both, measured in turn, twice: rates, and beside them this process's and PostgreSQL's time for each."""
    rates: dict[str, list[float]] = {"sqlite": [], "postgresql": []}
    for turn in range(2):
        for name in rates:
            url = f"sqlite:///{folder}/{turn}.db" if name == "sqlite" else postgres.database()
            with sink(0) as port:
                way = asyncio.run(path(url, messages, port, postgres if name == "postgresql" else None))
            rates[name].append(way.sent)
            print(f"{name:12}{way}", flush=True)
    print(f"postgresql / sqlite, claim to settle: {max(rates['postgresql']) / max(rates['sqlite']):.2f}")


# --- workers ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spent:
    """Processor seconds by who spent them, and what they did meanwhile."""

    workers: float
    postgres: float
    relay: float
    commits: int = 0  # of PostgreSQL
    syncs: int = 0  # of its log to the disk

    def __sub__(self, before: Spent) -> Spent:
        mine, other = astuple(self), astuple(before)
        return Spent(*(now - then for now, then in zip(mine, other, strict=True)))


def spent(workers: Sequence[subprocess.Popen[bytes]], postgres: Cluster) -> Spent:
    """Return what these processes have spent so far; the short-lived ones of PostgreSQL included."""
    first = int((postgres.folder / "cluster" / "postmaster.pid").read_text().split()[0])
    sinks = [
        int(each)
        for each in subprocess.run(["pgrep", "-x", "smtp-sink"], capture_output=True, text=True).stdout.split()
    ]
    return Spent(
        workers=sum(_seconds(each.pid) for each in workers),
        postgres=_seconds(first) + sum(_seconds(child) for child in _children(first)),
        relay=sum(map(_seconds, sinks)),
    )


def _children(process: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(process)], capture_output=True, text=True)
    return [int(each) for each in found.stdout.split()]


def _seconds(process: int) -> float:
    """Return the processor time of a process and of its children that ended."""
    try:
        words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, words[11:15])) / TICKS


def workers(postgres: Cluster, folder: Path, messages: int, *counts: int) -> None:
    """Print the rate for each number of workers, and what a message costs: from the first tenth sent to the last."""
    print(f"{'':>8}{'':>10}{'ms of a processor a message':>36}{'a message':>22}")
    print(f"{'workers':>8}{'sent/s':>10}{'workers':>12}{'postgresql':>12}{'relay':>12}{'commits':>12}{'syncs':>10}")
    for count in counts or (1, 2, 4, 8):
        url = postgres.database()
        asyncio.run(_queued(url, messages))
        with sink(0) as port:
            config = folder / "config.toml"
            config.write_text(
                f'contact = "ops@example.org"\ndatabase = "{url}"\n[mail]\nfrom = "Papers <papers@example.org>"\n'
                f'relay = "smtp://127.0.0.1:{port}"\nstarttls = "never"\nconnections = {CONNECTIONS}\n'
            )
            command = [sys.executable, "-m", "notifier", "worker", "--roles", "send", "--config", str(config)]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            running = [subprocess.Popen(command, **quiet) for _ in range(count)]  # type: ignore[call-overload]
            try:
                (first, began, before), (last, ended, after) = asyncio.run(
                    _watched(url, messages, count, partial(spent, running, postgres))
                )
            finally:
                for each in running:
                    each.kill()
                    each.wait()
        used, sent = after - before, last - first
        cost = "".join(f"{seconds * 1000 / sent:12.2f}" for seconds in (used.workers, used.postgres, used.relay))
        print(
            f"{count:8}{sent / (ended - began):10,.0f}{cost}{used.commits / sent:12.2f}{used.syncs / sent:10.2f}",
            flush=True,
        )


async def _filled(url: str, messages: int) -> None:
    """Fill a database, so that everything is due but nothing is queued."""
    async with open_store(url) as store:
        await fill(store, messages)


async def _queued(url: str, messages: int) -> None:
    """Fill a database and queue everything; nothing leaves yet."""
    async with open_store(url) as store:
        await fill(store, messages)
        await queue_digests(store, letterhead(store), NOW)
        async with store._database.write() as connection:
            await connection.execute(insert(schema.setting).values(key="hold", value="until every worker is up"))


Mark = tuple[int, float, Spent]  # messages sent, the time, and what was spent by then


async def _watched(url: str, messages: int, workers: int, look: Callable[[], Spent]) -> tuple[Mark, Mark]:
    """Let the mail leave once all workers are up; return the marks of a tenth of it and of nine tenths."""
    marks: list[Mark] = []
    async with open_store(url) as store:
        while len(await store.workers()) < workers:  # noqa: ASYNC110  other processes
            await asyncio.sleep(0.2)
        await asyncio.sleep(SETTLED)
        await store.release_mail()
        for part in (messages / 10, messages * 9 / 10):
            while True:
                async with store._database.read() as connection:
                    sent = await connection.scalar(text("SELECT count(*) FROM message WHERE state = 'sent'")) or 0
                    commits, syncs = (await connection.execute(text(COUNTED))).one()
                if sent >= part:
                    break
                await asyncio.sleep(0.2)
            marks.append((sent, time.perf_counter(), replace(look(), commits=commits, syncs=syncs)))
    return marks[0], marks[1]


# --- jobs -------------------------------------------------------------------------------------------------------------


async def jobs(url: str, rate: float) -> None:
    """Print what calling, fetching and ending a job costs beside a batch of messages at `rate`."""
    from notifier.worker.tables import prepare

    times = 300
    async with open_store(url) as store:
        await prepare(store)
        async with store._database.write(alone=False) as connection:
            await connection.execute(text("INSERT INTO procrastinate_workers DEFAULT VALUES"))
        began = time.perf_counter()
        for number in range(times):
            await store.call_workers([Call(queue="send", task="send", key=f"send {number}")])
            async with store._database.write(alone=False) as connection:
                fetched = "SELECT id FROM procrastinate_fetch_job_v2(ARRAY['send']::varchar[], 1)"
                job = await connection.scalar(text(fetched))
            async with store._database.write(alone=False) as connection:
                await connection.execute(
                    text("SELECT procrastinate_finish_job_v1(:id, 'succeeded', true)"), {"id": job}
                )
        each = (time.perf_counter() - began) / times
    batch = BATCH / rate
    print(f"a job: {each * 1000:.1f} ms; {BATCH} messages at {rate:,.0f}/s: {batch:.2f} s; overhead {each / batch:.2%}")


# --- seen -------------------------------------------------------------------------------------------------------------


def seen(postgres: Cluster, folder: Path, papers: int, keys: int) -> None:
    """Print how long it takes to say which keys of a page were seen, half of those asked for being new."""
    import sqlite3

    import psycopg

    print(f"{papers:,} papers, {keys:,} keys of a page")
    url, file = postgres.database(), folder / "seen.db"
    asyncio.run(_filled(url, 1))
    asyncio.run(_filled(f"sqlite:///{file}", 1))
    columns = "guid, poll_id, counted, seen_at, changed_at, source, source_key, title, title_tex, abstract, abstract_tex, url, authors, categories, withdrawn"
    # The numbers have a fixed length, so that rows come in the order of their keys: ten million are there in minutes.
    values = "'p' || {padded}, 1, {true}, '2026-03-01 00:00:00', '2026-03-01 00:00:00', 't', 'k' || {padded}, 'A Fictional Title', '', '', '', '', '[]', '[]', {false}"
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA synchronous = OFF")  # for the filling alone, as what follows
        database.execute("PRAGMA cache_size = -500000")
        padded = "printf('%08d', n)"
        rows = f"WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {papers}) "
        database.execute(
            f"{rows} INSERT INTO paper ({columns}) SELECT {values.format(true=1, false=0, padded=padded)} FROM s"
        )
        database.execute(f"{rows} INSERT INTO paper_key SELECT 'arxiv:' || {padded}, n FROM s")
        database.execute("ANALYZE")
    with psycopg.connect(url, autocommit=True) as database:
        database.execute("SET synchronous_commit = off")
        database.execute("SET session_replication_role = replica")  # no look at what a row refers to
        padded, rows = "lpad(n::text, 8, '0')", f"generate_series(1, {papers}) n"
        database.execute(
            f"INSERT INTO paper ({columns}) SELECT {values.format(true='true', false='false', padded=padded)} FROM {rows}"
        )  # type: ignore[arg-type]
        database.execute(f"INSERT INTO paper_key SELECT 'arxiv:' || {padded}, n FROM {rows}")  # type: ignore[arg-type]
        database.execute("VACUUM ANALYZE paper_key")
        database.execute("ANALYZE")
    asked = [f"arxiv:{random.randrange(1, 2 * papers):08}" for _ in range(keys)]
    best = {
        name: asyncio.run(_seen(where, asked)) for name, where in (("sqlite", f"sqlite:///{file}"), ("postgresql", url))
    }
    for name, (bare, whole) in best.items():
        print(f"{name:12}membership {bare * 1000:8.1f} ms, with the papers that are there {whole * 1000:8.1f} ms")
    ratios = [there / here for there, here in zip(best["postgresql"], best["sqlite"], strict=True)]
    print(f"postgresql / sqlite: {ratios[0]:.2f}, {ratios[1]:.2f}")


async def _seen(url: str, asked: Sequence[str]) -> tuple[float, float]:
    """Return the seconds of asking for the keys alone, and of `Store.seen`; the best of five."""
    times: list[tuple[float, float]] = []
    async with open_store(url) as store:
        for _ in range(5):
            began = time.perf_counter()
            async with store._database.read() as connection:
                for some in store._database.among(schema.paper_key.c.key, asked):
                    (await connection.execute(select(schema.paper_key.c.key).where(some))).all()
            bare = time.perf_counter()
            await store.seen(asked, "daily")
            times.append((bare - began, time.perf_counter() - bare))
    return min(each for each, _ in times), min(each for _, each in times)


# --- match ------------------------------------------------------------------------------------------------------------


async def matching(url: str, queries: int) -> None:
    """Print how fast a batch of 300 papers is matched against shards, and how fast its hits are stored."""
    words = [f"word{number}" for number in range(5_000)]
    draw = random.Random(7)
    async with open_store(url) as store:
        await fill(store, 1, papers=300)
        async with store._database.write() as connection:
            for start in range(0, queries, 20_000):
                rows = [{"canonical": f"{draw.choice(words)} {draw.choice(words)} n{start + n}"} for n in range(20_000)]
                kept = [
                    row | {"canonical": row["canonical"].rsplit(" ", 1)[0] + f" -n{start + n}"}
                    for n, row in enumerate(rows)
                ]
                await connection.execute(insert(schema.query), kept)
        papers = [
            Paper(source="t", source_key=str(n), title=" ".join(draw.sample(words, 8)), url="", abstract=" ".join(draw.sample(words, 120)))
            for n in range(300)
        ]  # fmt: skip
        changes = tuple(Change(ChangeKind.NEW, each, (), PaperId(n + 1)) for n, each in enumerate(papers))
        last = QUERIES + queries
        shards = [Shard(poll_id=PollId(2), first=QueryId(first), last=QueryId(min(first + SHARD - 1, last)), changes=changes)
                  for first in range(1, last + 1, SHARD)]  # fmt: skip
        async with store._database.write() as connection:
            await connection.execute(insert(schema.batch).values(poll_id=2, changes="[]"))
            rows = [{"poll_id": 2, "first_query": each.first, "last_query": each.last} for each in shards]
            await connection.execute(insert(schema.shard), rows)
        ready = [Queries(QueryId(each.first - 1)) for each in shards]
        for turn in ("cold", "warm"):
            began = time.perf_counter()
            for shard, held in zip(shards, ready, strict=True):
                await match_shard(shard, held, store)
            seconds = time.perf_counter() - began
            async with store._database.read() as connection:
                hits = await connection.scalar(text("SELECT count(*) FROM hit")) or 0
            print(
                f"{turn}: {queries:,} queries x 300 papers in {seconds:.2f} s: {queries / seconds:,.0f} queries/s, {hits:,} hits stored"
            )


def main(what: str, *numbers: int) -> None:
    log.setup(level=40)
    with tempfile.TemporaryDirectory() as name, cluster(**DURABLE) as postgres:
        folder = Path(name)
        if what == "path":
            compare_paths(postgres, folder, *(numbers or (3_000,)))
        elif what == "workers":
            workers(postgres, folder, *(numbers or (6_000,)))
        elif what == "jobs":
            with sink(0) as port:
                way = asyncio.run(path(postgres.database(), 2_000, port))
            asyncio.run(jobs(postgres.database(), way.sent))
        elif what == "seen":
            seen(postgres, folder, *(*numbers, *(1_000_000, 10_000)[len(numbers) :]))
        elif what == "match":
            asyncio.run(matching(postgres.database(), *(numbers or (200_000,))))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
