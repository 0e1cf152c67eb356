"""The steps: what the daemon does again and again. Each looks into the database for what is due, and does that.

`steps` is the list that the daemon rings for. A step that is told to stop (`stop`) ends soon and leaves the rest for
the next start; a step that fails is logged by its caller and tried at the next ring.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from notifier import log, pipeline
from notifier.daemon.opening import Running
from notifier.daemon.thrift import give_back
from notifier.daemon.trouble import look_for_trouble
from notifier.errors import MailboxTrouble, Unwritable
from notifier.fetch import host_of
from notifier.intake import match_left
from notifier.intake_mail import intake_mail
from notifier.model import Listing, ListingState, OutboxState, Poll
from notifier.pipeline import Drained
from notifier.signup import LEFT, deal_with_left
from notifier.store import Store

TICK = timedelta(seconds=5)  # between two looks at what is due
LOOK = timedelta(minutes=5)  # between two looks for trouble
POLLS_AT_ONCE = 8
PRUNE_EVERY = timedelta(days=1)
ROUND = timedelta(seconds=30)  # of polls of one host; the rest of its listings come at the next ring
# A poll planned further ahead than any pause was planned while the system clock was wrong.
LONGEST_PLAN = timedelta(days=8)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step, and how often to look whether there is something to do. One that `lasts` ends with the program only."""

    name: str
    every: timedelta
    work: Callable[[], Awaitable[object]]
    lasts: bool = False


def steps(running: Running, stop: asyncio.Event) -> list[Step]:
    """Return every step of the daemon; they run side by side, each with itself in turn."""
    return [
        Step(name="poll", every=TICK, work=lambda: until_told(stop, poll_due(running))),
        Step(name="send", every=TICK, work=lambda: _send(running, stop)),
        Step(name="bounces", every=running.config.bounces.poll, work=lambda: until_told(stop, take_in(running))),
        *([Step(name="hub", every=TICK, work=running.hub.tell)] if running.hub else []),
        sign_ups(running),
        Step(name="trouble", every=LOOK, work=lambda: look_for_trouble(running)),
        Step(
            name="prune",
            every=PRUNE_EVERY,
            work=lambda: prune(running.store, running.config.retention.polls, running.clock()),
        ),
    ]


def sign_ups(running: Running) -> Step:
    """Return the step of who serves the site: to deal with what was asked for and not dealt with."""
    return Step(name="sign-ups", every=LEFT, work=lambda: deal_with_left(running.desk, running.clock()))


async def once(
    running: Running, stop: asyncio.Event | None = None, progress: Callable[[str], None] = lambda _step: None
) -> tuple[list[Poll], Drained]:
    """Run the whole pipeline once: every listing polled now, then what is due queued, sent and published.

    `stop` ends it early: a poll is dropped where it is, a message under way is finished.
    """
    stop = stop or asyncio.Event()
    polls: dict[str, Poll] = {}
    faults: list[Exception] = []

    async def poll(listing: Listing) -> None:
        progress(f"reading {listing.name}")
        try:
            polls[listing.name] = await poll_listing(running, listing)
        except Exception as fault:
            faults.append(fault)

    await until_told(stop, _side_by_side(_by_host(running.config.listings), poll))
    if faults:
        raise faults[0]
    progress("reading what came back")
    await take_in(running)
    await look_for_trouble(running)
    progress("sending")
    drained = await _send(running, stop)
    if running.hub:
        await until_told(stop, running.hub.tell())
    return [polls[each.name] for each in running.config.listings if each.name in polls], drained


async def take_in(running: Running) -> None:
    """Take in what came back, where a mailbox is read; one that cannot be read is asked again at the next ring."""
    if running.mailbox is None:
        return
    try:
        await intake_mail(running.mailbox, running.store, running.clock)
    except MailboxTrouble as fault:
        log.mailbox_trouble(fault)


