"""The site in a real browser without JavaScript: how it looks, and what a reader can click through."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator

import pytest
from conftest import PROJECT
from playwright.async_api import Browser, Page, async_playwright

from notifier.model import SubscriberState
from tests.servers.http import Answer
from tests.world import Served, World, text_page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PICTURES = PROJECT / "artefacts"
SCREENS = [(width, scheme) for width in (1000, 390) for scheme in ("light", "dark")]
READER = "reader@example.org"
OLD = ["An Old Fictional Paper on Lighthouses"]
NEW = [
    "Where the Harbour Ends: Learned Maps of Moving Shorelines",
    "Ferries That Wait: Scheduling under Rumours of Fog",
    "A Very Patient Benchmark for Reading Tide Tables",
    "</h3><script>document.title = 'taken'</script><h1 style='position:fixed'>A Title That Would Be Markup",
    "مسار الرسوم البيانية: graph reasoning between two scripts",
    "W" * 180,
    *(f"Fictional Paper Number {n} of a Long Day on Knots, Ropes and the Language of Flags" for n in range(30)),
]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("a Chromium is required with CI=true")
        pytest.skip("no Chromium on this machine")
    async with async_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        running = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield running
        await running.close()


@pytest.fixture
async def site(installation: World) -> AsyncIterator[Served]:
    """A site with a full day, a listing that broke and one that waits; its reader got a digest."""
    installation.reachable()
    for name in ("daily", "weekly", "broken"):
        installation.listing(name)
        installation.pages.put(f"/{name}", text_page(*OLD))
    await installation.subscribe(READER, "fictional AND (ferries OR harbour OR flags)")
    await installation.run()
    installation.pages.put("/daily", text_page(*NEW))
    installation.pages.pages["/broken"] = Answer(status=503, body=b"down")
    await installation.run(minutes=60)
    async with installation.served() as served:
        yield served


class Screen:
    """A page of the browser that collects everything it complains about and everything it asks of others."""

    def __init__(self, page: Page, width: int, scheme: str, site: Served) -> None:
        self.page, self.width, self.scheme, self.site = page, width, scheme, site
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda asked: asked.url.startswith(site.url) or self.foreign.append(asked.url))

    async def look(self, name: str, *expected: str) -> None:
        """Take the picture; nothing may be cut off at the side, complained about or loaded from elsewhere."""
        PICTURES.mkdir(exist_ok=True)
        await self.page.screenshot(path=PICTURES / f"site-{name}-{self.width}-{self.scheme}.png", full_page=True)
        assert await self.page.evaluate("document.documentElement.scrollWidth") <= self.width
        assert await self.page.locator("h1").count() == 1
        assert await self.page.locator('script:not([src="/site.js"])').count() == 0
        assert set(self.complaints) <= set(expected)
        assert self.foreign == []


async def screen(browser: Browser, site: Served, width: int, scheme: str) -> Screen:
    context = await browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        java_script_enabled=False,  # type: ignore[arg-type]
    )
    return Screen(await context.new_page(), width, scheme, site)


def link(world: World, kind: str) -> str:
    """Return where the reader's mail links to."""
    (mail,) = world.mails(READER)
    found = re.search(rf"https?://[^\s>]+/{kind}/[^\s>]+", mail.get_body(("plain",)).get_content())
    assert found
    return found[0]


async def test_the_site_is_clear_on_every_screen_and_can_be_left_and_rejoined_without_scripts(
    installation: World, site: Served, browser: Browser
) -> None:
    store = site.running.store

    async def state() -> SubscriberState:
        reader = await store.subscriber(READER)
        assert reader
        return reader.state

    for width, scheme in SCREENS:
        seen = await screen(browser, site, width, scheme)
        page = seen.page
        await page.goto(f"{site.url}/")
        assert await page.title() == "New research papers – Paper alerts"
        assert await page.locator("article").count() == 8
        await seen.look("home")

        await page.goto(link(installation, "digests"))
        assert await page.locator("article").count() > 30
        assert await page.locator("mark").count() > 30
        await seen.look("digest")

        await page.get_by_role("link", name="Unsubscribe").first.click()
        await seen.look("unsubscribe")
        assert await state() is SubscriberState.CONFIRMED
        await page.get_by_role("button", name="Unsubscribe").click()
        await page.get_by_role("heading", name="You are unsubscribed").wait_for()
        await seen.look("unsubscribed")
        assert await state() is SubscriberState.UNSUBSCRIBED
        await page.get_by_role("button", name="Undo").click()
        await page.get_by_role("heading", name="You are subscribed again").wait_for()
        await seen.look("resubscribed")
        assert await state() is SubscriberState.CONFIRMED
        await page.context.close()


async def test_a_page_that_is_not_there_says_so_and_leads_home(site: Served, browser: Browser) -> None:
    seen = await screen(browser, site, 390, "light")
    answer = await seen.page.goto(f"{site.url}/unsubscribe/cut-in-tw")
    assert answer is not None
    assert answer.status == 404
    await seen.look("not-found", "Failed to load resource: the server responded with a status of 404 (Not Found)")
    await seen.page.get_by_role("link", name="first page").click()
    await seen.page.get_by_role("heading", name="Newest papers").wait_for()


async def test_everything_can_be_reached_with_the_keyboard_alone(
    installation: World, site: Served, browser: Browser
) -> None:
    seen = await screen(browser, site, 390, "light")
    await seen.page.goto(link(installation, "unsubscribe"))
    for _ in range(5):  # skip link, home, two pages of the site, button
        await seen.page.keyboard.press("Tab")
    await seen.page.keyboard.press("Enter")
    await seen.page.get_by_role("heading", name="You are unsubscribed").wait_for()
