"""Commands about what came back: `bounces list` and `bounces show`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from notifier.cli.app import app
from notifier.cli.arguments import FAILED, ConfigOption, Json, load_config, with_store
from notifier.cli.screen import err, out, print_table, when
from notifier.daemon import utc_now
from notifier.model import Bounce, BounceKind
from notifier.store import Store

WEEK = timedelta(days=7)
COLOURS = {BounceKind.HARD: "red", BounceKind.COMPLAINT: "red", BounceKind.SOFT: "yellow", BounceKind.REFUSED: "yellow"}

bounces = typer.Typer(help="What came back to the bounce address.", no_args_is_help=True)
app.add_typer(bounces, name="bounces")


@bounces.command("list", epilog="Examples: `notifier bounces list`, `notifier bounces list --unclear`")
def list_them(
    config: ConfigOption = None,
    unclear: Annotated[
        bool, typer.Option("--unclear", help="Only what nothing was made of: for you to look at.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 30,
    as_json: Json = False,
) -> None:
    """Show what came back, newest first; whom it counted against, and why."""
    now = utc_now()

    async def work(store: Store) -> tuple[list[Bounce], Mapping[BounceKind, int], int]:
        found = await store.bounces(limit, unclear=unclear)
        return found, await store.bounce_counts(now - WEEK), await store.suppressed_since(now - WEEK)

    found, counts, suppressed = with_store(load_config(config), work)
    if as_json:
        print(json.dumps([_json(each) for each in found], indent=2))
        return
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items())) or "nothing"
    out.print(f"came back in 7 days: {kinds}; suppressed in 7 days: {suppressed}")
    if not found:
        return
    table = Table("number", "received", "kind", "about", "status", "words", box=None, pad_edge=False)
    for each in found:
        colour = COLOURS.get(each.kind)
        kind = f"[{colour}]{each.kind}[/{colour}]" if colour else str(each.kind)
        counted = " (counted)" if each.counted else ""
        words = each.diagnostic if len(each.diagnostic) <= 120 else each.diagnostic[:119] + "…"
        table.add_row(
            str(each.number), when(each.received_at), kind, escape(_about(each)) + counted, each.status, escape(words)
        )
    print_table(table)


@bounces.command(epilog="Example: `notifier bounces show 17`")
def show(number: int, config: ConfigOption = None) -> None:
    """Show one mail that came back; the mail itself where it was kept, with what no terminal should obey escaped."""

    async def work(store: Store) -> tuple[Bounce, bytes | None] | None:
        return await store.bounce(number)

    found = with_store(load_config(config), work)
    if found is None:
        err.print(f"there is no bounce {number}: see `notifier bounces list`")
        raise typer.Exit(FAILED)
    bounce, content = found
    for name, value in _json(bounce).items():
        out.print(f"{name}: {escape(str(value))}", soft_wrap=True)
    if content is None:
        out.print("the mail itself was understood and not kept")
        return
    sys.stdout.write("\n" + "".join(map(_printable, content.decode("utf-8", "replace"))) + "\n")


def _about(bounce: Bounce) -> str:
    """Whom it is about; what only the mail itself claims is in question."""
    return bounce.email or (f"{bounce.recipient}?" if bounce.recipient else "nobody known")


def _json(bounce: Bounce) -> dict[str, Any]:
    received: datetime = bounce.received_at
    return {
        "number": bounce.number,
        "received_at": received.isoformat(),
        "kind": str(bounce.kind),
        "subscriber": bounce.email,
        "recipient": bounce.recipient,
        "status": bounce.status,
        "diagnostic": bounce.diagnostic,
        "counted": bounce.counted,
        "kept": bounce.kept,
    }


def _printable(character: str) -> str:
    return character if character.isprintable() or character in "\n\t" else ascii(character)[1:-1].replace("\\r", "")
