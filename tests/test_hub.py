"""A WebSub hub is told of public feeds that changed, is named in them, and never learns of a private one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import parse_qs

import feedparser  # type: ignore[import-untyped]
import pytest

from notifier.worker.engine import part
from tests.servers.http import Answer, Site, site
from tests.visit import FORMATS, LATER, NEW, OLD, READER, Visit, visit
from tests.world import World, text_page

BASE = "http://127.0.0.1:8080"


@pytest.fixture
async def hub() -> AsyncIterator[Site]:
    async with site() as opened:
        opened.put("/", status=204)
        yield opened


@pytest.fixture
async def announced(installation: World, hub: Site) -> AsyncIterator[Visit]:
    """A site with a hub, one listing that has brought two papers, and one reader."""
    installation.extra = f'[feeds]\nhub = "{hub.url("/")}"\n'
    installation.listing("daily")
    installation.pages.put("/daily", text_page(*OLD))
    await installation.subscribe(READER, "fictional")
    await installation.run()
    installation.pages.put("/daily", text_page(*NEW, *OLD))
    async with visit(installation) as visitor:
        yield visitor


def told(hub: Site) -> list[set[str]]:
    """Return which feeds each request to the hub was about."""
    return [set(parse_qs(each.body.decode())["hub.url"]) for each in hub.requests]


async def test_a_hub_is_told_of_the_feeds_that_changed_and_of_no_other(announced: Visit, hub: Site) -> None:
    await announced.news()
    assert parse_qs(hub.requests[-1].body.decode())["hub.mode"] == ["publish"]
    assert hub.requests[-1].headers["content-type"] == "application/x-www-form-urlencoded"
    hub.requests.clear()
    await announced.news(minutes=300)
    assert told(hub) == [], "nothing came"
    await announced.news(LATER)
    assert told(hub) == [{f"{BASE}/feeds/{name}.{form}" for name in ("all", "listing/daily") for form in FORMATS}]


async def test_public_feeds_name_their_hub_and_themselves_and_all_others_name_none(announced: Visit) -> None:
    await announced.news()
    everything, *_ = await announced.private()
    hub = announced.site.running.config.feeds.hub
    for form in FORMATS:
        got = await announced.client.get(f"/feeds/all.{form}")
        assert got.headers["link"] == f'<{hub}>; rel="hub", <{BASE}/feeds/all.{form}>; rel="self"'
        if form == "json":
            assert got.json()["hubs"] == [{"type": "WebSub", "url": hub}]
        else:
            links = {each.rel: each.href for each in feedparser.parse(got.content).feed.links}
            assert (links["hub"], links["self"]) == (hub, f"{BASE}/feeds/all.{form}")
        for other in (announced.path(everything, form), f"/feeds/search.{form}?q=ferries", f"/feeds/all.{form}?page=0"):
            got = await announced.client.get(other)
            assert got.status_code == 200
            assert "link" not in got.headers, other
            assert hub not in got.text, other


async def test_a_hub_that_fails_is_told_later_and_keeps_nobody_waiting(announced: Visit, hub: Site) -> None:
    hub.pages["/"] = Answer(status=503)
    await announced.news()
    assert len(announced.world.mails(READER)) == 1, "the digest was sent all the same"
    failed = len(hub.requests)
    await announced.news(LATER, minutes=0)
    assert len(hub.requests) == failed, "it is given time"
    hub.put("/", status=202)
    announced.world.now += timedelta(minutes=1)
    running = announced.site.running
    assert running.hub
    await running.hub.tell()
    assert told(hub)[-1] >= {f"{BASE}/feeds/all.atom", f"{BASE}/feeds/trending.json"}
    await running.hub.tell()
    assert len(hub.requests) == failed + 1, "it was told once"


async def test_a_hub_is_told_by_the_worker_that_serves_the_site_and_by_no_other(announced: Visit, hub: Site) -> None:
    running, stop = announced.site.running, asyncio.Event()
    hub.requests.clear()
    assert "hub" not in {step.name for step in part(("poll", "match", "send")).steps(running, stop)}
    steps = {step.name: step for step in part(("web",)).steps(running, stop)}
    await steps["publish"].work()
    await steps["hub"].work()
    assert f"{BASE}/feeds/all.atom" in set().union(*told(hub))
