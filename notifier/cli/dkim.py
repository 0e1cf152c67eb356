"""Commands for signing mail: `dkim-key`, `dkim-record`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from notifier.cli.app import app
from notifier.cli.arguments import FAILED, ConfigOption, load_config
from notifier.cli.screen import err, out

STRING_MAX = 255  # octets of one string of a TXT record (RFC 1035 3.3.14)


@app.command("dkim-key", epilog="Example: `notifier dkim-key /etc/notifier/dkim.pem`")
def dkim_key(
    file: Annotated[Path, typer.Argument(help="Where the key goes; a file that exists is left alone.")],
    kind: Annotated[
        Literal["rsa", "ed25519"], typer.Option(help="RSA is known to every receiver, Ed25519 to some.")
    ] = "rsa",
) -> None:
    """Make a private key for signing mail with DKIM."""
    from notifier.sign import make_key

    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as private:
            private.write(make_key(kind))
    except OSError as fault:
        err.print(f"{escape(str(file))}: {escape(fault.strerror or str(fault))}")
        raise typer.Exit(FAILED) from None
    out.print(f"{escape(str(file))} holds a new {kind} key that only you can read.")
    out.print(r"Name it in \[mail.dkim], then see `notifier dkim-record` for what to publish.")


@app.command("dkim-record", epilog="Example: `notifier dkim-record`")
def dkim_record(config: ConfigOption = None) -> None:
    """Print the DNS records to publish for the keys of `[mail.dkim]`, as lines of a zone file."""
    from notifier.sign import KeyUnfit, read_key, record

    chosen = load_config(config)
    if not chosen.mail.dkim.domain:
        err.print(r"mail is not signed: \[mail.dkim] names no domain. `notifier dkim-key FILE` makes a key")
        raise typer.Exit(FAILED)
    try:
        for selector, pem in chosen.dkim_keys.items():
            text = record(read_key(selector, pem))
            strings = " ".join(f'"{text[start : start + STRING_MAX]}"' for start in range(0, len(text), STRING_MAX))
            typer.echo(f"{selector}._domainkey.{chosen.mail.dkim.domain}. IN TXT ( {strings} )")
    except KeyUnfit as fault:
        err.print(escape(str(fault)))
        raise typer.Exit(FAILED) from None
