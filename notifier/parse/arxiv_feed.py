"""arXiv's announcement feeds: RSS 2.0 and Atom of `rss.arxiv.org`, and the RSS 1.0 that `export.arxiv.org` served.

Landmark: a feed titled "<categories> updates on arXiv.org". One without items is a day without announcements (weekend,
holiday); one titled "Feed error for query" is an error page. A feed states no count; arXiv cuts at 2,000 items, and
leaves out replacements after version 5. The day is the one whose New York midnight the feed is dated with; the old feed
was dated with the evening before, which is that day in UTC.

The version is only in `guid` (Atom: `id`) and in the text, "arXiv:<id>v<n> Announce Type: new Abstract: ..."; in the
old feed it is in the title, "Title. (arXiv:<id>v<n> [cs.CL] UPDATED)". Licences are left out.

Facts from https://info.arxiv.org/help/rss_specifications.html and arXiv's own source (github.com/arXiv/arxiv-feed).
Read with lxml rather than feedparser, which accepts feeds that were cut off and takes ten times as long.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from html import unescape
from zoneinfo import ZoneInfo

from notifier.errors import PageError
from notifier.identity import arxiv_id
from notifier.model import AnnounceType, Batch, Page, Paper
from notifier.parse.arxiv_paper import announcement, arxiv_paper
from notifier.parse.byline import byline
from notifier.parse.dates import stamp, utc
from notifier.parse.entries import BadEntry, Entries
from notifier.parse.markup import text_of as html_text_of
from notifier.parse.markup import tree as html_tree
from notifier.parse.text import line
from notifier.parse.xml import Element, Parts, attribute, document, first, local, parts, text_of

FORMAT = "arxiv-feed"
ITEMS_LIMIT = 2_000  # that arXiv puts into one feed
RDF_ABOUT = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}about"
NEW_YORK = ZoneInfo("America/New_York")

_TITLE = re.compile(r"updates on arXiv\.org\s*$", re.IGNORECASE)
_ERROR = re.compile(r"^\s*Feed error", re.IGNORECASE)
_NAMES_PAPERS = re.compile(r"oai:arxiv\.org:|arxiv\.org/abs/", re.IGNORECASE)
_ABOUT = re.compile(r"\s*arXiv:(?P<id>\S{1,40})\s+Announce Type:\s*(?P<type>[a-z-]{1,20})\s+(?:Abstract:\s*)?")
_OLD_TITLE = re.compile(
    r"\s*\((?P<id>arXiv:[^\s()]{1,40})\s*(?:\[(?P<category>[^\]()]{1,40})\])?\s*(?P<kind>[A-Z -]{0,40})\)\s*$"
)
_OLD_KINDS = {
    "": AnnounceType.NEW,
    "CROSS LISTED": AnnounceType.CROSS,
    "UPDATED": AnnounceType.REPLACE,
    "UPDATED CROSS LISTED": AnnounceType.REPLACE_CROSS,
    "CROSS LISTED UPDATED": AnnounceType.REPLACE_CROSS,
}
_KNOWN = {
    "title", "link", "description", "guid", "id", "summary", "category", "pubDate", "published", "updated",
    "announce_type", "rights", "creator", "author", "DOI", "journal_reference",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Feed:
    """What the dialects have in common: the feed's own elements, its day, when it was built, how an item is read."""

    head: Parts
    day: date | None
    built: date | None
    items: Sequence[Element]
    read: Callable[[Parts, str, date | None], Paper]


def arxiv_feed(page: Page) -> Batch:
    """Read an arXiv announcement feed."""
    found = document(page)
    dialects = {"rss": _rss, "feed": _atom, "RDF": _rdf}
    if local(found.root) not in dialects:
        raise PageError(f"no feed: the document is <{line(local(found.root), 40)}>")
    feed = dialects[local(found.root)](parts(found.root))
    _refuse_other_feeds(feed)
    if not feed.items and _NAMES_PAPERS.search(text_of(found.root)):
        raise PageError("no item can be found, yet the feed names papers: its layout has changed")
    entries = Entries(found.oddities)
    for item in feed.items:
        shown = parts(item)
        entries.unknown(name for name in shown if name not in _KNOWN)
        try:
            entries.add(feed.read(shown, attribute(item, RDF_ABOUT), feed.day))
        except BadEntry as bad:
            entries.skip(bad)
    announced = max((paper.announced_on for paper in entries.papers if paper.announced_on), default=None)
    return entries.batch(
        listed_on=feed.day or announced or feed.built,
        stated=None if feed.items else 0,
        truncated=len(feed.items) >= ITEMS_LIMIT,
    )


