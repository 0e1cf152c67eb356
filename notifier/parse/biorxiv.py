"""bioRxiv and medRxiv: their feeds by subject (RSS 1.0) and the API, `api.biorxiv.org/details/<server>/...` (JSON).

A paper keeps one DOI over all its versions. The feed has the version only at the end of an item's address
(".../2024.02.30.123456v2?rss=1") and all authors in one string, "Gull, A. B., Heron, C."; the API says "version" and
separates authors by ";". Version 1 is an announcement of something new, any other one of a replacement; versions of
one paper on one page are read as one entry, the latest, and it is new if the first is among them.

Landmarks: an `rdf:RDF` with a channel of items; an object with `messages` and a `collection`, of which `messages` says
at which `cursor` the page begins, its `count`, and the `total` of the interval: pages have up to 100 entries. "no posts
found" is a quiet interval. Specified at https://api.biorxiv.org/details/biorxiv/help.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from notifier.errors import PageError
from notifier.identity import doi
from notifier.model import AnnounceType, Batch, Page, Paper
from notifier.parse.creators import creators
from notifier.parse.dates import instant
from notifier.parse.entries import BadEntry, Entries
from notifier.parse.fragment import plain
from notifier.parse.json_body import describe, json_body, objects, unknown, whole
from notifier.parse.text import ABSTRACT_LIMIT, NAME_LIMIT, TITLE_LIMIT, line, link, reading
from notifier.parse.xml import Element, document, first, local, parts

FORMAT = "biorxiv"
SERVERS = {"biorxiv": "https://www.biorxiv.org", "medrxiv": "https://www.medrxiv.org"}
LARGEST_VERSION = 999
ABOUT = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}about"

_SUFFIX = re.compile(r"/((?:\d{4}\.\d\d\.\d\d\.)?\d{6,8})v(\d{1,3})(?=$|[?#.])")
_ABSENT = frozenset({"", "na", "n/a", "none"})
_NOTHING = re.compile(r"no (?:posts|articles|results|papers)\b.*\bfound", re.IGNORECASE)
_KNOWN = frozenset({
    "doi", "title", "authors", "author_corresponding", "author_corresponding_institution", "date", "version", "type",
    "license", "category", "jatsxml", "abstract", "funder", "published", "server",
})  # fmt: skip


def biorxiv(page: Page) -> Batch:
    """Read a feed by subject or one page of the API."""
    if page.content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        return _feed(page)
    return _answer(page)


# --- RSS 1.0 --------------------------------------------------------------------------------------------------------


def _feed(page: Page) -> Batch:
    """Read `rdf:RDF`: the items are beside the channel, not inside it."""
    read = document(page)
    if local(read.root) != "RDF":
        raise PageError(f"rdf:RDF was expected, found the element {line(local(read.root), 40)!r}")
    found = parts(read.root)
    channel = found.get("channel", ())
    if not channel or not first(parts(channel[0]), "title", "link").strip():
        raise PageError("rdf:RDF without a channel that has a title")
    about = first(parts(channel[0]), "link", "title").lower()
    entries = Entries(read.oddities)
    return _batch(entries, _each(found.get("item", ()), lambda item: _item(item, about), entries))


def _item(item: Element, about: str) -> Paper:
    """Read one item; raises `BadEntry` without a DOI."""
    found = parts(item)
    address = (item.get(ABOUT) or first(found, "link")).strip()
    suffix = _SUFFIX.search(address[:300])
    name = doi(first(found, "identifier")[:300])
    if not name:
        raise BadEntry(f"an item without DOI ({line(address, 80)})")
    return _paper(
        name,
        int(suffix[2]) if suffix else None,
        "medrxiv" if "medrxiv" in f"{address[:300]} {about}".lower() else "biorxiv",
        title=first(found, "title"),
        abstract=first(found, "description"),
        authors=creators(first(found, "creator")),
        category=first(found, "section"),
        date=first(found, "date", "publicationDate"),
    )


# --- API ------------------------------------------------------------------------------------------------------------


def _answer(page: Page) -> Batch:
    found, oddities = json_body(page)
    works = found.get("collection") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(works, list) or not isinstance(found.get("messages"), list):
        raise PageError(f"an object with messages and a collection was expected, found {describe(found)}")
    message: Mapping[str, Any] = next(iter(objects(found["messages"])), {})
    status = line(message.get("status"), 100)
    if status.lower() != "ok" and not _NOTHING.search(status):
        raise PageError(f"the API's status is {status!r}")
    count, cursor, total = (whole(message.get(key)) for key in ("count", "cursor", "total"))
    end = (cursor or 0) + len(works)
    entries = Entries(oddities)
    return _batch(
        entries,
        _each(works, lambda work: _work(work, page.url, entries), entries),
        stated=0 if not works and status.lower() != "ok" else count,
        next_url=_next_url(page.url, end) if works and total is not None and total > end else None,
    )


def _work(work: Any, url: str, entries: Entries) -> Paper:
    """Read one entry of the collection; raises `BadEntry` without a DOI."""
    written = work.get("doi") if isinstance(work, dict) else None
    name = doi(written[:300]) if isinstance(written, str) else None
    if not name:
        raise BadEntry("an entry without DOI")
    entries.unknown(unknown(work, _KNOWN))
    server = line(work.get("server"), 20).lower()
    if server not in SERVERS:
        server = "medrxiv" if "/medrxiv" in url.lower() else "biorxiv"
    journal = doi(line(work.get("published"), 300))
    authors = work.get("authors")
    paper = _paper(
        name,
        whole(work.get("version")),
        server,
        title=work.get("title"),
        abstract=work.get("abstract"),
        authors=creators(authors) if isinstance(authors, str) else (),
        category=work.get("category"),
        date=work.get("date"),
    )
    withdrawn = line(work.get("type"), 40).lower() == "withdrawn"
    return replace(paper, journal_ref=f"doi:{journal}" if journal else None, withdrawn=paper.withdrawn or withdrawn)


def _next_url(url: str, end: int) -> str | None:
    """Return the address of the page from entry `end` on: `/details/<server>/<from>/<to>/<cursor>[/<format>]`."""
    parts = urlsplit(url)
    steps = parts.path.rstrip("/").split("/")
    if "details" not in steps:
        return None
    start = steps.index("details") + 2
    interval = 2 if len(steps) > start + 1 and re.fullmatch(r"\d{4}-\d\d-\d\d", steps[start]) else 1
    format = steps[start + interval + 1 :]
    path = "/".join([*steps[: start + interval], str(end), *format])
    return link(urlunsplit(parts._replace(path=path)))


# --- both -----------------------------------------------------------------------------------------------------------


def _paper(
    name: str,
    version: int | None,
    server: str,
    *,
    title: object,
    abstract: object,
    authors: tuple[str, ...],
    category: object,
    date: object,
) -> Paper:
    if version is not None and not 1 <= version <= LARGEST_VERSION:
        version = None
    shown, title_tex = reading(plain(title), TITLE_LIMIT)
    text, abstract_tex = reading(plain(abstract), ABSTRACT_LIMIT)
    subject = line(category, NAME_LIMIT)
    subject = "" if subject.lower() in _ABSENT else subject
    posted = _day(date)
    url = f"{SERVERS[server]}/content/{name}" + (f"v{version}" if version else "")
    return Paper(
        source=FORMAT,
        source_key=name,
        title=shown or f"doi:{name}",
        url=link(url) or "",
        title_tex=title_tex,
        abstract="" if text.lower() in _ABSENT else text,
        abstract_tex=abstract_tex,
        version=version,
        doi=name,
        authors=authors,
        categories=(subject,) if subject else (),
        primary_category=subject or None,
        announce_type=_announced(version),
        announced_on=posted.date() if posted else None,
        published_at=posted if version in (1, None) else None,
        updated_at=posted if version not in (1, None) else None,
        pdf_url=link(f"{url}.full.pdf") if version else None,
        withdrawn=shown.upper().startswith("WITHDRAWN"),
    )


def _announced(version: int | None) -> AnnounceType | None:
    if version is None:
        return None
    return AnnounceType.NEW if version == 1 else AnnounceType.REPLACE


def _day(found: object) -> datetime | None:
    return instant(found[:40]) if isinstance(found, str) else None


def _each(raw: Iterable[Any], read: Any, entries: Entries) -> Iterator[Paper]:
    for one in raw:
        try:
            yield read(one)
        except BadEntry as bad:
            entries.skip(bad)


def _batch(entries: Entries, papers: Iterator[Paper], stated: int | None = None, next_url: str | None = None) -> Batch:
    """Add one entry for each paper, at the place of its first version on the page."""
    latest: dict[str, Paper] = {}
    for paper in papers:
        other = latest.get(paper.source_key)
        if other is not None:
            entries.leave_out(f"another version of {paper.source_key}")
        latest[paper.source_key] = paper if other is None else _newer(paper, other)
    for paper in latest.values():
        entries.add(paper)
    return entries.batch(stated=stated, next_url=next_url)


def _newer(one: Paper, other: Paper) -> Paper:
    """Return the later version; it is new if the first one is on the page too."""
    late, early = (one, other) if (one.version or 0) >= (other.version or 0) else (other, one)
    new = AnnounceType.NEW in (late.announce_type, early.announce_type)
    return replace(
        late,
        announce_type=AnnounceType.NEW if new else late.announce_type,
        published_at=late.published_at or early.published_at,
    )
