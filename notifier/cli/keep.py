"""Commands of an operator over the years: `backup`, `restore`, `release`, `prune`, `doctor`."""

from __future__ import annotations

import asyncio
import json
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from notifier import __version__, log
from notifier.cli.app import app
from notifier.cli.arguments import FAILED, OK, ConfigOption, Json, load_config, with_store
from notifier.cli.screen import err, out, print_table, progress
from notifier.config import Config, sender_parts
from notifier.confine import confine
from notifier.daemon import utc_now
from notifier.daemon.steps import prune as prune_all
from notifier.doctor import Finding, Level, Patient, examine, resolver
from notifier.errors import StoreError
from notifier.fetch import client
from notifier.model import OutboxState
from notifier.store import Store, backup
from notifier.store.engine import Database
from notifier.store.migrate import known

WAITING = (OutboxState.QUEUED, OutboxState.DEFERRED)


@app.command(
    "backup",
    epilog="Examples: `notifier backup /var/backups/notifier --keep 14`, `notifier backup before-upgrade.db`",
)
def back_up(
    target: Annotated[Path, typer.Argument(metavar="FILE|FOLDER", help="A folder gets a file named by the time.")],
    config: ConfigOption = None,
    keep: Annotated[int | None, typer.Option(min=1, help="How many backups of a folder remain.")] = None,
) -> None:
    """Copy the database while the program runs, and read the copy through."""
    made = backup.back_up(_sqlite(load_config(config)), target, utc_now(), keep)
    out.print(f"{escape(str(made))}: {made.stat().st_size / 1e6:.1f} MB, verified")


@app.command(
    epilog="Example: `systemctl stop notifier notifier.socket && notifier restore backups/notifier-20260302T033000Z.db`"
)
def restore(
    file: Path,
    config: ConfigOption = None,
    old_people: Annotated[
        bool, typer.Option("--old-people", help="Subscribers as in the backup; who left since stays away.")
    ] = False,
) -> None:
    """Put a backup in the place of the database; its mail waits for `release`.

    What the present database proves is kept: mail that left since the backup is not sent again, and subscribers are as
    they are now.
    """
    chosen = load_config(config)
    place = _sqlite(chosen)
    database = Database(chosen.database_url)
    try:
        database.hold()
        done = backup.restore(file, place, known(), utc_now(), people=not old_people)
    finally:
        asyncio.run(database.close())
    if done.kept:
        out.print(f"the database that was here is kept as {escape(str(done.kept))}")
    if done.compared:
        out.print(f"{done.sent} messages left after the backup: they are not sent again")
        out.print(f"{done.people} people came after the backup and are kept; {done.erased} were erased and stay so")
        out.print("papers that were found after the backup are found again where their pages still show them")
    else:
        out.print("[yellow]what left after the backup is not known:[/yellow] it may be sent a second time")
        out.print(
            "[yellow]who came, changed or left after the backup is not known:[/yellow] they are as they were then"
        )
    out.print(f"{done.waiting} messages wait; no mail leaves until `notifier release`")


@app.command(epilog="Example: `notifier release`")
def release(config: ConfigOption = None) -> None:
    """Let the mail leave again that `restore` held."""

    async def work(store: Store) -> tuple[bool, int]:
        depth = await store.depth()
        return await store.release_mail(), sum(depth.get(state, 0) for state in WAITING)

    was_held, waiting = with_store(load_config(config), work)
    if not was_held:
        err.print("nothing is held")
        raise typer.Exit(FAILED)
    out.print(f"{waiting} messages leave when their time comes")


@app.command(epilog="Example: `notifier prune`")
def prune(config: ConfigOption = None) -> None:
    """Delete what `[retention]` keeps no longer. The daemon does so daily."""
    chosen = load_config(config)
    log.setup(level=30)

    async def work(store: Store) -> int:
        return await prune_all(store, chosen.retention.polls, utc_now())

    out.print(f"{with_store(chosen, work)} polls that brought nothing were deleted")


@app.command(epilog="Examples: `notifier doctor`, `notifier doctor --json | jq '.[] | select(.level != \"green\")'`")
def doctor(
    config: ConfigOption = None,
    as_json: Json = False,
    dns: Annotated[str | None, typer.Option("--dns", metavar="ADDRESS[:PORT]", help="Ask this name server.")] = None,
) -> None:
    """Examine everything around the program: machine, listings, site, relay, DNS. Sends and changes nothing.

    The exit code is 1 when a finding is red.
    """
    chosen = load_config(config)
    log.setup(level=50)
    asking = resolver(*_name_server(dns))

    async def work() -> list[Finding]:
        async with client(chosen.contact, __version__) as web, confine() as worker:
            return await examine(_patient(chosen), web, worker, asking, utc_now())

    with progress() as tell:
        tell("examining the listings, the site, the relay and the DNS")
        found = asyncio.run(work())
    if as_json:
        print(json.dumps([{"level": f.level, "subject": f.subject, "words": f.words} for f in found], indent=2))
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        for each in found:
            table.add_row(f"[{each.level}]{each.level}[/]", escape(each.subject), escape(each.words))
        print_table(table)
    raise typer.Exit(FAILED if any(each.level is Level.RED for each in found) else OK)


def _patient(config: Config) -> Patient:
    sqlite = config.database_url.startswith("sqlite:///")
    return Patient(
        folder=_sqlite(config).parent if sqlite else config.folder,
        database=_sqlite(config) if sqlite else None,
        head=known()[-1],
        timezone=config.timezone,
        templates=config.path(config.templates) if config.templates else None,
        listings=config.listings,
        base_url=config.base_url,
        relay=config.relay_url,
        user=config.mail.user,
        password=config.mail.password.get_secret_value(),
        encryption=config.mail.encryption,
        sender=sender_parts(config.mail.sender)[1],
        selectors=list(config.mail.dkim.keys),
        signing_domain=config.mail.dkim.domain,
    )


def _name_server(server: str | None) -> tuple[list[str], int]:
    """Return who is asked, and the port, of ADDRESS or ADDRESS:PORT; nobody is this machine's choice."""
    if not server:
        return [], 53
    address, colon, port = server.rpartition(":") if server.count(":") == 1 else (server, "", "")
    try:
        if colon and not 0 < int(port) < 65536:
            raise ValueError
        return [str(ip_address(address))], int(port) if colon else 53
    except ValueError:
        raise typer.BadParameter("an address such as 192.0.2.1 or 192.0.2.1:53", param_hint="--dns") from None


def _sqlite(config: Config) -> Path:
    if not config.database_url.startswith("sqlite:///"):
        raise StoreError("PostgreSQL has tools of its own: pg_dump and pg_restore")
    return Path(config.database_url.removeprefix("sqlite:///"))
