"""check-listing: what a configuration would read, before it is written."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tomllib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import PROJECT

from notifier.config import load
from notifier.parse import FORMATS
from notifier.probe import name_of, table
from tests.listings import arxiv_feed
from tests.servers.http import Site, site
from tests.terminal import Said, notifier
from tests.world import World, text_page

GOLDEN = PROJECT / "tests" / "golden"
ASKING = ("--contact", "me@example.org")
ITEMS = "".join(
    f"<article><h3><a href='/p/{number}'>A Fictional Paper of Number {number}</a></h3>"
    f"<p>An invented abstract about the matter of number {number}.</p></article>"
    for number in range(1, 6)
)


async def checked(page: bytes | str, *options: str, status: int = 200, folder: Path | None = None) -> Said:
    """Run `check-listing` on a page that is served on loopback at /papers."""
    async with site() as server:
        server.put("/papers", page, status=status)
        return await notifier("check-listing", server.url("/papers"), "--allow-private", *options, folder=folder)


def files(folder: Path) -> list[Path]:
    """Whatever lies in a folder."""
    return list(folder.iterdir())


def block(said: Said) -> str:
    """The table to paste."""
    return said.out[said.out.index("[[listing]]") :]


async def test_it_says_what_a_listing_would_read(tmp_path: Path) -> None:
    said = await checked(arxiv_feed(1, 2, 3, 4), "--format", "arxiv-feed", *ASKING, folder=tmp_path)
    assert (said.code, said.err) == (0, "")
    for expected in (
        "read as arxiv-feed",
        "outcome: fresh, 4 read, recorded by the first poll: not news",
        "papers: 4 read, no count on the page, 0 skipped",
        "day: none on the page",
        "polled: around arXiv's announcements, else at least every 6 hours",
        "fields: title 4, url 4, abstract 4, arxiv_id 4, version 4, authors 4, categories 4",
        "\nFictional paper 1\n",
        "  arxiv_id: 2603.00001\n",
        "  authors: Ada Quill\n",
    ):
        assert expected in said.out
    assert "Fictional paper 4" not in said.out
    assert files(tmp_path) == []


async def test_a_site_that_asks_for_a_pause_is_said_to_and_until_when() -> None:
    async with site() as server:
        server.put("/papers", b"busy", status=503, retry_after="7200")
        before = datetime.now(UTC)
        said = await notifier("check-listing", server.url("/papers"), "--allow-private", *ASKING)
    assert said.code == 1
    found = re.search(r"503 .*busy; not to be asked again before (\S+ \S+) UTC", " ".join(said.err.split()))
    assert found, said.err
    until = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
    assert before + timedelta(hours=2) - timedelta(minutes=1) <= until <= datetime.now(UTC) + timedelta(hours=2)


async def test_f023_a_proxy_set_where_the_program_is_started_is_never_asked() -> None:
    """The same environment sends a client that does believe it to the proxy."""
    async with site() as server, site() as proxy:
        server.put("/papers", arxiv_feed(1, 2, 3, 4))
        names = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        proxies = dict.fromkeys(names, proxy.url().rstrip("/"))
        said = await notifier("check-listing", server.url("/papers"), "--allow-private", *ASKING, **proxies)
        assert (said.code, said.err, proxy.requests) == (0, "", [])
        assert "papers: 4 read" in said.out
        believing = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1])"
        started = await asyncio.create_subprocess_exec(
            sys.executable, "-c", believing, server.url("/papers"), env=proxies, stderr=asyncio.subprocess.DEVNULL
        )
        await started.wait()
        assert len(proxy.requests) == 1


async def test_the_table_it_prints_is_a_configuration(tmp_path: Path) -> None:
    selectors = ("--selector", "item=article", "--selector", "title=h3", "--selector", 'link=h3 a[href^="/p/"]@href')
    said = await checked(f"<html><body>{ITEMS}</body></html>", *selectors, "--selector", "abstract=p", *ASKING)
    assert said.code == 0, said.err
    assert "papers: 5 read" in said.out
    (tmp_path / "config.toml").write_text('contact = "me@example.org"\n' + block(said))
    (listing,) = load(tmp_path / "config.toml", {}).listings
    assert (listing.format, listing.allow_private) == ("html", True)
    assert dict(listing.selectors) == {
        "item": "article", "title": "h3", "link": 'h3 a[href^="/p/"]@href', "abstract": "p",
    }  # fmt: skip
    assert listing.url.endswith("/papers")


def fullest_page(format: str) -> Path:
    """The golden page of a format with the most papers, of those that hold as many as they state."""

    def papers(expectation: Path) -> int:
        expected = json.loads(expectation.read_text())
        read = len(expected.get("papers", ()))
        is_whole = expected.get("stated", read) == read + expected.get("skipped", 0)
        return read if is_whole and "charset" not in expected.get("page", {}) else 0

    fullest = max(sorted((GOLDEN / format).glob("*.expected.json")), key=papers)
    (page,) = (path for path in fullest.parent.glob(fullest.name.split(".")[0] + ".*") if path != fullest)
    return page


@pytest.mark.parametrize("format", [name for name in FORMATS if name != "html"])
async def test_without_a_format_it_recognises_each(format: str) -> None:
    said = await checked(fullest_page(format).read_bytes(), *ASKING)
    assert said.code == 0, said.err
    assert f", read as {format}\n" in said.out
    assert tomllib.loads(block(said))["listing"][0]["format"] == format


async def test_it_says_which_other_formats_could_read_the_page() -> None:
    said = await checked(arxiv_feed(1, 2), *ASKING)
    assert "read as arxiv-feed\n  rather than as feed, which finds less in it\n" in said.out


async def test_a_page_that_no_format_reads_is_explained() -> None:
    said = await checked(f"<html><body>{ITEMS}</body></html>", *ASKING)
    assert (said.code, said.out) == (1, "")
    said_once = "no format reads this page, an HTML page without title; selectors read it as html: --selector item="
    assert said_once in said.err and said.err.count("HTML page without title") == 1
    assert "\n  arxiv-list: no #dlpage\n" in said.err
    assert "\n  arxiv-api, arxiv-feed, biorxiv, feed, oai-pmh: not XML\n" in said.err
    assert all(said.err.count(f" {name},") + said.err.count(f" {name}:") == 1 for name in FORMATS if name != "html")


async def test_selectors_are_no_advice_for_a_page_that_is_no_html() -> None:
    said = await checked('{"count": 2, "notes": []}', *ASKING)
    assert "no format reads this page, JSON\n" in said.err and "--selector" not in said.err
    assert "\n  arxiv-list: not HTML\n" in said.err
    assert "\n  openreview: the page says that there are 2 notes and shows none" in said.err


async def test_a_page_of_another_format_than_said_is_no_page_that_was_cut_off() -> None:
    said = await checked(arxiv_feed(1, 2), "--format", "arxiv-list", *ASKING)
    assert "not read as arxiv-list: not HTML; found an XML document; without --format every one is tried" in said.err


async def test_a_page_that_contradicts_itself_is_no_listing_to_paste() -> None:
    page = (GOLDEN / "arxiv-list" / "new.html").read_text()
    said = await checked(page.replace("showing ", "showing 9", 1), "--format", "arxiv-list", *ASKING)
    assert said.code == 1
    assert "outcome: failed, the page states 9" in said.out
    assert "[[listing]]" not in said.out


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        (["--format", "hf-daily"], 200, "error: "),
        (["--format", "hf-daily"], 404, "404 Whatever"),
        (["--selector", "item=section", "--selector", "title=h3"], 200, "item 'section' matches nothing"),
    ],
)
async def test_1_trouble_is_said_in_words(options: list[str], status: int, says: str) -> None:
    said = await checked(f"<html><body>{ITEMS}</body></html>", *options, *ASKING, status=status)
    assert (said.code, said.out) == (1, "")
    assert says in said.err


async def test_1_a_private_address_is_refused_unless_allowed(tmp_path: Path) -> None:
    said = await notifier("check-listing", "http://127.0.0.1:9/", *ASKING, folder=tmp_path)
    assert said.code == 1
    assert "a private address" in said.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--format", "hf-dayly", *ASKING], "hf-daily"),
        (["--selector", "article", *ASKING], "FIELD=CSS"),
        (["--selector", "title=h3", *ASKING], "item"),
        (["--selector", "item=article", "--format", "feed", *ASKING], "html only"),
    ],
)
async def test_2_wrong_use_is_explained(tmp_path: Path, options: list[str], says: str) -> None:
    said = await notifier("check-listing", "https://papers.example/", *options, folder=tmp_path)
    assert (said.code, said.out) == (2, "")
    assert says in said.err


async def test_the_site_is_told_whom_to_ask(tmp_path: Path, server: Site) -> None:
    server.put("/papers", text_page("A Fictional Paper on Ferries", "A Fictional Paper on Canals"))
    words = ("check-listing", server.url("/papers"), "--allow-private")
    nobody = await notifier(*words, folder=tmp_path)
    assert nobody.code == 78
    assert server.requests == []
    (tmp_path / "config.toml").write_text('contact = "operator@example.org"\n')
    said = await notifier(*words, folder=tmp_path)
    assert said.code == 0, said.err
    assert "(+operator@example.org)" in server.requests[-1].headers["user-agent"]
    assert len(server.requests) == 1


async def test_g9_a_site_that_is_left_alone_for_now_is_not_asked_by_hand_either(installation: World) -> None:
    installation.listing("papers")
    installation.pages.put("/papers", "forbidden", status=403)
    installation.now = datetime.now(UTC) - timedelta(minutes=10)
    await installation.run()
    asked = len(installation.pages.requests)
    said = await notifier(
        "check-listing", installation.pages.url("/papers"), "--allow-private", folder=installation.folder
    )
    assert said.code == 1
    assert "403" in said.err
    assert len(installation.pages.requests) == asked


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://www.example.org/list/cs.CL/new?show=5", "example.org/list/cs.CL/new"),
        ("https://example.org/~me/[papers]/", "example.org/ me/ papers"),
        ("https://example.org/" + "long/" * 50, ("example.org/" + "long/" * 50)[:100]),
    ],
)
def test_a_name_is_made_of_the_url_that_the_configuration_takes(tmp_path: Path, url: str, name: str) -> None:
    from notifier.model import Listing

    assert name_of(url).rstrip("/") == name.rstrip("/")
    path = tmp_path / "config.toml"
    path.write_text('contact = "me@example.org"\n' + table(Listing(name=name_of(url), url=url, format="feed")))
    assert load(path, {}).listings[0].name == name_of(url)


@pytest.fixture
async def server() -> AsyncIterator[Site]:
    """A site on loopback."""
    async with site() as here:
        yield here
