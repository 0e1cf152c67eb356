"""What the terminal shows: two consoles, and how tables, times and outcomes look on them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from notifier.model import Outcome, Poll, Span

WIDE = 2_000  # columns of a table that no terminal shows: one line for each row, for grep

out = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
err = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())


def show(lines: Iterable[str]) -> None:
    """Print lines of markup; on a terminal, what does not fit goes on under the line's indent."""
    for line in lines:
        text = line.lstrip(" ")
        if out.is_terminal and text:
            out.print(Padding(Text.from_markup(text), (0, 0, 0, len(line) - len(text)), expand=False))
        else:
            out.print(line, soft_wrap=True)


def print_document(text: str) -> None:
    """Print a file for a pipe or a file as it is, in UTF-8 whatever the locale; on a terminal, what it can show."""
    if sys.stdout.isatty() or not hasattr(sys.stdout, "buffer"):
        sys.stdout.write(text)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())


def print_table(table: Table) -> None:
    out.print(table, width=None if out.is_terminal else WIDE)


def show_polls(polls: Sequence[Poll]) -> None:
    table = Table("listing", "outcome", "new", "reason", box=None, pad_edge=False)
    for poll in polls:
        table.add_row(escape(poll.listing), coloured(poll.outcome), str(poll.new), escape(poll.reason))
    print_table(table)


def marked(text: str, spans: Sequence[Span]) -> str:
    pieces, at = [], 0
    for start, end in spans:
        pieces += [escape(text[at:start]), f"[bold yellow]{escape(text[start:end])}[/bold yellow]"]
        at = end
    return "".join([*pieces, escape(text[at:])])


def coloured(outcome: Outcome) -> str:
    colour = {Outcome.FRESH: "green", Outcome.FAILED: "red", Outcome.STALE: "yellow"}.get(outcome)
    return f"[{colour}]{outcome}[/{colour}]" if colour else str(outcome)


def when(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "never"


def progress() -> Any:
    """A context that shows what is being done, on a terminal; silent elsewhere."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return nullcontext(lambda _step: None)
    spinner = err.status("starting")

    class Shown:
        def __enter__(self) -> Callable[[str], None]:
            spinner.start()
            return spinner.update

        def __exit__(self, *_: object) -> None:
            spinner.stop()

    return Shown()
