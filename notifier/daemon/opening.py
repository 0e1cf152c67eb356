"""Open everything that a run of the pipeline needs, from a `Config`; nothing else does.

What is opened is closed at the end, whatever ended it. Raises at the opening only: DatabaseInUse, StoreError,
TemplateError or RelayTrouble.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from notifier import __version__, log
from notifier.compose.fragments import Fragments
from notifier.config import Config, sender_parts
from notifier.confine import confine
from notifier.courtesy import Courtesy
from notifier.daemon.owner import gone, owner
from notifier.daemon.thrift import spare_memory
from notifier.deliver import Relay, relay
from notifier.digest import Letterhead
from notifier.drain import store_what_was_left
from notifier.errors import ConfigError, TemplateError
from notifier.fetch import client
from notifier.files import disk_kind, network_trouble
from notifier.intake import Intake, Queries
from notifier.mailbox import Mailbox, mailbox
from notifier.pipeline import Desk
from notifier.publish import Newsstand, Shelf
from notifier.publish.hub import Hub
from notifier.rehearse import rehearse
from notifier.store import Store, open_store
from notifier.store.workers import BEAT
from notifier.templates import Templates

Clock = Callable[[], datetime]
LAST_TRY = 5.0  # seconds at the end for storing what could not be stored before
TOLERATED = timedelta(seconds=2)  # between our clock and the database's, for a lease of minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Everything that is open: what a run of the pipeline needs."""

    config: Config
    store: Store
    intake: Intake
    desk: Desk
    shelf: Shelf
    clock: Clock
    broken: Broken
    courtesy: Courtesy
    mailbox: Mailbox | None = None  # that bounces come to
    hub: Hub | None = None  # that is told when a public feed changes


