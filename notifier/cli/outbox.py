"""Commands that look after the outbox: `outbox list`, `show`, `retry`, `hold`, `release`, `discard`.

Each may run beside the daemon: a command is one transaction, and the daemon sees at its next look what was done.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from notifier.cli.app import app
from notifier.cli.arguments import FAILED, USAGE, ConfigOption, Json, load_config, with_store
from notifier.cli.screen import err, out, print_table, when
from notifier.daemon import utc_now
from notifier.model import OutboxId, OutboxState, Parcel
from notifier.store import Store

COLOURS = {
    OutboxState.SENT: "green",
    OutboxState.FAILED: "red",
    OutboxState.HELD: "red",
    OutboxState.DEFERRED: "yellow",
}
EVERY = 1_000_000  # messages that one command changes at most

outbox = typer.Typer(no_args_is_help=True, help="Look after the messages that wait, are held, or were sent.")
app.add_typer(outbox, name="outbox")

Numbers = Annotated[list[int] | None, typer.Argument(help="Numbers, as `notifier outbox list` shows them.")]
State = Annotated[list[OutboxState] | None, typer.Option("--state", help="Only these; may be given again.")]
To = Annotated[str, typer.Option("--to", help="Only to this address, or to @DOMAIN.")]
All = Annotated[bool, typer.Option("--all", help="Every message that this may be done to.")]


@outbox.command(
    name="list", epilog="Examples: `notifier outbox list --state held`, `notifier outbox list --to @example.org`"
)
def list_(
    state: State = None,
    to: To = "",
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 50,
    as_json: Json = False,
    config: ConfigOption = None,
) -> None:
    """List messages, the newest first: what they are, how their delivery stands, and the relay's last words."""

    async def work(store: Store) -> list[Parcel]:
        return await store.parcels(states=state or (), limit=limit, recipient=_address(to), domain=_domain(to))

    found = with_store(load_config(config), work)
    if as_json:
        out.print_json(json.dumps([_plain(each) for each in found]))
        return
    if not found:
        out.print("no message is like that" if state or to else "there are no messages")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("no", "state", "to", "what", "queued", "next attempt"):
        table.add_column(column, no_wrap=column in ("no", "state"))
    for each in found:
        waits = each.state in (OutboxState.QUEUED, OutboxState.DEFERRED)
        table.add_row(
            str(each.outbox_id), _coloured(each.state), escape(each.recipient), escape(_what(each)),
            when(each.queued_at), when(each.next_attempt_at) if waits else "",
        )  # fmt: skip
    print_table(table)
    for each in found:
        if each.reply and each.state is not OutboxState.SENT:
            out.print(f"{each.outbox_id}: {escape(_words(each))}")


@outbox.command(epilog="Example: `notifier outbox show 12`")
def show(
    number: Annotated[int, typer.Argument(help="As `notifier outbox list` shows it.")],
    as_json: Json = False,
    config: ConfigOption = None,
) -> None:
    """Show one message: everything known of its delivery."""

    async def work(store: Store) -> list[Parcel]:
        return await store.parcels(ids=[OutboxId(number)])

    found = with_store(load_config(config), work)
    if not found:
        err.print(f"there is no message {number}: see `notifier outbox list`")
        raise typer.Exit(FAILED)
    [each] = found
    if as_json:
        out.print_json(json.dumps(_plain(each)))
        return
    out.print(f"[bold]{each.outbox_id}[/bold]  {_coloured(each.state)}  {escape(_what(each))}")
    rows = [
        ("to", each.recipient), ("Message-ID", each.message_id), ("queued", when(each.queued_at)),
        ("attempts", str(each.attempts)), ("without an answer", str(each.doubts)), ("crashes", str(each.crashes)),
        ("relay said", _words(each)), ("settled", when(each.settled_at) if each.settled_at else ""),
        ("next attempt", when(each.next_attempt_at) if each.state in _WAITING else ""),
    ]  # fmt: skip
    for name, value in rows:
        if value not in ("", "0"):
            out.print(f"{name + ':':19}{escape(value)}", highlight=False)


