"""A worker process that parses, pages to give to it, and a look at what it does."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

from notifier.confine import Limits, Worker
from notifier.errors import PageError
from notifier.model import Batch, Page
from tests.world import text_page

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
GOLDEN = Path(__file__).resolve().parent / "golden"
TIGHT = Limits(cpu=0.12, cpu_per_mib=0)  # an ordinary page overruns them in little time
SELECTORS = {"item": "li", "title": "b", "link": "a"}


def page(content: str | bytes, url: str = "https://listing.example/") -> Page:
    return Page(url=url, content=content.encode() if isinstance(content, str) else content, fetched_at=NOW)


def feed(title: str = "Loud Ploughs", dtd: str = "", entries: int = 1) -> str:
    """An Atom answer of arXiv's API in which each entry has this title."""
    entry = (
        "<entry><id>http://arxiv.org/abs/2605.{:05}v1</id><title>TITLE</title><summary>We listen.</summary>"
        "<published>2026-05-01T08:18:33Z</published><author><name>Ines Quay</name></author></entry>"
    )
    body = "".join(entry.format(n + 1) for n in range(entries)).replace("TITLE", title)
    return (
        f'<?xml version="1.0"?>{dtd}<feed xmlns="http://www.w3.org/2005/Atom"'
        ' xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/"><title>arXiv Query</title>'
        f"<opensearch:totalResults>{entries}</opensearch:totalResults><opensearch:startIndex>0</opensearch:startIndex>"
        f"<opensearch:itemsPerPage>{entries}</opensearch:itemsPerPage>{body}</feed>"
    )


def web_page(title: str = "Loud Ploughs") -> str:
    return f'<!DOCTYPE html><html><body><ul><li><b>{title}</b><a href="/1">1</a></li></ul></body></html>'


def long_page(papers: int = 8_000) -> Page:
    """A right page that takes half a second to read."""
    return page(text_page(*(f"Fictional Paper Number {n} on Patience and $\\alpha_{n}$" for n in range(papers))))


def processor_time(pid: int) -> float:
    """Return the seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def until_it_works(worker: Worker) -> int:
    """Wait until the worker is busy with a page; return its process id."""
    before = None
    for _ in range(10_000):
        if worker.pid:
            now = processor_time(worker.pid)
            before = now if before is None else before
            if now >= before + 0.03:
                return worker.pid
        await asyncio.sleep(0.002)
    raise AssertionError("the worker did nothing")


def status(pid: int | None, file: str) -> str:
    """Return what the kernel says of a process, "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/{file}").read_text()
    except FileNotFoundError:
        return ""


async def read(worker: Worker, content: str | bytes, format: str = "arxiv-api") -> Batch | str:
    """Return the batch of a page, or the reason why there is none."""
    try:
        return await worker.parse(page(content), format, SELECTORS if format == "html" else None)
    except PageError as fault:
        return fault.reason
