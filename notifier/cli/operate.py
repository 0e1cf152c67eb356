"""Commands that mend: `resume`, `migrate`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.markup import escape

from notifier.cli.app import app
from notifier.cli.arguments import FAILED, ConfigOption, load_config, with_store
from notifier.cli.screen import err, out
from notifier.daemon import utc_now
from notifier.fetch import host_of
from notifier.store import Store
from notifier.store.engine import Database
from notifier.store.migrate import migrate as migrate_database


@app.command(epilog="Example: `notifier resume arxiv.org`")
def resume(
    host: Annotated[str, typer.Argument(help="As `notifier status` names it.")], config: ConfigOption = None
) -> None:
    """Ask a host again that is left alone, because it refused us or was asked too often."""
    chosen, now = load_config(config), utc_now()
    theirs = [listing.name for listing in chosen.listings if host_of(listing) == host]

    async def work(store: Store) -> bool:
        return await store.resume_host(host, theirs, now)

    if not with_store(chosen, work):
        err.print(f"{escape(host)} is not left alone: see `notifier status`")
        raise typer.Exit(FAILED)
    out.print(f"{escape(host)} is asked again now: {', '.join(map(escape, theirs)) or 'no listing is there'}")


@app.command(epilog="Example: `notifier migrate`")
def migrate(config: ConfigOption = None) -> None:
    """Bring the database to this program's schema. `run` and `once` do so by themselves."""
    chosen = load_config(config)

    async def work() -> tuple[str | None, str]:
        database = Database(chosen.database_url)
        try:
            return await migrate_database(database)
        finally:
            await database.close()

    before, after = asyncio.run(work())
    out.print(f"schema {after}" + (", as before" if before == after else f", was {before or 'empty'}"))