@outbox.command(epilog="Example: `notifier outbox retry --all`")
def retry(numbers: Numbers = None, everything: All = False, to: To = "", config: ConfigOption = None) -> None:
    """Offer deferred messages again now, not at their next attempt."""
    now = utc_now()
    _change("retry", [OutboxState.DEFERRED], numbers, everything, to, config,
            lambda store, ids: store.retry(ids, now), "due now")  # fmt: skip


@outbox.command(epilog="Example: `notifier outbox hold --to @example.org`")
def hold(numbers: Numbers = None, everything: All = False, to: To = "", config: ConfigOption = None) -> None:
    """Set messages that wait aside, until `release` or `discard`."""
    _change("hold", _WAITING, numbers, everything, to, config,
            lambda store, ids: store.set_aside(ids), "held")  # fmt: skip


@outbox.command(epilog="Example: `notifier outbox release 12`")
def release(numbers: Numbers = None, everything: All = False, to: To = "", config: ConfigOption = None) -> None:
    """Let held messages go: the same bytes, now. One that was in doubt may arrive a second time."""
    now = utc_now()
    _change("release", [OutboxState.HELD], numbers, everything, to, config,
            lambda store, ids: store.let_go(ids, now), "released")  # fmt: skip


@outbox.command(epilog="Example: `notifier outbox discard 12 --return-papers`")
def discard(
    numbers: Numbers = None,
    everything: All = False,
    to: To = "",
    return_papers: Annotated[
        bool, typer.Option("--return-papers", help="Their papers go with the next digest; else they are lost.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Give up messages that wait or are held: they are never sent."""
    now = utc_now()
    _change("discard", [*_WAITING, OutboxState.HELD], numbers, everything, to, config,
            lambda store, ids: store.discard(ids, now, return_to_owed=return_papers), "discarded")  # fmt: skip


_WAITING = [OutboxState.QUEUED, OutboxState.DEFERRED]


def _change(
    what: str,
    states: Sequence[OutboxState],
    numbers: Sequence[int] | None,
    everything: bool,
    to: str,
    config: Any,
    change: Callable[[Store, Sequence[OutboxId]], Awaitable[list[OutboxId]]],
    done_word: str,
) -> None:
    """Change the messages that were named; exit 1 when one of them is in no state for it, 2 when none was named."""
    if not numbers and not everything and not to:
        err.print(f"[red]error:[/red] name messages: `notifier outbox {what} NUMBER`, --to ADDRESS, or --all")
        raise typer.Exit(USAGE)
    wanted = [OutboxId(number) for number in dict.fromkeys(numbers or ())]

    async def work(store: Store) -> tuple[list[OutboxId], dict[int, Parcel]]:
        known: dict[int, Parcel] = {}
        if wanted:
            known = {each.outbox_id: each for each in await store.parcels(ids=wanted, limit=len(wanted))}
        found = wanted or [
            each.outbox_id
            for each in await store.parcels(states=states, limit=EVERY, recipient=_address(to), domain=_domain(to))
        ]
        return await change(store, found), known

    done, known = with_store(load_config(config), work)
    out.print(f"{len(done)} {'message' if len(done) == 1 else 'messages'} {done_word}")
    for number in wanted:
        if number not in done:
            is_ = f"is {known[number].state}" if number in known else "is not there"
            err.print(f"message {number} {is_}: `{what}` is for messages that are {' or '.join(states)}")
    if len(done) < len(wanted):
        raise typer.Exit(FAILED)


def _address(to: str) -> str:
    return "" if to.startswith("@") else to


def _domain(to: str) -> str:
    return to[1:].lower() if to.startswith("@") else ""


def _what(each: Parcel) -> str:
    if each.kind != "digest":
        return f"letter {each.kind}"
    return "digest immediate" if each.period.startswith("immediate ") else f"digest {each.period}"


def _words(each: Parcel) -> str:
    return f"{each.code or ''} {each.reply}".strip()


def _coloured(state: OutboxState) -> str:
    colour = COLOURS.get(state, "default")
    return f"[{colour}]{state}[/{colour}]"


def _plain(each: Parcel) -> dict[str, Any]:
    """Return it for JSON, instants as ISO 8601."""
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in asdict(each).items()}
