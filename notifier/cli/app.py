"""The application that the commands register with."""

from __future__ import annotations

from typing import Annotated

import typer

from notifier import __version__
from notifier.cli.commands import Commands
from notifier.cli.screen import out

app = typer.Typer(
    cls=Commands,
    help="Alerts for new research papers: listing pages in, digests by mail and feed out.",
    epilog="Exit codes: 0 well, 1 something failed, 2 wrong use, 75 database in use, 78 bad configuration.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        out.print(f"notifier {__version__}")
        raise typer.Exit
