"""RSS 2.0, with the RSS Advisory Board's best practices, and Atom (RFC 4287). Owns feedgen.

Both carry the links of RFC 5005 (archive pages) and of WebSub as Atom links; an archive page says that it is one.
"""

from __future__ import annotations

from typing import Any

from feedgen.entry import FeedEntry
from feedgen.ext.base import BaseExtension
from feedgen.feed import FeedGenerator
from feedgen.util import xml_elem

from notifier import present
from notifier.feed import content
from notifier.model import Channel, FeedFormat, FeedItem

TTL_MINUTES = 30
ATOM = "http://www.w3.org/2005/Atom"
HISTORY = "http://purl.org/syndication/history/1.0"  # RFC 5005


def rss(channel: Channel) -> bytes:
    """Return the channel as RSS 2.0."""
    made = _feed(channel, FeedFormat.RSS)
    made.load_extension("dc")
    made.description(present.clean(channel.description) or "New papers")
    made.ttl(TTL_MINUTES)
    room = content.abstract_room(channel)
    for item in content.items(channel):
        made.add_entry(_rss_item(item, room), order="append")
    return bytes(made.rss_str(pretty=True))


def atom(channel: Channel) -> bytes:
    """Return the channel as Atom."""
    made = _feed(channel, FeedFormat.ATOM)
    made.subtitle(present.clean(channel.description) or "New papers")
    made.author(name=content.NAME)
    room = content.abstract_room(channel)
    for item in content.items(channel):
        made.add_entry(_atom_entry(item, room), order="append")
    return bytes(made.atom_str(pretty=True))


def _feed(channel: Channel, format: FeedFormat) -> FeedGenerator:
    """Return a feed without items as feedgen holds it."""
    made = FeedGenerator()
    made.register_extension("links", _links(channel, format))
    made.id(present.clean(channel.feed_id))
    made.title(present.clean(channel.title) or "Papers")
    made.link(href=_self(channel, format), rel="self", type=f"application/{format}+xml")
    made.link(href=content.own(channel.link), rel="alternate", type="text/html")  # last: RSS takes the latest one
    made.language("en")
    made.generator("notifier")
    made.updated(channel.updated)  # also lastBuildDate, which would be now
    return made


def _self(channel: Channel, format: FeedFormat) -> str:
    return content.own(channel.address(format, channel.page))


def _links(channel: Channel, format: FeedFormat) -> type[BaseExtension]:
    """Return an extension that says where the archive (RFC 5005) and the hub (WebSub 4) are."""
    links = {}
    if channel.page is not None:
        links["current"] = content.own(channel.address(format))
    if channel.older is not None:
        links["prev-archive"] = content.own(channel.address(format, channel.older))
    if channel.newer is not None:
        links["next-archive"] = content.own(channel.address(format, channel.newer))
    if channel.hub:
        links["hub"] = content.own(channel.hub)

    class Links(BaseExtension):  # type: ignore[misc]
        def extend_ns(self) -> dict[str, str]:
            return {"fh": HISTORY} if channel.page is not None else {}

        def extend_rss(self, feed: Any) -> Any:
            return self._extend(feed, feed[0], f"{{{ATOM}}}link")

        def extend_atom(self, feed: Any) -> Any:
            return self._extend(feed, feed, "link")

        def _extend(self, feed: Any, parent: Any, name: str) -> Any:
            for relation, url in links.items():
                xml_elem(name, parent, rel=relation, href=url)
            if channel.page is not None:
                xml_elem(f"{{{HISTORY}}}archive", parent)
            return feed

    return Links


def _rss_item(item: FeedItem, room: int) -> FeedEntry:
    made = FeedEntry()
    made.load_extension("dc")
    made.guid(present.clean(item.guid), permalink=False)
    made.title(content.title(item))
    if target := content.target(item):
        made.link(href=target)
    made.published(item.published)
    made.updated(item.updated)
    if names := content.authors(item):
        made.dc.dc_creator(names)
    made.category([{"term": name} for name in content.categories(item)])
    made.description(content.html(item, room))
    return made


def _atom_entry(item: FeedItem, room: int) -> FeedEntry:
    made = FeedEntry()
    made.id(present.clean(item.guid))
    made.title(content.title(item))
    if target := content.target(item):
        made.link(href=target, rel="alternate", type="text/html")
    made.published(item.published)
    made.updated(item.updated)
    made.author([{"name": name} for name in content.authors(item)])
    made.category([{"term": name} for name in content.categories(item)])
    if summary := content.summary(item):
        made.summary(summary)
    made.content(content.html(item, room) or "<p></p>", type="html")
    return made
