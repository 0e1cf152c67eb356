"""What each public feed holds: everything, a listing, a search, what is trending; older papers; the files."""

from __future__ import annotations

import json
import re
import shutil
from datetime import timedelta
from typing import Any

import feedparser  # type: ignore[import-untyped]
import httpx
import pytest

from notifier import pipeline
from notifier.daemon.steps import once
from tests.visit import FORMATS, LATER, NEW, OTHER, PUBLIC, Visit, ids, titles, visit
from tests.world import World, text_page


@pytest.mark.both_databases
async def test_a_public_feed_holds_what_was_news_and_not_what_was_there_before(told: Visit) -> None:
    types = {"rss": "application/rss+xml", "atom": "application/atom+xml", "json": "application/feed+json"}
    for name in ("all", "listing/daily"):
        for form in FORMATS:
            got = await told.client.get(f"/feeds/{name}.{form}")
            assert (got.status_code, got.headers["content-type"]) == (200, f"{types[form]}; charset=utf-8")
            assert sorted(titles(got)) == sorted(NEW)


async def test_a_paper_has_the_same_id_in_every_form_and_every_feed(told: Visit) -> None:
    everything, *_ = await told.private(OTHER)
    paths = [f"/feeds/all.{form}" for form in FORMATS]
    paths += ["/feeds/listing/daily.atom", "/feeds/search.rss?q=fictional", told.path(everything)]
    found = [dict(zip(titles(got), ids(got), strict=True)) for got in [await told.client.get(p) for p in paths]]
    assert set(found[0]) == set(NEW)
    assert all(each == found[0] for each in found)
    assert all(re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", guid) for guid in found[0].values())


async def test_an_empty_feed_is_a_valid_one(installation: World) -> None:
    installation.listing("daily")
    async with visit(installation) as visitor:
        for path in PUBLIC:
            got = await visitor.client.get(path)
            assert (got.status_code, titles(got)) == (200, []), path


@pytest.mark.both_databases
async def test_the_trending_feed_holds_the_most_voted_first_and_nothing_without_votes(installation: World) -> None:
    def page(*votes: int) -> bytes:
        found = [
            {
                "paper": {
                    "id": f"2611.{10000 + n}", "title": f"A Fictional Paper With {n}", "summary": "An abstract. " * 20,
                    "authors": [{"name": "Ilse Quandt"}], "publishedAt": "2026-03-02T00:00:00.000Z", "upvotes": each,
                },
                "publishedAt": "2026-03-02T00:00:00.000Z", "title": f"A Fictional Paper With {n}",
            }
            for n, each in enumerate(votes)
        ]  # fmt: skip
        return json.dumps(found).encode()

    installation.listing("hf", "hf-daily", first="owe")
    installation.pages.put("/hf", page(3, 0, 17, 5), content_type="application/json")
    await installation.run()
    async with visit(installation) as visitor:
        got = await visitor.client.get("/feeds/trending.json")
        assert [title[-1] for title in titles(got)] == ["2", "3", "0"]
        assert "17 upvotes" in got.json()["items"][0]["content_html"]
        assert "upvote" not in (await visitor.client.get("/feeds/all.json")).text, "it would change with every vote"


async def test_a_search_is_a_feed_of_what_matches_with_marks_and_the_reason(told: Visit) -> None:
    got = await told.client.get("/feeds/search.json", params={"q": "Ferry OR lighthouse"})
    assert titles(got) == [NEW[1]]
    (item,) = got.json()["items"]
    assert "<p>matches: ferry OR lighthouse</p>" in item["content_html"]
    assert "<mark>ferries</mark>" in item["content_html"]


async def test_spellings_of_one_query_are_one_feed(told: Visit) -> None:
    first = await told.client.get("/feeds/search.atom?q=harbours%20ferries")
    second = await told.client.get("/feeds/search.atom?q=%20Harbours+AND%20%20ferries")
    assert (first.content, first.headers["etag"]) == (second.content, second.headers["etag"])


async def test_f115_a_search_that_cannot_be_understood_is_explained(told: Visit) -> None:
    for query in ["", "(", "a" * 5000, "title:", '"']:
        got = await told.client.get("/feeds/search.rss", params={"q": query})
        assert got.status_code == 400
        assert "column" in got.text


# --- older papers -----------------------------------------------------------------------------------------------------


@pytest.mark.both_databases
async def test_older_papers_are_on_archive_pages_which_lead_to_every_one(installation: World) -> None:
    def name(number: int) -> str:
        return f"Fictional Paper Number {number} of Many"

    installation.listing("daily", first="owe")
    shown: list[str] = []
    for start in range(0, 250, 125):
        shown = [name(n) for n in range(start, start + 125)]
        installation.pages.put("/daily", text_page(*shown))
        await installation.run(minutes=60)
    async with visit(installation) as visitor:
        for path in ("/feeds/all.atom", "/feeds/listing/daily.rss", "/feeds/all.json"):
            seen: list[str] = []
            url, pages = path, []
            while url:
                got = await visitor.client.get(url)
                assert got.status_code == 200, url
                seen += titles(got)
                pages.append(got)
                url = visitor.site.here(older) if (older := _older(got)) else ""
            assert len(titles(pages[0])) == 100
            assert set(seen) == {name(n) for n in range(250)}, path
            assert 3 <= len(pages) <= 4
            assert pages[1].headers["cache-control"] == "public, max-age=86400"
        last = visitor.site.running.config.base_url
        archive = (await visitor.client.get("/feeds/all.atom?page=0")).text
        assert "<fh:archive/>" in archive
        assert f'rel="current" href="{last}/feeds/all.atom"' in archive
        assert "next-archive" in archive


@pytest.mark.both_databases
async def test_an_archive_page_keeps_its_papers_when_new_ones_come(told: Visit) -> None:
    before = await told.client.get("/feeds/all.atom?page=0")
    await told.news(LATER)
    after = await told.client.get("/feeds/all.atom?page=0")
    assert ids(after)[-len(ids(before)) :] == ids(before)


async def test_an_archive_page_that_is_not_there_is_not_found(told: Visit) -> None:
    for page in ["-1", "1e3", "", "999999999", "99999999999999999999", "0x1"]:
        assert (await told.client.get("/feeds/all.atom", params={"page": page})).status_code == 404


def _older(got: httpx.Response) -> str | None:
    if got.url.path.endswith(".json"):
        url: Any = got.json().get("next_url")
        return str(url) if url else None
    links = feedparser.parse(got.content).feed.get("links", [])
    return next((link.href for link in links if link.rel == "prev-archive"), None)


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.both_databases
async def test_public_feeds_are_files_too_the_same_as_served(told: Visit) -> None:
    folder = told.world.folder / "feeds"
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"{name}.{form}" for name in ("all", "trending", "listing-daily") for form in FORMATS
    )
    for path in PUBLIC:
        got = await told.client.get(path)
        assert (folder / path.removeprefix("/feeds/").replace("/", "-")).read_bytes() == got.content, path
    kept = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    await told.news(minutes=300)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == kept, "nothing came, nothing is written"


