"""The command line. Commands only read the configuration, call one thing, and show what came of it.

Exit codes: 0 all is well; 1 something failed and the output says what (a listing, a message, an address that is not
there); 2 the command was used wrongly; 75 the database is in use by another process (EX_TEMPFAIL of sysexits.h);
78 the configuration cannot be used (EX_CONFIG).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from notifier import __version__, daemon, log
from notifier.account import account
from notifier.address import mailbox
from notifier.compose import compose
from notifier.config import WEEKDAYS, Config, load, sender_parts
from notifier.confine import confine
from notifier.daemon import on_signals, opened, utc_now
from notifier.daemon import once as run_once
from notifier.digest import Letterhead, digest
from notifier.errors import AddressError, ConfigError, DatabaseInUse, NotifierError, QueryError
from notifier.fetch import client, host_of
from notifier.model import (
    Cadence,
    DigestClock,
    Listing,
    OutboxState,
    Outcome,
    Poll,
    Span,
    StoredPaper,
    Trace,
    Versions,
    Wish,
)
from notifier.parse import FORMATS, selector_problems
from notifier.preview import part
from notifier.probe import Probe, name_of, probe, table
from notifier.probe import lines as probe_lines
from notifier.query import Query, canonical
from notifier.query import parse as parse_query
from notifier.status import Status
from notifier.status import as_json as status_json
from notifier.status import lines as status_lines
from notifier.status import status as look_at_status
from notifier.store import Store, open_store
from notifier.store.engine import Database
from notifier.store.migrate import migrate as migrate_database
from notifier.survey import survey
from notifier.templates import Templates

OK, FAILED, USAGE, IN_USE, BAD_CONFIG = 0, 1, 2, 75, 78
MOST_SEARCHED, MOST_FOUND, BAR = 50_000, 5, 40
WIDE = 2_000  # columns of a table that no terminal shows: one line for each row, for grep
EMAIL = re.compile(r"[^\s@:\"]+@[^\s@:\"]+\.[^\s@:\"]+")
PLACES = (Path("config.toml"), Path("/etc/notifier/config.toml"))

T = TypeVar("T")
app = typer.Typer(
    help="Alerts for new research papers: listing pages in, digests by mail and feed out.",
    epilog="Exit codes: 0 well, 1 something failed, 2 wrong use, 75 database in use, 78 bad configuration.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
out = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
err = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="NOTIFIER_CONFIG", help="Default: ./config.toml, /etc/notifier/config.toml."),
]
Json = Annotated[bool, typer.Option("--json", help="For machines.")]


def main() -> None:
    """Run the command line; every error that is ours becomes one message and an exit code."""
    try:
        app()
    except ConfigError as fault:
        for problem in fault.problems:
            err.print(f"[red]error:[/red] {escape(problem)}")
        sys.exit(BAD_CONFIG)
    except DatabaseInUse as fault:
        err.print(f"[red]error:[/red] {escape(str(fault))}")
        sys.exit(IN_USE)
    except (NotifierError, OSError) as fault:
        err.print(f"[red]error:[/red] {escape(str(fault))}")
        sys.exit(FAILED)


# --- the program ------------------------------------------------------------------------------------------------------


@app.command(epilog="Example: `notifier run --config /etc/notifier/config.toml`")
def run(config: ConfigOption = None) -> None:
    """Serve: poll the listings, send the digests, serve the site. What systemd starts."""
    log.setup()
    asyncio.run(daemon.run(_load(config)))


@app.command(epilog="Example: `notifier once`")
def once(config: ConfigOption = None) -> None:
    """Do everything once, now: read every listing, send what is due, write the feed."""
    log.setup(level=30)
    chosen = _load(config)

    async def work() -> int:
        async with opened(chosen) as running:
            stop = on_signals()
            with _progress() as show:
                polls, drained = await run_once(running, stop, show)
        _show_polls(polls)
        sent = ", ".join(f"{count} {state}" for state, count in sorted(drained.states.items())) or "nothing to send"
        paused = f"; relay asked again after {_when(drained.paused_until)}" if drained.paused_until else ""
        out.print(f"mail: {sent}{paused}")
        if stop.is_set():
            err.print("stopped early: the next run does the rest")
        well = all(poll.outcome is not Outcome.FAILED for poll in polls) and not paused and not stop.is_set()
        return OK if well and set(drained.states) <= {OutboxState.SENT} else FAILED

    raise typer.Exit(asyncio.run(work()))


@app.command(epilog="Example: `notifier demo --folder /tmp/demo`")
def demo(
    folder: Annotated[
        Path, typer.Option(help="Where mail, feed and database go; an earlier demo there is replaced.")
    ] = Path("demo"),
) -> None:
    """Show the main job on sample pages: four days of fictional papers, four subscribers, a Maildir, a feed."""
    from notifier.demo import demo as show

    log.setup(level=30)
    raise typer.Exit(asyncio.run(show(folder, out)))


# --- looking ----------------------------------------------------------------------------------------------------------


@app.command(epilog="Example: `notifier check && systemctl restart notifier`")
def check(config: ConfigOption = None) -> None:
    """Find every mistake in the configuration, the templates and the database, without starting or sending."""
    chosen = _load(config)
    problems = []
    if chosen.templates:
        problems += [str(fault) for fault in Templates(chosen.path(chosen.templates)).check()]
    if chosen.base_url.startswith("http://") and "127.0.0.1" not in chosen.base_url:
        out.print("[yellow]note:[/yellow] base_url is http: one-click unsubscribe (RFC 8058) needs https")

    async def nothing(_store: Store) -> None:
        """Opening it is the check."""

    try:
        if Path(chosen.database_url.removeprefix("sqlite:///")).exists():
            _with_store(chosen, nothing)
    except NotifierError as fault:
        problems.append(str(fault))
    for problem in problems:
        err.print(f"[red]error:[/red] {escape(problem)}")
    if problems:
        raise typer.Exit(BAD_CONFIG)
    out.print(f"well: {len(chosen.listing)} listings, {len(chosen.subscription)} configured subscriptions")


@app.command(epilog="Examples: `notifier status`, `notifier status --json | jq .outbox`")
def status(config: ConfigOption = None, as_json: Json = False) -> None:
    """Show how every listing fares and why, what is left alone for now, the outbox and the subscribers.

    The exit code is 1 when a listing failed or is stale.
    """
    chosen = _load(config)

    async def look(store: Store) -> Status:
        return await look_at_status(store, chosen.listings, utc_now())

    seen = _with_store(chosen, look)
    if as_json:
        print(json.dumps(status_json(seen), indent=2))
    else:
        _show(status_lines(seen))
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
    """Fetch a page once and show what a listing would read there, with the table for config.toml. Nothing is kept."""
    log.setup(level=logging.ERROR)
    selectors = _selectors(selector or [])
    listing = Listing(
        name=name_of(url), url=url, format=_format(form, selectors), selectors=selectors, allow_private=allow_private
    )
    asking = contact or _load(config).contact

    async def look() -> Probe:
        async with client(asking, __version__) as web, confine() as worker:
            return await probe(web, worker, listing, utc_now())

    seen = asyncio.run(look())
    _show(probe_lines(seen))
    if seen.verdict.outcome is Outcome.FAILED:
        raise typer.Exit(FAILED)
    out.print(f"\n{escape(table(seen.listing))}", soft_wrap=True)


@app.command(
    epilog="Examples: `notifier preview me@example.org`, `notifier preview me@example.org --format html > digest.html`"
)
def preview(
    email: str,
    config: ConfigOption = None,
    form: Annotated[str, typer.Option("--format", help="text, html or eml.")] = "text",
    again: Annotated[bool, typer.Option("--again", help="With what was sent already.")] = False,
) -> None:
    """Print the digest that an address would get now. Nothing is sent, queued or changed."""
    if form not in ("text", "html", "eml"):
        raise typer.BadParameter("text, html or eml", param_hint="--format")
    chosen = _load(config)

    async def look(store: Store) -> bytes | None:
        message = await store.preview(_address(email), utc_now(), again=again)
        if message is None:
            raise NotifierError(f"{email} is not subscribed: `notifier subscribe {email} QUERY --confirmed`")
        if not message.papers:
            return None
        head = Letterhead(base_url=chosen.base_url, sender=sender_parts(chosen.mail.sender), link=store.link)
        templates = Templates(chosen.path(chosen.templates) if chosen.templates else None, log.template_broken)
        return compose(digest(message, head), templates)

    content = _with_store(chosen, look)
    if content is None:
        err.print(f"nothing is owed to {escape(email)} now; --again shows what was sent already")
        return
    sys.stdout.write(content.decode("ascii") if form == "eml" else part(content, form))


@app.command(epilog="Example: `notifier search 'graph reasoning' --days 30`")
def search(
    query: str,
    config: ConfigOption = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How far back.")] = 30,
) -> None:
    """Show what a query would have caught: hits per day, titles, and advice when it is too wide or too narrow."""
    parsed, now = _query(query), utc_now()

    async def look(store: Store) -> list[StoredPaper]:
        return await store.papers_since(now - timedelta(days=days), MOST_SEARCHED)

    found = survey(parsed, _with_store(_load(config), look), now, days)
    most = max((day.hits for day in found.days), default=0)
    for day in found.days:
        if day.papers:
            bar = "█" * round(BAR * day.hits / most) if most else ""
            out.print(f"{day.day:%a %d %b}  {day.hits:>4} of {day.papers:<5} [blue]{bar}[/blue]")
    counts = f"\n[bold]{found.hits}[/bold] of {found.papers} papers in {days} days match"
    out.print(f"{counts} [bold]{escape(found.canonical)}[/bold]")
    for stored, marks in found.samples:
        out.print(f"  {stored.seen_at:%d %b}  {_marked(stored.paper.title, marks.title)}")
    if found.advice:
        err.print(f"[yellow]{escape(found.advice)}[/yellow]")


@app.command(
    epilog="Examples: `notifier explain 'graph reasoning' 2403.01234`, `notifier explain me@example.org 2403.01234`"
)
def explain(
    who: Annotated[str, typer.Argument(metavar="QUERY|EMAIL", help="A query, or the address of a subscriber.")],
    paper: Annotated[str, typer.Argument(help="An arXiv id, DOI, link, or words of the title.")],
    config: ConfigOption = None,
) -> None:
    """Say why a query matches a paper or not; or what became of a paper for a subscriber."""
    chosen = _load(config)
    person = EMAIL.fullmatch(who) is not None
    query = None if person else _query(who)

    async def look(store: Store) -> tuple[list[StoredPaper], list[Trace]]:
        found = await store.find_papers(paper, MOST_FOUND)
        return found, [await store.trace(each.paper_id, _address(who) if person else None) for each in found]

    papers, traces = _with_store(chosen, look)
    if not papers:
        err.print(f"no paper here has {escape(paper)!r} as its id, DOI or in its title: no listing has shown it")
        raise typer.Exit(FAILED)
    for stored, trace in zip(papers, traces, strict=True):
        out.print(f"[bold]{escape(stored.paper.title)}[/bold]  {escape(stored.paper.url)}")
        for line in account(stored, trace, query, who if person else None):
            out.print(f"  {escape(line)}")


# --- subscribers ------------------------------------------------------------------------------------------------------


@app.command(
    epilog="Example: `notifier subscribe me@example.org 'graph AND (reasoning OR \"knowledge base\")' --confirmed`"
)
def subscribe(
    email: str,
    query: str,
    config: ConfigOption = None,
    confirmed: Annotated[bool, typer.Option("--confirmed", help="The owner of the address agreed.")] = False,
    cadence: Annotated[Cadence, typer.Option(help="When to send.")] = Cadence.DAILY,
    at: Annotated[str, typer.Option(help="Local time of daily and weekly digests.")] = "08:00",
    weekday: Annotated[str, typer.Option(help="Of weekly digests.")] = "monday",
    timezone: Annotated[str | None, typer.Option(help="IANA zone; default: the configuration's.")] = None,
    versions: Annotated[
        Versions, typer.Option(help="Papers once, cross-lists too, or later versions too.")
    ] = Versions.NEW,
) -> None:
    """Subscribe an address to a query. What was found before is not sent."""
    if not confirmed:
        raise typer.BadParameter(
            "say --confirmed when the owner of the address agreed; nobody is asked by mail yet",
            param_hint="--confirmed",
        )
    chosen = _load(config)
    clock = _clock(chosen, cadence, at, weekday, timezone)
    meaning = canonical(_query(query))

    async def work(store: Store) -> datetime | None:
        wish = Wish(email=_address(email), label=query, canonical=meaning, clock=clock, versions=versions)
        made = await store.subscribe(wish, origin="cli", now=utc_now())
        return made.next_due_at

    due = _with_store(chosen, work)
    out.print(
        f"{escape(email)} is subscribed to {escape(meaning)}; next digest: "
        + (_when(due) if due else "with the next batch")
    )


@app.command(epilog="Example: `notifier unsubscribe me@example.org`")
def unsubscribe(email: str, config: ConfigOption = None) -> None:
    """End all mail to an address, at once."""
    chosen = _load(config)

    async def work(store: Store) -> bool:
        return await store.unsubscribe(_address(email), utc_now())

    if not _with_store(chosen, work):
        err.print(f"{escape(email)} was not subscribed")
        raise typer.Exit(FAILED)
    out.print(f"{escape(email)} gets no more mail")


@app.command(epilog="Example: `notifier resume arxiv.org`")
def resume(
    host: Annotated[str, typer.Argument(help="As `notifier status` names it.")], config: ConfigOption = None
) -> None:
    """Ask a host again that is left alone, because it refused us or was asked too often."""
    chosen, now = _load(config), utc_now()
    theirs = [listing.name for listing in chosen.listings if host_of(listing) == host]

    async def work(store: Store) -> bool:
        return await store.resume_host(host, theirs, now)

    if not _with_store(chosen, work):
        err.print(f"{escape(host)} is not left alone: see `notifier status`")
        raise typer.Exit(FAILED)
    out.print(f"{escape(host)} is asked again now: {', '.join(map(escape, theirs)) or 'no listing is there'}")


@app.command(epilog="Example: `notifier migrate`")
def migrate(config: ConfigOption = None) -> None:
    """Bring the database to this program's schema. `run` and `once` do so by themselves."""
    chosen = _load(config)

    async def work() -> tuple[str | None, str]:
        database = Database(chosen.database_url)
        try:
            return await migrate_database(database)
        finally:
            await database.close()

    before, after = asyncio.run(work())
    out.print(f"schema {after}" + (", as before" if before == after else f", was {before or 'empty'}"))


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        out.print(f"notifier {__version__}")
        raise typer.Exit


