"""Confine parsing to a process that may be killed: hostile pages cost it, not the program.

Owns the worker process that `notifier.confined` runs in: one for all listings, started when the first page comes (a
start costs some 0.3 s), ended when it has been idle, has read many pages or was killed. `Worker.parse` gives what
`notifier.parse.parse` gives, the same `Batch` and the same `PageError`; a page that costs more than `Limits` allow or
crashes the parser is `ParserKilled`, any other exception inside is `ParserFailed`, both of them `PageError`. The event
loop never waits for a parser. A caller that is cancelled takes the worker with it, and the next page gets a new one.

It is a fence against cost and crashes. The worker is no other user and no other root: what it answers is nevertheless
read with a reader that knows only a batch's own types.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import pickle
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

from notifier import log
from notifier.confined import BATCH, LENGTH, MEMORY, PAPERS, TAKEN, Request
from notifier.errors import PageError, ParserFailed, ParserKilled
from notifier.model import Batch, Page, Paper

MIB = 2**20
START_LIMIT = 30.0  # seconds until a new worker is ready
WALL_GRACE = 2.0  # seconds after which a worker that outlived its own clock is killed from outside
IDLE_LIMIT = 60.0  # seconds; a worker that nobody needs holds some 60 MB
PAGES_LIMIT = 500  # of one worker: whatever a library leaks ends with it
ANSWER_LIMIT = 128 * MIB  # of one page's papers; 10,000 papers of full length are 400 MB, of real ones 20 MB

_BOOT = "import sys; sys.path[:] = sys.argv[1:]; from notifier.confined import work; work()"
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL")  # nothing else: secrets may stand in it
_TYPES = {
    ("notifier.model.papers", "AnnounceType"),
    ("notifier.model.papers", "Batch"),
    ("notifier.model.papers", "Paper"),
    ("datetime", "date"),
    ("datetime", "datetime"),
    ("datetime", "timedelta"),
    ("datetime", "timezone"),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one page may cost: seconds of processor and wall clock, bytes of address space."""

    cpu: float = 1.0
    cpu_per_mib: float = 1.0
    wall: float = 60.0
    memory: int = 1024 * MIB

    def cpu_for(self, page: Page) -> float:
        return self.cpu + self.cpu_per_mib * len(page.content) / MIB


@asynccontextmanager
async def confine(limits: Limits | None = None) -> AsyncIterator[Worker]:
    """Give a worker that parses pages within limits; its process ends with the block."""
    worker = Worker(limits or Limits())
    try:
        yield worker
    finally:
        await worker.close()


