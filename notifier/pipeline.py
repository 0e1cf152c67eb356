"""The story of a paper: poll, queue_digests, drain_outbox, publish. Read this file first.

    page --fetch--> bytes --parse--> batch --diff--> changes --match--> hits      | record_poll    commit point 1
    hits of those who are due                                                     | queue_digests  commit point 2
    message --compose--> bytes --deliver--> the final dot                         | mark_in_doubt  commit point 3
    the relay's reply                                                             | settle         commit point 4

What is between two commit points may be lost to a power cut at any line: it is done again, and does nothing twice.
No network call happens inside a transaction. One page, one message or one template that fails stops nothing else.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from notifier import log
from notifier.compose import compose
from notifier.deliver import Relay
from notifier.diff import batch_keys, diff, unchanged
from notifier.digest import Letterhead, digest
from notifier.errors import AddressError, FetchError, NotifierError, PageError, QueryError, RelayTrouble, SeenMeanwhile
from notifier.feed import rss
from notifier.fetch import Client, fetch
from notifier.files import replace_file
from notifier.match import QuerySet, match, volatile
from notifier.model import (
    Batch,
    Change,
    ChangeKind,
    Channel,
    Diff,
    Envelope,
    FeedItem,
    First,
    Hit,
    Listing,
    ListingState,
    Marks,
    OutboxState,
    Outcome,
    Page,
    Poll,
    QueryId,
    QueuedMessage,
    Track,
    Validators,
)
from notifier.parse import parse
from notifier.query import parse as parse_query
from notifier.store import Store
from notifier.templates import Templates

LOOKS = 5  # how often a poll looks again when another one recorded the same papers in between
LONGEST_BACKOFF = timedelta(hours=6)  # between polls of a listing that keeps failing
FORBIDDEN_PAUSE = timedelta(hours=24)  # after 403: the site does not want us; ask no more than daily
LEASE = timedelta(minutes=20)  # longer than one message may take, its final dot included
CLAIM = 20  # messages claimed at once
RELAY_PAUSE = timedelta(minutes=5)  # before the relay is asked again after it would not talk to us
PERMANENT_PAUSE = timedelta(minutes=15)  # the same after it said so for good (login, TLS): a person must mend it
FEED_ITEMS = 100
FEED_FILE = "papers.rss"
NO_QUERY = QueryId(0)  # before the first
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # the date of a feed that has never had an item


# --- poll -------------------------------------------------------------------------------------------------------------


async def poll(listing: Listing, store: Store, client: Client, queries: Queries, now: datetime) -> Poll:
    """Read a listing once and record what became of it; every way it can end is an outcome, none is an exception."""
    state = await store.listing_state(listing.name)
    track = Track(
        last_fresh_at=state.fresh_at if state else None,
        stale_after=listing.stale_after,
        records_only=listing.first is First.RECORD and not (state and state.primed),
    )
    try:
        page = await fetch(client, listing, state.validators if state else Validators())
        if page is None:
            return await _record_unchanged(listing, store, unchanged(track, now), now)
        batch = _parse(page, listing)
    except (FetchError, PageError) as trouble:
        return await _record_failure(listing, store, state, trouble, now)
    for _ in range(LOOKS):
        seen = await store.seen(batch_keys(batch), listing.name)
        result = diff(batch, seen, track, now)
        if result.outcome is Outcome.FAILED:
            return await _record_failure(listing, store, state, PageError(result.reason), now)
        await load_queries(queries, store)
        hits = find_hits(result.changes, queries) if result.counts else []
        done = _poll(listing, result, now, batch)
        try:
            await store.record_poll(
                done, result, hits, page.validators,
                seen=seen, queries_up_to=queries.latest, next_poll_at=now + listing.poll,
            )  # fmt: skip
        except SeenMeanwhile:
            continue
        log.polled(done)
        return done
    return await _record_failure(listing, store, state, PageError("its papers keep being recorded elsewhere"), now)


@dataclass(slots=True)
class Queries:
    """Every query, ready to match; kept between polls, so that one more subscription costs one more query only."""

    every: QuerySet = field(default_factory=QuerySet)
    waiting: QuerySet = field(default_factory=QuerySet)  # those that a known paper may pass later: votes, code
    latest: QueryId = NO_QUERY


async def load_queries(queries: Queries, store: Store) -> None:
    """Add the queries that were subscribed to since the last look; one that cannot be read stops no other."""
    for query_id, text in await store.queries(queries.latest):
        queries.latest = query_id
        try:
            query = parse_query(text)
        except QueryError as fault:
            log.query_unreadable(text, str(fault))
            continue
        queries.every.add(query_id, query)
        if volatile(query):
            queries.waiting.add(query_id, query)


def find_hits(changes: tuple[Change, ...], queries: Queries) -> list[Hit]:
    """Match what is news against every query; what we knew only where votes or code make it pass a query just now."""
    news = [position for position, change in enumerate(changes) if change.kind is ChangeKind.NEW]
    hits = [Hit(hit.query, news[hit.paper]) for hit in match([changes[i].paper for i in news], queries.every)]
    known = [position for position, change in enumerate(changes) if change.kind is ChangeKind.KNOWN and change.before]
    passed = set(match([changes[i].before or changes[i].paper for i in known], queries.waiting))
    now = match([changes[i].paper for i in known], queries.waiting)
    return hits + [Hit(hit.query, known[hit.paper]) for hit in now if hit not in passed]


def _parse(page: Page, listing: Listing) -> Batch:
    """Parse a page; a parser that fails in a way it should not is this page's failure, not the program's."""
    try:
        return parse(page, listing.format)
    except PageError:
        raise
    except Exception as fault:
        log.parser_crashed(listing.name, fault)
        raise PageError(f"the parser of {listing.format} failed: {type(fault).__name__}") from fault


def _poll(listing: Listing, result: Diff, now: datetime, batch: Batch | None = None) -> Poll:
    return Poll(
        listing=listing.name,
        polled_at=now,
        outcome=result.outcome,
        reason=result.reason,
        listed_on=batch.listed_on if batch else None,
        day_text=batch.day_text if batch else "",
        read=len(batch.papers) if batch else 0,
        stated=batch.stated if batch else None,
        new=sum(change.kind is ChangeKind.NEW for change in result.changes) if result.counts else 0,
    )


async def _record_unchanged(listing: Listing, store: Store, result: Diff, now: datetime) -> Poll:
    done = _poll(listing, result, now)
    await store.record_unchanged(done, now + listing.poll)
    log.polled(done)
    return done


async def _record_failure(
    listing: Listing, store: Store, state: ListingState | None, trouble: FetchError | PageError, now: datetime
) -> Poll:
    """Record why a poll failed and wait longer each time, as long as the server asks for at least."""
    done = _poll(listing, Diff((), Outcome.FAILED, trouble.reason), now)
    failures = state.failures if state else 0
    pause = max(listing.poll, min(listing.poll * 2 ** min(failures, 10), LONGEST_BACKOFF))
    if isinstance(trouble, FetchError):
        if trouble.retry_after is not None:
            pause = max(pause, trouble.retry_after)
        if trouble.status == 403:
            pause = max(pause, FORBIDDEN_PAUSE)
    await store.record_failure(done, now + pause)
    log.polled(done)
    return done


# --- queue, drain -----------------------------------------------------------------------------------------------------


async def queue_digests(store: Store, head: Letterhead, now: datetime) -> int:
    """Queue a message for everybody who is due; return how many digests were looked at."""
    total = 0
    while groups := await store.queue_digests(now, head.domain):
        total += groups
    if total:
        log.queued(total)
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What became of the messages that were offered; `paused_until` when the relay would not talk to us."""

    states: Counter[OutboxState]
    paused_until: datetime | None = None