# --- below: what the commands share -----------------------------------------------------------------------------------


def _load(path: Path | None) -> Config:
    if path is None:
        path = next((place for place in PLACES if place.exists()), PLACES[0])
        if not path.exists():
            raise ConfigError([f"no configuration: neither {PLACES[0]} nor {PLACES[1]} exists; name one with --config"])
    return load(path)


def _with_store(config: Config, work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
    async def run_it() -> T:
        async with open_store(config.database_url) as store:
            return await work(store)

    return asyncio.run(run_it())


def _address(text: str) -> str:
    try:
        return mailbox(text)
    except AddressError as fault:
        raise typer.BadParameter(str(fault), param_hint="EMAIL") from None


def _query(text: str) -> Query:
    try:
        return parse_query(text)
    except QueryError as fault:
        err.print(f"[red]error:[/red] in the query, {escape(str(fault))}")
        err.print(f"  {escape(text)}\n  {' ' * (fault.column - 1)}^")
        raise typer.Exit(USAGE) from None


def _marked(text: str, spans: Sequence[Span]) -> str:
    pieces, at = [], 0
    for start, end in spans:
        pieces += [escape(text[at:start]), f"[bold yellow]{escape(text[start:end])}[/bold yellow]"]
        at = end
    return "".join([*pieces, escape(text[at:])])


def _selectors(written: Sequence[str]) -> dict[str, str]:
    pairs = [each.partition("=") for each in written]
    if any(not field or not css for field, _, css in pairs):
        raise typer.BadParameter("write FIELD=CSS, such as item=article.paper", param_hint="--selector")
    return {field.strip(): css.strip() for field, _, css in pairs}


def _format(form: str | None, selectors: Mapping[str, str]) -> str:
    """The format asked for, html where there are selectors, "" to find out."""
    if form is None:
        form = "html" if selectors else ""
    elif form not in FORMATS:
        raise typer.BadParameter(f"one of {', '.join(FORMATS)}", param_hint="--format")
    problems = selector_problems(selectors) if form == "html" else ["for the format html only"] if selectors else []
    if problems:
        raise typer.BadParameter("; ".join(problems), param_hint="--selector")
    return form


def _clock(config: Config, cadence: Cadence, at: str, weekday: str, timezone: str | None) -> DigestClock:
    if weekday.lower() not in WEEKDAYS:
        raise typer.BadParameter(f"one of {', '.join(WEEKDAYS)}", param_hint="--weekday")
    try:
        hour = time.fromisoformat(at)
    except ValueError:
        raise typer.BadParameter('a time of day such as "08:00"', param_hint="--at") from None
    zone = timezone or config.timezone
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise typer.BadParameter("an IANA time zone such as Europe/Berlin", param_hint="--timezone") from None
    return DigestClock(cadence, zone, hour, WEEKDAYS.index(weekday.lower()))


def _show_polls(polls: Sequence[Poll]) -> None:
    table = Table("listing", "outcome", "new", "reason", box=None, pad_edge=False)
    for poll in polls:
        table.add_row(escape(poll.listing), _coloured(poll.outcome), str(poll.new), escape(poll.reason))
    _print(table)


def _show(lines: Iterable[str]) -> None:
    """Print lines of markup; on a terminal, what does not fit goes on under the line's indent."""
    for line in lines:
        text = line.lstrip(" ")
        if out.is_terminal and text:
            out.print(Padding(Text.from_markup(text), (0, 0, 0, len(line) - len(text)), expand=False))
        else:
            out.print(line, soft_wrap=True)


def _print(table: Table) -> None:
    out.print(table, width=None if out.is_terminal else WIDE)


def _coloured(outcome: Outcome) -> str:
    colour = {Outcome.FRESH: "green", Outcome.FAILED: "red", Outcome.STALE: "yellow"}.get(outcome)
    return f"[{colour}]{outcome}[/{colour}]" if colour else str(outcome)


def _when(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "never"


def _progress() -> Any:
    """A context that shows what is being done, on a terminal; silent elsewhere."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return nullcontext(lambda _step: None)
    spinner = err.status("starting")

    class Shown:
        def __enter__(self) -> Callable[[str], None]:
            spinner.start()
            return spinner.update

        def __exit__(self, *_: object) -> None:
            spinner.stop()

    return Shown()
