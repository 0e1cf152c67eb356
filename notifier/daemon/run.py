"""Run the daemon: ring for the steps, serve the site, end in order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from datetime import UTC

import uvicorn
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from notifier import __version__, log
from notifier.config import Config
from notifier.daemon.opening import opened
from notifier.daemon.site import STOP_GRACE, listener, server
from notifier.daemon.steps import Step, steps


async def run(config: Config) -> None:
    """Serve until told to stop: poll, send, publish, the site. Raises as `opened` does, and OSError for the port."""
    async with opened(config) as running:
        stop = on_signals()
        serving, listening = server(running), listener(config.web.listen)
        log.started(__version__, running.store.place, len(config.listing))
        scheduler = AsyncIOScheduler(timezone=UTC)
        bells, work = [], []
        for step in steps(running, stop):
            bell = asyncio.Event()
            bells.append(bell)
            scheduler.add_job(
                _ring, "interval", args=[bell], seconds=step.every.total_seconds(), next_run_time=running.clock(),
                misfire_grace_time=None, coalesce=True,
            )  # fmt: skip
            work.append(asyncio.create_task(_forever(step, bell, stop), name=step.name))
        scheduler.start()
        work.append(asyncio.create_task(serving.serve(sockets=[listening]), name="web"))
        ended = asyncio.create_task(stop.wait())
        await asyncio.wait([*work, ended], return_when=asyncio.FIRST_COMPLETED)
        scheduler.shutdown(wait=False)
        await _end(stop, bells, serving, work)


async def _forever(step: Step, bell: asyncio.Event, stop: asyncio.Event) -> None:
    """Do the step at every ring until told to stop; a step that fails is logged and tried at the next ring."""
    while not stop.is_set():
        await bell.wait()
        bell.clear()
        if stop.is_set():
            return
        try:
            await step.work()
        except Exception as fault:
            log.step_failed(step.name, fault)


async def _ring(bell: asyncio.Event) -> None:
    """Ring in the event loop: APScheduler would call a plain function in a thread."""
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
    for bell in bells:
        bell.set()
    server.should_exit = True
    _, late = await asyncio.wait(work, timeout=STOP_GRACE)
    for task in late:
        task.cancel()
    results = await asyncio.gather(*work, return_exceptions=True)
    for fault in results:
        if isinstance(fault, Exception):
            raise fault
