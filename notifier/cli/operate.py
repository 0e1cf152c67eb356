"""Commands that install and mend: `install-service`, `resume`, `migrate`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from notifier.cli.app import app
from notifier.cli.arguments import FAILED, ConfigOption, config_path, load_config, with_store
from notifier.cli.screen import err, out
from notifier.cli.units import units
from notifier.daemon import utc_now
from notifier.fetch import host_of
from notifier.store import Store
from notifier.store.engine import Database
from notifier.store.migrate import migrate as migrate_database

UNITS = Path("/etc/systemd/system")
CREDENTIAL = "mail.password"


@app.command(
    "install-service",
    epilog="Examples: `notifier install-service`, `notifier install-service --write && systemctl daemon-reload`",
)
def install_service(
    config: ConfigOption = None,
    write: Annotated[bool, typer.Option("--write", help="Write the files instead of printing them.")] = False,
    into: Annotated[Path, typer.Option(help="The folder of the units.")] = UNITS,
    static_user: Annotated[
        bool, typer.Option("--static-user", help="A user that stays, for PostgreSQL's peer authentication.")
    ] = False,
) -> None:
    """Print or write the systemd units, with the paths of this installation and the address of the site."""
    chosen, file = load_config(config), config_path(config).absolute()
    password = file.with_name(CREDENTIAL)
    program = Path(sys.executable).parent / "notifier"  # beside this Python, not what a link points to
    made = units(
        program, file, chosen.web.listen,
        credentials={CREDENTIAL: password} if password.exists() else {}, static_user=static_user,
        postgresql=not chosen.database_url.startswith("sqlite:"),
    )  # fmt: skip
    for name, text in made.items():
        target = Path("/usr/lib/sysusers.d/notifier.conf") if name.endswith(".sysusers.conf") else into / name
        if write:
            target.write_text(text)
            out.print(f"wrote {escape(str(target))}")
        else:
            sys.stdout.write(f"# --- {target}\n{text}\n")
    if write:
        first = "systemd-sysusers; " if static_user else ""
        more = "notifier-backup.timer" if "notifier-backup.timer" in made else "notifier-worker@1"
        out.print(f"now: {first}systemctl daemon-reload; systemctl enable --now notifier {more}")


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
    """Bring the database to this program's schema, after a backup beside it. `run` and `once` do so by themselves."""
    chosen = load_config(config)

    async def work() -> tuple[str | None, str]:
        database = Database(chosen.database_url)
        try:
            database.hold()
            return await migrate_database(database)
        finally:
            await database.close()

    before, after = asyncio.run(work())
    out.print(f"schema {after}" + (", as before" if before == after else f", was {before or 'empty'}"))
