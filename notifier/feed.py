"""From a channel to the bytes of a feed. Owns feedgen.

Promises: equal channels give equal bytes (every date comes from the channel, none from a clock, so that an ETag holds);
items stay in the order given, newest first; an item's guid is what the store says, never made from title, host or time;
foreign text adds no element and cannot break the document: what XML 1.0 forbids is dropped, HTML is escaped
once inside the description, links are http(s). Follows RSS 2.0 and the RSS Advisory Board's best practices.
"""

from __future__ import annotations

from html import escape

from feedgen.entry import FeedEntry
from feedgen.feed import FeedGenerator

from notifier import present
from notifier.model import Channel, FeedItem

ITEMS_MAX = 100  # newest ones; a feed stays below about 500 kB
ABSTRACT_MAX = 4_000  # characters of an abstract
AUTHORS_MAX = 30  # dc:creator elements of one item
TTL_MINUTES = 30


def rss(channel: Channel) -> bytes:
    """Return the channel as RSS 2.0, UTF-8. Raises ValueError when the channel's own links are no http(s) URLs."""
    return bytes(_feed(channel).rss_str(pretty=True))


def _feed(channel: Channel) -> FeedGenerator:
    """Return the feed as feedgen holds it, for any of its formats."""
    made = FeedGenerator()
    made.load_extension("dc")
    made.id(_own(channel.self_url))
    made.title(present.clean(channel.title) or "Papers")
    made.description(present.clean(channel.description) or "New papers")
    made.link(href=_own(channel.self_url), rel="self", type="application/rss+xml")
    made.link(href=_own(channel.link), rel="alternate")  # last: feedgen takes RSS's <link> from the latest one
    made.language("en")
    made.generator("notifier")
    made.ttl(TTL_MINUTES)
    made.updated(channel.updated)  # also lastBuildDate, which would be now
    for item in channel.items[:ITEMS_MAX]:
        made.add_entry(_entry(item), order="append")
    return made


def _own(url: str) -> str:
    """Return a URL of ours, which must be one."""
    checked = present.link(url)
    if not checked:
        raise ValueError(f"{url!r} is no http(s) URL")
    return checked


def _entry(item: FeedItem) -> FeedEntry:
    paper = item.paper
    made = FeedEntry()
    made.load_extension("dc")
    made.guid(present.clean(item.guid), permalink=False)
    made.title(present.clean(paper.title, present.TITLE_MAX) or "(untitled)")
    target = present.link(item.link) or present.link(paper.url)
    if target:
        made.link(href=target)
    made.published(item.published)
    made.updated(item.updated)
    authors = present.phrases(paper.authors, AUTHORS_MAX)
    if authors:
        made.dc.dc_creator(authors)
    made.category([{"term": name} for name in present.phrases(paper.categories, present.CATEGORIES_SHOWN)])
    made.description(_content(item))
    return made


def _content(item: FeedItem) -> str:
    """Return the HTML of one item: authors, why it is here, the abstract with its marks, links."""
    shown = present.paper(item.paper, item.marks, item.labels)
    authors = ", ".join(_marked([name]) for name in shown["authors"])
    more = f" and {shown['authors_more']} more" if shown["authors_more"] else ""
    why = "; ".join(escape(label) for label in shown["labels"])
    abstract = present.segments(item.paper.abstract, item.marks.abstract, ABSTRACT_MAX)
    links = " · ".join(f'<a href="{escape(link["url"])}">{escape(link["text"])}</a>' for link in shown["links"])
    paragraphs = [
        "<strong>Withdrawn</strong>" if shown["withdrawn"] else "",
        f"{authors}{more}",
        escape(" · ".join(shown["facts"])),
        f"matches: {why}" if why else "",
        _marked(abstract),
        links,
    ]
    return "".join(f"<p>{text}</p>" for text in paragraphs if text)


def _marked(parts: list[present.Plain]) -> str:
    """Return segments as HTML, escaped, the matching ones in <mark>."""
    return "".join(f"<mark>{escape(p['text'])}</mark>" if p["mark"] else escape(p["text"]) for p in parts)
