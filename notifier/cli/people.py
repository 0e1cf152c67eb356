"""Commands about subscribers: `subscribe`, `unsubscribe`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from notifier.account import next_digest
from notifier.cadence import LONGEST_WAIT
from notifier.cli.app import app
from notifier.cli.arguments import (
    FAILED,
    ConfigOption,
    QueryCommand,
    address,
    clock_of,
    load_config,
    query_of,
    with_store,
)
from notifier.cli.screen import err, out
from notifier.daemon import utc_now
from notifier.model import (
    Cadence,
    Quiet,
    Subscription,
    Versions,
    Wish,
)
from notifier.query import canonical
from notifier.store import Store


@app.command(
    cls=QueryCommand,
    epilog="Example: `notifier subscribe me@example.org 'graph AND (reasoning OR \"knowledge base\")' --confirmed`",
)
def subscribe(
    email: str,
    query: str,
    config: ConfigOption = None,
    confirmed: Annotated[bool, typer.Option("--confirmed", help="The owner of the address agreed.")] = False,
    cadence: Annotated[Cadence, typer.Option(help="When to send.")] = Cadence.DAILY,
    at: Annotated[str, typer.Option(help="Local time of daily and weekly digests.")] = "08:00",
    weekday: Annotated[str, typer.Option(help="Of weekly digests.")] = "monday",
    timezone: Annotated[str | None, typer.Option(help="IANA zone; default: the configuration's.")] = None,
    versions: Annotated[
        Versions, typer.Option(help="Papers once, cross-lists too, or later versions too.")
    ] = Versions.NEW,
    quiet: Annotated[
        Quiet, typer.Option(help="What to send when nothing was found: nothing, a note, a note after a silent week.")
    ] = Quiet.NOTHING,
) -> None:
    """Subscribe an address to a query. What was found before is not sent."""
    if not confirmed:
        raise typer.BadParameter(
            "say --confirmed when the owner of the address agreed; who signs up on the site is asked by mail",
            param_hint="--confirmed",
        )
    chosen = load_config(config)
    clock = clock_of(chosen, cadence, at, weekday, timezone)
    if quiet is not Quiet.NOTHING and cadence not in LONGEST_WAIT:
        raise typer.BadParameter("only a daily or weekly digest has quiet days", param_hint="--quiet")
    meaning = canonical(query_of(query))

    async def work(store: Store) -> Subscription:
        wish = Wish(
            email=address(email), label=query.strip(), canonical=meaning, clock=clock, versions=versions, quiet=quiet
        )
        return await store.subscribe(wish, origin="cli", now=utc_now())

    made = with_store(chosen, work)
    out.print(f"{escape(email)} is subscribed to {escape(meaning)}; next digest: {next_digest(made)}")


@app.command(epilog="Example: `notifier unsubscribe me@example.org`")
def unsubscribe(email: str, config: ConfigOption = None) -> None:
    """End all mail to an address, at once."""
    chosen = load_config(config)

    async def work(store: Store) -> bool:
        return await store.unsubscribe(address(email), utc_now())

    if not with_store(chosen, work):
        err.print(f"{escape(email)} was not subscribed")
        raise typer.Exit(FAILED)
    out.print(f"{escape(email)} gets no more mail")
