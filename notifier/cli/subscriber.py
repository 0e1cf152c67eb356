"""Commands that look after subscribers: `subscriber list`, `subscriber show`, `subscriber resume`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from notifier.account import next_digest
from notifier.cli.app import app
from notifier.cli.arguments import FAILED, ConfigOption, Json, address, load_config, with_store
from notifier.cli.screen import err, out, print_table, when
from notifier.daemon import utc_now
from notifier.model import Subscriber, SubscriberState, Subscription
from notifier.store import Store

COLOURS = {SubscriberState.CONFIRMED: "green", SubscriberState.SUPPRESSED: "red", SubscriberState.PENDING: "yellow"}

subscriber = typer.Typer(
    help="Look after subscribers: list them, show one, send to a suppressed one again.", no_args_is_help=True
)
app.add_typer(subscriber, name="subscriber")


@subscriber.command(
    "list", epilog="Examples: `notifier subscriber list`, `notifier subscriber list --state suppressed --json`"
)
def list_them(
    state: Annotated[
        list[SubscriberState] | None, typer.Option("--state", help="Only these; may be given again.")
    ] = None,
    as_json: Json = False,
    config: ConfigOption = None,
) -> None:
    """List subscribers in the order they came: whether they are sent mail, and for how many queries."""

    async def work(store: Store) -> tuple[list[Subscriber], list[Subscription]]:
        return await store.everybody(), await store.subscriptions()

    people, wishes = with_store(load_config(config), work)
    people = [each for each in people if not state or each.state in state]
    theirs: dict[str, list[Subscription]] = {each.email: [] for each in people}
    for each in wishes:
        theirs.get(each.email, []).append(each)
    if as_json:
        print(json.dumps([_json(each, theirs[each.email]) for each in people], indent=2))
        return
    if not people:
        err.print("nobody is subscribed" if not state else "nobody is like that")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("address", "state", "since", "queries"):
        table.add_column(column, no_wrap=column == "state")
    for person in people:
        table.add_row(
            escape(person.email),
            _coloured(person.state),
            when(person.since),
            str(sum(one.active for one in theirs[person.email])),
        )
    print_table(table)


@subscriber.command(epilog="Example: `notifier subscriber show me@example.org`")
def show(email: str, as_json: Json = False, config: ConfigOption = None) -> None:
    """Show one subscriber: whether mail is sent and why not, each query, and when its next digest is due."""
    email = address(email)

    async def work(store: Store) -> tuple[Subscriber | None, list[Subscription]]:
        return await store.subscriber(email), await store.subscriptions(email)

    found, theirs = with_store(load_config(config), work)
    if found is None:
        err.print(f"{escape(email)} is not subscribed")
        raise typer.Exit(FAILED)
    if as_json:
        print(json.dumps(_json(found, theirs), indent=2))
        return
    why = f" ({escape(found.health)})" if found.health else ""
    out.print(f"{escape(email)}: {_coloured(found.state)} since {when(found.since)}{why}")
    for each in theirs:
        ends = f"next digest: {next_digest(each)}" if each.active else "ended"
        if found.state is not SubscriberState.CONFIRMED:
            ends = "no mail is sent"
        out.print(f"  {escape(each.label)}\n    {each.clock.cadence}; {escape(ends)}")


@subscriber.command(epilog="Example: `notifier subscriber resume me@example.org`")
def resume(email: str, config: ConfigOption = None) -> None:
    """Send to a suppressed address again; its score starts anew, and what was found meanwhile is not sent."""

    async def work(store: Store) -> tuple[bool, str]:
        done = await store.resume(address(email), utc_now())
        found = await store.subscriber(address(email))
        return done, str(found.state) if found else "not subscribed"

    done, state = with_store(load_config(config), work)
    if not done:
        err.print(f"{escape(email)} is not suppressed: {state}")
        raise typer.Exit(FAILED)
    out.print(f"{escape(email)} gets mail again")


def _coloured(state: SubscriberState) -> str:
    colour = COLOURS.get(state)
    return f"[{colour}]{state}[/{colour}]" if colour else str(state)


def _json(found: Subscriber, theirs: list[Subscription]) -> dict[str, Any]:
    return {
        "email": found.email,
        "state": str(found.state),
        "since": found.since.isoformat(),
        "subscriptions": [
            {
                "query": each.label,
                "canonical": each.canonical,
                "cadence": str(each.clock.cadence),
                "active": each.active,
                "next_digest_at": each.next_due_at.isoformat() if each.next_due_at else None,
            }
            for each in theirs
        ],
    }
