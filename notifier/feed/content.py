"""What an item says, alike in every form of a feed: safe HTML, a plain summary, names, links."""

from __future__ import annotations

from functools import lru_cache
from html import escape

from notifier import present
from notifier.model import Channel, FeedItem

ITEMS_MAX = 100  # newest ones
ABSTRACT_MAX = 2_400  # characters of an abstract; arXiv allows 1,920
FEED_ABSTRACTS_MAX = 200_000  # characters of all abstracts of a feed: it stays below 500 kB
SUMMARY_MAX = 280
AUTHORS_MAX = 30  # named in one item; a collaboration has thousands
KEPT = 150  # items whose HTML is kept: every form of a feed has it, and most items are in the next feed, too
NAME = "Paper alerts"  # who speaks where a standard wants an author, and an item has none


def items(channel: Channel) -> tuple[FeedItem, ...]:
    """Return the items that a feed holds, the newest."""
    return channel.items[:ITEMS_MAX]


def own(url: str) -> str:
    """Return a URL of ours, which must be one; raises ValueError."""
    checked = present.link(url)
    if not checked:
        raise ValueError(f"{url!r} is no http(s) URL")
    return checked


def title(item: FeedItem) -> str:
    """Return an item's title as plain text, never empty."""
    return present.clean(item.paper.title, present.TITLE_MAX) or "(untitled)"


def target(item: FeedItem) -> str:
    """Return where an item leads, "" when it leads nowhere."""
    return present.link(item.link) or present.link(item.paper.url)


def authors(item: FeedItem) -> list[str]:
    """Return the authors to name."""
    return present.phrases(item.paper.authors, AUTHORS_MAX)


def categories(item: FeedItem) -> list[str]:
    """Return the categories to name."""
    return present.phrases(item.paper.categories, present.CATEGORIES_SHOWN)


def abstract_room(channel: Channel) -> int:
    """Return how many characters of each abstract a feed of this many items has room for."""
    shown = items(channel)
    if sum(min(len(item.paper.abstract), ABSTRACT_MAX) for item in shown) <= FEED_ABSTRACTS_MAX:
        return ABSTRACT_MAX
    return FEED_ABSTRACTS_MAX // len(shown)


def summary(item: FeedItem) -> str:
    """Return a sentence or two as plain text, "" without an abstract."""
    return present.clean(item.paper.abstract, SUMMARY_MAX)


@lru_cache(KEPT)
def html(item: FeedItem, room: int = ABSTRACT_MAX) -> str:
    """Return the HTML of an item: authors, where it is from, why it is here, the abstract with its marks, links."""
    shown = present.paper(item.paper, item.marks, item.labels)
    names = ", ".join(_marked([name]) for name in shown["authors"])
    more = f" and {shown['authors_more']} more" if shown["authors_more"] else ""
    why = "; ".join(escape(label) for label in shown["labels"])
    abstract = present.segments(item.paper.abstract, item.marks.abstract, room)
    links = " · ".join(f'<a href="{escape(link["url"])}">{escape(link["text"])}</a>' for link in shown["links"])
    paragraphs = [
        "<strong>Withdrawn</strong>" if shown["withdrawn"] else "",
        f"{names}{more}",
        escape(" · ".join([*shown["facts"], *categories(item)])),
        f"matches: {why}" if why else "",
        _marked(abstract),
        links,
    ]
    return "".join(f"<p>{text}</p>" for text in paragraphs if text)


def _marked(parts: list[present.Plain]) -> str:
    """Return segments as HTML, escaped, the matching ones in <mark>."""
    return "".join(f"<mark>{escape(p['text'])}</mark>" if p["mark"] else escape(p["text"]) for p in parts)
