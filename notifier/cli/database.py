"""Commands about the database itself: `db copy`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from notifier.cli.app import app
from notifier.cli.screen import err, out, progress
from notifier.daemon import utc_now
from notifier.store.engine import Database
from notifier.store.move import Moved, move

COPY = "Example: `notifier db copy /var/lib/notifier/notifier.db postgresql://notifier@db.example/notifier`"
db = typer.Typer(help="Move the database.", epilog=COPY, no_args_is_help=True)
app.add_typer(db, name="db")


@db.command(
    epilog="Example: `notifier db copy /var/lib/notifier/notifier.db postgresql://notifier@db.example/notifier`"
)
def copy(
    sqlite: Annotated[Path, typer.Argument(metavar="SQLITE", help="The file; nothing may run on it.")],
    postgres: Annotated[str, typer.Argument(metavar="POSTGRES", help="The URL of an empty database.")],
) -> None:
    """Move an installation from SQLite to PostgreSQL, and read both sides through to compare them.

    Nothing is sent again. Afterwards no mail leaves the old database any more.
    """
    if not sqlite.is_file():
        raise typer.BadParameter(f"there is no file {sqlite}", param_hint="SQLITE")
    if not postgres.startswith(("postgresql://", "postgresql+psycopg://")):
        raise typer.BadParameter('write "postgresql://user@host/name"', param_hint="POSTGRES")

    async def work() -> list[Moved]:
        source, target = Database(f"sqlite:///{sqlite.absolute()}"), Database(postgres)
        try:
            with progress() as show:
                return await move(source, target, utc_now(), lambda table, rows: show(f"{table}: {rows} rows"))
        finally:
            await target.close()
            await source.close()

    for each in asyncio.run(work()):
        if each.rows:
            out.print(f"{each.table:<14} {each.rows:>10,} rows  {each.digest[:16]}")
    out.print("everything is there and reads back alike: set `database` to it in config.toml, and start the program")
    err.print(f"no mail leaves {escape(str(sqlite))} any more; keep it until you have seen the new one at work")
