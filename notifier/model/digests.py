"""What a digest says, and the feeds that say the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from notifier.model.names import QueryId
from notifier.model.papers import Paper
from notifier.model.polls import Coverage, StoredPaper
from notifier.model.readers import Cadence, Marks


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestEntry:
    """One paper of a digest: the marks of all queries that hit it, the `labels` of the subscriptions they belong to."""

    paper: Paper
    marks: Marks
    labels: tuple[str, ...]
    listings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """All that a digest mail says. `entries` are in the order to show, best first; each paper once.

    `message_id` has its angle brackets; `date` is when the digest was queued (the Date field, identical on every
    attempt); `sender` is `(display name, address)`; `labels` are all subscriptions this digest is about. `most` papers
    are shown, the others counted; `thumbnails` shows the pages' pictures, which mail programs ask the network for.
    """

    message_id: str
    date: datetime
    sender: tuple[str, str]
    recipient: str
    timezone: str
    cadence: Cadence
    entries: tuple[DigestEntry, ...]
    labels: tuple[str, ...]
    coverage: tuple[Coverage, ...]
    list_id: str
    unsubscribe_url: str
    unsubscribe_mailto: str
    web_url: str
    feed_url: str
    manage_url: str
    help_url: str
    most: int = 80
    thumbnails: bool = False


class FeedFormat(StrEnum):
    """The form of a feed, and how its address ends."""

    RSS = "rss"  # RSS 2.0
    ATOM = "atom"  # RFC 4287
    JSON = "json"  # JSON Feed 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedItem:
    """One item of a feed: `guid` is permanent and says nothing of host, title or format; dates come from the store."""

    guid: str
    paper: Paper
    marks: Marks
    labels: tuple[str, ...]
    published: datetime
    updated: datetime
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A feed, whatever its form: `items` newest first, `updated` the newest change in it.

    `feed_id` is a permanent IRI that says nothing of the host. Each form of the feed is served at `place` + ".rss",
    ".atom" or ".json" + `query`, which is "" or starts with "?". `page` numbers an archive page (RFC 5005), None for
    the feed itself; `older` and `newer` are the pages beside it. `hub` is where WebSub subscribes, "" for nowhere.
    """

    feed_id: str
    title: str
    description: str
    link: str
    place: str
    updated: datetime
    items: tuple[FeedItem, ...]
    query: str = ""
    page: int | None = None
    older: int | None = None
    newer: int | None = None
    hub: str = ""

    def address(self, format: FeedFormat, page: int | None = None) -> str:
        """Return where a form of this feed, or one of its archive pages, is served."""
        if page is None:
            return f"{self.place}.{format}{self.query}"
        return f"{self.place}.{format}{self.query}{'&' if self.query else '?'}page={page}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPaper:
    """A paper as a feed carries it: `queries` are those that hit it, `edition` is as in a hit, `at` when it came."""

    stored: StoredPaper
    at: datetime
    edition: int = 0
    queries: tuple[QueryId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedTerm:
    """A query whose hits a private feed shows: those of polls up to `until` (None: it still looks)."""

    query_id: QueryId
    until: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateFeed:
    """A feed that a secret address opens: of one subscription, or of all of a subscriber's.

    `number` tells it from others of its kind, `name` is what it is called for ever, whatever becomes of its words and
    its address. `queries` gives (label, canonical text) of each query of its terms.
    """

    kind: str  # subscription or subscriber
    number: int
    name: str
    seed: str
    terms: tuple[FeedTerm, ...]
    queries: Mapping[QueryId, tuple[str, str]]

    @property
    def labels(self) -> list[str]:
        """What it looks for now, as its owner wrote it."""
        return [self.queries[term.query_id][0] for term in self.terms if term.until is None]
