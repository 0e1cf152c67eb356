"""A plain feed - well-formed, of RSS, RSS 1.0 or Atom 1.0, with nothing odd in it - to its items, by libxml2.

Most feeds are plain, and feedparser takes ten times as long for them. What an element means is what feedparser takes it
to mean, in the order of the document: a test compares the two on every feed there is. Whatever is not known here to be
harmless - an element of podcasts, XHTML, a base URL, a mail address as an author - makes a feed not plain, and `None`
of it; so does anything that is wrong with it. Nothing here raises.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from notifier.parse.xml import Element, local, well_formed

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}RDF"
ATOM, RSS_1 = "http://www.w3.org/2005/Atom", "http://purl.org/rss/1.0/"
ABOUT = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}about"
WORD_LIMIT = 200  # characters of a name without a blank; `feed` cuts longer ones

# Namespace -> what its names begin with here. A name of an unknown namespace begins with its prefix.
_PREFIXES = {
    "": "",
    ATOM: "",
    RSS_1: "",
    "http://purl.org/dc/elements/1.1/": "dc_",
    "http://purl.org/rss/1.0/modules/content/": "content_",
    "http://search.yahoo.com/mrss/": "media_",
    "http://search.yahoo.com/mrss": "media_",
    "http://rssnamespace.org/feedburner/ext/1.0": "feedburner_",
}
# Prefixes whose names may mean something to feedparser: of these, only the names below are known.
_TELLING = re.compile(r"(?:admin|cc|content|creativecommons|dc|dcterms|feedburner|georss|gml|itunes|media|psc|xhtml)?_")
_SILENT = frozenset({
    "comments", "contributor", "rights", "copyright", "source", "dc_rights", "dc_publisher", "dc_language",
    "dc_contributor", "dc_format", "dc_source", "dc_type", "dc_relation", "dc_coverage", "media_content",
})  # fmt: skip
_WITH_CHILDREN = frozenset({"author", "contributor"})
_TEXTS = (None, "text", "html", "text/plain", "text/html")  # values of `type`
_MISREAD = re.compile("[\x80-\x9f]")  # Windows-1252 taken for ISO 8859-1
_ENTITY = re.compile(r"&([A-Za-z0-9_]+);")

Tag = list[str | None]  # term, scheme, label


class _OddError(Exception):
    """The feed is not plain."""


@dataclass(slots=True)
class PlainItem:
    """What one item says, as written."""

    id: str = ""
    title: str = ""
    link: str | None = None
    origin: str = ""  # before FeedBurner
    doi: str = ""
    identifier: str = ""
    summary: str | None = None
    contents: list[str] = field(default_factory=list)
    authors: list[str] = field(default_factory=list)
    tags: list[Tag] = field(default_factory=list)
    published: datetime | None = None
    has_published: bool = False
    updated: datetime | None = None
    created: datetime | None = None
    pdf: str = ""
    image: str = ""


@dataclass(frozen=True, slots=True)
class PlainFeed:
    """A feed's own title, where the next page of it is, and its items."""

    title: str
    following: str | None
    items: list[PlainItem]


def plain_feed(text: str, moment: Callable[[str], datetime | None]) -> PlainFeed | None:
    """Read a feed, None for one that is not plain; `moment` reads a date as feedparser does."""
    root = None if " base=" in text or "xml:base" in text else well_formed(text)
    if root is None:
        return None
    try:
        about, entries = _parts(root)
        title, following = _about(about)
        if not title and not entries:
            return None
        return PlainFeed(title, following, [_item(entry, moment) for entry in entries])
    except _OddError:
        return None


def _parts(root: Element) -> tuple[Iterable[Element], list[Element]]:
    """Return the children of what describes the feed, and the items."""
    if root.tag == f"{{{ATOM}}}feed":
        about, holder, name = root, root, f"{{{ATOM}}}entry"
    elif root.tag == "rss" and len(root) == 1 and root[0].tag == "channel":
        about, holder, name = root[0], root[0], "item"
    elif root.tag == RDF and len(root) and root[0].tag == f"{{{RSS_1}}}channel":
        about, holder, name = root[0], root, f"{{{RSS_1}}}item"
    else:
        raise _OddError
    entries = [child for child in holder if child.tag == name]
    if sum(1 for _ in root.iter("{*}item", "{*}entry")) != len(entries):
        raise _OddError
    return (child for child in about if child.tag != name), entries


def _about(children: Iterable[Element]) -> tuple[str, str | None]:
    title, following = "", None
    for child in children:
        name = _name(child)
        if name in ("title", "dc_title") and not title:
            title = _said(child)
        elif name == "link" and child.get("rel") == "next" and following is None:
            following = child.get("href")
    return title, following


def _name(element: Element) -> str:
    """Return the name of an element: a prefix that its namespace has here, "_" and its local name."""
    namespace, _, name = element.tag.rpartition("}")
    known = _PREFIXES.get(namespace[1:])
    if known is None:
        if not element.prefix:
            raise _OddError
        known = f"{element.prefix.lower()}_"
    return known + name.lower()


