"""The daemon: the composition root. Opens the edges, rings the bell, ends in order.

`opened` builds everything that the pipeline needs from a `Config`, and nothing else does. APScheduler only rings a
bell: the database says what is due, so a tick that is late, missed or doubled changes nothing. A stop (SIGTERM,
SIGINT) lets the message under way finish, for at most STOP_GRACE seconds; whatever it cuts off is done again at the
next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import uvicorn
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from notifier import __version__, log, pipeline
from notifier.config import Config, sender_parts
from notifier.confine import confine
from notifier.deliver import relay
from notifier.digest import Letterhead
from notifier.fetch import client, host_of
from notifier.intake import Intake, Queries
from notifier.model import Listing, ListingState, Poll
from notifier.pipeline import Desk, Drained, Shelf
from notifier.store import Store, open_store
from notifier.templates import Templates
from notifier.web import Site, application

TICK = timedelta(seconds=5)  # between two looks at what is due
STOP_GRACE = 8.0  # seconds for what is under way when told to stop
POLLS_AT_ONCE = 8
ROUND = timedelta(seconds=30)  # of polls of one host; the rest of its listings come at the next ring
# A poll planned further ahead than any pause was planned while the system clock was wrong.
LONGEST_PLAN = timedelta(days=8)

Clock = Callable[[], datetime]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Everything that is open: what a run of the pipeline needs."""

    config: Config
    store: Store
    intake: Intake
    desk: Desk
    shelf: Shelf
    clock: Clock


def utc_now() -> datetime:
    """The clock of the program; everything else is told the time."""
    return datetime.now(UTC)


@asynccontextmanager
async def opened(config: Config, clock: Clock = utc_now) -> AsyncIterator[Running]:
    """Open the database (as its only pipeline), the HTTP client and the relay; recover what a crash left.

    Raises DatabaseInUse, StoreError, TemplateError or RelayTrouble.
    """
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(config.database_url, hold=True))
        fetching = await stack.enter_async_context(client(config.contact, __version__, hosts=store, clock=clock))
        worker = await stack.enter_async_context(confine())
        intake = Intake(store=store, client=fetching, worker=worker, queries=Queries())
        sending = relay(config.relay_url, user=config.mail.user, password=config.mail.password.get_secret_value(),
                        starttls=config.mail.encryption)  # fmt: skip
        stack.push_async_callback(sending.close)
        resend = config.mail.in_doubt == "resend"
        log.recovered(*await store.recover(clock(), resend=resend))
        for email in await store.keep_configured(config.subscriptions, clock()):
            log.still_unsubscribed(email)
        overrides = config.path(config.templates) if config.templates else None
        desk = Desk(
            store=store,
            relay=sending,
            templates=Templates(overrides, log.template_broken),
            head=Letterhead(base_url=config.base_url, sender=sender_parts(config.mail.sender), link=store.link),
            owner=f"{socket.gethostname()}:{os.getpid()}",
            resend=resend,
            clock=clock,
        )
        shelf = Shelf(config.path(config.feeds), config.base_url)
        yield Running(
            config=config, store=store, intake=intake, desk=desk, shelf=shelf, clock=clock,
        )  # fmt: skip


async def once(
    running: Running, stop: asyncio.Event | None = None, progress: Callable[[str], None] = lambda _step: None
) -> tuple[list[Poll], Drained]:
    """Run the whole pipeline once: every listing polled now, then what is due queued, sent and published.

    `stop` ends it early: a poll is dropped where it is, a message under way is finished.
    """
    stop = stop or asyncio.Event()
    polls = []
    for listing in running.config.listings:
        progress(f"reading {listing.name}")
        done = await _until(stop, _poll(running, listing))
        polls += [done] if done else []
    progress("sending")
    return polls, await _send(running, stop)


async def run(config: Config) -> None:
    """Serve until told to stop: poll, send, publish, the site. Raises as `opened` does, and OSError for the port."""
    async with opened(config) as running:
        stop = on_signals()
        server, sockets = _server(running)
        log.started(__version__, running.store.place, len(config.listing))
        bells = [asyncio.Event(), asyncio.Event()]
        scheduler = AsyncIOScheduler(timezone=UTC)
        scheduler.add_job(
            _ring, "interval", args=[bells], seconds=TICK.total_seconds(), next_run_time=running.clock(),
            misfire_grace_time=None, coalesce=True,
        )  # fmt: skip
        scheduler.start()
        work = [
            asyncio.create_task(
                _forever("poll", bells[0], stop, lambda: _until(stop, _poll_due(running))), name="poll"
            ),
            asyncio.create_task(_forever("send", bells[1], stop, lambda: _send(running, stop)), name="send"),
            asyncio.create_task(server.serve(sockets=sockets), name="web"),
        ]
        ended = asyncio.create_task(stop.wait())
        await asyncio.wait([*work, ended], return_when=asyncio.FIRST_COMPLETED)
        scheduler.shutdown(wait=False)
        await _end(stop, bells, server, work)


