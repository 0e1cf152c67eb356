"""Prepare days of papers to be asked, in a process apart: seconds of work that no page and no digest waits for.

`prepare` starts a process for the days that it is given, one after the other, and ends it; what the work leaves behind
in memory ends with it. Without such a process (none can be started, it was killed) a day is prepared in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import struct
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from datetime import date

from notifier import log
from notifier.model import StoredPaper
from notifier.survey import Issue, issue

FEW = 40  # papers that are not worth a process
NICE = 10  # the work waits for everything else
LENGTH = struct.Struct(">Q")
_BOOT = "import sys; sys.path[:] = sys.argv[1:]; from notifier.survey.prepare import work; work()"

Day = tuple[date, Sequence[StoredPaper]]


async def prepare(days: AsyncIterator[Day]) -> AsyncIterator[Issue]:
    """Make days ready to be asked, in their order."""
    process: Process | None = None
    alone = False
    try:
        async for day, papers in days:
            found = None
            if len(papers) > FEW and not alone:
                try:
                    process = process or await asyncio.create_subprocess_exec(
                        sys.executable, "-c", _BOOT, *sys.path, stdin=PIPE, stdout=PIPE
                    )
                    found = await _asked(process, (day, papers))
                except (OSError, asyncio.IncompleteReadError) as fault:
                    log.step_failed("a process that prepares previews", fault)
                    alone = True
            yield await asyncio.to_thread(issue, day, papers) if found is None else found
    finally:
        if process:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _asked(process: Process, day: Day) -> Issue:
    assert process.stdin
    assert process.stdout
    sent = await asyncio.to_thread(pickle.dumps, day, pickle.HIGHEST_PROTOCOL)
    process.stdin.writelines((LENGTH.pack(len(sent)), sent))
    await process.stdin.drain()
    (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
    got = await process.stdout.readexactly(length)
    found: Issue = await asyncio.to_thread(pickle.loads, got)
    return found


def work() -> None:
    """Be the process: prepare the days that come in by standard input until it ends."""
    with contextlib.suppress(OSError):  # a unit that filters system calls refuses it
        os.nice(NICE)
    there, back = sys.stdin.buffer, sys.stdout.buffer
    while head := there.read(LENGTH.size):
        day, papers = pickle.loads(there.read(*LENGTH.unpack(head)))  # noqa: S301 - of the program itself
        made = pickle.dumps(issue(day, papers), pickle.HIGHEST_PROTOCOL)
        back.write(LENGTH.pack(len(made)) + made)
        back.flush()