def _item(entry: Element, moment: Callable[[str], datetime | None]) -> PlainItem:
    if entry.get("href") is not None or entry.get("lastmod") is not None:
        raise _OddError
    item = PlainItem(id=entry.get(ABOUT) or "")
    has_content = False
    for child in entry:
        name = _name(child)
        if len(child) and name not in _WITH_CHILDREN:
            raise _OddError
        if name in ("content", "content_encoded") or (
            name in ("summary", "description", "dc_description") and item.summary is not None and not has_content
        ):
            has_content = True
            item.contents.append(_said(child))
            if item.summary is None:
                item.summary = item.contents[-1]
        elif name in _DATES:
            _DATES[name](item, moment(_said(child)))
        elif name in _READ:
            _READ[name](item, child)
        elif name not in _SILENT and (_TELLING.match(name) or "_" not in name):
            raise _OddError
    return item


def _said(element: Element) -> str:
    """Return the text of an element; UTF-8 that was taken for ISO 8859-1 is put right."""
    if element.get("type") not in _TEXTS or element.get("mode") is not None or element.get("src") is not None:
        raise _OddError
    text = (element.text or "").strip()
    if text.isascii():
        return text
    with contextlib.suppress(UnicodeError):
        text = text.encode("iso-8859-1").decode("utf-8")
    if _MISREAD.search(text):
        raise _OddError
    return text


# --- what each element says -------------------------------------------------------------------------------------------


def _title(item: PlainItem, element: Element) -> None:
    item.title = item.title or _said(element)


def _summary(item: PlainItem, element: Element) -> None:
    item.summary = _said(element)


def _link(item: PlainItem, element: Element) -> None:
    if element.get("url") is not None or element.get("uri") is not None:
        raise _OddError
    href, form = element.get("href"), element.get("type") or "text/html"
    if href is None:
        text = _url(_said(element).replace("&amp;", "&"))
        item.link = _ENTITY.sub(r"&\1", text) if "&" in text else text
        return
    if (element.get("rel") or "alternate") == "alternate" and form in ("text/html", "html", "application/xhtml+xml"):
        item.link = _url(href)
    _pdf(item, form, href)


def _id(item: PlainItem, element: Element) -> None:
    item.id = _said(element)
    if (element.get("isPermaLink") or element.get("ispermalink") or "true") == "true":
        item.id = _url(item.id)
        if item.link is None:
            item.link = item.id


def _author(item: PlainItem, element: Element) -> None:
    if not len(element):
        name = _said(element)
    else:
        parts: Mapping[str, str] = {local(part): (part.text or "").strip() for part in element if not len(part)}
        if len(parts) != len(element) or not parts.keys() <= {"name", "uri"} or (element.text or "").strip():
            raise _OddError
        name = parts.get("name", "")
    if "@" in name or any(len(word) > WORD_LIMIT for word in name.split()):
        raise _OddError
    item.authors.append(name)


def _category(item: PlainItem, element: Element) -> None:
    scheme = element.get("scheme")
    tag: Tag = [element.get("term"), element.get("domain") if scheme is None else scheme, element.get("label")]
    if any(tag) and tag not in item.tags:
        item.tags.append(tag)
    text = _said(element)
    if text and item.tags and not item.tags[-1][0]:
        item.tags[-1][0] = text
    elif text and [text, None, None] not in item.tags:
        item.tags.append([text, None, None])


def _enclosure(item: PlainItem, element: Element) -> None:
    _pdf(item, element.get("type") or "", element.get("url") or element.get("uri") or element.get("href"))


def _pdf(item: PlainItem, form: str, href: str | None) -> None:
    if form == "application/pdf" and href is not None and not item.pdf:
        item.pdf = href


def _thumbnail(item: PlainItem, element: Element) -> None:
    url = element.get("url")
    if url is None:
        raise _OddError
    item.image = item.image or url


def _bare(element: Element) -> str:
    if element.items():
        raise _OddError
    return _said(element)


def _doi(item: PlainItem, element: Element) -> None:
    item.doi = _bare(element)


def _identifier(item: PlainItem, element: Element) -> None:
    item.identifier = _bare(element)


def _origin(item: PlainItem, element: Element) -> None:
    item.origin = _bare(element)


def _url(text: str) -> str:
    if ":///" in text:
        raise _OddError
    return text


def _published(item: PlainItem, at: datetime | None) -> None:
    item.published, item.has_published = at, True


def _updated(item: PlainItem, at: datetime | None) -> None:
    item.updated = at


def _created(item: PlainItem, at: datetime | None) -> None:
    item.created = at


_DATES: Mapping[str, Callable[[PlainItem, datetime | None], None]] = {
    "pubdate": _published, "published": _published, "issued": _published,
    "updated": _updated, "modified": _updated, "dc_date": _updated, "created": _created,
}  # fmt: skip
_READ: Mapping[str, Callable[[PlainItem, Element], None]] = {
    "title": _title, "dc_title": _title, "link": _link, "guid": _id, "id": _id, "summary": _summary,
    "description": _summary, "dc_description": _summary, "author": _author, "dc_creator": _author, "dc_author": _author,
    "category": _category, "dc_subject": _category, "enclosure": _enclosure, "media_thumbnail": _thumbnail,
    "prism_doi": _doi, "dc_identifier": _identifier, "feedburner_origlink": _origin,
}  # fmt: skip