@dataclass(slots=True)
class Stream:
    """The flow of mail to the relay: it rests until a time when the relay would not talk to us."""

    rests_until: datetime | None = None

    def rests(self, now: datetime) -> bool:
        """Tell whether to leave the relay alone; a rest longer than any we take was set under a wrong clock."""
        return self.rests_until is not None and now < self.rests_until <= now + PERMANENT_PAUSE


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What sending needs: where mail goes, what it says, and who we are among the processes of this database."""

    store: Store
    relay: Relay
    templates: Templates
    head: Letterhead
    owner: str
    resend: bool
    clock: Callable[[], datetime]
    stream: Stream = field(default_factory=Stream)


async def drain_outbox(desk: Desk, stop: asyncio.Event | None = None) -> Drained:
    """Offer every message whose time has come, once each; `stop` ends it between two messages."""
    states: Counter[OutboxState] = Counter()
    if desk.stream.rests(desk.clock()):
        return Drained(states=states, paused_until=desk.stream.rests_until)
    while messages := await desk.store.claim(desk.owner, desk.clock(), LEASE, CLAIM):
        ready = await _composed(desk, messages, states)
        for position, (message, content) in enumerate(ready):
            rest = [later for later, _ in ready[position:]]
            if stop is not None and stop.is_set():
                await _give_back(desk, rest)
                return Drained(states=states)
            try:
                states += await _offer(desk, message, content)
            except RelayTrouble as trouble:
                until = await _stop_the_stream(desk, rest, trouble)
                return Drained(states=states, paused_until=until)
    return Drained(states=states)


async def _composed(
    desk: Desk, messages: list[QueuedMessage], states: Counter[OutboxState]
) -> list[tuple[QueuedMessage, bytes]]:
    """Compose what has no bytes yet and keep them, so that every attempt carries the same; one bad message is held."""
    ready: list[tuple[QueuedMessage, bytes]] = []
    for message in messages:
        try:
            ready.append((message, message.content or compose(digest(message, desk.head), desk.templates)))
        except Exception as fault:
            log.compose_failed(message.recipient, message.message_id, fault)
            await desk.store.hold(message.outbox_id, desk.owner, f"could not be composed: {fault}")
            states[OutboxState.HELD] += 1
    await desk.store.keep([(message.outbox_id, content) for message, content in ready if message.content is None])
    return ready


class _WithdrawnError(NotifierError):
    """The message stopped being ours to send before its final dot."""


async def _offer(desk: Desk, message: QueuedMessage, content: bytes) -> Counter[OutboxState]:
    """Offer one message and settle the reply. Raises RelayTrouble when the relay would not talk to us."""

    async def in_doubt() -> None:
        if not await desk.store.mark_in_doubt(message.outbox_id, desk.owner):
            raise _WithdrawnError(message.message_id)

    envelope = Envelope(message.message_id, desk.head.sender[1], message.recipient, content)
    try:
        reply = await desk.relay.offer(envelope, in_doubt)
    except _WithdrawnError:
        log.withdrawn(message.recipient, message.message_id)
        return Counter()
    except AddressError as fault:  # never sent, whoever put it into the database
        await desk.store.hold(message.outbox_id, desk.owner, str(fault))
        return Counter([OutboxState.HELD])
    state = await desk.store.settle(message.outbox_id, reply, desk.clock(), resend=desk.resend)
    log.settled(message.recipient, message.message_id, state, reply.code, reply.text)
    return Counter([state])


async def _give_back(desk: Desk, messages: list[QueuedMessage]) -> None:
    """Give claimed messages back unharmed: we were told to stop."""
    for message in messages:
        await desk.store.release(message.outbox_id, desk.owner)


async def _stop_the_stream(desk: Desk, messages: list[QueuedMessage], trouble: RelayTrouble) -> datetime:
    """Let the relay rest, and the message over which it turned us away a little longer than the others.

    So a message that always draws such an answer is only ever the last to hold up the rest.
    """
    log.relay_trouble(trouble)
    until = desk.clock() + (PERMANENT_PAUSE if trouble.permanent else RELAY_PAUSE)
    desk.stream.rests_until = until
    offered, *rest = messages
    await desk.store.turned_away(offered.outbox_id, until, str(trouble), desk.clock())
    for message in rest:
        await desk.store.postpone(message.outbox_id, desk.owner, until, str(trouble))
    return until


# --- publish ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Shelf:
    """Where the feed lies, and which papers it was last written from."""

    folder: Path
    base_url: str
    version: tuple[int, datetime | None] | None = None

    @property
    def file(self) -> Path:
        """The feed of everything new."""
        return self.folder / FEED_FILE


async def publish(store: Store, shelf: Shelf) -> None:
    """Write the feed of everything new if it changed; a reader sees the old file or the new one, never a half."""
    version = await store.feed_version()
    if version == shelf.version and shelf.file.exists():
        return
    content = rss(await feed(store, shelf.base_url))
    if replace_file(shelf.file, content):
        log.published(str(shelf.file), len(content))
    shelf.version = version


async def feed(store: Store, base_url: str) -> Channel:
    """Return the channel of the newest papers; its dates are those of the papers, so it is the same until one comes."""
    papers = await store.newest_papers(FEED_ITEMS)
    items = tuple(
        FeedItem(
            guid=stored.guid,
            paper=stored.paper,
            marks=Marks(),
            labels=(),
            published=stored.seen_at,
            updated=stored.changed_at,
            link=stored.paper.url or f"{base_url}/",
        )
        for stored in papers
    )
    return Channel(
        title="New papers",
        description="Every new paper of the listings that are watched here",
        link=f"{base_url}/",
        self_url=f"{base_url}/feeds/{FEED_FILE}",
        updated=max((item.updated for item in items), default=EPOCH),
        items=items,
    )
