"""Any feed: RSS 0.9x, 1.0 and 2.0, Atom 0.3 and 1.0 (RFC 4287), RDF, CDF by feedparser; JSON Feed 1.0 and 1.1.

Made for feeds of papers by publishers, societies and people: a guid or link is searched for an arXiv id and a DOI, HTML
is reduced to text, a body that says "Authors: ... Summary: ..." is taken apart. Landmarks: a root element and its end,
a version that feedparser knows, and a title or link of the feed itself if it has no items; for JSON Feed its `version`
and a list of items. A feed without items is right and empty. A feed that is not well-formed is read as far as it is
sound, which is noted; one that ends early is a `PageError`, because its rest would never be asked for again. An item
that only says that something went wrong is no paper.

feedparser never sees the network, a file name or an entity declaration: it is given bytes in UTF-8, within bounds. Its
sanitising and resolving of HTML is off, for nothing but text leaves this module. It takes 0.3 s for 1 MB; a plain feed,
as most are, is read without it (`plain_feed`).
"""

from __future__ import annotations

import io
import re
from calendar import timegm
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import feedparser
from feedparser.datetimes import _parse_date

from notifier.errors import PageError
from notifier.model import Batch, Page, Paper
from notifier.parse.charset import Decoded
from notifier.parse.creators import creators
from notifier.parse.dates import common_stamp, instant, utc
from notifier.parse.entries import ENTRIES_LIMIT, BadEntry, Entries
from notifier.parse.fragment import plain
from notifier.parse.identifiers import identifiers
from notifier.parse.json_body import describe, json_body, objects, texts, unknown
from notifier.parse.markup import what_it_is
from notifier.parse.plain_feed import PlainItem, plain_feed
from notifier.parse.text import ABSTRACT_LIMIT, NAME_LIMIT, TITLE_LIMIT, line, link, names, reading
from notifier.parse.xml import source

FORMAT = "feed"
SIZE_LIMIT = 10_000_000  # characters; feedparser takes 3 s for them
REFERENCES_LIMIT = 200_000  # "&"; feedparser takes 5 µs for one
ATTRIBUTES_LIMIT = 300_000  # of all elements; feedparser takes 10 µs for one
BROKEN_TAGS_LIMIT = 2_000  # each costs feedparser a look at all that follows
TAGS_LIMIT = 300_000  # feedparser takes 20 µs for one
DEPTH_LIMIT = 200  # elements inside each other, which feedparser pays for twice
CREATOR_WORD_LIMIT = 200  # characters; feedparser looks for mail addresses, 100,000 letters and dots cost it a minute
CATEGORIES_LIMIT = 100
KEY_LIMIT = 500
SHORT_SUMMARY = 200  # characters; a shorter one is a teaser where there is a longer content

JSON_FEED = "https://jsonfeed.org/version/"
ARXIV, RESOLVER = "https://arxiv.org/abs/", "https://doi.org/"

_ROOT = re.compile(r"<((?:[\w.-]{1,20}:)?(?:rss|feed|rdf|channel))(?=[\s>])", re.IGNORECASE)
_ITEM = re.compile(r"(?:[\w.-]{1,20}:)?(?:item|entry)", re.IGNORECASE)
_STARTS = re.compile(rf"<{_ITEM.pattern}[\s>]", re.IGNORECASE)
_TAG = re.compile(
    r"<!\[CDATA\[.*?(?:\]\]>|\Z)|<!--.*?(?:-->|\Z)|<(?P<end>/?)(?P<name>[A-Za-z][^\s<>/]*)[^<>]*?(?P<empty>/?)>",
    re.DOTALL,
)
_CREATOR = re.compile(
    r"(<(?:[\w.-]{1,20}:)?(?:author|creator|contributor|editor|publisher|owner|name|email|managingEditor|webMaster)"
    r"\b[^<>]{0,500}>)((?>(?:(?!</).)*))",
    re.IGNORECASE | re.DOTALL,
)
_LONG_WORD = re.compile(rf"([\w.+-]{{{CREATOR_WORD_LIMIT}}})[\w.+-]+")
_NOTICE = re.compile(
    r"(?:feed )?error\W*$|feed error for\b|something is wrong\b|bridge returned error\b|no [\w ]{1,40} feed generated",
    re.IGNORECASE,
)
_LABELLED = re.compile(
    r"Authors?:\s*(?P<authors>.*?)\s+(?:Upvotes:\s*(?P<upvotes>\d{1,9})\s+)?(?:Summary|Abstract):\s*(?P<abstract>.*)",
    re.DOTALL,
)
_MAIL = re.compile(r"[^\s()<>@]{1,100}@[^\s()<>]{1,300}")
_HEADING = re.compile(r"(?:abstract|summary)\s*[.:]?\s+(?=[A-Z\d])", re.IGNORECASE)
_AI_SUMMARY = re.compile(r".{1,3000}?\bAI-generated summary\s+(?=\S)", re.DOTALL)
_KNOWN = frozenset({
    "id", "url", "external_url", "title", "content_html", "content_text", "summary", "image", "banner_image",
    "date_published", "date_modified", "author", "authors", "tags", "language", "attachments",
})  # fmt: skip

_Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Raw:
    """What an item says, in any dialect, as written. `marks` may hold identifiers, the best first."""

    key: str
    title: str
    links: tuple[str, ...]
    marks: tuple[str, ...]
    bodies: tuple[str, ...]
    authors: tuple[str, ...]
    categories: tuple[str, ...]
    published: datetime | None
    updated: datetime | None
    pdf: str = ""
    image: str = ""


def feed(page: Page) -> Batch:
    """Read a feed of any kind."""
    if page.content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        return _json_feed(page)
    return _xml_feed(page)


# --- RSS, Atom, RDF -------------------------------------------------------------------------------------------------


def _xml_feed(page: Page) -> Batch:
    read = source(page)
    root = _ROOT.match(read.text)
    if not root:
        raise PageError(f"no feed: rss, feed or RDF was expected, found {_root(read.text)}")
    if not re.search(rf"</{re.escape(root[1])}\s*>", read.text[-2_000:], re.IGNORECASE):
        raise PageError(f"cut off: no </{root[1]}> at the end of {len(read.text)} characters")
    return quick(page, read) or slow(page, read, root[1])


def quick(page: Page, read: Decoded) -> Batch | None:
    """Read a plain feed, at a tenth of the price; None for any other."""
    if len(read.text) > SIZE_LIMIT or read.text.count("<") > TAGS_LIMIT:
        return None
    found = plain_feed(read.text, _instant)
    if found is None or len(found.items) > ENTRIES_LIMIT or _NOTICE.match(line(plain(found.title), TITLE_LIMIT)):
        return None
    return _batch(map(_plain_item, found.items), Entries(read.oddities), page.url, found.following)


def _plain_item(item: PlainItem) -> _Raw:
    published = item.published or item.created
    address = item.link or ""
    return _Raw(
        key=item.id,
        title=item.title,
        links=(item.origin, address, item.id if "://" in item.id else ""),
        marks=(item.doi, item.identifier, item.id, item.origin, address),
        bodies=(item.summary or "", *item.contents),
        authors=tuple(item.authors),
        categories=tuple(term or label or "" for term, _, label in item.tags),
        published=published or (None if item.has_published else item.updated),
        updated=item.updated if published else None,
        pdf=item.pdf,
        image=item.image,
    )


def slow(page: Page, read: Decoded, root: str) -> Batch:
    """Read any feed whose root element is `root`, by feedparser."""
    _refuse_attacks(read.text)
    found = _parsed(read.text)
    about = found["feed"]
    title = line(plain(about.get("title")), TITLE_LIMIT)
    if not found.get("version") or not (title or about.get("link") or found["entries"]):
        raise PageError(f"no feed: {root} without version, title, link and items")
    if _NOTICE.match(title):
        raise PageError(f"the feed says {title!r}")
    entries = Entries(read.oddities)
    if found["bozo"]:
        begun = len(_STARTS.findall(read.text))
        entries.note(f"not well-formed: {found.get('bozo_exception')}")
        if begun != len(found["entries"]):
            entries.note(f"{begun} items begin, {len(found['entries'])} were read")
    following = next((one.get("href") for one in objects(about.get("links")) if one.get("rel") == "next"), None)
    return _batch(map(_item, found["entries"]), entries, page.url, following)


def _root(text: str) -> str:
    found = re.match(r"<([A-Za-z][\w:.-]{0,40})", text)
    return f"the element {found[1]!r}" if found and found[1].lower() != "html" else what_it_is(text)


