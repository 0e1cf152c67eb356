"""Who reads what, and when: subscribers, subscriptions, wishes, and the hits of their queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from enum import StrEnum

from notifier.model.names import AskingId, QueryId, SubscriberId, SubscriptionId, WishId


@dataclass(frozen=True, slots=True)
class Hit:
    """Query `query` matches paper number `paper` (0-based position in the sequence that was matched)."""

    query: QueryId
    paper: int


Span = tuple[int, int]  # [start, end) in code points of the readable text


@dataclass(frozen=True, slots=True)
class Hits:
    """All hits of one query: `papers` are 0-based positions in the sequence that was matched, ascending."""

    query: QueryId
    papers: Sequence[int]


@dataclass(frozen=True, slots=True)
class Marks:
    """Where a paper matched: spans of `Paper.title` and `Paper.abstract`, whole author names and categories by value.

    Spans are sorted and do not overlap. `words` are the matched words as the paper spells them, each once, in order.
    """

    title: tuple[Span, ...] = ()
    abstract: tuple[Span, ...] = ()
    authors: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


class Cadence(StrEnum):
    """When a subscription's hits are sent by mail."""

    IMMEDIATE = "immediate"  # once per batch
    DAILY = "daily"  # at `at` local time, once per local calendar day
    WEEKLY = "weekly"  # at `at` local time on `weekday`
    FEED = "feed"  # never by mail: its owner reads the private feed
    PAUSED = "paused"  # not now: what is found meanwhile waits, and comes with the first digest afterwards


@dataclass(frozen=True, slots=True)
class DigestClock:
    """When digests are due: `at` is local wall time in the IANA zone `timezone`, `weekday` 0 = Monday (for WEEKLY)."""

    cadence: Cadence
    timezone: str
    at: time = time(8, 0)
    weekday: int = 0


class Versions(StrEnum):
    """Which announcements of a paper a subscription wants; each includes the ones before it."""

    NEW = "new"  # a paper, once
    CROSS = "cross"  # papers that are cross-listed too
    REVISED = "revised"  # and each later version, once


class Quiet(StrEnum):
    """What a daily or weekly subscription is sent when there is nothing to send."""

    NOTHING = "nothing"
    NOTE = "note"  # a short mail that says why: a weekend, a page that waits, one that could not be read
    HEARTBEAT = "heartbeat"  # the same, once a week of silence


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A subscription as its owner asks for it: `label` as typed, `canonical` its meaning."""

    email: str
    label: str
    canonical: str
    clock: DigestClock
    versions: Versions = Versions.NEW
    quiet: Quiet = Quiet.NOTHING


@dataclass(frozen=True, slots=True)
class StoredQuery:
    """A stored query, whether an active subscription asks it, and the number of the last change of that."""

    query: QueryId
    canonical: str
    asked: bool
    turned: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A wish that somebody made on the site at `asked_at`, and that its address has not confirmed."""

    wish_id: WishId
    wish: Wish
    asked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What somebody asked for on the site and was answered neutrally: a wish, or None for the link that was lost."""

    asking_id: AskingId
    email: str
    wish: Wish | None
    asked_at: datetime


class SubscriberState(StrEnum):
    """Whether a subscriber is sent mail."""

    PENDING = "pending"  # somebody asked in their name; they have not confirmed
    CONFIRMED = "confirmed"
    UNSUBSCRIBED = "unsubscribed"  # by their own wish: only they or the operator by hand undo it
    SUPPRESSED = "suppressed"  # mail to them comes back again and again, or they called it spam


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One query of one subscriber: `label` as typed, `canonical` its meaning; `next_due_at` None: by no clock."""

    subscription_id: SubscriptionId
    subscriber_id: SubscriberId
    email: str
    label: str
    canonical: str
    clock: DigestClock
    versions: Versions
    quiet: Quiet
    next_due_at: datetime | None
    active: bool
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """A person with an address; `token` is what their links are derived from, `health` the relay's last complaint."""

    subscriber_id: SubscriberId
    email: str
    state: SubscriberState
    since: datetime
    token: str
    health: str
