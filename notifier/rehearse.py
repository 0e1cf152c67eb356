"""Rehearse: write sample mails with each template that the operator replaced, before a reader gets one.

A template can compute without end or fill the memory, and no sandbox within a process stops that. So each is tried in a
process of its own with limits on processor time, memory and the size of what it writes; one that exceeds them, or
fails with the samples, is named and not used: the built-in one is. Pages of the site are tried with made-up values,
which tells a bomb from a template and no more.

Owns the samples. `rehearse` never raises for what a template does.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from notifier.compose import compose
from notifier.compose.fragments import Fragments
from notifier.compose.letter import compose_letter
from notifier.errors import TemplateError
from notifier.model import Cadence, Coverage, Digest, DigestEntry, Letter, LetterKind, Marks, Outcome, Paper
from notifier.templates import Templates

PROCESSOR = 2  # seconds for one template with all its samples; the built-in ones take a tenth of one
MEMORY = 1_000_000_000  # octets of address space
PATIENCE = 60.0  # seconds for the process as a whole
LONGEST = 1_000_000  # octets of one mail
NOW = datetime(2026, 11, 21, 7, 0, tzinfo=UTC)
SENDER = ("Papers", "papers@example.org")
_BOOT = "import sys; sys.path[:] = sys.argv[2:]; from notifier.rehearse import work; work(sys.argv[1])"


def rehearse(folder: Path) -> list[TemplateError]:
    """Return what is wrong with the operator's templates: what is seen in them, and what trying them shows."""
    templates = Templates(folder)
    faults = [missing] if (missing := templates.missing()) else []
    left = templates.replaced()
    while left:
        found, tried = _in_a_process(folder, left)
        faults += found
        left = left[tried:]
    return faults


def _in_a_process(folder: Path, names: Sequence[str]) -> tuple[list[TemplateError], int]:
    """Try templates until one ends the process; return what was found, and how many were tried."""
    command = [sys.executable, "-I", "-c", _BOOT, str(folder), *sys.path]
    try:
        done = subprocess.run(  # noqa: S603 - ourselves
            command, input="\n".join(names), capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        lines, status = done.stdout.splitlines(), done.returncode
    except subprocess.TimeoutExpired as late:
        lines, status = (late.stdout or b"").decode().splitlines(), -signal.SIGXCPU
    told = [json.loads(line) for line in lines if line.endswith("]")]
    found = [TemplateError(*fault) for faults in told for fault in faults]
    if len(told) >= len(names):
        return found, len(names)
    ended = f"takes more than {PROCESSOR} seconds" if status in (-signal.SIGXCPU, -signal.SIGKILL) else "takes too much"
    return [*found, TemplateError(names[len(told)], f"{ended} to write sample mails: it is not used")], len(told) + 1


def work(folder: str) -> None:
    """Try the templates named on standard input; for each, one line of JSON says what was wrong."""
    names = sys.stdin.read().splitlines()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name in names:
        spent = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2])) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (spent + PROCESSOR, resource.RLIM_INFINITY))
        found: list[TemplateError] = []
        alone = Templates(Path(folder), found.append, only=(name,))
        if fault := alone.examine(name):
            found.append(fault)
        else:
            _write_samples(name, alone, found)
        faults = dict.fromkeys((fault.template, fault.reason, fault.line) for fault in found)
        print(json.dumps([*faults]), flush=True)
    os._exit(0)  # nothing here wants to be closed


def _write_samples(name: str, templates: Templates, found: list[TemplateError]) -> None:
    def size(write: Callable[[], bytes | str]) -> None:
        try:
            if len(written := write()) > LONGEST:
                found.append(TemplateError(name, f"writes {len(written):,} octets for one mail"))
        except TemplateError as fault:
            found.append(fault)
        except MemoryError:
            found.append(TemplateError(name, "takes too much memory to write a sample"))

    if not name.startswith("email/"):
        size(lambda: templates.made_up(name))
        return
    for digest in digests():
        size(lambda digest=digest: compose(digest, Fragments(templates)))  # type: ignore[misc]
    for letter in letters():
        size(
            lambda letter=letter: compose_letter(  # type: ignore[misc]
                letter, "<sample@example.org>", SENDER, "https://papers.example.org", templates, NOW
            )
        )


# --- the samples ------------------------------------------------------------------------------------------------------


def digests() -> list[Digest]:
    """Return a digest of more papers than are shown, one of a single paper, and one of a quiet day."""
    full = Digest(
        message_id="<sample@example.org>",
        date=NOW,
        sender=SENDER,
        recipient="reader@example.org",
        timezone="UTC",
        cadence=Cadence.DAILY,
        entries=tuple(_entry(number) for number in range(100)),
        labels=("graph reasoning", "small models"),
        coverage=(_coverage("daily", Outcome.FRESH), _coverage("weekly", Outcome.FAILED)),
        list_id="papers.example.org",
        unsubscribe_url="https://papers.example.org/unsubscribe/sample",
        unsubscribe_mailto="bounces+sample@example.org",
        web_url="https://papers.example.org/digests/sample",
        feed_url="https://papers.example.org/feeds/private/sample.atom",
        manage_url="https://papers.example.org/manage/sample",
        help_url="https://papers.example.org/",
        thumbnails=True,
    )
    one = replace(full, entries=full.entries[:1], unsubscribe_mailto="", cadence=Cadence.IMMEDIATE)
    quiet = replace(full, entries=(), coverage=(_coverage("daily", Outcome.QUIET),), cadence=Cadence.WEEKLY)
    return [full, one, quiet]


def letters() -> list[Letter]:
    """Return a letter of each kind."""
    link = {"text": "Confirm here", "url": "https://papers.example.org/confirm/sample"}
    words: dict[str, object] = {"heading": "A sample", "paragraphs": ["This is a sample."]}
    values: dict[LetterKind, dict[str, object]] = {
        LetterKind.CONFIRM: {"labels": ["graph reasoning", "*"], "confirm_url": link["url"]},
        LetterKind.ALARM: {**words, "remedy": "Nothing needs to be done."},
        LetterKind.NOTE: {**words, "links": [link]},
    }
    return [Letter(kind=kind, recipient="reader@example.org", key="sample", values=values[kind]) for kind in LetterKind]


def _entry(number: int) -> DigestEntry:
    title = f"Sample Paper {number} on Graph Reasoning & <Angle Brackets>"
    paper = Paper(
        source="sample",
        source_key=str(number),
        title=title,
        url=f"https://papers.example.org/sample/{number}",
        abstract="Nothing is claimed here, and graph reasoning is mentioned. " * (number % 20),
        authors=("A. Sample", "Børge Muster")[: number % 3],
        categories=("cs.CL",),
        upvotes=number % 4 or None,
        thumbnail="https://papers.example.org/sample.png" if number % 2 else None,
    )
    marks = Marks(title=((20, 35),) if number < 10 else (), abstract=(), words=("Graph Reasoning",))
    return DigestEntry(paper=paper, marks=marks, labels=("graph reasoning",)[: number % 2], listings=("daily",))


def _coverage(listing: str, outcome: Outcome) -> Coverage:
    return Coverage(
        listing=listing, outcome=outcome, polled_at=NOW, listed_on=date(2026, 11, 20), read=100, stated=100, new=80,
        reason="a sample", fresh_at=NOW - timedelta(days=1),
    )  # fmt: skip
