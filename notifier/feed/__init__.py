"""From a channel to the bytes of a feed: RSS 2.0, Atom (RFC 4287) or JSON Feed 1.1.

Promises: equal channels give equal bytes (every date comes from the channel, none from a clock, so that an ETag
holds); items stay in the order given, newest first; an id is what the store says, never made from title, host or time;
foreign text adds no element and cannot break the document: what XML 1.0 forbids is dropped, HTML is escaped once
inside the content, links are http(s) and absolute; a feed stays below MOST_BYTES. Raises ValueError when the channel's
own links are no http(s) URLs.
"""

from __future__ import annotations

from notifier.feed.jsonfeed import json_feed
from notifier.feed.opml import Outline, opml
from notifier.model import Channel, FeedFormat

__all__ = ["MEDIA_TYPES", "Outline", "atom", "feed", "json_feed", "opml", "rss"]

MEDIA_TYPES = {
    FeedFormat.RSS: "application/rss+xml",
    FeedFormat.ATOM: "application/atom+xml",
    FeedFormat.JSON: "application/feed+json",
}


def feed(channel: Channel, format: FeedFormat) -> bytes:
    """Return the channel in one of the forms, UTF-8."""
    return _FORMS[format](channel)


def rss(channel: Channel) -> bytes:
    """Return the channel as RSS 2.0."""
    from notifier.feed.xml import rss  # its library is imported with the first feed, not at the start

    return rss(channel)


def atom(channel: Channel) -> bytes:
    """Return the channel as Atom."""
    from notifier.feed.xml import atom

    return atom(channel)


_FORMS = {FeedFormat.RSS: rss, FeedFormat.ATOM: atom, FeedFormat.JSON: json_feed}
