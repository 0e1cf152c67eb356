"""Limits of the process: how many files it may have open, and what happens when that is not enough.

asyncio leaves a listening socket alone for a second when there is no descriptor for a new connection, but says so once
for each place in the queue, with a traceback: thousands of lines a second. Here it is one line a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from dataclasses import dataclass, field
from typing import Any

from notifier import log

FILES = 16_384  # open at once, where the system lets us: each visitor costs one
AGAIN = 60.0  # seconds between two lines about the same trouble


def many_files() -> None:
    """Raise the soft limit of open files; 1024 is the usual one, made for programs that use select(2)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@dataclass(slots=True)
class LoopTrouble:
    """Told by the event loop of what nobody caught; says the same once a minute."""

    _said: dict[str, float] = field(default_factory=dict)

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log it."""
        fault, words = context.get("exception"), str(context.get("message", ""))
        key = f"{words} {fault!r}"[:200]
        now = time.monotonic()
        if now - self._said.get(key, -AGAIN) < AGAIN:
            return
        self._said = {each: at for each, at in self._said.items() if now - at < AGAIN} | {key: now}
        if isinstance(fault, OSError):
            log.loop_trouble(words, fault)
        else:
            loop.default_exception_handler(context)
