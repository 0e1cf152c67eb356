"""Parsing speed: what a page of 1 MB costs in every format, beside the bare library and beside the limit.

    python benchmarks/parse.py [FORMAT ...]        (make bench-parse)

The pages are the captured ones ($NOTIFIER_CAPTURES, else ../shared) where there are any, else the project's golden
pages. Listing pages are seldom that large: each of the MOST_PAGES largest with entries enough is grown to SIZE by
repeating its entries under other ids, with other titles and formulas, so that nothing is known from the entry that was
copied. The two columns of ours are the page that is read fastest and the one that costs
most, in milliseconds of CPU time (this process alone) for SIZE; "bare" is the latter's bytes through the library alone
- Lexbor for HTML, libxml2 for XML, `json.loads` for JSON, `str.split` for text - which reads no paper: no parser can be
faster. Every number is the best of ROUNDS; on a machine with other work all of them grow, up to
twofold. Every captured feed with several items is a plain one: the odd ones are the same, with a comment in them that
`plain_feed` does not like. Where no page was captured the entries are the project's own, far shorter than real ones.
"""

from __future__ import annotations

import html
import json
import os
import re
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from lxml import etree
from selectolax.lexbor import LexborHTMLParser

from notifier.errors import PageError
from notifier.model import Page
from notifier.parse import load, parse

URL, READ_AT = "https://bench.example/list", datetime(2026, 3, 2, tzinfo=UTC)
PROJECT = Path(__file__).resolve().parent.parent
SIZE = 1_000_000  # bytes
SMALLEST = 3_000  # bytes of a captured page: smaller ones are specimens of one oddity
MOST_PAGES = 4  # of one format
ROUNDS = 5
LIMIT = 50.0  # ms: what a page of SIZE may cost on one core

# Format -> folder of captures whose pages it reads.
FOLDERS = {
    "arxiv-list": "captures/arxiv-html",
    "arxiv-feed": "captures/arxiv-feeds",
    "arxiv-api": "captures/arxiv-api",
    "arxiv-mail": "captures/arxiv-mail",
    "biorxiv": "captures/biorxiv",
    "daily-papers-text": "listings",
    "feed": "captures/hf-rss",
    "feed (odd ones)": "captures/hf-rss",
    "hf-daily": "captures/hf-daily-api",
    "hf-daily (HTML)": "captures/hf-papers-html",
    "feed (JSON)": "captures/hf-jsonfeed",
    "crossref": "",
    "oai-pmh": "captures/oai-pmh",
    "openreview": "",
}
ENTRY = {
    "arxiv-list": rb"<dt>.*?</dd>",
    "arxiv-mail": rb"\\\\\narXiv:.*?\n(?=-{60,}|%)(?:-{60,}\n)?",
    "daily-papers-text": rb"(?<=\n\n)[^\n]{10,150}\n\n[^\n]{400,}\n\n",
    "oai-pmh": rb"<record>.*?</record>",
    "": rb"<(item|entry)[ >].*?</\1>",
}
_NUMBER = re.compile(rb"(\d{4}[./])(\d{4,6})(?!\d)")
_NAME = re.compile(rb"(<guid[^>]*>|<id>|<link>|\A)([^<\n]+)")
_TITLE = re.compile(rb"(Title:(?:</span>)?\s*|<title[^>]*>\s*(?:<!\[CDATA\[)?)")
_FORMULA = re.compile(rb"\$([^$\s<>]{2,60})\$")
_PROPS = re.compile(rb"(data-props=\")([^\"]*dailyPapers[^\"]*)(\")")


@dataclass(frozen=True, slots=True)
class Measured:
    """One format: the page that was slowest, its papers, and milliseconds for `SIZE`."""

    pages: int
    papers: int
    fastest: float
    slowest: float
    bare: float


def main(wanted: Sequence[str]) -> None:
    """Measure and print a table."""
    load()
    columns = ("papers", "fastest", "slowest", "bare", "ratio")
    print(f"{'format':20} pages {' '.join(f'{name:>7}' for name in columns)}  under {LIMIT:.0f}?")
    for format in wanted or list(FOLDERS):
        pages = readable(format)
        if not pages:
            print(f"{format:20} no page")
            continue
        found = measured(format, pages)
        print(
            f"{format:20} {found.pages:5} {found.papers:7} {found.fastest:7.1f} {found.slowest:7.1f} "
            f"{found.bare:7.1f} {found.slowest / found.bare:7.1f}  {_verdict(format, found)}"
        )


def _verdict(format: str, found: Measured) -> str:
    if not FOLDERS[format]:
        return "(short entries of our own)"
    return "yes" if found.slowest < LIMIT else "no"