class Broken(dict[str, tuple[str, datetime]]):
    """Replacements of templates that could not be used: the reason, and when that was last so."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def report(self, fault: TemplateError) -> None:
        """Note it for the operator, and log it."""
        self[fault.template] = (fault.reason, self._clock())
        log.template_broken(fault)


def utc_now() -> datetime:
    """The clock of the program; everything else is told the time."""
    return datetime.now(UTC)


class SharedClock:
    """The clock that all processes of a database go by: the database's, where ours differs from it.

    Measured again and again: ours may be set while we run, and who is ahead frees what others hold.
    """

    def __init__(self, store: Store, own: Clock = utc_now) -> None:
        self._store = store
        self._own = own
        self._ahead = timedelta()  # the database's clock, of ours

    def __call__(self) -> datetime:
        return self._own() + self._ahead

    async def measure(self) -> None:
        """Compare the two; what the answer took to come is no difference. Raises what the database does."""
        asked = self._own()
        ahead = await self._store.ahead_of(asked)
        if abs(ahead - self._ahead) < TOLERATED + abs(self._own() - asked):
            return
        self._ahead = ahead if abs(ahead) >= TOLERATED else timedelta()
        log.clock_differs(self._ahead)


async def shared(store: Store, own: Clock = utc_now) -> SharedClock:
    """Return the clock of a database, measured once."""
    clock = SharedClock(store, own)
    await clock.measure()
    return clock


@asynccontextmanager
async def opened(config: Config, clock: Clock | None = None, roles: str = "all") -> AsyncIterator[Running]:
    """Open the database (as its only pipeline), the HTTP client and the relay; recover what a crash left.

    On PostgreSQL others may share it; they are told that this process lives, and what its `roles` are.
    Raises DatabaseInUse, StoreError, TemplateError or RelayTrouble.
    """
    spare_memory()
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(config.database_url, hold=True))
        if config.database_url.startswith("sqlite:"):
            folder = Path(store.place).parent
            if trouble := network_trouble(folder, disk_kind(folder)):
                log.trouble("disk", trouble)
        ours = await shared(store)
        clock = clock or ours
        fetching = await stack.enter_async_context(client(config.contact, __version__, hosts=store, clock=clock))
        worker = await stack.enter_async_context(confine())
        intake = Intake(store=store, client=fetching, worker=worker, queries=Queries())
        sending = relay_of(config)
        stack.push_async_callback(sending.close)
        resend = config.mail.in_doubt == "resend"
        name = owner()
        await stack.enter_async_context(_living(store, name, roles, ours))
        log.recovered(*await store.recover(clock(), resend=resend, gone=gone))
        for email in await store.keep_configured(config.subscriptions, clock()):
            log.still_unsubscribed(email)
        overrides = config.path(config.templates) if config.templates else None
        broken = Broken(clock)
        faults = await asyncio.to_thread(rehearse, overrides) if overrides else []
        for fault in faults:
            broken.report(fault)
        templates = Templates(overrides, broken.report, refused=faults)
        desk = Desk(
            store=store,
            relay=sending,
            templates=templates,
            fragments=Fragments(templates),
            head=letterhead(config, store),
            owner=name,
            resend=resend,
            clock=clock,
            sign=signing(config),
            relay_name=config.relay_url[:300],
            per_domain=config.mail.per_domain,
            pace=config.mail.per_minute,
        )
        stack.push_async_callback(_store_answers, desk)
        stand = Newsstand(
            store=store,
            base_url=config.base_url,
            listings=tuple(each.name for each in config.listings),
            hub=config.feeds.hub or "",
        )
        courtesy = Courtesy()
        yield Running(
            config=config, store=store, intake=intake, desk=desk, shelf=Shelf(stand, clock, courtesy), clock=clock,
            broken=broken, courtesy=courtesy,
            mailbox=bounce_mailbox(config, store),
            hub=Hub(config.feeds.hub, fetching, clock) if config.feeds.hub else None,
        )  # fmt: skip


async def _store_answers(desk: Desk) -> None:
    """Store what the relay said and could not be stored, while there is a database: nobody else knows it."""
    with contextlib.suppress(Exception):  # what cannot be stored now either is in doubt after the next start
        async with asyncio.timeout(LAST_TRY):
            await store_what_was_left(desk, desk.clock())


@asynccontextmanager
async def _living(store: Store, name: str, roles: str, clock: SharedClock) -> AsyncIterator[None]:
    """Say again and again that this process lives; what cannot be said now is said at the next beat."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(BEAT.total_seconds())
            try:
                await store.beat(name, roles)
                await clock.measure()
            except Exception as fault:  # the database is away: whoever needs it says so
                log.step_failed("beat", fault)

    for each in await store.workers():
        if gone(each.owner):
            await store.sign_off(each.owner)
    await store.beat(name, roles)
    beating = asyncio.create_task(beat(), name="beat") if store.is_shared else None
    try:
        yield
    finally:
        if beating:
            beating.cancel()
            with contextlib.suppress(Exception):
                await store.sign_off(name)


def relay_of(config: Config) -> Relay:
    """Return the relay of a configuration; nothing is connected to."""
    return relay(
        config.relay_url,
        user=config.mail.user,
        password=config.mail.password.get_secret_value(),
        starttls=config.mail.encryption,
        connections=config.mail.connections,
    )


def signing(config: Config) -> Callable[[bytes, datetime], bytes] | None:
    """Return what signs a message, None without `[mail.dkim]`. Raises ConfigError for an unusable key."""
    if not config.mail.dkim.domain:
        return None
    from notifier.sign import KeyUnfit, Signer, read_key  # costs half a second, which only those pay who sign

    try:
        keys = [read_key(selector, pem) for selector, pem in config.dkim_keys.items()]
    except KeyUnfit as fault:
        raise ConfigError([f"mail.dkim: {fault}"]) from None
    return Signer(config.mail.dkim.domain, keys)


def letterhead(config: Config, store: Store) -> Letterhead:
    """Return what all digests of an installation share."""
    return Letterhead(
        base_url=config.base_url,
        sender=sender_parts(config.mail.sender),
        link=store.link,
        bounces=config.bounces.address,
        most=config.mail.papers,
        thumbnails=config.mail.thumbnails,
    )


def bounce_mailbox(config: Config, store: Store) -> Mailbox | None:
    """Return the mailbox that bounces come to, None where none is read; nothing is connected to."""
    chosen = config.bounces
    return mailbox(
        maildir=config.path(chosen.maildir) if chosen.maildir else None,
        imap=chosen.imap,
        password=chosen.password.get_secret_value(),
        marks=store,
    )
