"""A whole installation for a test: listings on loopback, SQLite, a relay, and a clock that the test moves."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import uvicorn

from notifier.config import Config, load
from notifier.daemon import Running, once, opened
from notifier.daemon import site as serving
from notifier.model import Cadence, DigestClock, OutboxState, Poll, Quiet, Versions, Wish
from notifier.query import canonical, parse
from tests.servers.http import Site, site

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # a Monday


def text_page(*titles: str, day: str = "Mar 2") -> str:
    """Return a `daily-papers-text` page with these titles; each abstract is its own."""
    preamble = ["new", "Subscribe", "Daily Papers", "byAK and the research community", day]
    return "\n\n".join([*preamble, *(line for title in titles for line in (title, abstract(title)))])


def abstract(title: str) -> str:
    """Return a fictional abstract, long enough to be one."""
    return (
        f"This fictional abstract belongs to the paper on {title.lower()} and to no other one. It is long enough to be "
        "taken for an abstract by every reader, and it says nothing that a query of these tests could be looking for."
    )


@dataclass(frozen=True, slots=True)
class Served:
    """A site that is being served: what it stands on, and where. Links in mails start with the configured base URL."""

    running: Running
    url: str
    server: uvicorn.Server

    async def idle(self) -> None:
        """Wait until what follows the answers that were given is done too."""
        if tasks := list(self.server.server_state.tasks):
            await asyncio.wait(tasks)

    def here(self, link: str) -> str:
        """Return where a link of a mail is served."""
        base = self.running.config.base_url
        assert link.startswith(f"{base}/"), link
        return self.url + link.removeprefix(base)


@dataclass(slots=True)
class World:
    """What a test holds: the folder, the pages, the time. `run` does what `notifier once` does."""

    folder: Path
    pages: Site
    database: str = "sqlite:///notifier.db"
    now: datetime = START
    relay: str = "maildir:mail"
    listings: list[str] = field(default_factory=list)
    extra: str = ""
    mail: str = ""  # further lines of the table [mail]
    contact: str = "https://example.org/tests"  # no address: no mail of ours tells the operator of trouble

    def listing(self, name: str, format: str = "daily-papers-text", **options: str) -> None:
        """Watch the page /name."""
        more = "".join(f'{key} = "{value}"\n' for key, value in options.items())
        url = self.pages.url(f"/{name}")
        self.listings.append(
            f'[[listing]]\nname = "{name}"\nurl = "{url}"\nformat = "{format}"\nallow_private = true\n{more}'
        )

    @property
    def config(self) -> Config:
        """The configuration, loaded from a file as the program does."""
        path = self.folder / "config.toml"
        head = f'contact = "{self.contact}"\n'
        mail = f'[mail]\nfrom = "Papers <papers@example.org>"\nrelay = "{self.relay}"\n{self.mail}'
        head += f'database = "{self.database}"\n'
        path.write_text(head + self.extra + mail + "\n".join(self.listings))
        return load(path, environment={})

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Running]:
        async with opened(self.config, clock=lambda: self.now) as running:
            yield running

    def reachable(self) -> None:
        """Give the site a free port for good, so that the links in mails and pages lead to it."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.extra += f'base_url = "http://127.0.0.1:{port}"\n[web]\nlisten = "127.0.0.1:{port}"\n'

    @asynccontextmanager
    async def served(self) -> AsyncIterator[Served]:
        """Serve the site as the daemon does: where `reachable` said, else on any free port of loopback."""
        if "[web]" not in self.extra:
            self.extra += '[web]\nlisten = "127.0.0.1:0"\n'
        async with self.opened() as running:
            server = serving.server(running)
            listening = serving.listener(running.config.web.listen)
            task = asyncio.create_task(server.serve(sockets=[listening]))
            try:
                yield Served(running, f"http://127.0.0.1:{listening.getsockname()[1]}", server)
            finally:
                server.should_exit = True
                await task

    async def run(self, minutes: int = 1) -> tuple[list[Poll], dict[OutboxState, int]]:
        """Let time pass, then run the pipeline once."""
        self.now += timedelta(minutes=minutes)
        async with self.opened() as running:
            polls, drained = await once(running)
        return polls, dict(drained.states)

    async def subscribe(
        self,
        email: str,
        query: str,
        cadence: Cadence = Cadence.IMMEDIATE,
        versions: Versions = Versions.NEW,
        quiet: Quiet = Quiet.NOTHING,
        **clock: object,
    ) -> None:
        """Subscribe as the operator would."""
        async with self.opened() as running:
            await running.store.subscribe(
                Wish(
                    email=email, label=query, canonical=canonical(parse(query)), versions=versions,
                    quiet=quiet,
                    clock=DigestClock(cadence, **{"timezone": "UTC", **clock}),
                ),
                origin="cli", now=self.now,
            )  # fmt: skip

    def mails(self, to: str | None = None) -> list[EmailMessage]:
        """Return the messages in the Maildir, oldest first."""
        files = [*self.folder.glob("mail/new/*"), *self.folder.glob("mail/cur/*")]
        found = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]
        return sorted((m for m in found if to in (None, m["To"])), key=lambda m: m["Date"].datetime)

    def titles(self, to: str, known: Sequence[str]) -> list[list[str]]:
        """Return which of the known titles each mail to a reader shows, mail by mail."""
        return [[title for title in known if title in text(mail)] for mail in self.mails(to)]


def text(mail: EmailMessage) -> str:
    """Return the text part on one line."""
    body = mail.get_body(("plain",))
    assert body is not None
    return " ".join(body.get_content().split())


def apart(running: Running) -> Running:
    """Leave the matching to workers."""
    return replace(running, intake=replace(running.intake, apart=True))


@asynccontextmanager
async def world(folder: Path, database: str = "sqlite:///notifier.db") -> AsyncIterator[World]:
    """Open an installation in `folder`."""
    async with site() as pages:
        yield World(folder, pages, database)
