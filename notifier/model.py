"""The nouns: frozen values that every stage shares. Standard library only.

Instants are aware UTC datetimes, spans are timedeltas, text is Unicode without control characters (the parsers see to
that). A field that a page may not state is None or empty, never invented.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import NewType

PaperId = NewType("PaperId", int)
QueryId = NewType("QueryId", int)
SubscriberId = NewType("SubscriberId", int)
SubscriptionId = NewType("SubscriptionId", int)
WishId = NewType("WishId", int)
PollId = NewType("PollId", int)
OutboxId = NewType("OutboxId", int)


# --- pages and papers -------------------------------------------------------------------------------------------------


class First(StrEnum):
    """What the first poll of a listing means: `record` (G4: everything is old) or `owe` (everything is new)."""

    RECORD = "record"
    OWE = "owe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A page that is polled. `poll` is the time between polls; `name` is unique and never changes its meaning.

    `selectors` are CSS selectors by field, for the format that wants them (`parse.html`). `compare_with` names another
    listing of the same source: what only one of the two shows is reported. `obey_robots` is false when the site gave
    leave to read what its robots.txt forbids.
    """

    name: str
    url: str
    format: str
    poll: timedelta = timedelta(minutes=30)
    stale_after: timedelta = timedelta(days=4)
    first: First = First.RECORD
    allow_private: bool = False
    obey_robots: bool = True
    selectors: Mapping[str, str] = field(default_factory=dict, hash=False)
    compare_with: str | None = None


@dataclass(frozen=True, slots=True)
class Validators:
    """HTTP validators exactly as the server sent them (RFC 9110 8.8), None where it sent none."""

    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """How we stand with a host, which is a name, with its port where that is unusual; None: never, or not asked yet.

    No request before `next_request_at` (the gap) nor before `blocked_until` (a pause, for `reason`). `robots` are the
    rules of its robots.txt that concern us, one a line, `crawl_delay` its wish for the gap; believed until
    `robots_until`.
    """

    host: str
    next_request_at: datetime | None = None
    blocked_until: datetime | None = None
    reason: str = ""
    robots: str = ""
    crawl_delay: timedelta = timedelta()
    robots_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One fetched representation: `content` is decoded of any content coding, `charset` is the header's, unchecked."""

    url: str
    content: bytes
    media_type: str = ""
    charset: str | None = None
    validators: Validators = Validators()
    fetched_at: datetime


