"""A month in minutes: captured pages day by day, many readers, every step of the daemon; memory does not grow.

DAYS=30 READERS=10000 is the long form: `make soak`. The truth about who is owed what is read from the pages by plain
regular expressions (tests/replay.py), never by the program's parsers.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sqlite3
import subprocess
import sys
import time as clocks
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from notifier.exchange import Entry
from notifier.model import Cadence, DigestClock, SubscriberState, Wish
from notifier.query import canonical, parse
from tests.replay import API, API_HOUR, ARXIV, Snapshot, arxiv_days, packed
from tests.servers.http import Answer, Request
from tests.servers.sink import Sink, sink
from tests.world import World

DAYS, READERS = int(os.environ.get("DAYS", "4")), int(os.environ.get("READERS", "150"))
EVERY = timedelta(hours=2 if DAYS > 5 else 4)
QUIET = timedelta(days=1)  # between two looks when nothing new comes any more
AFTERWARDS = 8  # days, for the last weekly digests
SETTLED = 3  # days after which memory may have grown to what it is
MOST_GROWTH = 1.10
FIRST = date(2026, 4, 20)  # a Monday: a run that begins with a weekend has not begun to work on its third day
WORDS = ["segmentation", "diffusion", "video", "reasoning", "robot", "benchmark", "agent", "retrieval"]
ZONES = ["UTC", "Europe/Berlin", "America/Los_Angeles", "Asia/Tokyo", "Australia/Adelaide"]
EVERYTHING = 97  # every so manieth reader wants everything


def query(reader: int) -> str:
    return "*" if reader % EVERYTHING == 0 else WORDS[reader % len(WORDS)]


def entry(reader: int) -> Entry:
    """Return the wish of the reader with this number: weekly or daily, at all hours of all zones, or at once."""
    cadence = Cadence.DAILY if reader % 4 == 0 else Cadence.IMMEDIATE if reader % 50 == 1 else Cadence.WEEKLY
    clock = DigestClock(cadence, ZONES[reader % len(ZONES)], time(reader * 7 % 24), reader % 7)
    email, text = f"reader{reader}@domain{reader % 200}.example", query(reader)
    wish = Wish(email=email, label=text, canonical=canonical(parse(text)), clock=clock)
    return Entry(email=email, state=SubscriberState.CONFIRMED, wish=wish)


def snapshots(captures: Path, days: int) -> list[Snapshot]:
    """Return the pages of so many days from FIRST on: the Daily Papers API, and cs.CV while it was captured."""
    last = FIRST + timedelta(days=days - 1)
    api = [page for page in _api(captures) if FIRST <= page.day <= last]
    arxiv = [page for page in arxiv_days(captures) if FIRST <= page.day <= last]
    return sorted([*api, *arxiv], key=lambda page: page.at)


def _api(captures: Path) -> Iterator[Snapshot]:
    for name, content in packed(captures / "captures/hf-daily-api/2024-05-27_to_2026-05-29.tar.xz"):
        day = date.fromisoformat(Path(name).stem)
        if day >= FIRST:
            items = [item["paper"] for item in json.loads(content)]
            texts = {item["id"]: f"{item['title']} {item['summary']}" for item in items}
            yield Snapshot(datetime.combine(day, API_HOUR), API, content, texts, dict.fromkeys(texts, "listed"))


@pytest.mark.slow
@pytest.mark.timeout(0 if DAYS > 5 else 300)
async def test_g1_g2_a_month_misses_nothing_doubles_nothing_and_holds_no_more_memory(
    installation: World, captures: Path, tell: Callable[[str], None]
) -> None:
    pages = snapshots(captures, DAYS)
    by_day = {page.day: page.content for page in pages if page.listing == API}
    shown: list[date] = []

    def answer(request: Request) -> Answer:
        asked = parse_qs(urlsplit(request.target).query)
        if not shown or not request.target.startswith(f"/{API}"):
            return Answer(status=503, body=b"not there yet")
        day = date.fromisoformat(asked["date"][0]) if "date" in asked else shown[-1]
        content = by_day.get(day, b"[]") if day <= shown[-1] and "p" not in asked else b"[]"
        return Answer(body=content, etag=f'"{day}"', headers=(("Content-Type", "application/json"),))

    installation.pages.otherwise = answer
    installation.pages.put(f"/{ARXIV}", b"not there yet", status=503)
    installation.listing(API, "hf-daily", first="owe")
    installation.listing(ARXIV, "arxiv-feed", first="owe")
    installation.now = datetime.combine(FIRST, time(), UTC)
    async with sink() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        async with installation.opened() as running:
            await running.store.enrol([entry(number) for number in range(READERS)], installation.now)
        began = clocks.perf_counter()
        memory = await lived_through(installation, pages, shown)
        took = clocks.perf_counter() - began
    speed = DAYS * 86_400 / took
    days = " ".join(f"{each / 1024:.0f}" for each in memory)
    tell(f"{DAYS} days, {READERS} readers: {took:.0f} s, {speed:.0f} times as fast; {len(server.copies)} mails")
    tell(f"MiB at the end of each day: {days}")
    check(installation.folder / "notifier.db", pages, server)
    assert memory[DAYS - 1] <= memory[SETTLED - 1] * MOST_GROWTH


async def lived_through(installation: World, pages: list[Snapshot], shown: list[date]) -> list[int]:
    """Let the program live from day to day, and some days more for the last digests; return its memory of each day."""
    memory, waiting, now = [], list(pages), installation.now
    assert installation.config
    with ExitStack() as stack:
        log = stack.enter_context((installation.folder / "log").open("wb"))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.soak", str(installation.folder / "config.toml"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=Path(__file__).parent.parent,
        )  # fmt: skip
        assert process.stdin and process.stdout
        for day in range(DAYS + AFTERWARDS):
            every = EVERY if day < DAYS else QUIET
            for _ in range(timedelta(days=1) // every):
                now += every
                while waiting and waiting[0].at <= now:
                    page = waiting.pop(0)
                    if page.listing == API:
                        shown.append(page.day)
                    else:
                        installation.pages.put(f"/{page.listing}", page.content, etag=f'"{page.at}"')
                installation.pages.requests.clear()
                process.stdin.write(f"{now.isoformat()}\n".encode())
                await process.stdin.drain()
                said = await process.stdout.readline()
                assert said, (installation.folder / "log").read_text()[-3000:]
            memory.append(int(said.split()[0]))
        process.stdin.close()
        assert await process.wait() == 0
    return memory


def check(database: Path, pages: list[Snapshot], server: Sink) -> None:
    """Compare what was sent with what the pages held: every reader got each of their papers, in one mail, once."""
    texts: dict[str, str] = {}
    news: set[str] = set()
    for page in pages:
        news |= {name for name in page.papers if page.kinds[name] in ("listed", "new")}
        for name, text in page.papers.items():
            texts.setdefault(name, text)
    wanted = {word: {name for name in news if holds(word, texts[name])} for word in WORDS} | {"*": news}
    with sqlite3.connect(database) as opened:
        rows = opened.execute(
            "SELECT s.email, p.arxiv_id, count(*) FROM delivery d JOIN subscriber s ON s.id = d.subscriber_id "
            "JOIN paper p ON p.id = d.paper_id JOIN message m ON m.id = d.message_id AND m.state = 'sent' "
            "GROUP BY s.email, p.arxiv_id"
        )
        got: dict[str, set[str]] = {}
        for email, paper, copies in rows:
            assert copies == 1, (email, paper, copies)
            got.setdefault(email, set()).add(paper)
        sent = dict(opened.execute("SELECT state, count(*) FROM message GROUP BY state"))
    assert sent == {"sent": len(server.copies)}
    assert set(server.copies.values()) == {1}
    for reader in range(READERS):
        email = entry(reader).email
        missing, more = wanted[query(reader)] - got.get(email, set()), got.get(email, set()) - wanted[query(reader)]
        assert (missing, more) == (set(), set()), (email, query(reader))


def holds(word: str, text: str) -> bool:
    """Tell by regular expression whether a word is in a text, as TeX would print it."""
    plain = re.sub(r"\\(?:text\w+|emph)\{([^{}]*)\}", r"\1", text)
    return re.search(rf"(?<![^\W_]){word}(s|es)?(?![^\W_])", plain, re.IGNORECASE) is not None
