"""Commands that answer what would be sent, or was, and why: `preview`, `search`, `explain`."""

from __future__ import annotations

import re
import sys
from datetime import timedelta
from typing import Annotated

import typer
from rich.markup import escape

from notifier import log
from notifier.account import account
from notifier.cli.app import app
from notifier.cli.arguments import FAILED, ConfigOption, address, load_config, query_of, with_store
from notifier.cli.screen import err, marked, out
from notifier.compose import compose
from notifier.daemon import letterhead, utc_now
from notifier.digest import digest
from notifier.errors import NotifierError
from notifier.fragments import Fragments
from notifier.model import (
    StoredPaper,
    Trace,
)
from notifier.preview import part
from notifier.store import Store
from notifier.survey import issues, survey
from notifier.templates import Templates

MOST_SEARCHED, MOST_FOUND, BAR = 50_000, 5, 40
EMAIL = re.compile(r"[^\s@:\"]+@[^\s@:\"]+\.[^\s@:\"]+")


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
    chosen = load_config(config)

    async def look(store: Store) -> bytes | None:
        message = await store.preview(address(email), utc_now(), again=again)
        if message is None:
            raise NotifierError(f"{email} is not subscribed: `notifier subscribe {email} QUERY --confirmed`")
        if not message.papers:
            return None
        head = letterhead(chosen, store)
        templates = Templates(chosen.path(chosen.templates) if chosen.templates else None, log.template_broken)
        return compose(digest(message, head), Fragments(templates))

    content = with_store(chosen, look)
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
    parsed, now = query_of(query), utc_now()

    async def look(store: Store) -> list[StoredPaper]:
        return await store.papers_since(now - timedelta(days=days), MOST_SEARCHED)

    found = survey(parsed, issues(with_store(load_config(config), look)), now, days)
    most = max((day.hits for day in found.days), default=0)
    for day in found.days:
        if day.papers:
            bar = "█" * round(BAR * day.hits / most) if most else ""
            out.print(f"{day.day:%a %d %b}  {day.hits:>4} of {day.papers:<5} [blue]{bar}[/blue]")
    counts = f"\n[bold]{found.hits}[/bold] of {found.papers} papers in {days} days match"
    out.print(f"{counts} [bold]{escape(found.canonical)}[/bold]")
    for stored, marks in found.samples:
        out.print(f"  {stored.seen_at:%d %b}  {marked(stored.paper.title, marks.title)}")
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
    chosen = load_config(config)
    person = EMAIL.fullmatch(who) is not None
    query = None if person else query_of(who)

    async def look(store: Store) -> tuple[list[StoredPaper], list[Trace]]:
        found = await store.find_papers(paper, MOST_FOUND)
        return found, [await store.trace(each.paper_id, address(who) if person else None) for each in found]

    papers, traces = with_store(chosen, look)
    if not papers:
        err.print(f"no paper here has {escape(paper)!r} as its id, DOI or in its title: no listing has shown it")
        raise typer.Exit(FAILED)
    for stored, trace in zip(papers, traces, strict=True):
        out.print(f"[bold]{escape(stored.paper.title)}[/bold]  {escape(stored.paper.url)}")
        for line in account(stored, trace, query, who if person else None):
            out.print(f"  {escape(line)}")
