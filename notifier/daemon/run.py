"""Run the daemon: ring for the steps, serve the site, read the configuration again when told to, end in order.

Signals: SIGTERM and SIGINT end it, SIGHUP reads the configuration again. A configuration that cannot be used changes
nothing: the old one stays, and the log and the status say so. One that can is taken up by closing everything and
opening it anew, as a restart would, except that the listening socket stays: nobody is refused meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from notifier import __version__, log
from notifier.config import Config
from notifier.daemon import notify
from notifier.daemon.limits import LoopTrouble, many_files
from notifier.daemon.metrics import Metrics
from notifier.daemon.opening import Running, opened
from notifier.daemon.site import STOP_GRACE, Server, listener, server
from notifier.daemon.steps import Step, steps
from notifier.daemon.watch import Pulse, Watch, watch
from notifier.errors import CannotListen, ConfigError, NotifierError, SchemaUnfit, StoreError, Unwritable
from notifier.model import OutboxState
from notifier.rehearse import rehearse
from notifier.web.site import Monitor

LINGER = 5.0  # seconds that a start which failed takes at least, under a supervisor
WAITING = (OutboxState.QUEUED, OutboxState.CLAIMED, OutboxState.DEFERRED)


@dataclass(frozen=True, slots=True)
class Told:
    """What signals told us."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)
    refused: list[str] = field(default_factory=list)  # what is wrong with the configuration that was not taken up


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a process does of all the work; by default everything."""

    roles: str = "all"
    steps: Callable[[Running, asyncio.Event], list[Step]] = steps
    site: bool = True


ALL = Part()


async def run(config: Config, reread: Callable[[], Config], part: Part = ALL) -> None:
    """Serve until told to stop: poll, send, publish, the site. `reread` reads the configuration again (SIGHUP).

    Raises as `opened` does, CannotListen for the port, and whatever ended a step that may not end.
    """
    faulthandler.enable()  # the watchdog's SIGABRT leaves the stacks in the log
    many_files()
    told = Told(stop=on_signals())
    asyncio.get_running_loop().set_exception_handler(LoopTrouble())
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, told.reload.set)
    given = notify.inherited()
    listening: list[socket.socket] = []
    async with AsyncExitStack() as last:
        try:
            if part.site:
                listening = given or [listener(config.web.listen)]
            running = await _open(config, last, part)
        except (NotifierError, OSError) as fault:
            await _linger(fault, told)
            raise
        while True:
            new = await _serve(running, listening, told, reread, part)
            if new is None:
                return
            if part.site:
                listening = _listen(listening, given, running.config, new)
            running = await _take_up(running.config, new, last, told, part)


async def _open(config: Config, stack: AsyncExitStack, part: Part) -> Running:
    """Open everything, and close what was open before; systemd waits as long as it takes."""
    await stack.aclose()
    async with _patience():
        return await stack.enter_async_context(opened(config, roles=part.roles))


async def _linger(fault: Exception, told: Told) -> None:
    """Wait before a start that failed ends, so that systemd, which starts us again at once, does not do so in a circle.

    What a person must mend ends at once: it is not started again.
    """
    if notify.is_supervised() and not isinstance(fault, ConfigError | SchemaUnfit):
        notify.status(f"cannot start, and tries again: {fault}")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(told.stop.wait(), LINGER)


@asynccontextmanager
async def _patience() -> AsyncIterator[None]:
    """Ask systemd for more time again and again: a migration may be long."""

    async def ask() -> None:
        while True:
            notify.extend()
            await asyncio.sleep(notify.EXTENSION / 4)

    asking = asyncio.create_task(ask())
    try:
        yield
    finally:
        asking.cancel()


async def _serve(
    running: Running, listening: Sequence[socket.socket], told: Told, reread: Callable[[], Config], part: Part
) -> Config | None:
    """Do everything until told to stop (None) or to take up another configuration, which is returned."""
    stop = asyncio.Event()  # of this round
    all_steps = part.steps(running, stop)
    pulses = [Pulse(step.name, step.every.total_seconds()) for step in all_steps]
    bells = [asyncio.Event() for _ in all_steps]
    scheduler = _scheduler(all_steps, bells, pulses, running.clock())
    watched = Watch(
        pulses=pulses, database=running.store.depth, says=lambda: _says(running, told),
        wake=lambda: _wake(scheduler, running.clock()),
        unwritable=lambda: running.store.unwritable,
        store_something=lambda: running.store.ensure_writable(running.clock()),
    )  # fmt: skip
    metrics = Metrics()
    serving = server(running, _monitor(running, watched, metrics), warm=True)
    log.heard.append(metrics.hear)
    work = [
        asyncio.create_task(ring_forever(*each, stop, watched.unwritable), name=each[0].name)
        for each in zip(all_steps, bells, pulses, strict=True)
    ]
    if part.site:
        # uvicorn closes the sockets that it serves: it gets copies.
        work.append(asyncio.create_task(serving.serve(sockets=[each.dup() for each in listening]), name="web"))
    else:
        serving.up.set()
    watching = asyncio.create_task(watch(watched, stop), name="watch")
    await _first(serving.up.wait(), *work)
    scheduler.start()
    log.started(
        __version__,
        running.store.place,
        len(running.config.listing),
        running.config.web.listen if part.site else "none",
    )
    notify.ready(await _says(running, told))
    new = None
    while new is None and not told.stop.is_set() and not any(task.done() for task in [*work, watching]):
        await _first(told.stop.wait(), told.reload.wait(), *work, watching)
        if told.reload.is_set() and not told.stop.is_set():
            told.reload.clear()
            new = await _reread(running, reread, told)
            if new is None:
                notify.ready(await _says(running, told))
    if new is None:
        notify.stopping()
    scheduler.shutdown(wait=False)
    stop.set()
    try:
        await _end(bells, serving, [*work, watching])
    finally:
        log.heard.remove(metrics.hear)
    return new if not told.stop.is_set() else None


def _monitor(running: Running, watched: Watch, metrics: Metrics) -> Monitor:
    async def text() -> bytes:
        return await metrics.text(
            running.store, running.config.listings, running.clock(), lag=watched.lag, troubles=watched.troubles
        )

    token = running.config.web.metrics_token.get_secret_value()
    return Monitor(metrics=text, troubles=lambda: watched.troubles, token=token)


async def _first(*waits: object) -> None:
    """Wait until the first of these ends; tasks among them go on, the rest is dropped."""
    tasks = [each if isinstance(each, asyncio.Task) else asyncio.ensure_future(each) for each in waits]  # type: ignore[call-overload]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task, each in zip(tasks, waits, strict=True):
        if task is not each:
            task.cancel()


def _scheduler(
    all_steps: Sequence[Step], bells: Sequence[asyncio.Event], pulses: Sequence[Pulse], now: datetime
) -> AsyncIOScheduler:
    scheduler = AsyncIOScheduler(timezone=UTC)
    for step, bell, pulse in zip(all_steps, bells, pulses, strict=True):
        scheduler.add_job(
            _ring, "interval", args=[bell, pulse], seconds=step.every.total_seconds(), next_run_time=now,
            misfire_grace_time=None, coalesce=True,
        )  # fmt: skip
    return scheduler


def _wake(scheduler: AsyncIOScheduler, now: datetime) -> None:
    """Ring every bell now whose time is too far ahead: the system clock was set back."""
    for job in scheduler.get_jobs():
        if job.next_run_time > now + 2 * job.trigger.interval:
            log.clock_set_back()
            job.modify(next_run_time=now)


async def ring_forever(
    step: Step, bell: asyncio.Event, pulse: Pulse, stop: asyncio.Event, unwritable: Callable[[], str]
) -> None:
    """Do the step at every ring until told to stop; a step that fails is logged and tried at the next ring.

    While nothing can be stored nothing is done: no site is asked, and no mail leaves, that could not be noted. The
    watch says so, and tries to store something until it can.
    """
    while not stop.is_set():
        await bell.wait()
        bell.clear()
        if stop.is_set():
            return
        if unwritable():
            continue
        try:
            await (step.work() if step.lasts else pulse.during(step.work()))
        except Unwritable:
            continue
        except Exception as fault:
            log.step_failed(step.name, fault)


async def _ring(bell: asyncio.Event, pulse: Pulse) -> None:
    """Ring in the event loop: APScheduler would call a plain function in a thread."""
    pulse.rung()
    bell.set()


async def _says(running: Running, told: Told) -> str:
    """Say how things stand, for `systemctl status`; a database that does not answer just now ends nothing."""
    try:
        return await _stands(running, told)
    except Exception:  # the watch asks the database, and says what is wrong with it
        return "running"


async def _stands(running: Running, told: Told) -> str:
    polled = max(await running.store.listing_states(), key=lambda state: state.polled_at, default=None)
    depth = await running.store.depth()
    waiting = sum(depth.get(state, 0) for state in WAITING)
    last = f"last poll {polled.name} {polled.outcome} {polled.polled_at:%H:%M} UTC" if polled else "no poll yet"
    held = f", {depth[OutboxState.HELD]} held" if depth.get(OutboxState.HELD) else ""
    if await running.store.mail_held() is not None:
        held += ", no mail leaves until `notifier release`"
    refused = "the new configuration cannot be used, the old one stays: see the log; " if told.refused else ""
    if running.store.unwritable:
        refused += f"{running.store.unwritable}: pages and feeds are served, nothing else is done; "
    return f"{refused}{last}; {waiting} messages wait{held}"


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


async def _end(bells: Sequence[asyncio.Event], serving: Server, work: Sequence[asyncio.Task[None]]) -> None:
    """Let what is under way finish, then cut it off; raise what ended the daemon, if a task failed."""
    for bell in bells:
        bell.set()
    serving.should_exit = True
    _, late = await asyncio.wait(work, timeout=STOP_GRACE)
    for task in late:
        task.cancel()
    results = await asyncio.gather(*work, return_exceptions=True)
    for fault in results:
        if isinstance(fault, Exception):
            raise fault


# --- another configuration --------------------------------------------------------------------------------------------


async def _reread(running: Running, reread: Callable[[], Config], told: Told) -> Config | None:
    """Read the configuration again; None where it cannot be used, which is said.

    While nothing can be stored nothing is taken up: what is open serves pages, and could not be opened again.
    """
    notify.reloading()
    told.refused.clear()
    try:
        if running.store.unwritable:
            raise StoreError(f"{running.store.unwritable}: reload again when there is room")
        new = reread()
        broken = await asyncio.to_thread(rehearse, new.path(new.templates)) if new.templates else []
        if broken:
            raise ConfigError([str(each) for each in broken])
        if new.web.listen != running.config.web.listen:
            listener(new.web.listen).close()
    except (NotifierError, OSError) as fault:
        _refuse(fault, told)
        return None
    return new


def _refuse(fault: Exception, told: Told) -> None:
    told.refused.extend(fault.problems if isinstance(fault, ConfigError) else [str(fault)])
    for problem in told.refused:
        log.reload_refused(problem)


def _listen(
    listening: list[socket.socket], given: list[socket.socket], old: Config, new: Config
) -> list[socket.socket]:
    """Listen where the new configuration says, unless systemd gave us the socket."""
    if given or new.web.listen == old.web.listen:
        return listening
    with contextlib.suppress(CannotListen):  # taken since we looked: the old place is better than none
        moved = [listener(new.web.listen)]
        for each in listening:
            each.close()
        return moved
    return listening


async def _take_up(old: Config, new: Config, stack: AsyncExitStack, told: Told, part: Part) -> Running:
    """Open everything with the new configuration; with the old one where that fails."""
    try:
        running = await _open(new, stack, part)
    except (NotifierError, OSError) as fault:
        _refuse(fault, told)
        return await _open(old, stack, part)
    log.reloaded(len(new.listing))
    return running
