"""A site that is being served, and a visitor, for tests of what readers get from it and can do there."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from html import unescape

import feedparser  # type: ignore[import-untyped]
import httpx
import pytest

from notifier.daemon import once
from notifier.model import Cadence, PrivateFeed, Subscriber
from tests.world import Served, World, text_page

READER, OTHER = "reader@example.org", "other@example.org"
OLD = ["An Old Fictional Paper on Lighthouses"]
NEW = ["A New Fictional Paper on Harbours", "Another New Fictional Paper on Ferries"]
LATER = "A Later Fictional Paper on Harbours"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}  # RFC 8058 3.1
PATHS = ("/", "/style.css", "/favicon.ico", "/healthz", "/feeds/all.rss", "/nothing")
FORMATS = ("rss", "atom", "json")
PUBLIC = [f"/feeds/{name}.{form}" for name in ("all", "listing/daily", "trending") for form in FORMATS]


@dataclass(frozen=True)
class Visit:
    world: World
    site: Served
    client: httpx.AsyncClient

    async def private(self, email: str = READER) -> list[PrivateFeed]:
        """Return a reader's private feeds: of all subscriptions, then of each."""
        store = self.site.running.store
        reader = await store.subscriber(email)
        assert reader
        return await store.private_feeds(reader.subscriber_id)

    def path(self, feed: PrivateFeed, ending: str = "atom") -> str:
        return f"/feeds/private/{self.site.running.store.link('feed', feed.seed)}.{ending}"

    async def news(self, *titles: str, minutes: int = 31) -> None:
        """Let the page show these papers too, and the daemon read it."""
        self.world.pages.put("/daily", text_page(*titles, *NEW, *OLD))
        self.world.now += timedelta(minutes=minutes)
        await once(self.site.running)

    async def reader(self, email: str = READER) -> Subscriber:
        found = await self.site.running.store.subscriber(email)
        assert found
        return found

    def dump(self) -> list[str]:
        """Everything the database holds."""
        with closing(sqlite3.connect(self.site.running.store.place)) as database:
            return list(database.iterdump())

    def mail(self, to: str = READER) -> EmailMessage:
        """Return the one mail that somebody got."""
        (mail,) = self.world.mails(to)
        return mail

    def leave_url(self, to: str = READER) -> str:
        """The link of a mail's List-Unsubscribe, as a mail program takes it."""
        found = re.match(r"<(http[^>]+)>", self.mail(to)["List-Unsubscribe"])
        assert found
        return self.site.here(found[1])

    def copy_url(self, to: str = READER) -> str:
        """The link of a mail to its web copy."""
        (url,) = {link for link in links(self.mail(to)) if "/digests/" in link}
        return self.site.here(url)

    async def ask(self, email: str = READER, q: str = "harbours", **fields: str) -> httpx.Response:
        """Send the form of the first page."""
        answer = await self.client.post("/subscribe", data={"q": q, "email": email, "cadence": "immediate", **fields})
        await self.site.idle()
        return answer

    async def link(self, purpose: str, email: str = READER) -> str:
        """Return a link of somebody's, as their mails have it."""
        reader = await self.reader(email)
        return f"/{purpose}/{self.site.running.store.link(purpose, reader.token)}"

    async def subscribed(self, email: str = READER, q: str = "harbours") -> None:
        """Sign up and confirm."""
        await self.ask(email, q)
        answer = await self.client.post(await self.link("confirm", email), data={"history": "0"})
        assert "You are subscribed" in answer.text


@asynccontextmanager
async def visit(world: World) -> AsyncIterator[Visit]:
    async with world.served() as site, httpx.AsyncClient(base_url=site.url, follow_redirects=False) as client:
        yield Visit(world, site, client)


async def two_batches(installation: World) -> None:
    """Let the one listing be read on two days: the papers of the second are new."""
    installation.listing("daily")
    installation.pages.put("/daily", text_page(*OLD))
    await installation.run()
    installation.pages.put("/daily", text_page(*NEW, *OLD))
    await installation.run()


@pytest.fixture
async def told(installation: World) -> AsyncIterator[Visit]:
    """A site whose one listing has brought two papers; one reader follows ferries and harbours, one everything."""
    await installation.subscribe(READER, "ferries")
    await installation.subscribe(READER, "harbours", cadence=Cadence.FEED)
    await installation.subscribe(OTHER, "*")
    await two_batches(installation)
    async with visit(installation) as visitor:
        yield visitor


@pytest.fixture
async def mailed(installation: World) -> AsyncIterator[Visit]:
    """A site that has sent two readers a digest: one of everything, one of what is about ferries."""
    await installation.subscribe(READER, "*")
    await installation.subscribe(OTHER, "ferries")
    await two_batches(installation)
    async with visit(installation) as visitor:
        yield visitor


@pytest.fixture
async def fresh(installation: World) -> AsyncIterator[Visit]:
    """A site on its first day: one listing, nothing read."""
    installation.listing("daily")
    async with visit(installation) as visitor:
        yield visitor


@pytest.fixture
async def here(installation: World) -> AsyncIterator[Visit]:
    """A site whose one listing was read once, and that nobody subscribed to."""
    installation.listing("daily")
    installation.pages.put("/daily", text_page(*OLD))
    await installation.run()
    async with visit(installation) as visitor:
        yield visitor


def titles(answer: httpx.Response) -> list[str]:
    """Return the titles of a feed of any form, as a reader program sees them."""
    if answer.url.path.endswith(".json"):
        return [item["title"] for item in answer.json()["items"]]
    read = feedparser.parse(answer.content)
    assert not read.bozo, read.bozo_exception
    return [entry.title for entry in read.entries]


def ids(answer: httpx.Response) -> list[str]:
    if answer.url.path.endswith(".json"):
        return [item["id"] for item in answer.json()["items"]]
    return [entry.id for entry in feedparser.parse(answer.content).entries]


def links(mail: EmailMessage) -> set[str]:
    """Return every web link of a mail, in its headers and in both of its parts."""
    texts = [str(part.get_content()) for part in mail.walk() if part.get_content_maintype() == "text"]
    texts += [str(value) for value in mail.values()]
    return {unescape(url) for text in texts for url in re.findall(r"https?://[^\s\"'<>]+", text)}


def words(html: str) -> str:
    """Return the text of a page without its marks."""
    return " ".join(unescape(re.sub(r"<[^>]*>", "", html)).split())


async def letters(here: Visit) -> dict[str, int]:
    """Count the messages that are queued, by recipient."""
    with closing(sqlite3.connect(here.site.running.store.place)) as database:
        return dict(database.execute("SELECT recipient, count(*) FROM message GROUP BY recipient"))


async def raw(site: Served, *octets: bytes) -> bytes:
    """Send these bytes and nothing more; return all that the server says until it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(site.url.rpartition(":")[2]))
    try:
        writer.writelines(octets)
        await writer.drain()
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()


async def status(site: Served, target: str, *headers: str, method: str = "GET") -> tuple[int, bytes]:
    """Ask for exactly this target, which a client library might tidy up; return the status and the whole answer."""
    lines = [f"{method} {target} HTTP/1.1", "Connection: close", *(headers or ("Host: 127.0.0.1",))]
    answer = await raw(site, "\r\n".join([*lines, "", ""]).encode("latin-1"))
    return int(answer.split(b" ", 2)[1]), answer