def _refuse_attacks(text: str) -> None:
    """Raise `PageError` for more than any feed holds."""
    if len(text) > SIZE_LIMIT:
        raise PageError(f"more than {SIZE_LIMIT} characters")
    if text.count("<") > TAGS_LIMIT:
        raise PageError(f"more than {TAGS_LIMIT} tags")
    if len(_STARTS.findall(text)) > ENTRIES_LIMIT:
        raise PageError(f"more than {ENTRIES_LIMIT} entries")
    if text.count("&") > REFERENCES_LIMIT:
        raise PageError(f"more than {REFERENCES_LIMIT} references")
    if text.count('="') + text.count("='") > ATTRIBUTES_LIMIT:
        raise PageError(f"more than {ATTRIBUTES_LIMIT} attributes")
    depth, opened = 0, Counter[str]()
    broken = text.count("<")
    for tag in _TAG.finditer(text):
        name = tag["name"]
        broken -= tag[0].count("<")
        if not name:
            continue  # CDATA or a comment
        if _ITEM.fullmatch(name):
            depth = 0  # what an item before it left open is no attack
            opened.clear()
        elif not tag["end"]:
            depth += not tag["empty"]
            opened[name] += not tag["empty"]
        elif opened[name] > 0:  # else nothing is closed by it
            depth -= 1
            opened[name] -= 1
        if depth > DEPTH_LIMIT:
            raise PageError(f"more than {DEPTH_LIMIT} elements inside each other")
    if broken > BROKEN_TAGS_LIMIT:
        raise PageError(f"more than {BROKEN_TAGS_LIMIT} tags that never end")


def _parsed(text: str) -> Any:
    """Run feedparser on text, never on anything that it could take for the name of a file or a link.

    Raises `PageError` for a page over which it stumbles: it promises never to, and does on some that are no XML at all.
    """
    if _LONG_WORD.search(text):
        text = _CREATOR.sub(lambda found: found[1] + _LONG_WORD.sub(r"\1", found[2]), text)
    try:
        return feedparser.parse(
            io.BytesIO(text.encode()),
            response_headers={"content-type": "application/xml; charset=utf-8"},
            sanitize_html=False,
            resolve_relative_uris=False,
        )
    except Exception as fault:  # of any kind: TypeError, KeyError, ValueError and AttributeError were seen
        raise PageError(f"no feed that can be read: {fault!r}"[:200]) from fault


def _item(entry: Any) -> _Raw:
    """Read one entry of feedparser's, where an odd element may stand under any name.

    Its `get` maps absent dates to others: only what is there counts.
    """
    links = [one for one in objects(entry.get("links")) if isinstance(one.get("href"), str)]
    pdfs = [one["href"] for one in links if one.get("type") == "application/pdf"]
    published = _moment(dict.get(entry, "published_parsed")) or _moment(dict.get(entry, "created_parsed"))
    updated = _moment(dict.get(entry, "updated_parsed"))
    key, address, title, summary = (_text(entry.get(name)) for name in ("id", "link", "title", "summary"))
    first, doi, identifier = (_text(entry.get(name)) for name in ("feedburner_origlink", "prism_doi", "dc_identifier"))
    images = [one.get("url") or "" for one in objects(entry.get("media_thumbnail"))]
    return _Raw(
        key=key,
        title=title,
        links=(first, address, key if "://" in key else ""),
        marks=(doi, identifier, key, first, address),  # feedparser makes a dict of one with attributes
        bodies=(summary, *(one.get("value") or "" for one in objects(entry.get("content")))),
        authors=_authors(entry),
        categories=tuple(one.get("term") or one.get("label") or "" for one in objects(entry.get("tags"))),
        # Where a dialect has one date only (dc:date in RSS 1.0), it is that of publication.
        published=published or (None if "published" in entry else updated),
        updated=updated if published else None,
        pdf=next(iter(pdfs), ""),
        image=next(iter(images), ""),
    )


def _authors(entry: Any) -> tuple[str, ...]:
    """Return the names; the only one as written, since feedparser splits "ada@quay.example (Ada)" behind "exam"."""
    found = objects(entry.get("authors"))
    if len(found) == 1 and found[0].get("email"):
        return (entry.get("author") or "",)
    return tuple(one.get("name") or "" for one in found)


def _instant(date: str) -> datetime | None:
    """Read a date as feedparser does, in the common form without it."""
    return utc(common_stamp(date)) or _moment(_parse_date(date))