def _refuse_other_feeds(feed: _Feed) -> None:
    title = first(feed.head, "title")
    if _ERROR.search(title):
        raise PageError(f"{line(title, 100)}: {line(first(feed.head, 'description', 'subtitle'), 200)}")
    if not _TITLE.search(title):
        raise PageError(f"not titled 'updates on arXiv.org' but {line(title, 80)!r}")


def _rss(root: Parts) -> _Feed:
    head = parts(root["channel"][0]) if "channel" in root else {}
    day = _day_as_written(first(head, "pubDate"))
    return _Feed(head, day, _day_in_new_york(first(head, "lastBuildDate")), head.get("item", ()), _item)


def _atom(root: Parts) -> _Feed:
    return _Feed(root, None, _day_in_new_york(first(root, "updated")), root.get("entry", ()), _item)


def _rdf(root: Parts) -> _Feed:
    head = parts(root["channel"][0]) if "channel" in root else {}
    moment = utc(stamp(first(head, "date")))
    return _Feed(head, moment.date() if moment else None, None, root.get("item", ()), _old_item)


@lru_cache(maxsize=8)  # every item of a day repeats it
def _day_as_written(text: str) -> date | None:
    moment = stamp(text)
    return moment.date() if moment else None


def _day_in_new_york(text: str) -> date | None:
    moment = utc(stamp(text))
    return moment.astimezone(NEW_YORK).date() if moment and moment.year > 1900 else None


def _item(shown: Parts, about: str, day: date | None) -> Paper:
    """Read one RSS 2.0 item or Atom entry."""
    description = first(shown, "description", "summary")
    start = _ABOUT.match(description)
    keys = [first(shown, "guid", "id"), start["id"] if start else "", first(shown, "link"), about]
    return arxiv_paper(
        source=FORMAT,
        identifier=next((key for key in keys if arxiv_id(key[:300])), ""),
        title=first(shown, "title"),
        abstract=description[start.end() :] if start else description,
        authors=byline(", ".join(text_of(one) for name in ("creator", "author") for one in shown.get(name, ()))),
        categories=[attribute(one, "term") or text_of(one) for one in shown.get("category", ())],
        doi_text=first(shown, "DOI"),
        journal_ref=first(shown, "journal_reference"),
        announce_type=announcement(first(shown, "announce_type") or (start["type"] if start else "")),
        announced_on=_day_as_written(first(shown, "pubDate", "published")) or day,
    )


def _old_item(shown: Parts, about: str, day: date | None) -> Paper:
    """Read one RSS 1.0 item, whose text is escaped HTML and whose facts are in its title."""
    title = " ".join(first(shown, "title").split())
    facts = _OLD_TITLE.search(title)
    kind = " ".join(facts["kind"].split()) if facts else ""
    code = (facts["category"] or "") if facts else ""
    return arxiv_paper(
        source=FORMAT,
        identifier=facts["id"] if facts else about or first(shown, "link"),
        title=unescape(title[: facts.start()].rstrip() if facts else title).removesuffix("."),
        abstract=_plain(first(shown, "description")),
        authors=byline(", ".join(_plain(text_of(one)) for one in shown.get("creator", ()))),
        categories=[code],
        primary_category=code,
        announce_type=_OLD_KINDS.get(kind) if facts else None,
        announced_on=day,
    )


def _plain(markup: str) -> str:
    """Return the text of escaped HTML."""
    return html_text_of(html_tree(markup, whole=False).root) if "<" in markup or "&" in markup else markup
