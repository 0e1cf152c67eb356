"""A reader's whole way through the site in a real browser, on every screen; and no page that shuts somebody out.

The way is walked without JavaScript. axe-core (Deque) looks at every page on the way; it comes from npm by
`make browser`. Pictures of all pages are kept in build/screenshots.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from conftest import PROJECT
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from notifier.daemon import once
from notifier.model import SubscriberState
from tests.servers.http import Answer
from tests.world import Served, World, text, text_page

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
AXE = PROJECT / "build/node_modules/axe-core/axe.min.js"
PICTURES = PROJECT / "build/screenshots"
SCREENS = [(1280, "light"), (375, "dark"), (1280, "dark"), (375, "light")]
HEAVIEST = 60_000  # bytes of a page with everything that it loads
READER = "ada@example.org"
OLD = "An Old Fictional Paper on Lighthouses"
NEWS = [
    "Where the Harbour Ends: Learned Maps of Moving Shorelines",
    "Ferries That Wait: Scheduling under Rumours of Fog",
    "A Very Patient Benchmark for Reading Tide Tables",
    *(f"Fictional Paper Number {n} on Knots, Ropes and the Language of Flags" for n in range(12)),
]
LATER = "Harbour Seals as Weak Labels: a Field Study"


def required(there: object, what: str) -> None:
    """Skip what this machine cannot show; fail with CI=true."""
    if not there:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{what} is required with CI=true")
        pytest.skip(f"no {what} on this machine: make browser")


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    required(CHROMIUM, "Chromium")
    async with async_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        running = await playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield running
        await running.close()


@pytest.fixture
async def news(installation: World) -> World:
    """An installation whose listing brought news for some days, beside one that broke."""
    installation.reachable()
    for name in ("daily", "broken"):
        installation.listing(name)
        installation.pages.put(f"/{name}", text_page(OLD))
    async with installation.opened() as running:
        await once(running)
        installation.pages.pages["/broken"] = Answer(status=503, body=b"down")
        for day in range(5):
            installation.pages.put("/daily", text_page(*NEWS[day * 3 : day * 3 + 3]))
            installation.now += timedelta(days=1)
            await once(running)
    return installation


class Screen:
    """A page of the browser that collects what it complains about, what it weighs, and what it asks of others."""

    def __init__(self, page: Page, width: int, scheme: str, site: Served) -> None:
        self.page, self.width, self.scheme, self.site = page, width, scheme, site
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        self.violations: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda asked: asked.url.startswith(site.url) or self.foreign.append(asked.url))

    async def look(self, name: str) -> None:
        """Take the picture; nothing may be cut off at the side, hard to read, complained about or from elsewhere."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=PICTURES / f"{name}-{self.width}-{self.scheme}.png", full_page=True)
        assert await self.page.evaluate("document.documentElement.scrollWidth") <= self.width, name
        assert await self.page.locator("h1").count() == 1
        assert self.complaints == [], name
        assert self.foreign == []
        self.violations += [f"{name}: {each}" for each in await barriers(self.page, self.site)]


async def barriers(page: Page, site: Served) -> list[str]:
    """Return what axe-core finds wrong with a page as it stands, shown again where scripts may run."""
    required(AXE.exists(), "axe-core")
    assert page.context.browser
    assert page.viewport_size
    scheme = "dark" if await page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") else "light"
    html = await page.content()
    context = await page.context.browser.new_context(
        viewport=page.viewport_size,
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    other = await context.new_page()
    await other.route(f"{site.url}/as-it-stands", lambda route: route.fulfill(body=html, content_type="text/html"))
    await other.goto(f"{site.url}/as-it-stands")
    await other.evaluate(AXE.read_text())
    found: list[str] = await other.evaluate(
        """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations.map(
            each => `${each.id}: ${each.nodes.map(node => node.html).join(" | ").slice(0, 300)}`)"""
    )
    await context.close()
    return found


async def screen(browser: Browser, site: Served, width: int, scheme: str) -> Screen:
    context: BrowserContext = await browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        java_script_enabled=False,  # type: ignore[arg-type]
    )
    return Screen(await context.new_page(), width, scheme, site)