def _moment(found: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(timegm(found), UTC) if found else None
    except (ValueError, TypeError, OverflowError, OSError):
        return None


# --- JSON Feed ------------------------------------------------------------------------------------------------------


def _json_feed(page: Page) -> Batch:
    found, oddities = json_body(page)
    version = found.get("version") if isinstance(found, dict) else None
    if not isinstance(version, str) or not version.startswith(JSON_FEED) or not isinstance(found.get("items"), list):
        raise PageError(f"a JSON Feed with version and items was expected, found {describe(found)}")
    if len(found["items"]) > ENTRIES_LIMIT:
        raise PageError(f"more than {ENTRIES_LIMIT} entries")
    entries = Entries(oddities)
    items = [item if isinstance(item, dict) else {} for item in found["items"]]
    for item in items:
        entries.unknown(key for key in unknown(item, _KNOWN) if not key.startswith("_"))
    return _batch(map(_json_item, items), entries, page.url, found.get("next_url"))


def _json_item(item: _Item) -> _Raw:
    authors = [*objects(item.get("authors")), *objects([item.get("author")])]
    address, other, key = (_text(item.get(name)) for name in ("url", "external_url", "id"))
    pdfs = [one for one in objects(item.get("attachments")) if one.get("mime_type") == "application/pdf"]
    return _Raw(
        key=key or (str(item["id"]) if isinstance(item.get("id"), int) else ""),
        title=_text(item.get("title")),
        links=(address, other, key if "://" in key else ""),
        marks=(key, other, address),
        bodies=tuple(_text(item.get(name)) for name in ("summary", "content_text", "content_html")),
        authors=tuple(dict.fromkeys(_text(one.get("name")) for one in authors)),
        categories=tuple(texts(item.get("tags"))),
        published=instant(item.get("date_published")),
        updated=instant(item.get("date_modified")),
        pdf=next((_text(one.get("url")) for one in pdfs), ""),
        image=_text(item.get("image")),
    )


def _text(found: object) -> str:
    return found if isinstance(found, str) else ""


# --- both -----------------------------------------------------------------------------------------------------------


def _batch(items: Iterator[_Raw], entries: Entries, url: str, following: object) -> Batch:
    titles: dict[str, str] = {}
    for item in items:
        try:
            entries.add(_paper(item, url, titles, entries))
        except BadEntry as bad:
            entries.skip(bad)
    return entries.batch(next_url=link(following, url), newest_first=True)


def _paper(item: _Raw, at: str, titles: dict[str, str], entries: Entries) -> Paper:
    """Turn an item into a paper; raises `BadEntry` for an empty one and for a notice."""
    known = identifiers(item.marks)
    url = next((url for one in item.links if (url := link(one, at))), "")
    title, title_tex = reading(plain(item.title), TITLE_LIMIT)
    authors, upvotes, body = _body(item.bodies)
    abstract, abstract_tex = reading(body, ABSTRACT_LIMIT)
    key = next((key for one in (item.key, url, title, abstract) if (key := line(one, KEY_LIMIT))), "")
    if not key:
        raise BadEntry("an item without id, link, title and text")
    if "/api/errors" in key or (_NOTICE.match(title) and not (url or known.arxiv or known.doi)):
        raise BadEntry(f"a notice, no paper: {title!r}")
    if not title:
        entries.note(f"an item without title: {key}")
        title = line(abstract, 120) or key
    if titles.setdefault(key, title) != title:
        entries.note(f"two items with the id {key}")
        key = line(f"{key} {title}", KEY_LIMIT)
    if not url:
        url = f"{ARXIV}{known.arxiv}" if known.arxiv else link(f"{RESOLVER}{known.doi}") or "" if known.doi else ""
    return Paper(
        source=FORMAT,
        source_key=key,
        title=title,
        url=url,
        title_tex=title_tex,
        abstract=abstract,
        abstract_tex=abstract_tex,
        arxiv_id=known.arxiv,
        version=known.version,
        doi=known.doi,
        authors=_names(item.authors) or authors,
        categories=tuple(
            dict.fromkeys(name for one in item.categories[:CATEGORIES_LIMIT] if (name := line(plain(one), NAME_LIMIT)))
        ),
        published_at=item.published,
        updated_at=item.updated,
        pdf_url=link(item.pdf, at),
        thumbnail=link(item.image, at),
        upvotes=upvotes,
    )


def _body(bodies: tuple[str, ...]) -> tuple[tuple[str, ...], int | None, str]:
    """Choose the abstract: (authors and votes that it names, its own text)."""
    body = ""
    for one in bodies:
        text = plain(one).strip()
        if not body and len(text) >= SHORT_SUMMARY:
            body = text
            break
        body = max(body, text, key=len)
    labelled = _LABELLED.fullmatch(body) if body.startswith("Author") else None
    if labelled:
        votes = int(labelled["upvotes"]) if labelled["upvotes"] else None
        return creators(labelled["authors"]), votes, labelled["abstract"]
    heading = _HEADING.match(body)
    body = body[heading.end() :] if heading else body
    generated = _AI_SUMMARY.match(body) if "AI-generated summary" in body else None
    return (), None, body[generated.end() :] if generated else body


def _names(authors: tuple[str, ...]) -> tuple[str, ...]:
    """Read authors, one each or all in one string; a mail address is no name."""
    named = [one for one in dict.fromkeys(_MAIL.sub("", author).strip(" \t\r\n()") for author in authors) if one]
    return creators(plain(named[0])) if len(named) == 1 else names([plain(author) for author in named])
