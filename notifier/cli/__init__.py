"""The command line. Commands only read the configuration, call one thing, and show what came of it.

Exit codes: 0 all is well; 1 something failed and the output says what (a listing, a message, an address that is not
there); 2 the command was used wrongly; 75 the database is in use by another process (EX_TEMPFAIL of sysexits.h);
78 the configuration cannot be used, or the database has the schema of another version (EX_CONFIG).
"""

from __future__ import annotations

import sys
from errno import EACCES, EDQUOT, ENOENT, ENOSPC, EPERM
from io import TextIOWrapper
from pathlib import Path

from rich.markup import escape

from notifier.cli.app import app
from notifier.cli.codes import BAD_CONFIG, FAILED, IN_USE
from notifier.cli.screen import err
from notifier.errors import ConfigError, DatabaseInUse, NotifierError, SchemaUnfit

__all__ = ["app", "main"]

# What the system refused -> what mends it.
REMEDIES = {
    EACCES: "run this as its owner, or as root",
    EPERM: "run this as its owner, or as root",
    ENOSPC: "make room on the disk",
    EDQUOT: "make room, or have the quota raised",
}


def main() -> None:
    """Run the command line; every error that is ours becomes one message and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that cannot show a character shows another, and no traceback
            stream.reconfigure(errors="replace")
    try:
        app()
    except ConfigError as fault:
        for problem in fault.problems:
            err.print(f"[red]error:[/red] {escape(problem)}")
        sys.exit(BAD_CONFIG)
    except DatabaseInUse as fault:
        err.print(f"[red]error:[/red] {escape(str(fault))}")
        sys.exit(IN_USE)
    except SchemaUnfit as fault:
        err.print(f"[red]error:[/red] {escape(str(fault))}")
        sys.exit(BAD_CONFIG)
    except (NotifierError, OSError) as fault:
        err.print(f"[red]error:[/red] {escape(_words(fault))}")
        sys.exit(FAILED)


def _words(fault: Exception) -> str:
    """Return what is said of an error; of the system's own, without its number and with what mends it."""
    if not isinstance(fault, OSError) or not fault.strerror:
        return str(fault)
    said = f"{fault.filename}: {fault.strerror}" if fault.filename else fault.strerror
    remedy = REMEDIES.get(fault.errno or 0, "")
    if (
        fault.errno == ENOENT
        and isinstance(fault.filename, str)
        and not (folder := Path(fault.filename).parent).exists()
    ):
        remedy = f"there is no folder {folder}"
    return f"{said}: {remedy}" if remedy else said