class Worker:
    """Parses pages in one process, one page at a time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._turn = asyncio.Lock()
        self._current: Process | None = None
        self._started: list[Process] = []
        self._pages = 0
        self._idle: asyncio.TimerHandle | None = None
        self._told_of_refusals = False

    @property
    def pid(self) -> int | None:
        """The worker process, None when there is none now."""
        return self._current.pid if self._current else None

    async def parse(self, page: Page, format: str, selectors: Mapping[str, str] | None = None) -> Batch:
        """Read a page as `format`, as `notifier.parse.parse` does, within the limits.

        Raises `PageError`: `ParserKilled` when the page crossed a limit or crashed the parser, `ParserFailed` for an
        exception that no parser should raise.
        """
        request = Request(page, format, dict(selectors or {}), self._limits.cpu_for(page), self._limits.wall)
        async with self._turn:
            if self._idle:
                self._idle.cancel()
            process = await self._ready()
            keep = False
            try:
                answer = await self._ask(process, request)
                keep = answer[0] != MEMORY
            finally:
                if not keep:  # the caller may have been cancelled: this one is busy with a page that nobody wants
                    self._kill(process)
            self._pages += 1
            if self._pages >= PAGES_LIMIT:
                self._retire()
            elif keep:
                self._idle = asyncio.get_running_loop().call_later(IDLE_LIMIT, self._retire)
        return self._verdict(answer, format)

    async def close(self) -> None:
        """End every process that is left."""
        if self._idle:
            self._idle.cancel()
        for process in self._started:
            self._kill(process)
            await process.wait()

    async def _ready(self) -> Process:
        """Return the worker, started if there is none; raises `PageError`, for which no page is to blame."""
        if self._current and self._current.returncode is None:
            return self._current
        try:
            async with asyncio.timeout(START_LIMIT):
                return await self._start()
        except (OSError, EOFError, pickle.UnpicklingError) as fault:  # TimeoutError is an OSError
            raise PageError(f"the parser could not be started: {type(fault).__name__}: {fault}") from fault

    async def _start(self) -> Process:
        self._started = [each for each in self._started if each.returncode is None]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-c", _BOOT, *sys.path, stdin=PIPE, stdout=PIPE, start_new_session=True,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        )  # fmt: skip
        self._started.append(process)
        try:
            await _send(process, (self._limits.memory,))
            refused, _ = await _receive(process, ANSWER_LIMIT)
        except BaseException:
            self._kill(process)
            raise
        if refused and not self._told_of_refusals:
            self._told_of_refusals = True
            log.parser_unlimited(", ".join(map(str, refused)))
        self._current, self._pages = process, 0
        return process

    async def _ask(self, process: Process, request: Request) -> tuple[Any, ...]:
        """Send a page; return the last frame of the answer, a batch with its papers in it.

        Raises `ParserKilled`, or a plain `PageError` for a worker that was gone before it had the page.
        """
        papers: list[Paper] = []
        left, taken = ANSWER_LIMIT, False
        try:
            async with asyncio.timeout(self._limits.wall + WALL_GRACE):
                await _send(process, request)
                while True:
                    answer, size = await _receive(process, left)
                    left -= size
                    if answer[0] == TAKEN:
                        taken = True
                    elif answer[0] == PAPERS:
                        papers += answer[1]
                        await asyncio.sleep(0)
                    elif answer[0] == BATCH:
                        return BATCH, replace(answer[1], papers=tuple(papers))
                    else:
                        return cast(tuple[Any, ...], answer)
        except TimeoutError:
            raise ParserKilled(_WALL.format(request.wall)) from None
        except (EOFError, OSError):
            self._kill(process)  # it is gone, or closed its pipe: what it died of first stays what it died of
            cause = _cause(await process.wait(), request)
            raise ParserKilled(cause) if taken else PageError(f"the parser was gone: {cause}") from None
        except Exception as fault:
            raise ParserKilled(f"it answered nonsense ({type(fault).__name__}: {fault})") from fault

    def _verdict(self, answer: tuple[Any, ...], format: str) -> Batch:
        """Turn an answer into what `parse` returns or raises."""
        match answer:
            case ("batch", Batch() as batch):
                return batch
            case ("refused", str(reason)):
                raise PageError(reason)
            case ("memory",):
                raise ParserKilled(f"more than {self._limits.memory // MIB} MiB of memory")
            case ("failed", str(name), str(written)):
                raise ParserFailed(f"the parser of {format} failed: {name}", written)
        raise ParserKilled("it answered nonsense")

    def _kill(self, process: Process) -> None:
        if process.returncode is None:
            # Not process.kill(): it polls, which takes the exit status from asyncio, and 255 is reported instead.
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        if self._current is process:
            self._current = None

    def _retire(self) -> None:
        """Let the worker end by closing its input."""
        if self._current and self._current.stdin:
            self._current.stdin.close()
            self._current = None


_CPU, _WALL = "more than {:.2g} CPU-seconds", "more than {:g} seconds"


def _cause(code: int, request: Request) -> str:
    """Say why a worker ended; `code` is negative for a signal."""
    if code == -signal.SIGPROF:
        return _CPU.format(request.cpu)
    if code == -signal.SIGALRM:
        return _WALL.format(request.wall)
    if code < 0:
        return f"it died of {signal.Signals(-code).name}"
    return f"it ended with exit code {code}"


async def _send(process: Process, value: object) -> None:
    assert process.stdin
    content = pickle.dumps(value, protocol=5)
    process.stdin.write(LENGTH.pack(len(content)))
    process.stdin.write(content)
    await process.stdin.drain()


async def _receive(process: Process, most: int) -> tuple[Any, int]:
    """Return one frame and its size; raises EOFError (IncompleteReadError) when the worker is gone."""
    assert process.stdout
    (size,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
    if size > most:
        raise ValueError(f"more than {ANSWER_LIMIT // MIB} MiB of papers")
    return _Reader(io.BytesIO(await process.stdout.readexactly(size))).load(), size


class _Reader(pickle.Unpickler):
    """Reads a batch and nothing else: a pickle may name any function to call."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _TYPES:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a batch")
        return super().find_class(module, name)
