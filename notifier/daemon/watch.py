"""Watch: is the daemon doing its work? The watchdog is patted only while every answer is yes.

Asked are: the event loop (how late a short sleep ends), the bell (when each step was last rung), each step (whether
one that is under way still moves: every event that it logs is a sign of life), and the database (whether it answers).
A daemon that is stuck is as bad as one that died, and systemd starts it again. Times here are monotonic: the system
clock may be set to anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

from notifier import log
from notifier.daemon import notify

EVERY = 5.0  # seconds between two looks where no watchdog asks for more
MOST_LAG = 10.0  # seconds that a sleep may end late, again and again
LATE_BELL = 60.0  # seconds without a ring, for a step that is rung more often than that
STUCK = 25 * 60.0  # seconds without an event of a step under way; longer than the lease of a message
DATABASE = 30.0  # seconds that the database may take to answer

_pulse: ContextVar[Pulse | None] = ContextVar("pulse", default=None)


@dataclass(slots=True)
class Pulse:
    """The signs of life of one step; `moved_at` is None while it rests."""

    name: str
    every: float
    rung_at: float = field(default_factory=time.monotonic)
    moved_at: float | None = None

    def rung(self) -> None:
        self.rung_at = time.monotonic()

    async def during(self, work: Awaitable[object]) -> None:
        """Do the work as this step: what it logs, in whichever task, counts as movement."""
        mark = _pulse.set(self)
        self.moved_at = time.monotonic()
        try:
            await work
        finally:
            self.moved_at = None
            _pulse.reset(mark)

    def troubles(self, now: float) -> list[str]:
        """Say what is wrong with this step, if anything."""
        found = []
        if now - self.rung_at > max(LATE_BELL, 2 * self.every):
            found.append(f"{self.name} was not rung for {now - self.rung_at:.0f} s")
        if self.moved_at is not None and now - self.moved_at > STUCK:
            found.append(f"{self.name} has not moved for {now - self.moved_at:.0f} s")
        return found


@dataclass(slots=True, kw_only=True)
class Watch:
    """What is watched, and what was last seen: the lag of the event loop in seconds, and the troubles."""

    pulses: Sequence[Pulse]
    database: Callable[[], Awaitable[object]]
    says: Callable[[], Awaitable[str]]
    wake: Callable[[], None]
    unwritable: Callable[[], str]
    store_something: Callable[[], Awaitable[object]]
    lag: float = 0.0
    troubles: tuple[str, ...] = ()


async def watch(watched: Watch, stop: asyncio.Event) -> None:
    """Look again and again, and pat the watchdog after each look that found nothing wrong."""
    every = min(EVERY, (notify.watchdog_seconds() or EVERY * 3) / 3)
    said = unwritable = ""
    log.heard.append(_moved)
    try:
        while not stop.is_set():
            troubles = await look(watched)
            if not troubles:
                notify.alive()
            if troubles != watched.troubles:
                log.unwell(troubles) if troubles else log.well_again()
            watched.troubles = troubles
            unwritable = await _look_at_disk(watched, unwritable)
            text = "; ".join(troubles) if troubles else await _says(watched)
            if text != said:
                notify.status(text)
                said = text
            watched.lag = await _sleep(every, stop)
    finally:
        log.heard.remove(_moved)


async def look(watched: Watch) -> tuple[str, ...]:
    """Return all that is wrong now; a bell that fell silent because the clock was set back is woken first."""
    now = time.monotonic()
    troubles = [f"the event loop was {watched.lag:.0f} s late"] if watched.lag > MOST_LAG else []
    if any(now - pulse.rung_at > 3 * pulse.every for pulse in watched.pulses):
        watched.wake()
    for pulse in watched.pulses:
        troubles += pulse.troubles(now)
    try:
        async with asyncio.timeout(DATABASE):
            await watched.database()
    except TimeoutError:
        troubles.append(f"the database did not answer within {DATABASE:.0f} s")
    except Exception as fault:
        troubles.append(f"the database: {type(fault).__name__}: {fault}"[:300])
    return tuple(troubles)


async def _look_at_disk(watched: Watch, before: str) -> str:
    """Say when nothing can be stored, and when it can again. No reason to be started anew: it would be no better."""
    if before and watched.unwritable():
        with contextlib.suppress(Exception):  # what it could not store it says by `unwritable`; the watch goes on
            await watched.store_something()
    now = watched.unwritable()
    if now != before:
        log.unwritable(now) if now else log.writable_again()
    return now


async def _says(watched: Watch) -> str:
    try:
        async with asyncio.timeout(DATABASE):
            return await watched.says()
    except Exception:  # said by the next look, which asks the database itself
        return "running"


async def _sleep(seconds: float, stop: asyncio.Event) -> float:
    """Sleep, or less when told to stop; return by how many seconds the sleep ended late."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return max(0.0, time.monotonic() - began - seconds)
    return 0.0


def _moved(_event: str, _values: Mapping[str, object]) -> None:
    pulse = _pulse.get()
    if pulse is not None and pulse.moved_at is not None:
        pulse.moved_at = time.monotonic()
