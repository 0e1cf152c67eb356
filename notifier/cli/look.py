"""Commands about the installation and its listings: `check`, `status`, `check-listing`."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from notifier import __version__, log
from notifier.cli.app import app
from notifier.cli.arguments import (
    BAD_CONFIG,
    FAILED,
    OK,
    PLACES,
    ConfigOption,
    Json,
    format_of,
    load_config,
    selectors_of,
    with_store,
)
from notifier.cli.screen import err, out, progress, show
from notifier.config import STATE, Config
from notifier.confine import confine
from notifier.daemon import utc_now
from notifier.errors import ConfigError, NotifierError
from notifier.fetch import client
from notifier.model import (
    Listing,
    Outcome,
)
from notifier.probe import Probe, name_of, probe, table
from notifier.probe import lines as probe_lines
from notifier.rehearse import rehearse
from notifier.status import Status
from notifier.status import as_json as status_json
from notifier.status import lines as status_lines
from notifier.status import status as look_at_status
from notifier.store import Store, open_store


@app.command(epilog="Example: `notifier check && systemctl restart notifier`")
def check(config: ConfigOption = None) -> None:
    """Find every mistake in the configuration, the templates and the database, without starting or sending."""
    chosen = load_config(config)
    problems = []
    if chosen.templates:
        problems += [str(fault) for fault in rehearse(chosen.path(chosen.templates))]
    if chosen.base_url.startswith("http://") and "127.0.0.1" not in chosen.base_url:
        out.print("[yellow]note:[/yellow] base_url is http: one-click unsubscribe (RFC 8058) needs https")

    async def nothing(_store: Store) -> None:
        """Opening it is the check."""

    try:
        if _has_database(chosen):
            with_store(chosen, nothing)
        else:
            problems += _no_place(chosen)
    except NotifierError as fault:
        problems.append(str(fault))
    for problem in problems:
        err.print(f"[red]error:[/red] {escape(problem)}")
    if problems:
        raise typer.Exit(BAD_CONFIG)
    if not chosen.listing:
        err.print("[yellow]note:[/yellow] there is no [bold]\\[\\[listing]][/bold]: nothing is watched")
    counts = ((len(chosen.listing), "listing"), (len(chosen.subscription), "configured subscription"))
    out.print("well: " + ", ".join(f"{count} {what}{'s' * (count != 1)}" for count, what in counts))


@app.command(epilog="Examples: `notifier status`, `notifier status --json | jq .outbox`")
def status(config: ConfigOption = None, as_json: Json = False) -> None:
    """Show how every listing fares and why, what is left alone for now, the outbox and the subscribers.

    The exit code is 1 when a listing failed or is stale.
    """
    chosen = load_config(config)

    async def look(store: Store) -> Status:
        return await look_at_status(store, chosen.listings, utc_now())

    seen = with_store(chosen, look)
    if as_json:
        print(json.dumps(status_json(seen), indent=2))
    else:
        show(status_lines(seen))
    raise typer.Exit(OK if seen.well else FAILED)


@app.command(
    "check-listing",
    epilog="Examples: `notifier check-listing https://export.arxiv.org/rss/cs.CL`, `notifier check-listing "
    "https://example.org/papers --selector item=article --selector title=h3 --contact me@example.org`",
)
def check_listing(
    url: Annotated[str, typer.Argument(metavar="URL")],
    form: Annotated[str | None, typer.Option("--format", help="By default the one that reads most.")] = None,
    selector: Annotated[
        list[str] | None, typer.Option(metavar="FIELD=CSS", help="For the format html; repeat it for each field.")
    ] = None,
    allow_private: Annotated[bool, typer.Option("--allow-private", help="The page is on a private address.")] = False,
    contact: Annotated[
        str | None,
        typer.Option(envvar="NOTIFIER_CONTACT", help="Whom the site may ask; by default the configuration's."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Fetch a page once and show what a listing would read there, with the table for config.toml.

    Of what is read nothing is kept. A site that the installation leaves alone for now is not asked here either.
    """
    log.setup(level=logging.ERROR)
    selectors = selectors_of(selector or [])
    listing = Listing(
        name=name_of(url), url=url, format=format_of(form, selectors), selectors=selectors, allow_private=allow_private
    )
    configured = config or any(map(Path.exists, PLACES))
    if not configured and not contact:
        raise ConfigError(
            ["no configuration says whom the site may ask about us: --contact me@example.org, or --config"]
        )
    chosen = load_config(config) if configured else None
    asking = contact or (chosen.contact if chosen else "")

    async def look() -> Probe:
        async with AsyncExitStack() as stack:
            known = (
                await stack.enter_async_context(open_store(chosen.database_url))
                if chosen and _has_database(chosen)
                else None
            )
            web = await stack.enter_async_context(client(asking, __version__, hosts=known))
            worker = await stack.enter_async_context(confine())
            return await probe(web, worker, listing, utc_now())

    with progress() as tell:
        tell(f"reading {escape(url)}")
        seen = asyncio.run(look())
    show(probe_lines(seen))
    if seen.verdict.outcome is Outcome.FAILED:
        raise typer.Exit(FAILED)
    out.print(f"\n{escape(table(seen.listing))}", soft_wrap=True)


def _no_place(config: Config) -> list[str]:
    """Say that the folder is missing in which a database is to be made; systemd makes that of the service."""
    folder = Path(config.database_url.removeprefix("sqlite:///")).parent
    if folder.is_dir() or folder == STATE:
        return []
    return [f"database: {folder} is not a directory: make it, or set `database` to another place"]


def _has_database(config: Config) -> bool:
    """Tell whether there is something to open: a look makes no database."""
    file = config.database_url.removeprefix("sqlite:///")
    return file == config.database_url or Path(file).exists()
