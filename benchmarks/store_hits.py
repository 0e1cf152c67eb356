"""Measure storing the hits of a large poll beside SQLite's own bulk insert: `python benchmarks/store_hits.py`.

The hits are those of the made-up papers and queries of match.py. `Store.record_poll` stores papers and hits in one
transaction; what it takes for the same papers without hits is stated apart. SQLite's own is `executemany` of ready
tuples into the same table of a copy of the same database: one transaction, WAL, synchronous=FULL, foreign keys on.
Every round starts from a fresh copy; "cpu" is what this process used, a measure that other work disturbs less.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import resource
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from match_input import make_papers, make_queries, make_words, written

from notifier.match import QuerySet
from notifier.model import Change, ChangeKind, Diff, Hits, Outcome, Paper, PaperId, Poll, QueryId, Seen
from notifier.store import open_store

NOW = datetime(2026, 3, 3, 7, 0, tzinfo=UTC)
Figures = tuple[float, float]  # seconds on the clock, and of the processor


def make_hits(papers: int, queries: int) -> tuple[list[Paper], list[str], list[Hits]]:
    """Return papers, queries and what they hit; query n has the id n + 1."""
    words = make_words(random.Random(1))
    batch = [
        Paper(source="made-up", source_key=str(number), title=title, abstract=abstract, url="")
        for number, (title, abstract) in enumerate(make_papers(words, papers, seed=3))
    ]
    texts = [written(made) for made in make_queries(words, queries)]
    known = QuerySet((QueryId(number), text) for number, text in enumerate(texts, start=1))
    return batch, texts, [Hits(query, places.tolist()) for query, places in known.match(batch)]


async def record(file: Path, batch: list[Paper], hits: list[Hits]) -> Figures:
    """Return what record_poll takes."""
    async with open_store(f"sqlite:///{file}") as store:
        changes = tuple(Change(ChangeKind.NEW, paper, (f"made-up:{paper.source_key}",)) for paper in batch)
        poll = Poll(listing="made-up", polled_at=NOW, outcome=Outcome.FRESH, reason="", read=len(batch), new=len(batch))
        latest = (await store.queries(QueryId(0)))[-1][0]
        started, busy = time.perf_counter(), time.process_time()
        await store.record_poll(
            poll, Diff(changes, Outcome.FRESH, ""), hits, None,
            seen=Seen({}, PaperId(0)), queries_up_to=latest, next_poll_at=NOW + timedelta(hours=1),
        )  # fmt: skip
        return time.perf_counter() - started, time.process_time() - busy


async def prepare(file: Path, texts: list[str]) -> None:
    """Make a database that holds the queries."""
    async with open_store(f"sqlite:///{file}"):
        pass
    with sqlite3.connect(file) as database:
        database.executemany("INSERT INTO query (id, canonical, turned) VALUES (?, ?, 0)", enumerate(texts, start=1))
    database.close()


def insert(file: Path, rows: list[tuple[int, int, int, str, int]]) -> Figures:
    """Return what SQLite takes for as many rows, given as tuples."""
    database = sqlite3.connect(file, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
        database.execute(f"PRAGMA {pragma}")
    started, busy = time.perf_counter(), time.process_time()
    database.execute("BEGIN IMMEDIATE")
    database.executemany("INSERT INTO hit (query_id, paper_id, edition, kind, poll_id) VALUES (?, ?, ?, ?, ?)", rows)
    database.execute("COMMIT")
    taken = time.perf_counter() - started, time.process_time() - busy
    database.close()
    return taken


def rounds(count: int, once: Callable[[], Figures]) -> Figures:
    """Return the medians of several runs."""
    clock, busy = zip(*(once() for _ in range(count)), strict=True)
    return statistics.median(clock), statistics.median(busy)


def main() -> None:
    """Run everything and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--papers", type=int, default=1_000)
    arguments.add_argument("--queries", type=int, default=100_000)
    arguments.add_argument("--rounds", type=int, default=3)
    chosen = arguments.parse_args()
    batch, texts, hits = make_hits(chosen.papers, chosen.queries)
    rows = [(int(each.query), position + 1, 0, "new", 1) for each in hits for position in each.papers]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asyncio.run(prepare(folder / "queries.db", texts))
        shutil.copy(folder / "queries.db", folder / "papers.db")
        asyncio.run(record(folder / "papers.db", batch, []))

        def fresh(start: str) -> Path:
            for old in folder.glob("round.db*"):
                old.unlink()
            return Path(shutil.copy(folder / start, folder / "round.db"))

        gc.collect()
        gc.freeze()
        busy = os.getloadavg()[0]
        print(f"{len(rows):,} hits of {chosen.papers:,} papers, medians of {chosen.rounds}, load {busy:.1f}\n")
        own = rounds(chosen.rounds, lambda: insert(fresh("papers.db"), rows))
        ordered = sorted(rows)
        best = rounds(chosen.rounds, lambda: insert(fresh("papers.db"), ordered))
        papers = rounds(chosen.rounds, lambda: asyncio.run(record(fresh("queries.db"), batch, [])))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        both = rounds(chosen.rounds, lambda: asyncio.run(record(fresh("queries.db"), batch, hits)))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3 - before
        stored = both[0] - papers[0], both[1] - papers[1]
        print(f"{'':34}{'clock':>10}{'cpu':>10}{'times own':>11}")
        for label, (clock, busy) in {
            "SQLite's own, in order of queries": best,
            "SQLite's own, as matched": own,
            "record_poll, papers alone": papers,
            "record_poll, papers and hits": both,
            "  of that the hits": stored,
        }.items():
            print(f"{label:34}{clock:>8.2f} s{busy:>8.2f} s{clock / own[0]:>10.1f}x")
        print(f"\nrecord_poll took {peak:.0f} MB more than had been used before")


if __name__ == "__main__":
    main()
