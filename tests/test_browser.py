"""A reader's whole way through the site in a real browser, wide and narrow; and no page that shuts somebody out.

The way is walked without JavaScript. Every page on it is looked at in light and dark: a picture is kept in artefacts/,
nothing may be cut off, loaded from elsewhere or heavy, and axe-core (Deque, from npm by `make test`) finds no barrier.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from conftest import PROJECT
from playwright.async_api import Browser, Page, Response, async_playwright

from notifier.daemon import once
from notifier.model import SubscriberState
from tests.servers.http import Answer
from tests.world import Served, World, text, text_page

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
AXE = PROJECT / "build/node_modules/axe-core/axe.min.js"
PICTURES = PROJECT / "artefacts"
SCREENS = [(1280, "light"), (375, "dark")]  # how the way is walked; each page is looked at in the other scheme too
SCHEMES = ("light", "dark")
HEAVIEST = 60_000  # bytes of a page with everything that it loads
READER = "ada@example.org"
OLD = "An Old Fictional Paper on Lighthouses"
NEWS = [
    "Where the Harbour Ends: Learned Maps of Moving Shorelines",
    "Ferries That Wait: Scheduling under Rumours of Fog",
    "A Very Patient Benchmark for Reading Tide Tables",
    "</h3><script>document.title = 'taken'</script><h1 style='position:fixed'>A Harbour Title That Would Be Markup",
    "مسار الرسوم البيانية: harbour reasoning between two scripts",
    "Harbour " + "W" * 180,
    *(f"Fictional Paper Number {n} on Knots, Ropes and the Language of Flags" for n in range(9)),
]
LATER = "Harbour Seals as Weak Labels: a Field Study"


def required(there: object, what: str) -> None:
    """Skip what this machine cannot show; fail with CI=true."""
    if not there:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{what} is required with CI=true")
        pytest.skip(f"no {what} on this machine: make test sets it up where it can")


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


@dataclass(slots=True)
class Screen:
    """A page of the browser that collects what it complains about, what it loads, and what shuts somebody out.

    `judge` is a page beside it that may run scripts, which axe-core needs.
    """

    page: Page
    judge: Page
    width: int
    scheme: str
    site: Served
    complaints: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    weight: int = 0

    def listen(self) -> None:
        """Begin to collect."""
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda asked: asked.url.startswith(self.site.url) or self.foreign.append(asked.url))

    async def look(self, name: str, *expected: str) -> None:
        """Take pictures; nothing may be cut off at the side, hard to read, complained about, or from elsewhere."""
        PICTURES.mkdir(exist_ok=True)
        for scheme in SCHEMES:
            await self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            picture = PICTURES / f"site-{name}-{self.width}-{scheme}.png"
            await self.page.screenshot(path=picture, full_page=True, animations="disabled")
        await self.page.emulate_media(color_scheme=self.scheme)  # type: ignore[arg-type]
        assert await self.page.evaluate("document.documentElement.scrollWidth") <= self.width, name
        assert await self.page.locator("h1").count() == 1, name
        assert await self.page.locator('script:not([src="/site.js"])').count() == 0, name
        assert [each for each in self.complaints if not each.endswith(expected or ("\0",))] == [], name
        assert self.foreign == [], name
        self.complaints.clear()
        self.violations += [f"{name}: {each}" for each in await self._barriers()]

    async def _barriers(self) -> list[str]:
        """Return what axe-core finds wrong with the page as it stands, in both schemes."""
        required(AXE.exists(), "axe-core")
        html = await self.page.content()
        here = f"{self.site.url}/as-it-stands"
        await self.judge.route(here, lambda route: route.fulfill(body=html, content_type="text/html; charset=utf-8"))
        await self.judge.goto(here)
        await self.judge.evaluate(AXE.read_text())
        found: list[str] = []
        for scheme, rules in zip(SCHEMES, ("{}", "{runOnly: ['color-contrast']}"), strict=True):
            await self.judge.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            found += await self.judge.evaluate(
                """async options => (await axe.run(document, {...options, resultTypes: ["violations"]})).violations.map(
                    each => `${each.id}: ${each.nodes.map(node => node.html).join(" | ").slice(0, 300)}`)""",
                {} if rules == "{}" else {"runOnly": ["color-contrast"]},
            )
        await self.judge.unroute(here)
        return found


async def screen(browser: Browser, site: Served, width: int, scheme: str) -> Screen:
    size = {"width": width, "height": 900}
    reading = await browser.new_context(viewport=size, color_scheme=scheme, java_script_enabled=False)  # type: ignore[arg-type]
    judging = await browser.new_context(viewport=size)  # type: ignore[arg-type]
    made = Screen(await reading.new_page(), await judging.new_page(), width, scheme, site)
    made.listen()
    return made


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
        await _subscribe(seen, served)
    await news.run()
    (asked,) = news.mails(READER)
    async with news.served() as served:
        manage = await _confirm(seen, link(asked, "confirm"))
    await news.run()
    news.pages.put("/daily", text_page(LATER))
    await news.run(minutes=60)
    history, digest = [mail for mail in news.mails(READER) if mail["List-Unsubscribe"]]
    assert NEWS[0] in text(history)
    assert LATER in text(digest)

    async with news.served() as served:
        await page.goto(link(history, "digests"))
        assert await page.title() != "taken"
        assert await page.locator("article").count() == len(NEWS) - 1, "nobody asked for tide tables"
        await seen.look("digest")
        await page.goto(link(digest, "feeds/private"))
        await page.get_by_role("heading", name="My papers").wait_for()
        assert await page.locator("article").count() > 1
        await seen.look("feed")
        await _change(seen, f"{served.url}{manage}")
        await _leave_and_return(seen, served, link(digest, "unsubscribe"))
        for name, path in (
            ("papers", "/papers?q=knots"),
            ("paper", "/papers/2"),
            ("status", "/status"),
            ("feeds", "/feeds?q=knots+OR+harbour"),
            ("lost", "/link"),
        ):
            await page.goto(f"{served.url}{path}")
            await seen.look(name)
        await page.goto(f"{served.url}/unsubscribe/cut-in-tw")
        await seen.look("not-found", "404 (Not Found)")
        await page.get_by_role("link", name="first page").click()
        await page.get_by_role("heading", name="Newest papers").wait_for()
        await _erase(seen, f"{served.url}{manage}")
        assert await served.running.store.subscriber(READER) is None
    assert seen.violations == []


async def _subscribe(seen: Screen, served: Served) -> None:
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
    await seen.look("subscribe-error", "400 (Bad Request)")
    await page.get_by_label("Your mail address").fill(READER)
    await page.get_by_label("Time zone").fill("Europe/Berlin")
    await page.get_by_label("How often").select_option("immediate")
    await page.get_by_role("button", name="Subscribe").click()
    await page.get_by_role("heading", name="Look into your mailbox").wait_for()
    await seen.look("asked")


async def _confirm(seen: Screen, confirm: str) -> str:
    """Confirm, and return the path of the reader's own page."""
    page = seen.page
    await page.goto(confirm)
    await seen.look("confirm")
    await page.get_by_label("also what the last 7 days had").check()
    await page.get_by_role("button", name="Confirm").click()
    await page.get_by_role("heading", name="You are subscribed").wait_for()
    await seen.look("confirmed")
    manage = await page.get_by_role("link", name="Change what you get").get_attribute("href")
    await page.goto(confirm)
    await page.get_by_role("heading", name="Nothing to confirm").wait_for()
    await seen.look("confirm-used")
    assert manage
    return manage


