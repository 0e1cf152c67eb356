"""The page of all feeds: what it lists is there, any query becomes a feed, and a reader program can take in all."""

from __future__ import annotations

import re
from html import unescape
from xml.etree import ElementTree

import feedparser
import pytest

from tests.visit import Visit, visit, words
from tests.world import World


def addresses(told: Visit, html: str) -> list[str]:
    """Return the addresses of feeds on a page, below the base URL, as they stand there."""
    base = re.escape(told.site.running.desk.head.base_url)
    return [unescape(each) for each in re.findall(rf'href="{base}(/feeds/[^"]+)"', html)]


async def test_every_public_feed_is_listed_in_its_three_forms_and_is_there(told: Visit) -> None:
    page = await told.client.get("/feeds")
    listed = addresses(told, page.text)
    assert listed == [
        f"/feeds/{name}.{form}" for name in ("all", "listing/daily", "trending") for form in ("atom", "rss", "json")
    ]
    for path in listed:
        assert (await told.client.get(path)).status_code == 200, path
    assert set(re.findall(r'<link rel="alternate" type="[^"]+" title="[^"]+" href="([^"]+)">', page.text)) == set(
        listed
    )


async def test_the_first_page_and_every_other_lead_to_it(told: Visit) -> None:
    for path in ("/", "/papers", "/status", "/feeds"):
        assert '<a href="/feeds">Feeds</a>' in (await told.client.get(path)).text, path


async def test_a_query_becomes_a_feed_of_what_matches_it(told: Visit) -> None:
    page = await told.client.get("/feeds", params={"q": 'ferries AND "Fog" OR nothing&more'})
    atom, rss, json = [each for each in addresses(told, page.text) if each.startswith("/feeds/search.")]
    assert [each.partition("?")[0] for each in (atom, rss, json)] == [
        "/feeds/search.atom", "/feeds/search.rss", "/feeds/search.json",
    ]  # fmt: skip
    assert feedparser.parse((await told.client.get(atom)).content).bozo == 0
    everything = await told.client.get("/feeds", params={"q": "*"})
    (path,) = [each for each in addresses(told, everything.text) if each.startswith("/feeds/search.atom")]
    assert len(feedparser.parse((await told.client.get(path)).content).entries) > 1


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("(ferries", "Please check:"),
        ("<script>alert(1)</script>", "&lt;script&gt;"),
        ("", "The words are those"),
        (" ", ""),
    ],
)
async def test_f115_f116_what_is_no_query_is_said_beside_the_field_and_makes_none(
    told: Visit, query: str, said: str
) -> None:
    page = await told.client.get("/feeds", params={"q": query})
    assert page.status_code == 200
    assert said in page.text
    assert "<script>alert" not in page.text
    if said != "&lt;script&gt;":
        assert "/feeds/search." not in page.text


async def test_all_feeds_are_one_list_for_a_reader_program(told: Visit) -> None:
    answer = await told.client.get("/feeds.opml")
    assert answer.headers["content-type"] == "text/x-opml; charset=utf-8"
    found = {
        each.get("title"): each.get("xmlUrl", "") for each in ElementTree.fromstring(answer.content).iter("outline")
    }
    base = told.site.running.desk.head.base_url
    assert found == {
        "Everything": f"{base}/feeds/all.atom",
        "daily": f"{base}/feeds/listing/daily.atom",
        "Trending": f"{base}/feeds/trending.atom",
    }


async def test_a_new_site_lists_its_feeds_before_anything_was_read(installation: World) -> None:
    installation.listing("daily")
    async with visit(installation) as fresh:
        page = await fresh.client.get("/feeds")
        assert "Everything Every new paper of all listings, once." in words(page.text)
        for path in addresses(fresh, page.text):
            assert (await fresh.client.get(path)).status_code == 200, path
