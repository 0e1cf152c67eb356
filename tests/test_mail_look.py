"""How a digest mail looks in a real browser: wide and narrow, light and dark."""

from __future__ import annotations

import email
import email.policy
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest
from conftest import PROJECT
from fictional import coverage, digest, entry, paper
from playwright.sync_api import Browser, Page, Route, sync_playwright

from notifier.compose import compose
from notifier.compose.fragments import Fragments
from notifier.model import Digest, Outcome
from notifier.templates import Templates

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PICTURES = PROJECT / "artefacts"
WIDTHS = (1000, 390, 320)
SCHEMES = ("light", "dark")
CONTRAST_MIN = 4.5  # WCAG 2.2, 1.4.3
FONT_MIN = 14  # pixels

# Every visible text with its colour, the background behind it, and its size; computed by the browser.
TEXTS = """() => {
  const rgb = value => value.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = rgb(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return matchMedia('(prefers-color-scheme: dark)').matches ? [0, 0, 0] : [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(rgb(style.color)), light(behind(element))];
    found.push({ text: text.slice(0, 40), size: parseFloat(style.fontSize),
                 contrast: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) });
  }
  return found;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("a Chromium is required with CI=true")
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield running
        running.close()


def sample() -> Digest:
    """Return a digest with what is usual and what is nasty."""
    entries = [
        entry(paper(n), *(("LLM", "graph AND reasoning") if n % 2 else ("graph AND reasoning",))) for n in range(6)
    ]
    entries[1] = entry(paper(1, withdrawn=True, upvotes=None), "author:quandt")
    nasty = (
        paper(
            6, title="</h2></td></table><script>alert('x')</script><h1 style='position:fixed'>", authors=("<b>Eve</b>",)
        ),
        paper(7, title="W" * 400, abstract="x" * 700, authors=("Z" * 200,), categories=("y" * 150,)),
        paper(8, title="مسار الرسوم البيانية: graph reasoning", abstract="", url="", pdf_url=None, code_url=None),
        paper(9, title="图推理与记忆:一个关于小模型的长故事", authors=tuple(f"Author {n}" for n in range(300))),
    )
    entries += [entry(shown, "label " + "q" * 120) for shown in nasty]
    entries += [entry(paper(n)) for n in range(10, 140)]
    bad = coverage("bioRxiv neuroscience", Outcome.FAILED, reason="the server answered 503", stated=None)
    return digest(
        entries=tuple(entries), coverage=(*digest().coverage, bad, coverage("stat.ML", Outcome.WAITING, new=0))
    )


def small() -> Digest:
    made = digest(
        4,
        coverage=(
            coverage("Hugging Face Daily Papers"),
            coverage("arXiv cs.CL", Outcome.QUIET, new=0, read=0, stated=0),
        ),
    )
    return replace(made, entries=(*made.entries, entry(paper(4), "LLM")))


def shown(browser: Browser, made: Digest, width: int, scheme: str) -> tuple[Page, list[str]]:
    """Return the page of the mail's HTML part, and the list that collects every request that wants to leave it."""
    part = email.message_from_bytes(compose(made, Fragments(Templates())), policy=email.policy.default).get_body(
        ("html",)
    )
    assert part is not None
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    requests: list[str] = []

    def refuse(route: Route) -> None:
        requests.append(route.request.url)
        route.abort()

    page.route("**/*", refuse)
    page.set_content(str(part.get_content()))
    return page, requests


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("made", [small(), sample()], ids=["small", "sample"])
def test_the_mail_fits_the_screen_is_legible_and_asks_for_nothing(
    browser: Browser, made: Digest, width: int, scheme: str, request: pytest.FixtureRequest
) -> None:
    page, requests = shown(browser, made, width, scheme)
    PICTURES.mkdir(exist_ok=True)
    name = f"mail-{'small' if len(made.entries) < 10 else 'sample'}-{width}-{scheme}.png"
    page.screenshot(path=PICTURES / name, full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    texts = page.evaluate(TEXTS)
    assert len(texts) > 40
    assert [t for t in texts if t["contrast"] < CONTRAST_MIN] == []
    assert [t for t in texts if t["size"] < FONT_MIN] == []
    assert requests == []
    page.close()


def test_the_mail_has_a_language_one_first_heading_and_a_heading_for_each_paper(browser: Browser) -> None:
    page, _ = shown(browser, small(), 390, "light")
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("h1").count() == 1
    assert page.locator("h2 a").count() == 5
    assert page.locator("table:not([role=presentation])").count() == 0
    assert page.locator("script, img").count() == 0
    page.close()


def test_f035_markup_in_a_title_is_text_on_the_screen(browser: Browser) -> None:
    page, _ = shown(browser, sample(), 1000, "light")
    assert page.locator("h1").count() == 1
    assert page.get_by_text("<script>alert('x')</script>").count() == 1
    page.close()


def test_a_title_begins_where_its_script_does(browser: Browser) -> None:
    titles = ("دراسة شاملة للموانئ", "A Fictional Paper on Fog")
    made = digest(2, entries=tuple(entry(paper(n, title=title)) for n, title in enumerate(titles)))
    page, _ = shown(browser, made, 390, "light")
    side = """each => {
        const words = document.createRange(); words.selectNodeContents(each);
        const inside = words.getBoundingClientRect(), box = each.getBoundingClientRect();
        return inside.left - box.left < box.right - inside.right ? "left" : "right" }"""
    assert [title.evaluate(side) for title in page.locator("h2").all()[:2]] == ["right", "left"]
    page.close()


def test_links_are_large_enough_for_a_thumb(browser: Browser) -> None:
    page, _ = shown(browser, small(), 390, "light")
    for link in page.get_by_role("link", name="PDF").all() + page.get_by_role("link", name="Unsubscribe").all():
        box = link.bounding_box()
        assert box is not None
        assert box["height"] >= 24  # WCAG 2.2, 2.5.8
    page.close()
