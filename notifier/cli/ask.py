"""Commands that answer what would be sent, or was, and why: `preview`, `send-test`, `search`, `explain`."""

from __future__ import annotations

import re
import secrets
import tempfile
import webbrowser
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from notifier import log
from notifier.account import account
from notifier.cli.app import app
from notifier.cli.arguments import FAILED, ConfigOption, QueryCommand, address, load_config, query_of, with_store
from notifier.cli.screen import err, marked, out, print_document
from notifier.compose import compose
from notifier.compose.fragments import Fragments
from notifier.compose.preview import part
from notifier.config import Config
from notifier.daemon import letterhead, relay_of, signing, utc_now
from notifier.digest import digest
from notifier.errors import NotifierError
from notifier.model import (
    Envelope,
    Reply,
    StoredPaper,
    Trace,
    Verdict,
)
from notifier.rehearse import digests
from notifier.store import Store
from notifier.survey import issues, survey
from notifier.templates import Templates

SUFFIXES = {"text": ".txt", "html": ".html", "eml": ".eml"}
MOST_SEARCHED, MOST_FOUND, BAR = 50_000, 5, 40  # of the last, columns
EMAIL = re.compile(r"[^\s@:\"]+@[^\s@:\"]+\.[^\s@:\"]+")


@app.command(
    epilog="Examples: `notifier preview me@example.org`, `notifier preview me@example.org --format html > digest.html`"
)
def preview(
    email: str,
    config: ConfigOption = None,
    form: Annotated[str, typer.Option("--format", help="text, html or eml.")] = "text",
    again: Annotated[bool, typer.Option("--again", help="With what was sent already.")] = False,
    show: Annotated[bool, typer.Option("--open", help="Show it in a browser or mail program, from a file.")] = False,
) -> None:
    """Print the digest that an address would get now. Nothing is sent, queued or changed."""
    if form not in ("text", "html", "eml"):
        raise typer.BadParameter("text, html or eml", param_hint="--format")
    chosen = load_config(config)

    async def look(store: Store) -> bytes | None:
        message = await store.preview(address(email), utc_now(), again=again)
        if message is None:
            raise NotifierError(_not_subscribed(address(email), chosen))
        if not message.papers:
            return None
        head = letterhead(chosen, store)
        templates = Templates(chosen.path(chosen.templates) if chosen.templates else None, log.template_broken)
        return compose(digest(message, head), Fragments(templates))

    content = with_store(chosen, look)
    if content is None:
        err.print(f"nothing is owed to {escape(email)} now; --again shows what was sent already")
        return
    written = content.decode("ascii") if form == "eml" else part(content, form)
    if not show:
        print_document(written)
        return
    with tempfile.NamedTemporaryFile(  # it stays for the program that shows it; links of a reader are in it
        "w", prefix="digest-", suffix=SUFFIXES[form], delete=False, encoding="utf-8", newline=""
    ) as file:
        file.write(written)
    if not webbrowser.open(Path(file.name).as_uri()):
        err.print("no program to show it was found")
    out.print(file.name)


def _not_subscribed(email: str, config: Config) -> str:
    if email in [each.email for each in config.subscription]:
        return f"{email} is in the configuration, but not subscribed yet: `notifier once` or `notifier run` does that"
    return f"{email} is not subscribed: `notifier subscribe {email} QUERY --confirmed`"


@app.command(name="send-test", epilog="Example: `notifier send-test me@example.org`")
def send_test(email: str, config: ConfigOption = None) -> None:
    """Send one digest to an address now, past the outbox, and tell what the relay said.

    A subscriber is sent all that their queries ever hit, another address a sample. Nothing is queued or changed.
    """
    chosen = load_config(config)

    async def send(store: Store) -> Reply:
        """Offer it once."""
        now, head = utc_now(), letterhead(chosen, store)
        message = await store.preview(address(email), now, again=True)
        shown = digest(message, head) if message and message.papers else digests()[0]
        own = f"<test-{secrets.token_hex(16)}@{head.domain}>"
        shown = replace(shown, message_id=own, recipient=address(email), sender=head.sender, date=now)
        templates = Templates(chosen.path(chosen.templates) if chosen.templates else None, log.template_broken)
        sign, content = signing(chosen), compose(shown, Fragments(templates))
        content = sign(content, now) if sign else content
        relay = relay_of(chosen)
        try:
            reply: Reply = await relay.offer(Envelope(own, head.sender[1], shown.recipient, content), _nothing)
            return reply
        finally:
            await relay.close()

    reply: Reply = with_store(chosen, send)
    said = " ".join(f"{reply.code or ''} {reply.text}".split())
    if reply.verdict is not Verdict.SENT:
        err.print(f"[red]{reply.verdict}:[/red] {escape(said)}")
        raise typer.Exit(FAILED)
    out.print(f"sent to {escape(email)} by {escape(chosen.relay_url)}: {escape(said)}")


async def _nothing() -> None:
    """Nobody remembers that this message may have arrived: it is offered once."""


@app.command(cls=QueryCommand, epilog="Example: `notifier search 'graph reasoning' --days 30`")
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
    widest = max(10, min(BAR, out.width - 28)) if out.is_terminal else BAR
    most = max((day.hits for day in found.days), default=0)
    for day in found.days:
        if day.papers:
            bar = "█" * round(widest * day.hits / most) if most else ""
            out.print(f"{day.day:%a %d %b}  {day.hits:>4} of {day.papers:<5} [blue]{bar}[/blue]")
    counts = f"\n[bold]{found.hits}[/bold] of {found.papers} papers in {days} days match"
    out.print(f"{counts} [bold]{escape(found.canonical)}[/bold]")
    for stored, marks in found.samples:
        out.print(f"  {stored.seen_at:%d %b}  {marked(stored.paper.title, marks.title)}")
    if found.advice:
        err.print(f"[yellow]{escape(found.advice)}[/yellow]")


@app.command(
    cls=QueryCommand,
    epilog="Examples: `notifier explain 'graph reasoning' 2403.01234`, `notifier explain me@example.org 2403.01234`",
)
def explain(
    who: Annotated[str, typer.Argument(metavar="QUERY|EMAIL", help="A query, or the address of a subscriber.")],
    paper: Annotated[str, typer.Argument(help="An arXiv id, DOI, link, or words of the title.")],
    config: ConfigOption = None,
) -> None:
    """Say why a query matches a paper or not; or what became of a paper for a subscriber."""
    chosen = load_config(config)
    person = EMAIL.fullmatch(who) is not None
    who = address(who) if person else who
    query = None if person else query_of(who)

    async def look(store: Store) -> tuple[list[StoredPaper], list[Trace]]:
        found = await store.find_papers(paper, MOST_FOUND)
        return found, [await store.trace(each.paper_id, who if person else None) for each in found]

    papers, traces = with_store(chosen, look)
    if not papers:
        err.print(f"no paper here has {escape(paper)!r} as its id, DOI or in its title: no listing has shown it")
        raise typer.Exit(FAILED)
    for stored, trace in zip(papers, traces, strict=True):
        out.print(f"[bold]{escape(stored.paper.title)}[/bold]  {escape(stored.paper.url)}")
        for line in account(stored, trace, query, who if person else None):
            out.print(f"  {escape(line)}")
