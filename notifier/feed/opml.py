"""OPML 2.0: a list of feeds that a reader program can take in at once (http://opml.org/spec2.opml)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from notifier import present
from notifier.feed import content


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """One feed of the list: its name, its address, and the page it belongs to."""

    title: str
    feed_url: str
    page_url: str


def opml(title: str, outlines: Iterable[Outline]) -> bytes:
    """Return a list of feeds as OPML; raises ValueError for an address that is no http(s) URL."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<opml version="2.0">',
        f"<head><title>{_text(title)}</title></head>",
        "<body>",
        *(_outline(each) for each in outlines),
        "</body>",
        "</opml>",
    ]
    return ("\n".join(lines) + "\n").encode()


def _outline(outline: Outline) -> str:
    name = quoteattr(present.clean(outline.title, present.PHRASE_MAX) or "Papers")
    feed, page = quoteattr(content.own(outline.feed_url)), quoteattr(content.own(outline.page_url))
    # "rss" says that it is a feed, of whatever form.
    return f'<outline type="rss" text={name} title={name} xmlUrl={feed} htmlUrl={page}/>'


def _text(text: str) -> str:
    return quoteattr(present.clean(text, present.PHRASE_MAX))[1:-1]
