"""Messages on their way: the outbox, letters, replies of relays, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from notifier.model.digests import PrivateFeed
from notifier.model.lines import Content
from notifier.model.names import OutboxId, QueryId, SubscriberId
from notifier.model.papers import Paper
from notifier.model.polls import Coverage, Sighting
from notifier.model.readers import Cadence, Subscriber, Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A digest of a subscriber's, and what became of it; `papers` are those that it carries."""

    outbox_id: OutboxId
    queued_at: datetime
    settled_at: datetime | None
    state: OutboxState
    papers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """All that is a subscriber's: what they get, the newest of what they got, and their private feeds."""

    subscriber: Subscriber
    subscriptions: tuple[Subscription, ...]  # those that are active
    sent: tuple[Sent, ...]
    feeds: tuple[PrivateFeed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """The message that carries a paper to a subscriber, and what became of it."""

    message_id: str
    period: str
    state: str
    reply: str
    queued_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What the store knows of one paper, and of one subscriber's part in it: hits are (label, canonical, hit at)."""

    sightings: tuple[Sighting, ...]
    was_news: bool
    subscriber: Subscriber | None = None
    subscriptions: tuple[Subscription, ...] = ()
    hits: tuple[tuple[str, datetime], ...] = ()  # canonical query, when the poll was
    sending: Sending | None = None
    given_up: bool = False


class OutboxState(StrEnum):
    """The life of a message: queued -> claimed -> in doubt -> sent | deferred .. | failed; held: a person decides."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    IN_DOUBT = "in-doubt"
    DEFERRED = "deferred"
    SENT = "sent"
    FAILED = "failed"
    HELD = "held"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A message as the operator sees it: what it is and how its delivery stands, without what it says."""

    outbox_id: OutboxId
    message_id: str
    kind: str
    state: OutboxState
    recipient: str
    period: str  # of a letter: its key
    queued_at: datetime
    next_attempt_at: datetime
    attempts: int
    doubts: int
    crashes: int
    code: int | None
    reply: str
    settled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayRest:
    """A relay that would not talk to us: `failures` times in a row since `since`; it is asked again at `until`."""

    relay: str
    failures: int
    until: datetime
    since: datetime
    permanent: bool
    code: int | None
    reason: str


class LetterKind(StrEnum):
    """What a letter is for; each kind has its pair of templates, `email/<kind>.txt` and `.html`."""

    CONFIRM = "confirm"  # is this address yours, and do you want this?
    ALARM = "alarm"  # to the operator: something needs a person
    NOTE = "note"  # anything else that is said once


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A mail that is no digest. There is one for each (recipient, key): "at most one a day" has a day in its key.

    `key` has at most 80 characters.
    `values` are what its templates may name, plain values only. `subscriber_id` is whose letter it is, if anybody's.
    """

    kind: LetterKind
    recipient: str
    key: str
    values: Mapping[str, object]
    subscriber_id: SubscriberId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedMessage:
    """A message of the outbox with all that composing it needs; `content` once it was composed.

    `papers` are (paper, ids of the queries that hit it, listings it was met on) in the order they were met;
    `queries` gives (label, canonical text) of each query id.
    """

    outbox_id: OutboxId
    message_id: str
    kind: str  # "digest", or the kind of a letter, whose content is there from the beginning
    recipient: str
    token: str
    feed: str  # the seed of the feed of all their subscriptions
    period: str
    cadence: Cadence
    timezone: str
    queued_at: datetime
    attempts: int
    doubts: int
    papers: tuple[tuple[Paper, tuple[QueryId, ...], tuple[str, ...]], ...]
    queries: Mapping[QueryId, tuple[str, str]]
    coverage: tuple[Coverage, ...]
    content: Content | None
    lost: bool = False  # it was composed, and what is stored of that cannot be read any more


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is offered to a relay: one recipient (RFC 5321 envelope), and the message bytes, CRLF, 7-bit."""

    message_id: str
    sender: str
    recipient: str
    content: Content


class Verdict(StrEnum):
    """What a relay said of one message."""

    SENT = "sent"  # 2yz after the final dot
    DEFERRED = "deferred"  # 4yz: later
    REFUSED_RECIPIENT = "refused-recipient"  # 5yz to RCPT: this recipient
    REFUSED_MESSAGE = "refused-message"  # 5yz after DATA: this message
    IN_DOUBT = "in-doubt"  # no reply after the final dot


@dataclass(frozen=True, slots=True)
class Reply:
    """The relay's answer: `code` per RFC 5321 4.2 (None: there was none), `text` the server's words on one line."""

    verdict: Verdict
    code: int | None
    text: str


class BounceKind(StrEnum):
    """What a mail to the return path says of a message, or asks for."""

    HARD = "hard"  # the mailbox is not there
    SOFT = "soft"  # it could not take the message in time: full, or in trouble
    COMPLAINT = "complaint"  # its owner called the message spam
    REFUSED = "refused"  # we, or what we wrote, are not wanted there: the recipient is not to blame
    DELAYED = "delayed"  # it is still being tried
    DELIVERED = "delivered"
    AUTOREPLY = "autoreply"  # a machine that answers for a person who is away
    UNSUBSCRIBE = "unsubscribe"  # sent to an address whose only meaning this is
    UNKNOWN = "unknown"  # for a person to look at


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a mail that came back says. All of it is the claim of a stranger, until a signed tag shows who it is about.

    `status` is an enhanced status code (RFC 3463) or "", `message_id` that of the message it is about. `came_to` are
    the addresses this mail was sent to, `went_from` the fields of the returned message that name our own addresses.
    """

    kind: BounceKind
    recipient: str = ""
    status: str = ""
    diagnostic: str = ""
    message_id: str = ""
    came_to: str = ""
    went_from: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounce:
    """A stored report: `email` whom it is about, None where that is not certain; `counted`: it was held against them.

    `kept` is whether the mail itself is stored, for a person to look at.
    """

    number: int
    received_at: datetime
    kind: BounceKind
    email: str | None
    recipient: str
    status: str
    diagnostic: str
    counted: bool
    kept: bool
    suppressed: bool = False
