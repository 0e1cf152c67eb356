"""The tables. One schema for SQLite and PostgreSQL; the migrations create it, a test compares the two.

Rows that must not exist twice are kept out by a UNIQUE key, never by logic (G2): a strong identity key, a paper to a
subscriber, a digest per subscriber and period. Ids grow and are never reused, so `poll.id` orders what happened even
when the clock jumps.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    Time,
    TypeDecorator,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime; SQLite, which has no zones, stores it naive in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# SQLite numbers rows by itself only in a column whose type is exactly INTEGER.
Id = BigInteger().with_variant(Integer(), "sqlite")


def feed_seed() -> str:
    """Return 160 random bits, from which the address of a private feed is derived."""
    return secrets.token_hex(20)


def _id() -> Column[Any]:
    return Column("id", Id, primary_key=True, autoincrement=True)


setting = Table(  # facts of this installation, such as the secret that links are derived from
    "setting",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

listing = Table(  # what polling a listing has shown so far
    "listing",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("url", Text, nullable=False),  # that the validators belong to
    Column("etag", Text),
    Column("last_modified", Text),
    Column("primed", Boolean, nullable=False),
    Column("polled_at", Instant, nullable=False),
    Column("fresh_at", Instant),
    Column("next_poll_at", Instant, nullable=False),
    Column("failures", Integer, nullable=False),  # polls that failed in a row
    Column("outcome", String(10), nullable=False),
    Column("reason", Text, nullable=False),
)

host = Table(  # when a host may be asked again; what its robots.txt says to us
    "host",
    metadata,
    Column("host", String(300), primary_key=True),
    Column("next_request_at", Instant),
    Column("blocked_until", Instant),
    Column("reason", Text, nullable=False),
    Column("robots", Text, nullable=False),
    Column("crawl_delay", Integer, nullable=False),  # seconds
    Column("robots_until", Instant),
    Column("busy_by", Text),  # the process that talks to it; see store/hosts.py
    Column("busy_until", Instant),
)

alarm = Table(  # a trouble that the operator is told of, once a day
    "alarm",
    metadata,
    Column("key", String(200), primary_key=True),
    Column("text", Text, nullable=False),
    Column("remedy", Text, nullable=False),
    Column("since", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("mailed_at", Instant),
    Column("once", Boolean, nullable=False),
)

poll = Table(
    "poll",
    metadata,
    _id(),
    Column("listing", String(100), nullable=False),
    Column("polled_at", Instant, nullable=False),
    Column("outcome", String(10), nullable=False),
    Column("reason", Text, nullable=False),
    Column("listed_on", Date),
    Column("day_text", Text, nullable=False),
    Column("read", Integer, nullable=False),
    Column("stated", Integer),
    Column("new", Integer, nullable=False),
    Index("ix_poll_listing_id", "listing", "id"),
    sqlite_autoincrement=True,
)

kill = Table(  # pages that killed the process which parses, and how often
    "kill",
    metadata,
    Column("listing", String(100), primary_key=True),
    Column("content_hash", String(64), primary_key=True),
    Column("times", Integer, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("reason", Text, nullable=False),
    sqlite_with_rowid=False,
)

gap = Table(  # a past day of a listing that is still to be read, or was given up
    "gap",
    metadata,
    Column("listing", String(100), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("tries", Integer, nullable=False),
    Column("given_up", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    sqlite_with_rowid=False,
)

paper = Table(
    "paper",
    metadata,
    _id(),
    Column("guid", String(64), nullable=False, unique=True),
    Column("poll_id", Id, ForeignKey("poll.id"), nullable=False),  # the poll that saw it first
    Column("news_poll_id", Id),  # the poll that made it news; feeds are in this order
    Column("told_poll_id", Id),  # the poll that last said anything of it that a feed shows
    Column("counted", Boolean, nullable=False),  # met as news: neither primed nor first met as a replacement
    Column("seen_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),  # of title, abstract or version: what a feed calls updated
    Column("source", String(40), nullable=False),
    Column("source_key", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("title_tex", Text, nullable=False),
    Column("abstract", Text, nullable=False),
    Column("abstract_tex", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("arxiv_id", String(40)),
    Column("version", Integer),
    Column("doi", Text),
    Column("authors", JSON, nullable=False),
    Column("categories", JSON, nullable=False),
    Column("primary_category", String(40)),
    Column("announce_type", String(20)),
    Column("announced_on", Date),
    Column("published_at", Instant),
    Column("updated_at", Instant),
    Column("pdf_url", Text),
    Column("thumbnail", Text),
    Column("upvotes", Integer),
    Column("comments_count", Integer),
    Column("code_url", Text),
    Column("project_url", Text),
    Column("org", Text),
    Column("submitter", Text),
    Column("journal_ref", Text),
    Column("comments", Text),
    Column("withdrawn", Boolean, nullable=False),
    Index("ix_paper_news_poll_id_id", "news_poll_id", "id"),
    Index("ix_paper_told_poll_id", "told_poll_id"),
    Index("ix_paper_seen_at", "seen_at"),
    Index("ix_paper_counted", "counted"),  # they are counted on a page
    sqlite_autoincrement=True,
)

paper_key = Table(
    "paper_key",
    metadata,
    Column("key", Text, primary_key=True),
    Column("paper_id", Id, ForeignKey("paper.id"), primary_key=True),
    # Two papers may share a title, never an arXiv id or a DOI.
    Index("uq_paper_key_strong", "key", unique=True, sqlite_where=text("key NOT LIKE 'title:%'"),
          postgresql_where=text("key NOT LIKE 'title:%'")),
    sqlite_with_rowid=False,
)  # fmt: skip

sighting = Table(  # on which listing a paper was first met, by which poll
    "sighting",
    metadata,
    Column("paper_id", Id, ForeignKey("paper.id"), primary_key=True),
    Column("listing", String(100), primary_key=True),
    Column("poll_id", Id, ForeignKey("poll.id"), nullable=False),
    sqlite_with_rowid=False,
)

query = Table(  # one row per meaning, however many subscribe to it
    "query",
    metadata,
    _id(),
    Column("canonical", Text, nullable=False, unique=True),
    Column("turned", Id, nullable=False, default=0),  # number of the last change of who asks it: a matcher looks again
    Index("ix_query_turned", "turned"),
    sqlite_autoincrement=True,
)

subscriber = Table(
    "subscriber",
    metadata,
    _id(),
    Column("email", String(320), nullable=False, unique=True),
    Column("state", String(12), nullable=False),  # pending, confirmed, unsubscribed, suppressed
    Column("since", Instant, nullable=False),  # of the state
    Column("token", String(64), nullable=False, unique=True),  # what links are derived from; changing it revokes them
    Column("bounce_score", Float, nullable=False),  # see store/score.py
    Column("bounced_at", Instant),  # when the score last grew
    Column("health", Text, nullable=False),  # the last words about a failed delivery, "" when all is well
    Column("feed", String(40), nullable=False, unique=True, default=feed_seed),  # of the feed of all subscriptions
    sqlite_autoincrement=True,
)

subscription = Table(
    "subscription",
    metadata,
    _id(),
    Column("subscriber_id", Id, ForeignKey("subscriber.id"), nullable=False),
    Column("query_id", Id, ForeignKey("query.id"), nullable=False),
    Column("label", Text, nullable=False),  # the query as its owner wrote it
    Column("cadence", String(10), nullable=False),
    Column("at", Time, nullable=False),
    Column("weekday", Integer, nullable=False),
    Column("timezone", String(64), nullable=False),  # IANA
    Column("versions", String(8), nullable=False),  # new, cross or revised
    Column("quiet", String(10), nullable=False),  # on a day without hits: nothing, note or heartbeat
    Column("began", Id, nullable=False),  # after this poll: nothing before it was ever owed
    Column("cursor", Id, nullable=False),  # hits of polls up to this one are digested or were never owed
    Column("next_due_at", Instant),  # None: when there is a hit
    Column("active", Boolean, nullable=False),
    Column("origin", String(10), nullable=False),  # config, cli or web: who may change it
    Column("feed", String(40), nullable=False, unique=True, default=feed_seed),  # changing it revokes the address
    Column("feed_name", String(40), nullable=False, unique=True, default=feed_seed),  # what readers know its feed by
    UniqueConstraint("subscriber_id", "query_id"),
    Index("ix_subscription_due", "cadence", "active", "next_due_at"),
    Index("ix_subscription_reader", "cadence", "active", "subscriber_id"),  # immediate readers, some after others
    Index("ix_subscription_query_id", "query_id"),
    sqlite_autoincrement=True,
)

earlier = Table(  # what a subscription looked for before its owner changed its words: its feed keeps what it showed
    "earlier",
    metadata,
    _id(),
    Column("subscription_id", Id, ForeignKey("subscription.id"), nullable=False),
    Column("subscriber_id", Id, ForeignKey("subscriber.id"), nullable=False),
    Column("query_id", Id, ForeignKey("query.id"), nullable=False),
    Column("label", Text, nullable=False),
    Column("versions", String(8), nullable=False),
    Column("began", Id, nullable=False),  # of the polls after this one ..
    Column("until", Id, nullable=False),  # .. up to this one
    Index("ix_earlier_subscription_id", "subscription_id"),
    Index("ix_earlier_subscriber_id", "subscriber_id"),
    Index("ix_earlier_until", "until"),
    sqlite_autoincrement=True,
)

wish = Table(  # a subscription that was asked for on the site, until its address confirms it
    "wish",
    metadata,
    _id(),
    Column("subscriber_id", Id, ForeignKey("subscriber.id"), nullable=False),
    Column("label", Text, nullable=False),
    Column("canonical", Text, nullable=False),
    Column("cadence", String(10), nullable=False),
    Column("at", Time, nullable=False),
    Column("weekday", Integer, nullable=False),
    Column("timezone", String(64), nullable=False),
    Column("versions", String(8), nullable=False),
    Column("asked_at", Instant, nullable=False),
    UniqueConstraint("subscriber_id", "canonical"),
    Index("ix_wish_asked_at", "asked_at"),
    sqlite_autoincrement=True,
)

asking = Table(  # what was asked for on the site and answered, until it is dealt with; without a label: the lost link
    "asking",
    metadata,
    _id(),
    Column("email", Text, nullable=False),
    Column("label", Text),
    Column("canonical", Text),
    Column("cadence", String(10)),
    Column("at", Time),
    Column("weekday", Integer),
    Column("timezone", String(64)),
    Column("versions", String(8)),
    Column("asked_at", Instant, nullable=False),
    sqlite_autoincrement=True,
)

hit = Table(
    "hit",
    metadata,
    Column("query_id", Id, ForeignKey("query.id"), primary_key=True),
    Column("paper_id", Id, ForeignKey("paper.id"), primary_key=True),
    Column("edition", Integer, primary_key=True),  # 0: the paper; else the version that this is a revision to
    Column("kind", String(8), nullable=False),  # new, cross or revised: which subscriptions want it
    Column("poll_id", Id, nullable=False),
    Column("cross_poll_id", Id),  # which poll hit it as a cross-list, if it has become that of a new paper since
    Index("ix_hit_query_id_poll_id", "query_id", "poll_id"),
    sqlite_with_rowid=False,
)

# The conditions of partial indexes, in the words that queries must repeat for an index to be used.
WAITING = text("state IN ('queued', 'deferred')")
LETTER = text("kind <> 'digest'")
WAITING_LETTER = text("kind <> 'digest' AND state IN ('queued', 'deferred')")

batch = Table(  # the changes of a poll that some queries are still to be matched against; see store/shards.py
    "batch",
    metadata,
    Column("poll_id", Id, ForeignKey("poll.id"), primary_key=True, autoincrement=False),
    Column("changes", Text, nullable=False),
)

shard = Table(  # a run of queries that a batch is still to be matched against; digests wait for it
    "shard",
    metadata,
    Column("poll_id", Id, ForeignKey("poll.id"), primary_key=True),
    Column("first_query", Id, primary_key=True),
    Column("last_query", Id, nullable=False),
    sqlite_with_rowid=False,
)

worker = Table(  # processes that share the work, by the database's clock; see store/workers.py
    "worker",
    metadata,
    Column("owner", String(200), primary_key=True),
    Column("roles", Text, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("relay", String(300), nullable=False),
    Column("places", Integer, nullable=False),  # connections to the relay that it may hold
    sqlite_with_rowid=False,
)

message = Table(
    "message",
    metadata,
    _id(),
    Column("message_id", Text, nullable=False, unique=True),
    Column("kind", String(10), nullable=False, server_default="digest"),  # digest, or the kind of a letter
    Column("subscriber_id", Id, ForeignKey("subscriber.id")),  # None: a letter to somebody who is none
    Column("period", String(80), nullable=False),  # of a letter: its key
    Column("cadence", String(10), nullable=False),  # of a letter: ""
    Column("state", String(10), nullable=False),
    Column("recipient", String(320), nullable=False),
    Column("domain", String(255), nullable=False, server_default=""),  # of the recipient
    Column("poll_from", Id, nullable=False),  # covers the polls after this one ..
    Column("poll_to", Id, nullable=False),  # .. up to this one
    Column("queued_at", Instant, nullable=False),
    Column("next_attempt_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("doubts", Integer, nullable=False),  # attempts left without an answer after the final dot
    Column("crashes", Integer, nullable=False, server_default="0"),  # times its owner died over it in a row
    Column("owner", Text),
    Column("lease_until", Instant),
    Column("code", Integer),
    Column("reply", Text, nullable=False),
    Column("settled_at", Instant),
    UniqueConstraint("subscriber_id", "period"),
    Index("uq_message_letter", "recipient", "period", unique=True, sqlite_where=LETTER, postgresql_where=LETTER),
    Index("ix_message_state_next_attempt_at", "state", "next_attempt_at"),
    Index("ix_message_waiting", "domain", "next_attempt_at", "id", sqlite_where=WAITING, postgresql_where=WAITING),
    Index("ix_message_letters", "next_attempt_at", sqlite_where=WAITING_LETTER, postgresql_where=WAITING_LETTER),
    sqlite_autoincrement=True,
)

content = Table(  # the bytes of every attempt of a message; dropped when settled. Apart, so that a mark stays small
    "content",
    metadata,
    Column("message_id", Id, ForeignKey("message.id"), primary_key=True, autoincrement=False),
    Column("octets", LargeBinary, nullable=False),
    Column("packed_at", Instant),  # when lines that are shared were taken out of the octets; None: they are whole
)

lines = Table(  # lines that the bytes of several messages share, by the digest of what they are
    "lines",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("octets", LargeBinary, nullable=False),
    Column("kept_at", Instant, nullable=False),  # when a message was kept that needs them, to half a day
    Index("ix_lines_kept_at", "kept_at"),
)

domain = Table(  # recipient domains whose rate is limited: the next message may leave at this instant
    "domain",
    metadata,
    Column("domain", String(255), primary_key=True),
    Column("free_at", Instant, nullable=False),
    sqlite_with_rowid=False,
)

relay = Table(  # relays that would not talk to us: the circuit breaker
    "relay",
    metadata,
    Column("relay", String(300), primary_key=True),
    Column("failures", Integer, nullable=False),  # in a row; 0: it works
    Column("rests_until", Instant),  # the next probe
    Column("since", Instant),  # of the first failure
    Column("permanent", Boolean, nullable=False),  # a person must mend it: login, TLS
    Column("code", Integer),
    Column("reason", Text, nullable=False),
)

delivery = Table(  # a paper reaches a subscriber in one message; NULL: that message was given up, owed again
    "delivery",
    metadata,
    Column("subscriber_id", Id, ForeignKey("subscriber.id"), primary_key=True),
    Column("paper_id", Id, ForeignKey("paper.id"), primary_key=True),
    Column("edition", Integer, primary_key=True),
    Column("message_id", Id, ForeignKey("message.id")),
    Column("query_ids", JSON, nullable=False),  # which of the subscriber's queries hit it
    Index("ix_delivery_message_id", "message_id"),
    Index(
        "ix_delivery_owed_again",
        "subscriber_id",
        sqlite_where=text("message_id IS NULL"),
        postgresql_where=text("message_id IS NULL"),
    ),
    sqlite_with_rowid=False,
)

bounce = Table(  # a mail that came back, and what it was taken for; outlives the message and the reader it is about
    "bounce",
    metadata,
    _id(),
    Column("content_hash", String(64), nullable=False, unique=True),  # the same mail counts once
    Column("received_at", Instant, nullable=False),
    Column("kind", String(12), nullable=False),
    Column("subscriber_id", Id),  # None: nobody is named with certainty
    Column("outbox_id", Id),
    Column("recipient", Text, nullable=False),  # as the mail names it: a claim
    Column("status", String(16), nullable=False),  # RFC 3463
    Column("diagnostic", Text, nullable=False),
    Column("counted", Boolean, nullable=False),  # whether the score grew
    Column("content", LargeBinary),  # of what a person should look at
    Index("ix_bounce_received_at", "received_at"),
    sqlite_autoincrement=True,
)
