"""The captured pages in the order of their times, and a process that is told which listing to read when.

What a page shows is read here by plain regular expressions and the json of the standard library, never by the parsers
of the program: it is the truth that tests compare the program with.

    python -m tests.replay CONFIG

opens the installation of a configuration and reads lines `NAME<tab>INSTANT` from standard input: it polls that listing
at that time, sends and publishes what is due after every ROUND polls or MANY papers, and answers
`OUTCOME<tab>NEW<tab>PEAK`, its peak of resident memory so far in MiB. At the end of its input it prints that and the
peak of its parser: `peak<tab>SELF<tab>PARSER`.
"""

from __future__ import annotations

import asyncio
import gc
import html
import json
import os
import re
import sqlite3
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING

from notifier import pipeline
from notifier.config import load
from notifier.daemon import opened
from notifier.daemon.steps import steps

if TYPE_CHECKING:
    from tests.world import World  # not in the process whose memory is measured

API, JSON_FEED, ARXIV = "api/daily_papers", "daily.json", "cs.CV.rss"
API_HOUR, ARXIV_HOUR = time(8, 17, tzinfo=UTC), time(4, 0, tzinfo=UTC)  # when a day was captured; when it is published

EVERYTHING = "everything@example.org"  # the reader of all there is

ROUND, MANY = 3, 100  # polls; new papers, which are sent at once: the daemon sends within seconds of every poll

_ID = r"\d{4}\.\d{4,5}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A listing's page at a time. `papers` maps an arXiv id to its text, `kinds` to how arXiv announces it."""

    at: datetime
    listing: str
    content: bytes = field(repr=False)
    papers: dict[str, str] = field(repr=False)
    kinds: dict[str, str] = field(repr=False)

    @property
    def day(self) -> date:
        return self.at.date()


def packed(archive: Path) -> Iterator[tuple[str, bytes]]:
    """The files of a tar archive, by name, one at a time in memory."""
    with tarfile.open(archive) as opened_archive:
        for member in sorted(opened_archive.getmembers(), key=lambda each: each.name):
            file = opened_archive.extractfile(member)
            if file is not None:
                yield Path(member.name).name, file.read()


def api_days(captures: Path) -> Iterator[Snapshot]:
    """Twelve weekdays of the Daily Papers API."""
    for path in sorted((captures / "captures/hf-daily-api/2026-04-17_to_2026-05-04").glob("*.json")):
        content = path.read_bytes()
        texts = {item["paper"]["id"]: f"{item['paper']['title']} {item['paper']['summary']}"
                 for item in json.loads(content)}  # fmt: skip
        assert set(texts) == set(re.findall(rf'"id": "({_ID})"', content.decode()))
        at = datetime.combine(date.fromisoformat(path.stem), API_HOUR)
        yield Snapshot(at, API, content, texts, dict.fromkeys(texts, "listed"))


def json_feeds(captures: Path) -> Iterator[Snapshot]:
    """A third party's JSON Feed of the same days, some four times a day: batches that grow, freeze and are replaced."""
    (archive,) = (captures / "captures/hf-jsonfeed").glob("*.tar.xz")
    for name, content in packed(archive):
        texts = {item["id"].rpartition("/")[2]: f"{item['title']} {item['content_text']}"
                 for item in json.loads(content)["items"]}  # fmt: skip
        assert set(texts) == set(re.findall(rf'"id": "https://huggingface.co/papers/({_ID})"', content.decode()))
        at = datetime.strptime(name[:17], "%Y-%m-%dT%H%M%S").replace(tzinfo=UTC)
        yield Snapshot(at, JSON_FEED, content, texts, dict.fromkeys(texts, "listed"))


def arxiv_days(captures: Path) -> Iterator[Snapshot]:
    """Eighteen days of the RSS feed of cs.CV, weekends empty."""
    for path in sorted((captures / "captures/arxiv-feeds").glob("cs.CV_*.rss.xml")):
        content = path.read_bytes()
        texts, kinds = {}, {}
        for item in re.findall(r"<item>(.*?)</item>", content.decode(), re.DOTALL):
            (name,) = re.findall(rf"<guid[^>]*>oai:arXiv\.org:({_ID})v\d+</guid>", item)
            (kinds[name],) = re.findall(r"<arxiv:announce_type>([a-z-]+)</arxiv:announce_type>", item)
            (title,) = re.findall(r"<title>(.*?)</title>", item, re.DOTALL)
            (about,) = re.findall(r"<description>(.*?)</description>", item, re.DOTALL)
            texts[name] = html.unescape(f"{title} {about}")
        at = datetime.combine(date.fromisoformat(path.name[6:16]), ARXIV_HOUR)
        yield Snapshot(at, ARXIV, content, texts, kinds)


def delivered(database: Path, column: str, reader: str = "%") -> list[tuple[str, int]]:
    """Return a column of every paper in a sent message (to a reader), and in how many it was."""
    with sqlite3.connect(database) as connection:
        return connection.execute(
            f"SELECT {column}, count(*) FROM delivery d JOIN paper p ON p.id = d.paper_id "
            "JOIN subscriber s ON s.id = d.subscriber_id AND s.email LIKE ? "
            f"JOIN message m ON m.id = d.message_id AND m.state = 'sent' GROUP BY {column}",
            (reader,),
        ).fetchall()


def once_each(installation: World, reader: str) -> set[str]:
    """Return the arXiv ids that a reader was sent, and make sure that each was sent once."""
    sent = delivered(installation.folder / "notifier.db", "p.arxiv_id", reader)
    assert {count for _, count in sent} <= {1}
    return {paper for paper, _ in sent}


async def replay(config: Path) -> None:
    """Do what standard input says, a line each; see the module."""
    now = [datetime.now(UTC)]
    parser = 0
    async with opened(load(config, environment={}), clock=lambda: now[0]) as running:
        listings = {listing.name: listing for listing in running.config.listings}
        (send,) = [step.work for step in steps(running, asyncio.Event()) if step.name == "send"]
        gc.freeze()  # as the command line does when everything is imported
        count = 0
        while line := await asyncio.to_thread(sys.stdin.readline):
            count += 1
            name, at = line.split("\t")
            now[0] = datetime.fromisoformat(at.strip())
            poll = await pipeline.poll(listings[name], running.intake, now[0])
            if count % ROUND == 0 or poll.new > MANY:
                await send()
            parser = max([parser, *map(peak, children())])
            print(poll.outcome, poll.new, peak(), sep="\t", flush=True)
        print("peak", peak(), parser, sep="\t", flush=True)


def children() -> list[str]:
    """Return the process ids of our children: the parser, one at a time."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


def peak(process: str = "self") -> int:
    """Return the most memory that a process had resident since it was executed, in MiB.

    getrusage's ru_maxrss survives execve: a child of a big test process would be as big as that from the start.
    """
    status = Path(f"/proc/{process}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) // 1024


if __name__ == "__main__":
    asyncio.run(replay(Path(sys.argv[1])))
