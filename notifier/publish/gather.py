"""Gather: from the store to the channel of a feed.

A feed is named by an Address, which is also what its URL says. Everything in a channel comes from the store or the
configuration, nothing from a clock: the same papers give the same channel. What changes by the hour (votes) is left
out, so that a feed changes when its papers do; `trending`, which is about votes, shows them.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from urllib.parse import quote

from notifier.errors import NoSuchFeed, QueryError
from notifier.match import marks
from notifier.model import Channel, FeedItem, FeedPaper, Marks, PrivateFeed, QueryId
from notifier.query import Query, parse
from notifier.store import Store

ITEMS = 100  # of a feed, and of an archive page
TRENDING = 30  # papers
TURN = 5  # papers marked in one turn of the event loop: a millisecond each
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # the date of a feed that has never had an item


class Kind(StrEnum):
    """What a feed is of; the first part of its address below /feeds/."""

    ALL = "all"
    TRENDING = "trending"
    LISTING = "listing"
    SEARCH = "search"
    PRIVATE = "private"


@dataclass(frozen=True, slots=True)
class Address:
    """A feed: its kind, what it is `of` (a listing's name, a canonical query, a private link), its archive page."""

    kind: Kind
    of: str = ""
    page: int | None = None

    @property
    def path(self) -> str:
        """The path of the feed's URL without its ending."""
        if self.kind in (Kind.LISTING, Kind.PRIVATE):
            return f"/feeds/{self.kind}/{quote(self.of, safe='')}"
        return f"/feeds/{self.kind}"

    @property
    def query(self) -> str:
        """The query string of the feed's URL, with its question mark, without the page."""
        return f"?q={quote(self.of, safe='')}" if self.kind is Kind.SEARCH else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Newsstand:
    """What all feeds of an installation share. `listings` are the names of those that are watched."""

    store: Store
    base_url: str
    listings: tuple[str, ...]
    hub: str = ""

    @property
    def public(self) -> list[Address]:
        """The feeds that everybody may read and that are always ready."""
        listings = [Address(Kind.LISTING, name) for name in self.listings]
        return [Address(Kind.ALL), *listings, Address(Kind.TRENDING)]


async def gather(stand: Newsstand, address: Address) -> Channel:
    """Return the channel of everything, of a listing or of what is trending. Raises NoSuchFeed."""
    if address.kind is Kind.TRENDING and address.page is None:
        return _channel(
            stand, address, "Trending papers", "The papers of the last seven days with the most votes",
            [_item(stand, each, votes=True) for each in await stand.store.trending(TRENDING)],
        )  # fmt: skip
    if address.kind is Kind.ALL:
        listing, title = None, "New papers"
        words = "Every new paper of the listings that are watched here"
    elif address.kind is Kind.LISTING and address.of in stand.listings:
        listing, title, words = address.of, address.of, f"Every new paper of {address.of}"
    else:
        raise NoSuchFeed(address.path)
    if address.page is None:
        papers = await stand.store.news(listing, ITEMS)
        older, newer = await stand.store.page_behind(listing, papers), None
    else:
        papers = await stand.store.news_page(listing, address.page)
        if not papers:
            raise NoSuchFeed(address.path)
        older = await stand.store.page_before(listing, address.page)
        newer = await stand.store.page_after(listing, address.page)
    channel = _channel(stand, address, title, words, [_item(stand, each) for each in papers])
    return replace(channel, page=address.page, older=older, newer=newer)


async def gather_private(stand: Newsstand, address: Address, feed: PrivateFeed) -> Channel:
    """Return the channel of a private feed; a query that no longer parses marks nothing but loses no paper."""
    labels = {number: label if text != "*" else "everything" for number, (label, text) in feed.queries.items()}
    one = feed.kind == "subscription"
    now = dict.fromkeys(labels[term.query_id] for term in feed.terms if term.until is None)
    title = ", ".join(now) if one else "My papers"
    words = f"New papers that match {title}" if one else "New papers that match any of my subscriptions"
    page = address.page
    count, found = await stand.store.private_page(feed, page, ITEMS)
    if page is not None and page * ITEMS >= count:
        raise NoSuchFeed(address.path)
    hits = {number for each in found for number in each.queries} & feed.queries.keys()
    queries = {number: parsed for number in hits if (parsed := _parsed(feed.queries[number][1]))}
    items = []
    for number, each in enumerate(found, 1):
        items.append(_item(stand, each, queries, labels))
        if number % TURN == 0:
            await asyncio.sleep(0)  # the mail has its turn
    before, newest = max(0, count - ITEMS), page is None  # so many are on archive pages only
    return replace(
        _channel(stand, address, title, words, items),
        feed_id=_name(stand, f"{feed.kind}:{feed.name}"),
        page=page,
        older=(before - 1) // ITEMS if newest and before else page - 1 if page else None,
        newer=page + 1 if page is not None and (page + 1) * ITEMS < before else None,
    )


def gather_search(stand: Newsstand, address: Address, query: Query, found: Iterable[FeedPaper]) -> Channel:
    """Return the channel of the papers that were found for a query."""
    this = QueryId(0)
    items = [_item(stand, replace(each, queries=(this,)), {this: query}, {this: address.of}) for each in found]
    return _channel(stand, address, f"Papers: {address.of}", f"New papers that match {address.of}", items)


def _channel(stand: Newsstand, address: Address, title: str, words: str, items: Sequence[FeedItem]) -> Channel:
    return Channel(
        feed_id=_name(stand, f"{address.kind}:{address.of}"),
        title=title,
        description=words,
        link=f"{stand.base_url}/",
        place=stand.base_url + address.path,
        query=address.query,
        updated=max((item.updated for item in items), default=EPOCH),
        items=tuple(items),
        hub=stand.hub if address in stand.public else "",
    )


def _name(stand: Newsstand, feed: str) -> str:
    """Name a feed for ever: by this installation and what it is of, so that the host may change."""
    return uuid.uuid5(uuid.UUID(stand.store.identity), feed).urn


def _item(
    stand: Newsstand,
    found: FeedPaper,
    queries: Mapping[QueryId, Query] | None = None,
    labels: Mapping[QueryId, str] | None = None,
    *,
    votes: bool = False,
) -> FeedItem:
    stored, paper = found.stored, found.stored.paper
    hits = [queries[number] for number in found.queries if number in queries] if queries else []
    return FeedItem(
        guid=_guid(stored.guid, found.edition),
        paper=paper if votes else replace(paper, upvotes=None, comments_count=None),
        marks=marks(hits, paper) if hits else Marks(),
        labels=tuple(labels[number] for number in found.queries if number in labels) if labels else (),
        published=found.at,
        updated=max(found.at, stored.changed_at),
        link=paper.url or f"{stand.base_url}/papers/{stored.paper_id}",
    )


def _guid(paper: str, edition: int) -> str:
    """Name an item: the paper, or a later version of it for a reader who asked for those."""
    return uuid.uuid5(uuid.UUID(paper), f"version {edition}").urn if edition else paper


def _parsed(text: str) -> Query | None:
    try:
        return parse(text)
    except QueryError:
        return None
