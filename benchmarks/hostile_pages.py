"""Measure what hostile pages cost: `python benchmarks/hostile_pages.py` writes docs/hostile-pages.md.

Each attack is put into a page of every format whose shape it concerns, and the page is parsed as the daemon does it,
in a new worker process each time. Wall time is the caller's; processor time and peak memory are the worker's, read from
/proc every few milliseconds until it is gone, so they are low by at most what fits between two looks. "limit" says who
stopped it: the parser by its own bounds (a reason), the worker's limits (killed), or nobody (papers read).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.hostile_attacks import ATTACKS, FORMS, SECRET, SELECTORS, Attack, Form
from notifier import __version__
from notifier.confine import Limits, confine
from notifier.errors import PageError, ParserFailed, ParserKilled
from notifier.model import Page
from notifier.parse import FORMATS

TICKS = os.sysconf("SC_CLK_TCK")
LOOK = 0.003  # seconds between two looks at a worker
LOOP_LOOK = 0.005  # seconds between two beats of the event loop
REPORT = Path(__file__).resolve().parent.parent / "docs" / "hostile-pages.md"


# --- measuring --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cost:
    """What one page cost: seconds, bytes; `stall` is the longest the event loop did not turn."""

    size: int
    outcome: str
    stopped_by: str
    wall: float
    cpu: float
    memory: int
    stall: float


async def measure(form: Form, content: bytes) -> Cost:
    """Parse one page in a new worker, and watch it."""
    plain = Page(url="https://listing.example/", content=form.page().encode(), fetched_at=datetime.now(UTC))
    page = Page(url="https://listing.example/", content=content, fetched_at=datetime.now(UTC))
    selectors = SELECTORS if form.format == "html" else {}
    async with confine() as worker:
        await worker.parse(plain, form.format, selectors)  # also shows that the form is a page of its format
        assert worker.pid
        with Watch(worker.pid) as watch:
            beat = asyncio.create_task(longest_stall())
            await asyncio.sleep(0)
            started = time.perf_counter()
            outcome, stopped_by = "", ""
            try:
                batch = await worker.parse(page, form.format, selectors)
                outcome = f"{len(batch.papers):,} papers"
                assert not any(SECRET in f"{paper.title}{paper.abstract}" for paper in batch.papers)
            except ParserKilled as fault:
                outcome, stopped_by = "killed", fault.reason.partition(": ")[2]
            except ParserFailed as fault:
                outcome, stopped_by = "FAILED", fault.reason
            except PageError as fault:
                outcome, stopped_by = "refused", fault.reason
            wall = time.perf_counter() - started
            await asyncio.sleep(0)
            beat.cancel()
            with suppress(asyncio.CancelledError):
                await beat
    return Cost(len(content), outcome, stopped_by, wall, watch.cpu, watch.memory, stall[0])


stall = [0.0]


async def longest_stall() -> None:
    """Note by how much the longest turn of the event loop was late."""
    stall[0], before = 0.0, time.perf_counter()
    while True:
        await asyncio.sleep(LOOP_LOOK)
        now = time.perf_counter()
        stall[0], before = max(stall[0], now - before - LOOP_LOOK), now


class Watch:
    """Reads a process's processor time and peak memory until it is gone or nobody watches any more."""

    def __init__(self, pid: int) -> None:
        self._pid, self._end = pid, Event()
        self._thread = Thread(target=self._look)
        self._before = self._seconds()
        self.cpu, self.memory = 0.0, 0

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        with suppress(OSError, LookupError):
            while True:
                ended = self._end.wait(LOOK)
                status = Path(f"/proc/{self._pid}/status").read_text()
                self.memory = max(self.memory, int(status.partition("VmHWM:")[2].split()[0]) * 1024)
                self.cpu = self._seconds() - self._before
                if ended:
                    return

    def _seconds(self) -> float:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


# --- the report -------------------------------------------------------------------------------------------------------


