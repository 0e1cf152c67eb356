"""A site that is being served, for tests of what readers get from it: its one listing brought two papers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import feedparser  # type: ignore[import-untyped]
import httpx
import pytest

from notifier.daemon import once
from notifier.model import Cadence, PrivateFeed
from tests.world import Served, World, text_page

READER, OTHER = "reader@example.org", "other@example.org"
OLD = ["An Old Fictional Paper on Lighthouses"]
NEW = ["A New Fictional Paper on Harbours", "Another New Fictional Paper on Ferries"]
LATER = "A Later Fictional Paper on Harbours"
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


@asynccontextmanager
async def visit(world: World) -> AsyncIterator[Visit]:
    async with world.served() as site, httpx.AsyncClient(base_url=site.url, follow_redirects=False) as client:
        yield Visit(world, site, client)


@pytest.fixture
async def told(installation: World) -> AsyncIterator[Visit]:
    """A site whose one listing has brought two papers; one reader follows ferries and harbours, one everything."""
    installation.listing("daily")
    installation.pages.put("/daily", text_page(*OLD))
    await installation.subscribe(READER, "ferries")
    await installation.subscribe(READER, "harbours", cadence=Cadence.FEED)
    await installation.subscribe(OTHER, "*")
    await installation.run()
    installation.pages.put("/daily", text_page(*NEW, *OLD))
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
