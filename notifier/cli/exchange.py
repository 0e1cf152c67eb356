"""Commands that move people: `export`, `import`."""

from __future__ import annotations

import os
import stat
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from notifier import exchange
from notifier.cli.app import app
from notifier.cli.arguments import FAILED, ConfigOption, load_config, with_store
from notifier.cli.screen import err, out, print_document
from notifier.daemon import utc_now
from notifier.errors import ExchangeError, NotifierError
from notifier.store import Store

FORMS = ("json", "csv")

Form = Annotated[str | None, typer.Option("--format", help="json or csv; by default what the file is called, or json.")]


@app.command("export", epilog="Examples: `notifier export people.csv`, `notifier export --format json | less`")
def export_people(
    file: Annotated[Path | None, typer.Argument(help="By default standard output.")] = None,
    form: Form = None,
    config: ConfigOption = None,
) -> None:
    """Write down subscribers and subscriptions, without those of the configuration. Addresses are in it: keep it safe.

    Links in mails, private feeds and what was sent are not in it: `notifier backup` has everything.
    """
    chosen = _form(file, form)

    async def work(store: Store) -> str:
        return exchange.write(await store.everybody(), await store.subscriptions(), chosen)

    text = with_store(load_config(config), work)
    if file is None:
        print_document(text)
        return
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8", newline="") as to:
        if stat.S_ISREG(os.fstat(to.fileno()).st_mode):  # what was there under this name, too, becomes its owner's only
            os.fchmod(to.fileno(), 0o600)
            to.truncate()
        to.write(text)
    out.print(f"wrote {escape(str(file))}")


@app.command(
    "import", epilog="Examples: `notifier import people.json`, `notifier import team.csv --confirmed --dry-run`"
)
def import_people(
    file: Annotated[Path, typer.Argument(help="What `export` wrote, or a CSV file with the columns email and query.")],
    form: Form = None,
    confirmed: Annotated[
        bool, typer.Option("--confirmed", help="Those of whom the file says no state agreed to be sent mail.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read the file and change nothing.")] = False,
    config: ConfigOption = None,
) -> None:
    """Let in subscribers and subscriptions of a file: all of it, or nothing where it has a mistake.

    Done twice it changes nothing more. Who left, here or there, is not subscribed; what was found before is not sent.
    """
    chosen, settings = _form(file, form), load_config(config)
    try:
        entries = exchange.read(file.read_text(encoding="utf-8"), chosen, settings.timezone)
    except UnicodeDecodeError as fault:
        raise NotifierError(f"{file} is not UTF-8 at byte {fault.start}") from None
    except ExchangeError as fault:
        for problem in fault.problems:
            err.print(f"[red]error:[/red] {escape(str(file))}, {escape(problem)}")
        err.print("nothing was imported")
        raise typer.Exit(FAILED) from None
    if not confirmed and any(each.state is None for each in entries):
        raise typer.BadParameter(
            "the file does not say of everybody that they confirmed: say --confirmed when they agreed to be sent mail",
            param_hint="--confirmed",
        )
    if dry_run:
        people = len({each.email for each in entries})
        wishes = sum(each.wish is not None for each in entries)
        out.print(f"{people} people, {wishes} subscriptions: well; nothing was changed")
        return

    async def work(store: Store) -> Counter[str]:
        return await store.enrol(entries, utc_now())

    done = with_store(settings, work)
    out.print(f"{done['people']} people and {done['subscriptions']} subscriptions are new")
    for what, words in (
        ("changed", "subscriptions were changed to what the file says"),
        ("unchanged", "subscriptions were there already"),
        ("ended", "subscriptions were ended here by their owners: they stay ended"),
        ("away", "lines are of people who left or are suppressed, here or there: nothing was changed for them"),
    ):
        if done[what]:
            out.print(f"{done[what]} {words}")


def _form(file: Path | None, form: str | None) -> str:
    form = form or (file.suffix.lower().lstrip(".") if file and file.suffix.lower() in (".csv", ".json") else "json")
    if form not in FORMS:
        raise typer.BadParameter("json or csv", param_hint="--format")
    return form