def readable(format: str) -> list[Page]:
    """Return the largest pages that the format can read, each grown to `SIZE`."""
    captured = Path(os.environ.get("NOTIFIER_CAPTURES") or PROJECT.parent / "shared") / FOLDERS[format]
    golden = PROJECT / "tests" / "golden" / _name(format)
    folder = captured if FOLDERS[format] and captured.is_dir() else golden
    kept: list[Page] = []
    for content in sorted(set(_contents(folder)), key=len, reverse=True):
        large = grown(content, _name(format)) if folder == golden or len(content) >= SMALLEST else None
        if large is None:
            continue
        if format == "feed (odd ones)":
            large += b"<!-- base=, so that feedparser reads it -->"
        page = Page(url=URL, content=large, fetched_at=READ_AT)
        try:
            papers = parse(page, _name(format)).papers
        except PageError:
            continue
        if papers:
            kept.append(page)
        if len(kept) == MOST_PAGES:
            break
    return kept


def grown(content: bytes, format: str) -> bytes | None:
    """Repeat the entries of a page under other ids until it has `SIZE` bytes; None for one without."""
    props = _PROPS.search(content) if format == "hf-daily" else None
    if props:
        inner = _grown_json(html.unescape(props[2].decode()).encode())
        return inner and _PROPS.sub(lambda p: p[1] + html.escape(inner.decode()).encode() + p[3], content, count=1)
    if content.lstrip()[:1] in (b"{", b"["):
        return _grown_json(content)
    found = list(re.finditer(ENTRY.get(format, ENTRY[""]), content, re.DOTALL))
    if not found:
        return None
    head, tail = content[: found[0].start()], content[found[-1].end() :]
    return head + b"".join(_copies([one[0] for one in found], SIZE - len(head) - len(tail))) + tail


def _copies(entries: Sequence[bytes], size: int) -> Iterator[bytes]:
    for copy in count():
        for entry in entries:
            if size <= 0:
                return
            other = _renamed(entry, copy) if copy else entry
            size -= len(other)
            yield other


def _renamed(entry: bytes, copy: int) -> bytes:
    other = _NUMBER.sub(lambda found: found[1] + b"%05d" % ((int(found[2]) + copy * 7919) % 100_000), entry)
    if other == entry:
        other = _NAME.sub(lambda found: found[0] + b"-%d" % copy, entry)
    other = _TITLE.sub(lambda found: found[0] + b"No. %d " % copy, other)
    return _FORMULA.sub(lambda found: b"$%s_{%d}$" % (found[1], copy), other)


def _grown_json(content: bytes) -> bytes | None:
    try:
        found = json.loads(content)
    except ValueError:
        return None
    holder = {"": found} if isinstance(found, list) else next(_holders(found), None)
    if holder is None:
        return None
    name, entries = max(((name, one) for name, one in holder.items() if isinstance(one, list)), key=lambda e: len(e[1]))
    if not entries:
        return None
    size = SIZE - len(content) + len(json.dumps(entries))
    copies: list[object] = []
    for copy in count():
        for entry in entries:
            if size <= 0:
                holder[name] = copies
                return json.dumps(copies if isinstance(found, list) else found, ensure_ascii=False).encode()
            other = _renamed_json(entry, copy)
            size -= len(json.dumps(other, ensure_ascii=False).encode()) + 2
            copies.append(other)
    return None


def _holders(found: object) -> Iterator[dict[str, object]]:
    """Find the object that holds a list of objects, the outermost first."""
    if isinstance(found, dict):
        if any(isinstance(one, list) and one and isinstance(one[0], dict) for one in found.values()):
            yield found
        for one in found.values():
            yield from _holders(one)


def _renamed_json(entry: object, copy: int) -> object:
    other = json.loads(
        _NUMBER.sub(
            lambda found: found[1] + b"%05d" % ((int(found[2]) + copy * 7919) % 100_000), json.dumps(entry).encode()
        )
    )
    for name in ("id", "forum", "DOI"):
        if copy and isinstance(other, dict) and isinstance(other.get(name), str):
            other[name] = f"{other[name]}{copy}"
    for name in ("title", "summary"):
        if copy and isinstance(other, dict) and isinstance(other.get(name), str):
            other[name] = f"No. {copy} {other[name]}"
    return other


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
    """Parse every page ROUNDS times; the best round counts."""
    costs = [_best(lambda page=page: parse(page, _name(format))) * SIZE / len(page.content) for page in pages]
    slowest = pages[costs.index(max(costs))]
    bare = _best(lambda: _bare(slowest.content)) * SIZE / len(slowest.content)
    papers = len(parse(slowest, _name(format)).papers)
    return Measured(len(pages), papers, min(costs), max(costs), bare)


def _best(work: Callable[[], object]) -> float:
    """Return the milliseconds of CPU time of the best round."""
    return min(_round(work) for _ in range(ROUNDS)) * 1e3


def _round(work: Callable[[], object]) -> float:
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
