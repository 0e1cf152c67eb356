"""Every feed is valid: RSS 2.0 by the Advisory Board's profile, Atom by RFC 4287, JSON Feed 1.1."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from fictional import channel, paper
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifier.feed import feed
from notifier.model import Channel, FeedFormat, Paper
from tests.feeds.validate import faults

LONG = channel(150)
PLACE = {"page": 3, "older": 2, "newer": 4}
CHANNELS = {
    "empty": channel(0),
    "a few papers": channel(7),
    "more than a feed holds": LONG,
    "an archive page": replace(channel(3), **PLACE),
    "with a hub": channel(2, hub="https://hub.example.org/?a=b&c=d"),
    "a search": channel(2, query="?q=a%20OR%20%22b%20c%22"),
    "no authors, abstract, link": channel(
        items=tuple(
            replace(each, paper=replace(each.paper, authors=(), abstract="", url="", categories=()), link="")
            for each in channel(2).items
        )
    ),
    "nothing but markup": channel(
        title="<b>&amp;</b>", description="]]><script>", items=tuple(
            replace(each, labels=("<i>x</i>", '"><svg onload=a()>'), paper=replace(
                each.paper, title="<![CDATA[</title>]]> &lt;b&gt; \x0b\ud800 $x<y$",
                abstract="</p><script>a()</script><!-- ",
                authors=("<b>", "\ufffe", "Ann & Ben"), categories=("<c>", ""), url="https://e.example/?a=1&b=<2>",
            ))
            for each in channel(2).items
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FeedFormat)
@pytest.mark.parametrize("name", CHANNELS)
def test_every_feed_is_valid(name: str, form: FeedFormat) -> None:
    assert faults(feed(CHANNELS[name], form), str(form)) == []


ANYTHING = st.text(st.characters(), max_size=40)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(title=ANYTHING, abstract=ANYTHING, author=ANYTHING, category=ANYTHING, label=ANYTHING, url=ANYTHING)
def test_no_text_makes_a_feed_invalid(
    title: str, abstract: str, author: str, category: str, label: str, url: str
) -> None:
    hostile: Paper = replace(
        paper(0), title=title, abstract=abstract, authors=(author,), categories=(category,), url=url, pdf_url=url
    )
    item = replace(channel(1).items[0], paper=hostile, labels=(label,), link=url)
    for form in FeedFormat:
        assert faults(feed(channel(items=(item,), title=title), form), str(form)) == []


BROKEN = [
    ("rss", b"<title>", b"<titel>"),
    ("rss", b'isPermaLink="false"', b'isPermaLink="true"'),
    ("rss", b" +0000</pubDate>", b" GMT</pubDate>"),
    ("rss", b"<pubDate>Sat,", b"<pubDate>Sun,"),
    ("rss", b"<link>https:", b"<link>ftp:"),
    ("rss", b"<description>&lt;p&gt;", b"<description>&lt;script&gt;"),
    ("rss", b'rel="self"', b'rel="hub"'),
    ("rss", b"<ttl>30", b"<ttl>soon"),
    ("atom", b"<id>urn:", b"<id>/"),
    ("atom", b"<updated>2026-", b"<updated>26-"),
    ("atom", b"+00:00</published>", b"</published>"),
    ("atom", b"<name>", b"<nom>"),
    ("atom", b"&lt;/p&gt;", b"&lt;/b&gt;"),
    ("json", b'"id": "', b'"id": 7, "x": "'),
    ("json", b"+00:00", b""),
    ("json", b'"url": "https://', b'"url": "/'),
    ("json", b'"version": "https', b'"version": "http'),
]


@pytest.mark.parametrize(("form", "good", "bad"), BROKEN)
def test_what_is_wrong_with_a_feed_is_found(form: str, good: bytes, bad: bytes) -> None:
    content = feed(channel(3), FeedFormat(form))
    assert good in content
    assert faults(content.replace(good, bad), form)


def test_two_items_of_one_id_are_found() -> None:
    twice: Channel = channel(items=channel(1).items * 2)
    for form in FeedFormat:
        assert faults(feed(twice, form), str(form)), form
    assert len(json.loads(feed(twice, FeedFormat.JSON))["items"]) == 2