async def _change(seen: Screen, manage: str) -> None:
    page = seen.page
    await page.goto(manage)
    await seen.look("manage")
    await page.locator("summary").first.click()
    await page.get_by_label("Words").first.fill("seals OR harbour")
    await page.get_by_role("button", name="Preview").first.click()
    await seen.look("manage-edit")
    await page.get_by_label("How often").first.select_option("paused")
    await page.get_by_role("button", name="Save").first.click()
    await page.get_by_text("Saved: seals OR harbour").wait_for()
    await page.get_by_text("paused: what is found waits").first.wait_for()
    async with page.expect_download() as saved:
        await page.get_by_role("link", name=re.compile("JSON")).last.click()
    kept = json.loads((await (await saved.value).path()).read_text())
    assert READER in json.dumps(kept)
    assert LATER in json.dumps(kept) or "seals OR harbour" in json.dumps(kept)


async def _leave_and_return(seen: Screen, served: Served, unsubscribe: str) -> None:
    page, store = seen.page, served.running.store

    async def state() -> SubscriberState:
        reader = await store.subscriber(READER)
        assert reader
        return reader.state

    await page.goto(unsubscribe)
    await seen.look("unsubscribe")
    assert await state() is SubscriberState.CONFIRMED
    for _ in range(6):  # skip link, home, three pages of the site, button: by the keyboard alone
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="You are unsubscribed").wait_for()
    await seen.look("unsubscribed")
    assert await state() is SubscriberState.UNSUBSCRIBED
    await page.get_by_role("button", name="Undo").click()
    await page.get_by_role("heading", name="You are subscribed again").wait_for()
    await seen.look("resubscribed")
    assert await state() is SubscriberState.CONFIRMED


async def _erase(seen: Screen, manage: str) -> None:
    page = seen.page
    await page.goto(manage)
    await page.get_by_text("Delete everything").first.click()
    await page.get_by_label("I am sure").check()
    await page.get_by_role("button", name="Delete everything").click()
    await seen.look("erased")


async def test_every_page_weighs_less_than_its_budget_with_all_it_loads(news: World, browser: Browser) -> None:
    async with news.served() as served:
        page = await browser.new_page()
        for path in ("/", "/?q=*", "/papers", "/status", "/feeds", "/link", "/feeds/all.atom"):
            sizes: list[int] = []

            async def weigh(answer: Response, sizes: list[int] = sizes) -> None:
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