def link(mail: EmailMessage, kind: str) -> str:
    """Return where the text of a mail links to."""
    body = mail.get_body(("plain",))
    assert body
    found = re.search(rf"https?://[^\s>]+/{kind}/[^\s>]+", body.get_content())
    assert found, kind
    return found[0]


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
async def test_a_reader_subscribes_confirms_reads_changes_leaves_and_comes_back_without_scripts(
    news: World, browser: Browser, width: int, scheme: str
) -> None:
    async with news.served() as served:
        seen = await screen(browser, served, width, scheme)
        page = seen.page
        await page.goto(f"{served.url}/")
        await seen.look("home")
        await page.get_by_label("Your words").fill("harbour OR (knots AND ropes) OR ferries")
        await page.get_by_role("button", name="Preview").click()
        await page.get_by_role("heading", name="What it would have caught").wait_for()
        assert "14 papers of 16 in the last 30 days" in " ".join((await page.locator(".count").inner_text()).split())
        assert await page.locator("mark").count() > 3
        await seen.look("preview")
        await page.get_by_label("Your mail address").fill("ada@")
        await page.get_by_label("Time zone").fill("Mars/Olympus")
        await page.locator("form[action='/subscribe']").evaluate("form => form.noValidate = true")
        await page.get_by_role("button", name="Subscribe").click()
        assert await page.locator(".error").count() == 2
        seen.complaints.clear()  # the browser says that the answer was 400
        await seen.look("subscribe-error")
        await page.get_by_label("Your mail address").fill(READER)
        await page.get_by_label("Time zone").fill("Europe/Berlin")
        await page.get_by_label("How often").select_option("immediate")
        await page.get_by_role("button", name="Subscribe").click()
        await page.get_by_role("heading", name="Look into your mailbox").wait_for()
        await seen.look("asked")
    await news.run()
    (asked,) = news.mails(READER)

    async with news.served() as served:
        seen.site = served
        await page.goto(link(asked, "confirm"))
        await seen.look("confirm")
        await page.get_by_label("also what the last 7 days had").check()
        await page.get_by_role("button", name="Confirm").click()
        await page.get_by_role("heading", name="You are subscribed").wait_for()
        await seen.look("confirmed")
        manage = await page.get_by_role("link", name="Change what you get").get_attribute("href")
        await page.goto(link(asked, "confirm"))
        await page.get_by_role("heading", name="Nothing to confirm").wait_for()
        await seen.look("confirm-used")
    await news.run()
    news.pages.put("/daily", text_page(LATER))
    await news.run(minutes=60)
    history, digest = [mail for mail in news.mails(READER) if mail["List-Unsubscribe"]]
    assert NEWS[0] in text(history)
    assert LATER in text(digest)

    async with news.served() as served:
        seen.site = served
        await page.goto(link(digest, "digests"))
        await seen.look("digest")
        await page.goto(f"{served.url}{manage}")
        await seen.look("manage")
        await page.locator("summary").first.click()
        await page.get_by_label("Words").first.fill("seals")
        await page.get_by_role("button", name="Preview").first.click()
        await seen.look("manage-edit")
        await page.get_by_role("button", name="Save").first.click()
        await page.get_by_text("Saved: seals").wait_for()
        await page.goto(link(digest, "unsubscribe"))
        await seen.look("unsubscribe")
        await page.get_by_role("button", name="Unsubscribe").click()
        await page.get_by_role("heading", name="You are unsubscribed").wait_for()
        await seen.look("unsubscribed")
        await page.get_by_role("button", name="Undo").click()
        await page.get_by_role("heading", name="You are subscribed again").wait_for()
        reader = await served.running.store.subscriber(READER)
        assert reader
        assert reader.state is SubscriberState.CONFIRMED
        for name, path in (
            ("papers", "/papers?q=knots"),
            ("paper", "/papers/2"),
            ("status", "/status"),
            ("lost", "/link"),
        ):
            await page.goto(f"{served.url}{path}")
            await seen.look(name)
    assert seen.violations == []
    await page.context.close()


async def test_every_page_weighs_less_than_its_budget_with_all_it_loads(news: World, browser: Browser) -> None:
    async with news.served() as served:
        page = await browser.new_page()
        for path in ("/", "/?q=*", "/papers", "/status", "/link"):
            sizes: list[int] = []

            async def weigh(answer: Any, sizes: list[int] = sizes) -> None:
                sizes.append(len(await answer.body()))

            page.on("response", weigh)
            await page.goto(f"{served.url}{path}", wait_until="networkidle")
            page.remove_listener("response", weigh)
            assert 0 < sum(sizes) < HEAVIEST, (path, sizes)
        await page.close()


async def test_with_scripts_the_time_zone_is_guessed_and_the_preview_follows_the_typing(
    news: World, browser: Browser
) -> None:
    async with news.served() as served:
        context = await browser.new_context(timezone_id="America/St_Johns")
        page = await context.new_page()
        faults: list[str] = []
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        await page.goto(f"{served.url}/")
        await page.get_by_label("Your words").press_sequentially("harbour")
        await page.get_by_role("heading", name="What it would have caught").wait_for()
        assert await page.get_by_label("Time zone").input_value() == "America/St_Johns"
        assert faults == []
        await context.close()


def test_the_pictures_of_the_readme_are_there_and_small() -> None:
    for name in re.findall(r"\(docs/images/([^)]+)\)", (PROJECT / "README.md").read_text()):
        assert 0 < Path(PROJECT / "docs/images" / name).stat().st_size < 200_000, name