@pytest.mark.both_databases
async def test_what_one_listing_says_more_of_a_paper_is_in_the_feeds_of_all_that_show_it(
    installation: World,
) -> None:
    """The other one is not polled again; a listing that shows something else is left alone."""
    for name in ("one", "two", "other"):
        installation.listing(name, "feed", first="owe")
    tides, more = (
        "A Fictional Paper on Tides",
        "Of the tides of a fictional sea, and of who waits for them on a fictional quay.",
    )

    def serve(name: str, link: str, title: str, more: str = "") -> None:
        said = f"<link>https://arxiv.org/abs/{link}</link><title>{title}</title><description>{more}</description>"
        items = f"<item>{said}</item>"
        installation.pages.put(f"/{name}", f'<rss version="2.0"><channel><title>T</title>{items}</channel></rss>')

    serve("one", "2603.00001", tides)
    serve("two", "2603.00001", tides)
    serve("other", "2603.00002", "A Fictional Paper on Ferries")
    async with installation.opened() as running:
        await once(running)
        shelf = running.shelf
        assert tides in shelf.public["/feeds/listing/one.atom"].body.decode()
        serve("two", "2603.00001", tides, more)
        (two,) = [listing for listing in running.config.listings if listing.name == "two"]
        await pipeline.poll(two, running.intake, running.clock())
        changed = {copy.url.rpartition("/feeds/")[2] for copy in await shelf.refresh()}
        assert changed == {f"{name}.{form}" for name in ("all", "listing/one", "listing/two") for form in FORMATS}
        for name in ("all", "listing/one", "listing/two"):
            body = shelf.public[f"/feeds/{name}.atom"].body.decode()
            assert more in body, name


async def test_a_feed_that_could_not_be_written_is_written_when_there_is_room(told: Visit) -> None:
    folder = told.world.folder / "feeds"
    shutil.rmtree(folder)
    folder.write_text("in the way")
    with pytest.raises(OSError, match="feeds"):
        await told.news(LATER)
    assert LATER in titles(await told.client.get("/feeds/all.atom")), "it is served all the same"
    folder.unlink()
    await told.news(LATER, minutes=0)
    assert not folder.exists(), "the disk is given a minute"
    told.world.now += timedelta(minutes=1)
    await told.news(LATER, minutes=0)
    assert LATER in (folder / "all.rss").read_text()
    assert len(list(folder.iterdir())) == len(PUBLIC)


async def test_a_listing_whose_name_is_too_long_for_a_file_has_one_and_those_after_it_too(installation: World) -> None:
    long = [f"{'é' * 60}{last}" for last in "ab"]
    for name in long:
        installation.listing("daily")
        installation.listings.append(installation.listings.pop().replace('name = "daily"', f'name = "{name}"'))
    installation.pages.put("/daily", text_page(*NEW))
    await installation.run()
    files = {path.name for path in (installation.folder / "feeds").iterdir()}
    assert len(files) == 3 * (2 + len(long))
    assert {"all.rss", "trending.json"} < files