async def until_told(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Do the work, or drop it where it is when told to stop: only for work that can be done again."""
    task, told = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([task, told], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        return None
    finally:
        for each in (task, told):
            each.cancel()
        await asyncio.gather(task, told, return_exceptions=True)


async def poll_due(running: Running) -> None:
    """Poll every listing whose time has come: hosts side by side, the listings of one in turn.

    A host that keeps us waiting is left after a round, so that no other waits for it: what remains is still due.
    """
    until = running.clock() + ROUND

    async def poll(listing: Listing) -> bool:
        try:
            # Another process may have been faster: this one waited for its turn at the host.
            if not running.store.is_shared or is_due(await running.store.listing_state(listing.name), running.clock()):
                await poll_listing(running, listing)
        except Unwritable:
            return True
        except Exception as fault:  # the database: the other listings may fare better
            log.step_failed(f"poll {listing.name}", fault)
        return running.clock() >= until

    await _side_by_side(await due(running), poll)


async def _side_by_side(
    by_host: Mapping[str, Sequence[Listing]], poll: Callable[[Listing], Awaitable[bool | None]]
) -> None:
    """Poll hosts side by side, the listings of one in turn; a poll that returns true was the last of its host."""
    places = asyncio.Semaphore(POLLS_AT_ONCE)

    async def one_host(listings: Sequence[Listing]) -> None:
        for listing in listings:
            async with places:
                if await poll(listing):
                    return

    async with asyncio.TaskGroup() as group:
        for listings in by_host.values():
            group.create_task(one_host(listings))


async def due(running: Running) -> dict[str, list[Listing]]:
    """Return the listings whose time has come by their host, those first that were polled longest ago."""
    now, due = running.clock(), []
    for listing in running.config.listings:
        state = await running.store.listing_state(listing.name)
        if is_due(state, now):
            due.append((state is not None, state.polled_at if state else now, listing))
    return _by_host([listing for _, _, listing in sorted(due, key=lambda each: each[:2])])


def is_due(state: ListingState | None, now: datetime) -> bool:
    """Tell whether the time of a listing has come."""
    return state is None or state.next_poll_at <= now or _planned_wrongly(state, now)


def _by_host(listings: Sequence[Listing]) -> dict[str, list[Listing]]:
    by_host: dict[str, list[Listing]] = {}
    for listing in listings:
        by_host.setdefault(host_of(listing), []).append(listing)
    return by_host


def _planned_wrongly(state: ListingState, now: datetime) -> bool:
    """Tell whether a poll was planned while the system clock was ahead."""
    return state.polled_at > now or state.next_poll_at > now + LONGEST_PLAN


async def poll_listing(running: Running, listing: Listing) -> Poll:
    """Poll a listing, then read the past days that turn out to have been missed."""
    done = await pipeline.poll(listing, running.intake, running.clock())
    await pipeline.catch_up(listing, running.intake, running.clock())
    return done


async def _send(running: Running, stop: asyncio.Event) -> Drained:
    """Queue, drain and publish, again while messages are left; what readers ask for gives way to all of it."""
    with running.courtesy.first():
        return await _sent(running, stop)


async def _sent(running: Running, stop: asyncio.Event) -> Drained:
    """Queue, drain and publish; the first fault is raised when all three were done."""
    states: Counter[OutboxState] = Counter()
    while True:
        faults: list[Exception] = []
        drained = Drained(states=Counter())
        try:
            latest = running.config.mail.latest
            await match_left(running.store)
            await pipeline.queue_digests(running.store, running.desk.head, running.clock(), latest)
        except Exception as fault:
            faults.append(fault)
        try:
            if await running.store.mail_held() is None:  # else a person looks first: see `notifier release`
                drained = await pipeline.drain_outbox(running.desk, stop)
        except Exception as fault:
            faults.append(fault)
        if await pipeline.publish(running.shelf, running.config.path(running.config.feeds.files), running.hub):
            give_back()
        if faults:
            raise faults[0]
        states += drained.states
        # Without a state another process has all places at the relay: asked again at the next ring.
        if not drained.more or not drained.states or stop.is_set():
            return replace(drained, states=states)


async def prune(store: Store, polls: timedelta, now: datetime) -> int:
    """Delete what is kept no longer, and cut the database's log short; return how many rows there were."""
    count = await store.prune_polls(now, polls)
    await store.forget_hosts(now)
    await store.prune_lines(now)
    await store.shorten_log()
    log.pruned(count)
    return count
