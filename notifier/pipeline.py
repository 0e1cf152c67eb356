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
from notifier.backfill import MOST_TRIES
from notifier.compose import compose
from notifier.deliver import Relay
from notifier.digest import Letterhead, digest
from notifier.errors import AddressError, FetchError, NotifierError, PageError, RelayTrouble
from notifier.feed import rss
from notifier.files import replace_file
from notifier.intake import Intake, gather, read_past_day, record, record_failure, record_unchanged
from notifier.letter import compose_letter
from notifier.model import (
    Channel,
    Envelope,
    FeedItem,
    Letter,
    Listing,
    ListingState,
    Marks,
    OutboxState,
    Outcome,
    Poll,
    QueuedMessage,
    Validators,
)
from notifier.store import Store
from notifier.store.digests import FIRST
from notifier.templates import Templates

PAST_DAYS_AT_ONCE = 5  # read after one poll of a listing
LEASE = timedelta(minutes=20)  # longer than one message may take, its final dot included
CLAIM = 20  # messages claimed at once
RELAY_PAUSE = timedelta(minutes=5)  # before the relay is asked again after it would not talk to us
PERMANENT_PAUSE = timedelta(minutes=15)  # the same after it said so for good (login, TLS): a person must mend it
FEED_ITEMS = 100
FEED_FILE = "papers.rss"
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # the date of a feed that has never had an item


# --- poll -------------------------------------------------------------------------------------------------------------


async def poll(listing: Listing, intake: Intake, now: datetime) -> Poll:
    """Read a listing once and record what became of it; every way it can end is an outcome, none is an exception."""
    state = await intake.store.listing_state(listing.name)
    try:
        gathered = await gather(listing, intake, _validators(listing, state), now)
        if gathered is None:
            return await record_unchanged(listing, intake, state, now)
        batch, validators = gathered
        return await record(listing, intake, batch, state, now, validators=validators)
    except (FetchError, PageError) as trouble:
        return await record_failure(listing, intake, state, trouble, now)
    except Exception as fault:  # of no kind we know: this listing rests and says so, the others go on
        log.step_failed(f"poll {listing.name}", fault)
        return await record_failure(listing, intake, state, PageError(f"unexpected: {fault!r}"[:300]), now)


def _validators(listing: Listing, state: ListingState | None) -> Validators:
    """Return what to ask with: nothing of another URL's, and nothing once "not modified" was said for too long."""
    if state is None or state.url != listing.url or state.outcome is Outcome.STALE:
        return Validators()
    return state.validators


async def catch_up(listing: Listing, intake: Intake, now: datetime) -> list[Poll]:
    """Read some of the past days that a listing missed, oldest first; what they bring is owed late, but once.

    The rest waits for the next poll, so that a long outage of one listing does not keep the others waiting.
    """
    done: list[Poll] = []
    for day in (await intake.store.gaps(listing.name))[:PAST_DAYS_AT_ONCE]:
        try:
            done.append(await read_past_day(listing, intake, day, now))
        except FetchError as trouble:
            if trouble.status is not None:  # asked and refused; a host that rests was not asked at all
                await intake.store.gap_failed(listing.name, day, trouble.reason, MOST_TRIES)
            log.gap_failed(listing.name, day, trouble.reason)
            break  # the site is in trouble: the other days wait too
        except PageError as trouble:
            await intake.store.gap_failed(listing.name, day, trouble.reason, MOST_TRIES)
            log.gap_failed(listing.name, day, trouble.reason)
    return done


# --- queue, drain -----------------------------------------------------------------------------------------------------


async def queue_digests(store: Store, head: Letterhead, now: datetime) -> int:
    """Queue a message for everybody who is due; return how many digests were looked at."""
    total, last = 0, FIRST
    while True:
        done = await store.queue_digests(now, head.domain, last)
        for email, reason in done.troubles:
            log.not_queued(email, reason)
        total += done.groups
        if done.last is None:
            break
        last = done.last
    if total:
        log.queued(total)
    return total


async def post(store: Store, templates: Templates, head: Letterhead, letter: Letter, now: datetime) -> bool:
    """Compose a letter and queue it; False when there is one for this recipient and key already.

    It leaves with the next drain, before any digest. Raises AddressError or TemplateError.
    """
    if await store.has_letter(letter.recipient, letter.key):
        return False
    message_id = store.letter_name(letter, head.domain)
    content = compose_letter(letter, message_id, head.sender, head.base_url, templates, now)
    return await store.add_letter(letter, message_id, content, now)


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
    sign: Callable[[bytes, datetime], bytes] = lambda content, _now: content
    stream: Stream = field(default_factory=Stream)


async def drain_outbox(desk: Desk, stop: asyncio.Event | None = None) -> Drained:
    """Offer every message whose time has come, once each; `stop` ends it between two messages."""
    states: Counter[OutboxState] = Counter()
    await desk.store.free_lapsed(desk.clock(), resend=desk.resend)
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
            except Exception as fault:  # of no kind we know: this message waits, the others leave
                log.step_failed(f"offer {message.message_id}", fault)
                states[await desk.store.turned_away(message.outbox_id, desk.clock(), repr(fault), desk.clock())] += 1
    return Drained(states=states)


async def _composed(
    desk: Desk, messages: list[QueuedMessage], states: Counter[OutboxState]
) -> list[tuple[QueuedMessage, bytes]]:
    """Compose what has no bytes yet and keep them, so that every attempt carries the same; one bad message is held."""
    ready: list[tuple[QueuedMessage, bytes]] = []
    for message in messages:
        try:
            ready.append((message, message.content or _written(desk, message)))
        except Exception as fault:
            log.compose_failed(message.recipient, message.message_id, fault)
            await desk.store.hold(message.outbox_id, desk.owner, f"could not be composed: {fault}")
            states[OutboxState.HELD] += 1
    await desk.store.keep([(message.outbox_id, content) for message, content in ready if message.content is None])
    return ready


def _written(desk: Desk, message: QueuedMessage) -> bytes:
    """Return the bytes of a message, signed: every attempt will carry the signature of the first."""
    return desk.sign(compose(digest(message, desk.head), desk.templates), desk.clock())


class _WithdrawnError(NotifierError):
    """The message stopped being ours to send before its final dot."""


async def _offer(desk: Desk, message: QueuedMessage, content: bytes) -> Counter[OutboxState]:
    """Offer one message and settle the reply. Raises RelayTrouble when the relay would not talk to us."""

    async def in_doubt() -> None:
        if not await desk.store.mark_in_doubt(message.outbox_id, desk.owner):
            raise _WithdrawnError(message.message_id)

    envelope = Envelope(message.message_id, desk.head.return_path(message.outbox_id), message.recipient, content)
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
