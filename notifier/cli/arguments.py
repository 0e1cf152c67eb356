"""What the commands share: their common options, and what people write read into values.

A value that cannot be read is a usage error that names the option and what may stand there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import time
from pathlib import Path
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

import typer
from rich.markup import escape
from typer.core import TyperCommand

from notifier.address import mailbox
from notifier.cli.codes import BAD_CONFIG as BAD_CONFIG
from notifier.cli.codes import FAILED as FAILED
from notifier.cli.codes import IN_USE as IN_USE
from notifier.cli.codes import OK as OK
from notifier.cli.codes import USAGE as USAGE
from notifier.cli.screen import err
from notifier.config import WEEKDAYS, Config, load
from notifier.errors import AddressError, ConfigError, QueryError
from notifier.files import shipped
from notifier.model import Cadence, DigestClock
from notifier.parse import FORMATS, selector_problems
from notifier.query import Query
from notifier.query import parse as parse_query
from notifier.store import Store, open_store

PLACES = (Path("config.toml"), Path("/etc/notifier/config.toml"))

T = TypeVar("T")

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="NOTIFIER_CONFIG",
        readable=False,  # `load` says what keeps it from being read
        help="Default: ./config.toml, /etc/notifier/config.toml.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="For machines.")]


class QueryCommand(TyperCommand):
    """A command that takes a query, which may begin with a minus: `-survey graph` is no row of short options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [f" {each}" if _excludes(each) else each for each in args])


def _excludes(word: str) -> bool:
    return len(word) > 2 and word[0] == "-" != word[1] and not (word.startswith("-c") and word.endswith(".toml"))


def config_path(path: Path | None) -> Path:
    """The configuration that was named, or the first that is there."""
    if path is None:
        path = next((place for place in PLACES if place.exists()), PLACES[0])
        if not path.exists():
            missing = f"no configuration: neither {PLACES[0]} nor {PLACES[1]} exists"
            raise ConfigError(
                [f"{missing}: name another with --config, or begin with a copy of {shipped('config.example.toml')}"]
            )
    return path


def load_config(path: Path | None) -> Config:
    return load(config_path(path))


def with_store(config: Config, work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
    async def run_it() -> T:
        async with open_store(config.database_url) as store:
            return await work(store)

    return asyncio.run(run_it())


def address(text: str) -> str:
    try:
        return mailbox(text)
    except AddressError as fault:
        raise typer.BadParameter(str(fault), param_hint="EMAIL") from None


def query_of(text: str) -> Query:
    text = text.strip()
    try:
        return parse_query(text)
    except QueryError as fault:
        err.print(f"[red]error:[/red] in the query, {escape(str(fault))}")
        err.print(f"  {escape(text)}\n  {' ' * (fault.column - 1)}^")
        raise typer.Exit(USAGE) from None


def selectors_of(written: Sequence[str]) -> dict[str, str]:
    pairs = [each.partition("=") for each in written]
    if any(not field or not css for field, _, css in pairs):
        raise typer.BadParameter("write FIELD=CSS, such as item=article.paper", param_hint="--selector")
    return {field.strip(): css.strip() for field, _, css in pairs}


def format_of(form: str | None, selectors: Mapping[str, str]) -> str:
    """The format asked for, html where there are selectors, "" to find out."""
    if form is None:
        form = "html" if selectors else ""
    elif form not in FORMATS:
        raise typer.BadParameter(f"{form!r} is none of {', '.join(FORMATS)}", param_hint="--format")
    problems = selector_problems(selectors) if form == "html" else ["for the format html only"] if selectors else []
    if problems:
        raise typer.BadParameter("; ".join(problems), param_hint="--selector")
    return form


def clock_of(config: Config, cadence: Cadence, at: str, weekday: str, timezone: str | None) -> DigestClock:
    if weekday.lower() not in WEEKDAYS:
        raise typer.BadParameter(f"{weekday!r} is none of {', '.join(WEEKDAYS)}", param_hint="--weekday")
    try:
        hour = time.fromisoformat(at)
    except ValueError:
        raise typer.BadParameter(f"{at!r} is no time of day, such as 08:00", param_hint="--at") from None
    zone = timezone or config.timezone
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise typer.BadParameter(
            f"{zone!r} is no IANA time zone, such as Europe/Berlin or UTC", param_hint="--timezone"
        ) from None
    return DigestClock(cadence, zone, hour, WEEKDAYS.index(weekday.lower()))
