"""Measure matching against what else could do it, in one run on one machine: `python -m benchmarks.match`.

Papers and queries are made up, deterministic and plain (lower-case words without plurals, Zipf's law), so that every
peer can be given the same meaning and must find the same pairs; ours runs with the whole language on. Each contender
runs in a process of its own, so that memory can be told apart, and is given its queries compiled before the clock
starts: the clock covers a new batch of papers until every query knows its papers. Ours forgets the words of earlier
batches each time. The C floor is floor.c beside this file: the same answer with nothing of the language.

Peers come from PyPI into build/peers; one that cannot be had is reported absent. What is too slow is run on a sample of
the queries, marked "~". `--quick` takes under a minute, `--growth` shows how time and memory grow with queries and
papers, `--queries 1000000 --only "ours,C floor,tantivy,SQLite FTS5"` is the large table.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.match_input import fingerprint, make_papers, make_queries, make_words
from benchmarks.match_peers import CONTENDERS, NOTES, OUT_OF_REACH, TOOLS, memory

PEERS = Path("build/peers")
PACKAGES = ("tantivy", "hyperscan", "pyahocorasick")
QUICK = ("ours", "C floor", "tantivy", "SQLite FTS5", "loop of in")
GROWTH = (250_000, 500_000, 1_000_000)
BATCHES = (500, 1_000, 2_000)


def contend(name: str, papers: int, queries: int, rounds: int) -> None:
    """Run one contender and print what came of it as JSON."""
    words = make_words(random.Random(1))
    batch, made = make_papers(words, papers, seed=3), make_queries(words, queries)
    base = memory()
    for run in CONTENDERS[name](batch, made):
        seconds: list[float] = []
        cpu: list[float] = []
        gc.collect()
        gc.freeze()  # the made-up input is not the contender's to walk through
        for _ in range(rounds):
            pairs: Iterable[tuple[int, int]] = ()  # what the round before found is not freed on this one's time
            started, busy = time.perf_counter(), time.process_time()
            pairs = run()
            taken = time.perf_counter() - started
            cpu.append(time.process_time() - busy)
            seconds.append(NOTES.pop("seconds itself", taken))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        count, digest = fingerprint(pairs)
        print(
            json.dumps({"seconds": seconds, "cpu": cpu, "pairs": count, "digest": digest, "MB": peak - base, **NOTES})
        )


def python_for(name: str) -> str | None:
    """Return the interpreter that has a contender's package, if any; the first use installs them."""
    if name not in CONTENDERS or (name in TOOLS and not shutil.which(TOOLS[name])):
        return None
    module = {"tantivy": "tantivy", "hyperscan": "hyperscan", "pyahocorasick": "ahocorasick"}.get(name)
    if module is None:
        return sys.executable
    if not PEERS.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
        for package in PACKAGES:
            subprocess.run([str(PEERS / "bin/pip"), "install", "-q", package], check=False)
    python = str(PEERS / "bin/python")
    known = subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0
    return python if known else None


def measured(name: str, papers: int, queries: int, rounds: int) -> dict[str, Any] | str:
    """Run a contender in a process of its own; return its figures, or why there are none."""
    python = python_for(name)
    if python is None:
        return "absent"
    sizes = ["--papers", str(papers), "--queries", str(queries), "--rounds", str(rounds)]
    done = subprocess.run([python, "-m", "benchmarks.match", "--contend", name, *sizes], capture_output=True, text=True)
    if done.returncode:
        return f"failed  {done.stderr.strip().splitlines()[-1][:80] if done.stderr else ''}"
    got: dict[str, Any] = json.loads(done.stdout)
    got["median"] = statistics.median(got["seconds"]) / got.get("share", 1.0)
    return got


def compare(names: Iterable[str], papers: int, queries: int, rounds: int) -> None:
    """Print the table of contenders beside ours."""
    print(f"{papers:,} papers x {queries:,} distinct queries, median of {rounds} runs\n")
    print(
        f"{'':16}{'match':>10}{'times ours':>12}{'cpu':>10}{'pairs found':>14}{'peak MB':>10}{'load':>9}{'others':>9}"
    )
    best, digest = 0.0, ""
    for name in names:
        busy = os.getloadavg()[0]
        got = measured(name, papers, queries, rounds)
        if isinstance(got, str):
            print(f"{name:16}{got[:6]:>10}{got[6:]}", flush=True)
            continue
        sample = "share" in got
        cpu = "" if name in TOOLS else f"{statistics.median(got['cpu']) / got.get('share', 1.0):.3f} s"
        seconds = got["median"]
        best, digest = (best, digest) if best else (seconds, got["digest"])
        same = "sample" if sample else "same" if got["digest"] == digest else "DIFFER"
        load = f"{got['load seconds']:.2f} s" if "load seconds" in got else ""
        print(
            f"{name:16}{'~' * sample + format(seconds, '.3f'):>8} s{seconds / best:>11.2f}x{cpu:>10}"
            f"{got['pairs']:>9,} {same:6}{got['MB']:>8.0f}{load:>9}{busy:>9.1f}",
            flush=True,
        )
    print("\ncpu: what the process itself used, which other work disturbs less. load: making the queries ready.")
    print("others: what else the machine was doing, as its load average before the row.")


def grow(rounds: int) -> None:
    """Print how ours grows with the queries and with the papers, each step as a multiple of the one before."""
    for axis, steps in (("queries", ((1_000, n) for n in GROWTH)), ("papers", ((n, 100_000) for n in BATCHES))):
        print(f"{axis:>10}{'match':>12}{'ratio':>8}{'peak MB':>10}{'load':>9}{'ratio':>8}")
        before: dict[str, Any] | None = None
        for papers, queries in steps:
            got = measured("ours", papers, queries, rounds)
            assert not isinstance(got, str), got
            ratios = [f"{got[key] / before[key]:.2f}x" if before else "" for key in ("median", "load seconds")]
            size = queries if axis == "queries" else papers
            print(
                f"{size:>10,}{got['median']:>10.3f} s{ratios[0]:>8}{got['MB']:>10.0f}{got['load seconds']:>7.2f} s"
                f"{ratios[1]:>8}",
                flush=True,
            )
            before = got
        print()


def main() -> None:
    """Run what is asked for."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--papers", type=int, default=1_000)
    arguments.add_argument("--queries", type=int, default=100_000)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--only", default="", help="names of contenders, with commas between them")
    arguments.add_argument("--quick", action="store_true", help="a smaller table in under a minute")
    arguments.add_argument("--growth", action="store_true", help="how ours grows with queries and papers")
    arguments.add_argument("--contend", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    names = chosen.only.split(",") if chosen.only else [*CONTENDERS, *OUT_OF_REACH]
    if chosen.contend:
        contend(chosen.contend, chosen.papers, chosen.queries, chosen.rounds)
    elif chosen.growth:
        grow(chosen.rounds)
    elif chosen.quick:
        compare(QUICK, chosen.papers, 20_000, 3)
    else:
        compare(names, chosen.papers, chosen.queries, chosen.rounds)


if __name__ == "__main__":
    main()
