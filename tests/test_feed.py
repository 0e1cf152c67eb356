"""What a feed reader gets."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from xml.etree import ElementTree

import feedparser  # type: ignore[import-untyped]
import pytest
from fictional import NOW, channel, paper

from notifier.feed import rss
from notifier.feed.content import ITEMS_MAX

DC = "{http://purl.org/dc/elements/1.1/}"
ATOM = "{http://www.w3.org/2005/Atom}"


def test_f043_the_same_channel_gives_the_same_bytes_with_no_date_but_its_own() -> None:
    content = rss(channel())
    assert rss(channel()) == content
    document = ElementTree.fromstring(content)
    assert document.findtext("channel/lastBuildDate") == "Sat, 21 Nov 2026 07:00:00 +0000"
    assert [e.text for e in document.iterfind("channel/item/pubDate")] == [
        "Sat, 21 Nov 2026 07:00:00 +0000",
        "Fri, 20 Nov 2026 07:00:00 +0000",
        "Thu, 19 Nov 2026 07:00:00 +0000",
    ]
    assert b"2026" in content
    later = rss(channel(updated=NOW + timedelta(minutes=1)))
    assert later != content


def test_items_stay_newest_first_with_permanent_guids_that_are_no_links() -> None:
    document = ElementTree.fromstring(rss(channel(3)))
    guids = list(document.iterfind("channel/item/guid"))
    assert [guid.text for guid in guids] == [item.guid for item in channel(3).items]
    assert {guid.get("isPermaLink") for guid in guids} == {"false"}


def test_a_guid_stays_when_title_link_and_dates_change() -> None:
    item = channel(1).items[0]
    changed = replace(item, paper=paper(5), link="https://other.example/", updated=NOW + timedelta(days=9))
    before, after = (ElementTree.fromstring(rss(channel(items=(i,)))) for i in (item, changed))
    assert before.findtext("channel/item/guid") == after.findtext("channel/item/guid")


def test_the_channel_names_its_page_and_itself() -> None:
    document = ElementTree.fromstring(rss(channel()))
    assert document.findtext("channel/link") == "https://alerts.example.org/"
    itself = document.find(f"channel/{ATOM}link")
    assert itself is not None
    assert itself.attrib == {
        "href": "https://alerts.example.org/feeds/all.rss",
        "rel": "self",
        "type": "application/rss+xml",
    }
    assert document.findtext("channel/language") == "en"


def test_an_item_names_authors_and_categories_and_says_why_it_is_here() -> None:
    document = ElementTree.fromstring(rss(channel(1)))
    item = document.find("channel/item")
    assert item is not None
    assert [e.text for e in item.iterfind(f"{DC}creator")] == ["Ilse Quandt", "Tomé Ferrão"]
    assert [e.text for e in item.iterfind("category")] == ["cs.CL", "cs.AI"]
    assert item.findtext("title") == "Walking the Lattice: Graph Reasoning Without a Map"
    assert item.findtext("link") == "https://alerts.example.org/p/0"
    description = str(item.findtext("description"))
    assert "<p>matches: graph AND reasoning</p>" in description
    assert "how far <mark>graph</mark> reasoning can go" in description
    assert '<a href="https://arxiv.org/pdf/2611.10000">PDF</a>' in description


def test_a_reader_shows_a_title_with_markup_as_text() -> None:
    item = replace(channel(1).items[0], paper=paper(2))
    read = feedparser.parse(rss(channel(items=(item,))))
    assert not read.bozo
    assert "&amp; <b>One</b>" in rss(channel(items=(item,))).decode().replace("&lt;", "<").replace("&gt;", ">")
    assert read.entries[0].guidislink is False


def test_a_feed_holds_the_newest_hundred_and_stays_below_500_kilobytes() -> None:
    content = rss(channel(300))
    guids = [e.text for e in ElementTree.fromstring(content).iterfind("channel/item/guid")]
    assert guids == [item.guid for item in channel(300).items[:ITEMS_MAX]]
    assert len(content) < 500_000


def test_an_empty_channel_is_a_feed_without_items() -> None:
    document = ElementTree.fromstring(rss(channel(0)))
    assert document.findall("channel/item") == []
    assert document.findtext("channel/title") == "Graph papers"


def test_a_channel_whose_own_address_is_no_url_is_refused() -> None:
    with pytest.raises(ValueError, match="no http"):
        rss(channel(place="javascript:alert(1)"))