class AnnounceType(StrEnum):
    """How a listing announces a paper (https://info.arxiv.org/help/rss_specifications.html)."""

    NEW = "new"
    CROSS = "cross"
    REPLACE = "replace"
    REPLACE_CROSS = "replace-cross"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """One paper as one page shows it.

    `title` and `abstract` are readable Unicode for people, on one line each; `title_tex` and `abstract_tex` hold the
    page's own text where it differs (TeX source), else "". `source` is the format that read it, `source_key` the
    page's own identifier within that source. `arxiv_id` has no version, `doi` is lower-case without a resolver.
    Only `source`, `source_key`, `title` and `url` can be required; `url` may be "" for a page that links nothing.
    """

    source: str
    source_key: str
    title: str
    url: str
    title_tex: str = ""
    abstract: str = ""
    abstract_tex: str = ""
    arxiv_id: str | None = None
    version: int | None = None
    doi: str | None = None
    authors: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    primary_category: str | None = None
    announce_type: AnnounceType | None = None
    announced_on: date | None = None
    published_at: datetime | None = None
    updated_at: datetime | None = None
    pdf_url: str | None = None
    thumbnail: str | None = None
    upvotes: int | None = None
    comments_count: int | None = None
    code_url: str | None = None
    project_url: str | None = None
    org: str | None = None
    submitter: str | None = None
    journal_ref: str | None = None
    comments: str | None = None
    withdrawn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one page holds, in page order, and what the page says of itself.

    `listed_on` is the day the page names (without a year: None, the text is in `day_text`). `stated` is the number of
    entries the page claims to show here, None when it claims nothing. `skipped` counts entries that could not be read
    alone, with the reason of each in `oddities`. `unknown_keys` counts keys this program does not know. `next_url` is
    where the same listing goes on (paging, a resumption token), None on its last page; `newest_first` is set by a
    format that knows its pages to be in that order, so that a page with nothing unseen ends the reading.
    """

    papers: tuple[Paper, ...]
    listed_on: date | None = None
    day_text: str = ""
    stated: int | None = None
    truncated: bool = False
    skipped: int = 0
    oddities: tuple[str, ...] = ()
    unknown_keys: Mapping[str, int] = field(default_factory=dict)
    next_url: str | None = None
    newest_first: bool = False


class Outcome(StrEnum):
    """What a poll was (G5): decided by unseen ids, stated counts and landmarks, never by dates alone."""

    FRESH = "fresh"  # the page is right and holds unseen papers
    QUIET = "quiet"  # the page is right and says that there is nothing (weekend, holiday)
    WAITING = "waiting"  # the page is right and still shows what we have seen
    STALE = "stale"  # as waiting or quiet, for longer than this listing may
    FAILED = "failed"  # no page, not the page, or a page that contradicts itself


class ChangeKind(StrEnum):
    """What a paper on a page is to us."""

    NEW = "new"  # never seen under any of its keys, or so far only recorded or cross-listed
    CROSS = "cross"  # never seen, and here only cross-listed: it is new in another category
    REVISED = "revised"  # a higher version of a known paper, or first met as a replacement: not new to the world
    KNOWN = "known"  # known; the page taught us something (votes, an id, an abstract)


@dataclass(frozen=True, slots=True)
class Change:
    """One paper of a batch against what we have seen: `paper` is what to store, `keys` all its identity keys.

    `paper_id` and `before`, the paper as it is stored, are None for one that is not stored yet.
    """

    kind: ChangeKind
    paper: Paper
    keys: tuple[str, ...]
    paper_id: PaperId | None = None
    before: Paper | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """A stored paper: `was_news` unless it was only recorded (a first poll, a replacement); `here`: on this listing."""

    paper_id: PaperId
    paper: Paper
    was_news: bool
    here: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """What the store knows of a batch: the stored papers under each key, and `latest`, the newest paper id by then."""

    by_key: Mapping[str, tuple[Known, ...]]
    latest: PaperId


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """What polling a listing has shown so far: when its last fresh batch came, None before the first poll.

    `records_only` is true of a first poll that makes nothing news (G4). `listed_on` is the newest day that the page
    was ever dated, `usual` the median number of papers of the last batches of this weekday; None where unknown.
    """

    last_fresh_at: datetime | None = None
    stale_after: timedelta = timedelta(days=4)
    records_only: bool = False
    listed_on: date | None = None
    usual: int | None = None


@dataclass(frozen=True, slots=True)
class Diff:
    """The verdict on a batch: the changes in page order, the outcome, its reason in words for people.

    `known` are the stored papers that the page shows, changed or not. `counts` is false for a first poll that only
    records: its papers are nobody's news.
    """

    changes: tuple[Change, ...]
    outcome: Outcome
    reason: str
    known: tuple[PaperId, ...] = ()
    counts: bool = True


# --- matching ---------------------------------------------------------------------------------------------------------


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


# --- what the store tells ---------------------------------------------------------------------------------------------


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A wish that somebody made on the site at `asked_at`, and that its address has not confirmed."""

    wish_id: WishId
    wish: Wish
    asked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """One batch that a digest covers: `read` papers of `stated` (None: no count on the page), `new` of them unseen.

    `fresh_at` is when the listing last brought anything new.
    """

    listing: str
    outcome: Outcome
    polled_at: datetime
    listed_on: date | None
    read: int
    stated: int | None
    new: int
    reason: str = ""
    fresh_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingState:
    """What polling a listing has shown so far; `fresh_at` None: never fresh; `failures` polls failed in a row."""

    name: str
    url: str  # that the validators belong to
    validators: Validators
    primed: bool
    polled_at: datetime
    fresh_at: datetime | None
    next_poll_at: datetime
    failures: int
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """One poll as recorded. `read`, `stated`, `new` count papers; `day_text` is the page's own word for its day."""

    listing: str
    polled_at: datetime
    outcome: Outcome
    reason: str
    listed_on: date | None = None
    day_text: str = ""
    read: int = 0
    stated: int | None = None
    new: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPaper:
    """A paper with what the store adds: a permanent `guid`, first met at `seen_at`, text changed at `changed_at`."""

    paper_id: PaperId
    guid: str
    seen_at: datetime
    changed_at: datetime
    paper: Paper


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The news that only one of two listings of a source showed, of what either first showed in [since, until)."""

    listing: str
    other: str
    since: datetime
    until: datetime
    only_listing: tuple[StoredPaper, ...]
    only_other: tuple[StoredPaper, ...]

    @property
    def agree(self) -> bool:
        """Whether the two showed the same papers."""
        return not self.only_listing and not self.only_other


@dataclass(frozen=True, slots=True)
class Sighting:
    """A listing's first poll that showed a paper."""

    listing: str
    polled_at: datetime
    first_poll: bool  # of the listing


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A digest of a subscriber's, and what became of it; `papers` are those that it carries."""

    outbox_id: OutboxId
    queued_at: datetime
    settled_at: datetime | None
    state: OutboxState
    papers: int


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
    content: bytes | None


# --- digests ----------------------------------------------------------------------------------------------------------


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


# --- delivery ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is offered to a relay: one recipient (RFC 5321 envelope), and the message bytes, CRLF, 7-bit."""

    message_id: str
    sender: str
    recipient: str
    content: bytes


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


# --- what comes back --------------------------------------------------------------------------------------------------


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


# --- feeds ------------------------------------------------------------------------------------------------------------


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
class PrivateFeed:
    """A feed that a secret address opens: of one subscription, or of all of a subscriber's.

    `number` names it within its kind for ever; `queries` gives (label, canonical text) of each query id, `terms` the
    version policy of each subscription and the poll after which it began.
    """

    kind: str  # subscription or subscriber
    number: int
    seed: str
    subscriptions: tuple[SubscriptionId, ...]
    terms: tuple[tuple[Versions, int], ...]
    queries: Mapping[QueryId, tuple[str, str]]
