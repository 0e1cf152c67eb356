"""The inside of the fence: reads pages one after the other on standard input, answers on standard output.

Runs in a process of its own, started by `notifier.confine`, which is the outside. Promises to touch nothing but its
two pipes: address space, open files and written files are limited by rlimits (setrlimit(2)) from before the first
page, processor and wall-clock time by interval timers (setitimer(2)) from page to page; the default action of their
signals ends the process wherever it is, also in the middle of C. It ends by itself when its input ends, so it never
outlives the program. Imports little: its start is paid by whoever waits for the first page.

A frame is four bytes of length (big-endian) and a pickle. In: the most memory, then a `Request` per page. Out: the
limits that could not be set, then for each page `taken`, any number of `papers`, and one of `batch`, `refused`,
`failed`, `memory`.
"""

from __future__ import annotations

import contextlib
import copyreg
import io
import os
import pickle
import resource
import signal
import struct
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import BinaryIO

from notifier.errors import PageError
from notifier.model import AnnounceType, Page

OPEN_FILES = 32  # the parsers open none; a codec that is met for the first time is a file
PAPERS_IN_FRAME = 200  # so that reading an answer never holds the reader up
TRACEBACK_LIMIT = 8_000  # characters
LENGTH = struct.Struct(">I")

TAKEN, PAPERS, BATCH, REFUSED, FAILED, MEMORY = "taken", "papers", "batch", "refused", "failed", "memory"


@dataclass(frozen=True, slots=True)
class Request:
    """One page to read as one format, and what that may cost: `cpu` and `wall` in seconds."""

    page: Page
    format: str
    selectors: Mapping[str, str]
    cpu: float
    wall: float


def work() -> None:
    """Serve until standard input ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # meant for the program, which closes the pipe when it is done
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    from notifier.parse import load

    load()  # what parsing needs, before memory and time are limited
    (memory,) = pickle.loads(_read(requests))  # noqa: S301 - from the program that started us
    refused = _limit(memory)
    _silence()
    _write(answers, [_frame(refused)])
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            request = pickle.loads(_read(requests))  # noqa: S301
            _write(answers, [_TAKEN])
            frames = _answer(request)
            _write(answers, frames)
            if frames is _OUT_OF_MEMORY:
                break
    os._exit(0)  # nothing here wants to be closed, and the heap may be in no state for it


def _limit(memory: int) -> list[str]:
    """Set every limit on this process; return those that the system refused."""
    refused = []
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
        file.write("1000")  # when memory runs out for everybody, the kernel should take this process
    for name, most in (
        ("RLIMIT_AS", memory),
        ("RLIMIT_NOFILE", OPEN_FILES),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_NPROC", 0),
    ):
        kind = getattr(resource, name)
        already = resource.getrlimit(kind)[1]
        allowed = most if already == resource.RLIM_INFINITY else min(most, already)
        try:
            resource.setrlimit(kind, (allowed, allowed))
        except (OSError, ValueError) as fault:
            refused.append(f"{name} ({fault})")
    return refused


def _silence() -> None:
    """Point the standard streams at nothing: what a library prints would break the frames or the log."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    os.close(nothing)


def _answer(request: Request) -> list[bytes]:
    """Parse one page within its time; return the frames of the answer."""
    signal.setitimer(signal.ITIMER_PROF, request.cpu)
    signal.setitimer(signal.ITIMER_REAL, request.wall)
    try:
        return _parsed(request)
    except MemoryError:
        return _OUT_OF_MEMORY
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _parsed(request: Request) -> list[bytes]:
    from notifier.parse import parse

    try:
        batch = parse(request.page, request.format, request.selectors)
        papers = [batch.papers[i : i + PAPERS_IN_FRAME] for i in range(0, len(batch.papers), PAPERS_IN_FRAME)]
        rest = replace(batch, papers=(), unknown_keys=dict(batch.unknown_keys))
        return [*(_frame((PAPERS, some)) for some in papers), _frame((BATCH, rest))]
    except PageError as fault:
        return [_frame((REFUSED, fault.reason))]
    except MemoryError:
        raise
    except Exception as fault:
        written = "".join(traceback.format_exception(fault, limit=-20))[-TRACEBACK_LIMIT:]
        return [_frame((FAILED, type(fault).__name__, written))]


def _frame(value: object) -> bytes:
    content = _pickled(value)
    return LENGTH.pack(len(content)) + content


def _pickled(value: object) -> bytes:
    """Pickle by type and value alone: before Python 3.11.4 an enum is pickled as a call of getattr."""
    out = io.BytesIO()
    pickler = pickle.Pickler(out, protocol=5)
    pickler.dispatch_table = copyreg.dispatch_table | {AnnounceType: lambda member: (AnnounceType, (member.value,))}
    pickler.dump(value)
    return out.getvalue()


_TAKEN = _frame((TAKEN,))
_OUT_OF_MEMORY = [_frame((MEMORY,))]  # made while there is memory


def _read(stream: BinaryIO) -> bytes:
    """Read one frame; raises EOFError at the end of the stream."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError
    (length,) = LENGTH.unpack(head)
    content = stream.read(length)
    if len(content) < length:
        raise EOFError
    return content


def _write(stream: BinaryIO, frames: list[bytes]) -> None:
    for frame in frames:
        stream.write(frame)
    stream.flush()


if __name__ == "__main__":
    sys.exit("started by notifier.confine, not by hand")