async def _until(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
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


async def _poll_due(running: Running) -> None:
    """Poll every listing whose time has come: hosts side by side, the listings of one in turn.

    A host that keeps us waiting is left after a round, so that no other waits for it: what remains is still due.
    """
    places = asyncio.Semaphore(POLLS_AT_ONCE)

    async def one_host(listings: Sequence[Listing]) -> None:
        until = running.clock() + ROUND
        for listing in listings:
            async with places:
                try:
                    await _poll(running, listing)
                except Exception as fault:  # the database, a full disk: the other listings may fare better
                    log.step_failed(f"poll {listing.name}", fault)
            if running.clock() >= until:
                return

    async with asyncio.TaskGroup() as group:
        for listings in (await _due(running)).values():
            group.create_task(one_host(listings))


async def _due(running: Running) -> dict[str, list[Listing]]:
    """Return the listings whose time has come by their host, those first that were polled longest ago."""
    now, due = running.clock(), []
    for listing in running.config.listings:
        state = await running.store.listing_state(listing.name)
        if state is None or state.next_poll_at <= now or _planned_wrongly(state, now):
            due.append((state is not None, state.polled_at if state else now, listing))
    by_host: dict[str, list[Listing]] = {}
    for _, _, listing in sorted(due, key=lambda each: each[:2]):
        by_host.setdefault(host_of(listing), []).append(listing)
    return by_host


def _planned_wrongly(state: ListingState, now: datetime) -> bool:
    """Tell whether a poll was planned while the system clock was ahead."""
    return state.polled_at > now or state.next_poll_at > now + LONGEST_PLAN


async def _poll(running: Running, listing: Listing) -> Poll:
    """Poll a listing, then read the past days that turn out to have been missed."""
    done = await pipeline.poll(listing, running.intake, running.clock())
    await pipeline.catch_up(listing, running.intake, running.clock())
    return done


async def _send(running: Running, stop: asyncio.Event) -> Drained:
    """Queue, drain and publish; each is done although the one before it failed, and the first fault is raised."""
    faults: list[Exception] = []
    drained = Drained(states=Counter())
    try:
        await pipeline.queue_digests(running.store, running.desk.head, running.clock())
    except Exception as fault:
        faults.append(fault)
    try:
        drained = await pipeline.drain_outbox(running.desk, stop)
    except Exception as fault:
        faults.append(fault)
    await pipeline.publish(running.store, running.shelf)
    if faults:
        raise faults[0]
    return drained


async def _forever(step: str, bell: asyncio.Event, stop: asyncio.Event, work: Callable[[], Awaitable[object]]) -> None:
    """Do the step at every ring until told to stop; a step that fails is logged and tried at the next ring."""
    while not stop.is_set():
        await bell.wait()
        bell.clear()
        if stop.is_set():
            return
        try:
            await work()
        except Exception as fault:
            log.step_failed(step, fault)


def _ring(bells: Sequence[asyncio.Event]) -> None:
    for bell in bells:
        bell.set()


def on_signals() -> asyncio.Event:
    """Return an event that SIGTERM or SIGINT sets."""
    stop = asyncio.Event()

    def told(name: str) -> None:
        log.stopping(name)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told, number.name)
    return stop


async def _end(
    stop: asyncio.Event, bells: Sequence[asyncio.Event], server: uvicorn.Server, work: Sequence[asyncio.Task[None]]
) -> None:
    """Let what is under way finish, then cut it off; raise what ended the daemon, if a task failed."""
    stop.set()
    _ring(bells)
    server.should_exit = True
    _, late = await asyncio.wait(work, timeout=STOP_GRACE)
    for task in late:
        task.cancel()
    results = await asyncio.gather(*work, return_exceptions=True)
    for fault in results:
        if isinstance(fault, Exception):
            raise fault


# --- the site ---------------------------------------------------------------------------------------------------------


class _Server(uvicorn.Server):
    """A uvicorn server that leaves the signals to the daemon."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


def _server(running: Running) -> tuple[uvicorn.Server, list[socket.socket]]:
    host, _, port = running.config.web.listen.rpartition(":")
    site = Site(
        store=running.store,
        templates=running.desk.templates,
        head=running.desk.head,
        listings=running.config.listings,
        feed_file=running.shelf.file,
        clock=running.clock,
    )
    options = uvicorn.Config(
        application(site), host=host.strip("[]"), port=int(port), log_config=None, access_log=False, lifespan="off",
        server_header=False, date_header=True, timeout_graceful_shutdown=int(STOP_GRACE), proxy_headers=False,
    )  # fmt: skip
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host.strip("[]"), int(port)))
    listener.listen(512)
    return _Server(options), [listener]
