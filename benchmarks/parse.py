"""Parsing speed: milliseconds per megabyte of page for every format, beside the bare library on the same bytes.

    python benchmarks/parse.py [FORMAT ...]        (make bench-parse)

The pages are the captured ones ($NOTIFIER_CAPTURES, else ../shared) where there are any, else the project's golden
pages; pages under SMALLEST bytes are left out, for on them the fixed cost of a page is all there is. "bare" is the same
bytes through the library alone - Lexbor for HTML, libxml2 for XML, `json.loads` for JSON, `str.split` for text - which
reads no paper: no parser can be faster. Both run in this process, one after the other, each the best of ROUNDS.
"""

from __future__ import annotations

import json
import os
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lxml import etree
from selectolax.lexbor import LexborHTMLParser

from notifier.errors import PageError
from notifier.model import Page
from notifier.parse import load, parse

URL, READ_AT = "https://bench.example/list", datetime(2026, 3, 2, tzinfo=UTC)
PROJECT = Path(__file__).resolve().parent.parent
SMALLEST = 20_000  # bytes
MOST = 4_000_000  # bytes of pages for one format
ROUNDS = 3
LIMIT = 50.0  # ms per MB: what a listing page may cost

# Format -> folder of captures whose pages it reads.
FOLDERS = {
    "arxiv-list": "captures/arxiv-html",
    "arxiv-feed": "captures/arxiv-feeds",
    "arxiv-api": "captures/arxiv-api",
    "arxiv-mail": "captures/arxiv-mail",
    "biorxiv": "captures/biorxiv",
    "daily-papers-text": "listings",
    "feed": "captures/hf-rss",
    "feed (odd ones)": "captures/feeds",
    "hf-daily": "captures/hf-daily-api",
    "hf-daily (HTML)": "captures/hf-papers-html",
    "feed (JSON)": "captures/hf-jsonfeed",
    "oai-pmh": "captures/oai-pmh",
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One format: how much was read, and what it took, in milliseconds per megabyte."""

    format: str
    pages: int
    size: int
    papers: int
    ours: float
    bare: float


def main(wanted: Sequence[str]) -> None:
    """Measure and print a table."""
    load()
    print(
        f"{'format':20} {'pages':>5} {'MB':>6} {'papers':>6} {'ms/MB':>7} {'bare':>6} {'ratio':>6}  under {LIMIT:.0f}?"
    )
    for format in wanted or list(FOLDERS):
        pages = readable(format)
        if not pages:
            print(f"{format:20} no page of {SMALLEST} bytes or more")
            continue
        found = measured(format, pages)
        print(
            f"{found.format:20} {found.pages:5} {found.size / 1e6:6.2f} {found.papers:6} {found.ours:7.1f} "
            f"{found.bare:6.1f} {found.ours / found.bare:6.1f}  {'yes' if found.ours < LIMIT else 'no'}"
        )


def readable(format: str) -> list[Page]:
    """Return the pages that the format can read, largest first, up to MOST bytes of them."""
    captured = Path(os.environ.get("NOTIFIER_CAPTURES") or PROJECT.parent / "shared") / FOLDERS[format]
    golden = PROJECT / "tests" / "golden" / _name(format)
    kept: list[Page] = []
    size = 0
    for content in sorted(_contents(captured if captured.is_dir() else golden), key=len, reverse=True):
        if len(content) < SMALLEST or size + len(content) > MOST:
            continue
        page = Page(url=URL, content=content, fetched_at=READ_AT)
        try:
            parse(page, _name(format))
        except PageError:
            continue
        kept.append(page)
        size += len(content)
    return kept


def _name(format: str) -> str:
    return format.partition(" ")[0]


def _contents(folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.rglob("*")):
        if path.name.endswith(".tar.xz"):
            with tarfile.open(path) as packed:
                for member in packed.getmembers()[-40:]:
                    file = packed.extractfile(member)
                    if file is not None:
                        yield file.read()
        elif path.is_file() and path.suffix != ".md" and not path.name.endswith(".expected.json"):
            yield path.read_bytes()


def measured(format: str, pages: Sequence[Page]) -> Measured:
    """Parse all pages ROUNDS times with each; the best round counts."""
    size = sum(len(page.content) for page in pages)
    papers = sum(len(parse(page, _name(format)).papers) for page in pages)
    ours = min(_round(lambda: [parse(page, _name(format)) for page in pages]) for _ in range(ROUNDS))
    bare = min(_round(lambda: [_bare(page.content) for page in pages]) for _ in range(ROUNDS))
    return Measured(format, len(pages), size, papers, ours * 1e9 / size, bare * 1e9 / size)


def _round(work: Callable[[], Iterable[object]]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _bare(content: bytes) -> object:
    start = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:200].lower()
    if start.startswith((b"{", b"[")):
        return json.loads(content)
    if start.startswith((b"<!doctype html", b"<html")):
        return LexborHTMLParser(content)
    if start.startswith(b"<"):
        return etree.fromstring(content, etree.XMLParser(recover=True, resolve_entities=False))
    return content.decode("utf-8", "replace").split()


if __name__ == "__main__":
    main(sys.argv[1:])