def report(costs: list[tuple[Attack, Form, Cost]]) -> str:
    """Return the page: what is measured, the worst, then every line."""
    limits = Limits()
    worst = {
        "longest": max(costs, key=lambda each: each[2].wall),
        "most memory": max(costs, key=lambda each: each[2].memory),
        "longest stall of the event loop": max(costs, key=lambda each: each[2].stall),
    }
    kills = sum(cost.outcome == "killed" for _, _, cost in costs)
    lines = [
        "# Hostile pages",
        "",
        "Pages made to cost more than a page may, each put into a page of every format whose shape it concerns and",
        "parsed as the daemon parses: in a worker process of its own (`notifier/confine.py`). Written by",
        f"`python benchmarks/hostile_pages.py`, version {__version__}, Python {platform.python_version()}, on a",
        f"machine of {os.cpu_count()} cores that had other work too: wall-clock times and stalls are on the high side.",
        "",
        "## Limits",
        "",
        "| what one page may cost | limit | how it is held |",
        "|---|---|---|",
        "| bytes | 16 MiB decoded | `fetch` stops reading; also a gzip bomb |",
        f"| processor time | {limits.cpu:g} s + {limits.cpu_per_mib:g} s per MiB | `ITIMER_PROF` of the worker: the "
        "kernel ends it, in the middle of C too |",
        f"| wall-clock time | {limits.wall:g} s | `ITIMER_REAL` of the worker, and the caller's own clock |",
        f"| memory | {limits.memory // 2**20} MiB of address space | `RLIMIT_AS` |",
        "| files | none written, few open, no core dump, no process | `RLIMIT_FSIZE`, `_NOFILE`, `_CORE`, `_NPROC` |",
        "",
        "Most attacks never meet these: the parsers look for them first and refuse the page with a reason. A page that",
        "does kill the worker three times is *quarantined*: not parsed again until it changes, or the program does. A",
        "page that changes at every look and kills every time is not caught by that; it is asked for ever more rarely,",
        "up to 6 hours apart, as every listing that fails.",
        "",
        "The worker runs as the same user as the program, so this is a fence against cost and crashes, not a sandbox",
        "against somebody who takes over a parser; for that there is the systemd unit around both.",
        "",
        "## The worst",
        "",
        f"{len(costs)} pages; {kills} killed the worker; none failed in another way than with a reason."
        if not any(cost.outcome == "FAILED" for _, _, cost in costs)
        else f"{len(costs)} pages; {kills} killed the worker; SOME FAILED WITHOUT A REASON.",
        "",
    ]
    for what, (attack, form, cost) in worst.items():
        shown = {"longest": f"{cost.wall:.2f} s", "most memory": f"{cost.memory / 2**20:.0f} MiB"}
        lines.append(f"- {what}: {shown.get(what, f'{cost.stall * 1000:.0f} ms')} ({attack.name}, {form.format})")
    lines += [
        "",
        "## Every page",
        "",
        "Memory is the peak of the worker, of which it needs some 34 MiB for itself; the stall is the longest that the",
        "event loop of the program did not turn.",
        "",
        "| fault | attack | format | page | outcome | wall s | CPU s | peak MiB | stall ms | stopped by |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for attack, form, cost in costs:
        shape = f" ({form.shape})" if form.format in ("biorxiv", "feed", "hf-daily") else ""
        stopped = "".join(c for c in cost.stopped_by[:90] if c.isprintable()).replace("|", "\\|").replace("<", "&lt;")
        stopped += "…" if len(cost.stopped_by) > 90 else ""
        lines.append(
            f"| {attack.fault} | {attack.name.replace('<', '&lt;')} | {form.format}{shape} | {cost.size / 1e6:.2f} MB "
            f"| {cost.outcome} | {cost.wall:.2f} | {cost.cpu:.2f} | {cost.memory / 2**20:.0f} "
            f"| {cost.stall * 1000:.0f} | {stopped} |"
        )
    return "\n".join(lines) + "\n"


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--format", default="", help="only this one; nothing is written")
    options.add_argument("--attack", default="", help="only those whose name holds this; nothing is written")
    chosen = options.parse_args()
    missing = set(FORMATS) - {form.format for form in FORMS}
    assert not missing, f"no form for {missing}"
    costs = []
    for attack in ATTACKS:
        for form in FORMS:
            if form.shape not in attack.shapes.split() or chosen.attack not in attack.name:
                continue
            if chosen.format not in ("", form.format):
                continue
            content = attack.make(form)
            cost = await measure(form, content.encode() if isinstance(content, str) else content)
            costs.append((attack, form, cost))
            print(f"{attack.name:42.42} {form.format:18} {cost.size / 1e6:6.2f} MB  {cost.outcome:14} "
                  f"{cost.wall:6.2f} s "
                  f"{cost.cpu:6.2f} CPU-s {cost.memory / 2**20:5.0f} MiB {cost.stall * 1000:4.0f} ms  "
                  f"{cost.stopped_by[:100]!r}", flush=True)  # fmt: skip
    if not chosen.format and not chosen.attack:
        REPORT.write_text(report(costs))
        print(f"written: {REPORT}")


if __name__ == "__main__":
    asyncio.run(main())
