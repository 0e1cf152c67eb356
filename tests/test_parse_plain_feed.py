"""A plain feed is read by libxml2 as feedparser reads it; every other one is left to feedparser."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from feedparser.datetimes import _parse_date

from notifier.errors import PageError
from notifier.model import Batch, Page
from notifier.parse.dates import common_stamp
from notifier.parse.feed import quick, slow
from notifier.parse.xml import source
from tests.listings import GOLDEN
from tests.replay import packed

NAMESPACES = (
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:content="http://purl.org/rss/1.0/modules/content/" '
    'xmlns:media="http://search.yahoo.com/mrss/" xmlns:atom="http://www.w3.org/2005/Atom" '
    'xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd" xmlns:prism="http://prism.example/basic/3.0/" '
    'xmlns:feedburner="http://rssnamespace.org/feedburner/ext/1.0" xmlns:dcterms="http://purl.org/dc/terms/" '
    'xmlns:tide="https://tide.example/terms"'
)
# What an item of RSS or an entry of Atom may hold besides its title and id.
PLAIN = [
    "<link>https://tide.example/1</link>",
    "<link>https://tide.example/?a=1&amp;amp;b=2</link>",
    '<link href="https://tide.example/2"/>',
    '<atom:link rel="alternate" type="text/html" href="https://tide.example/3"/><link>https://tide.example/1</link>',
    '<link rel="related" type="application/pdf" href="https://tide.example/1.pdf"/>',
    '<guid isPermaLink="false">tide-1</guid>',
    "<guid>https://tide.example/g</guid><link>https://tide.example/1</link>",
    "<description>Waves &lt;b&gt;and&lt;/b&gt; sand &amp;amp; salt</description><description>More</description>",
    "<summary>Short.</summary><content type='html'>&lt;p&gt;The whole of it.&lt;/p&gt;</content>",
    "<content:encoded><![CDATA[<p>All of it</p>]]></content:encoded><description>Short.</description>",
    "<description>Short.</description><content:encoded><![CDATA[<p>All of it</p>]]></content:encoded>",
    "<dc:title>Another title</dc:title>",
    "<author>Ada Quay</author>",
    "<author><name>Ada Quay</name></author><author><name>Bo Mole</name><uri>https://mole.example</uri></author>",
    "<dc:creator>Ada Quay, Bo Mole</dc:creator><dc:creator> </dc:creator>",
    "<category>tides</category><category>tides</category><dc:subject>shores</dc:subject>",
    '<category term="cs.TI" scheme="https://tide.example/s" label="Tides"/><category domain="https://d.example">x</category>',
    "<pubDate>Mon, 02 Mar 2026 08:00:00 +0100</pubDate><updated>2026-03-03T08:00:00Z</updated>",
    "<dc:date>2026-03-02</dc:date>",
    "<published>no day at all</published><updated>2026-03-03T08:00:00Z</updated>",
    "<prism:doi>10.5555/tide.1</prism:doi><dc:identifier>doi:10.5555/tide.2</dc:identifier>",
    "<feedburner:origLink>https://tide.example/origin</feedburner:origLink>",
    '<enclosure url="https://tide.example/1.pdf" type="application/pdf" length="1"/>',
    '<media:thumbnail url="https://tide.example/1.png"/><media:thumbnail url="https://tide.example/2.png"/>',
    "<tide:height>3</tide:height><tide:title>Not the title</tide:title>",
    "<description>Caf\u00c3\u00a9 on the quay</description>",
    "<dc:rights>none</dc:rights><comments>https://tide.example/c</comments>",
]
ODD = [
    "<author>ada@quay.example (Ada Quay)</author>",
    "<author><name>Ada</name><email>ada@quay.example</email></author>",
    "<title type='xhtml'><div xmlns='http://www.w3.org/1999/xhtml'>Tides</div></title>",
    "<content type='application/octet-stream'>VGlkZXM=</content>",
    "<content src='https://tide.example/all'/>",
    "<description>Tides <b>and</b> sand</description>",
    "<itunes:summary>Spoken</itunes:summary>",
    "<dcterms:issued>2026-03-02</dcterms:issued>",
    "<media:group><media:thumbnail url='https://tide.example/1.png'/></media:group>",
    "<source><title>Elsewhere</title></source>",
    "<link xml:base='https://tide.example/'>1</link>",
    "<prism:doi kind='x'>10.5555/tide.1</prism:doi>",
    "<body>Words</body>",
    "<link>https:///tide.example/1</link>",
    "<description>\u0093quoted\u0094</description>",
    "<author>" + "a" * 300 + "</author>",
]


def rss(inside: str) -> str:
    item = f"<item><title>A tide of graphs</title>{inside}</item><item><title>Sand</title><guid>s</guid></item>"
    return f'<rss version="2.0" {NAMESPACES}><channel><title>Tides</title><link>https://t.example</link>{item}</channel></rss>'


def atom(inside: str) -> str:
    entry = f"<entry><id>urn:tide:1</id><title>A tide of graphs</title>{inside}</entry>"
    return f'<feed xmlns="http://www.w3.org/2005/Atom" {NAMESPACES}><title>Tides</title><id>urn:t</id>{entry}</feed>'


def page(content: bytes) -> Page:
    return Page(url="https://tide.example/feed", content=content, fetched_at=datetime(2026, 5, 4, tzinfo=UTC))


def read_both_ways(content: bytes) -> tuple[Batch | None, Batch | None]:
    """Return what each way reads; feedparser's is None for a page that is refused."""
    asked = page(content)
    try:
        read = source(asked)
        name = read.text[1:].split(">")[0].split()[0] if read.text else ""
        return quick(asked, read), slow(asked, read, name)
    except PageError:
        return None, None


@pytest.mark.parametrize("kind", [rss, atom])
@pytest.mark.parametrize("inside", PLAIN)
def test_a_plain_item_is_read_as_feedparser_reads_it(kind: object, inside: str) -> None:
    assert callable(kind)
    quickly, slowly = read_both_ways(kind(inside).encode())
    assert quickly is not None
    assert quickly == slowly


@pytest.mark.parametrize("kind", [rss, atom])
@pytest.mark.parametrize("inside", ODD)
def test_an_odd_item_is_left_to_feedparser(kind: object, inside: str) -> None:
    assert callable(kind)
    quickly, slowly = read_both_ways(kind(inside).encode())
    assert quickly is None
    assert slowly is not None


@pytest.mark.parametrize("zone", ["GMT", "UTC", "+0000", "-0000", "+0530", "-1100", "EST", "+2500", ""])
@pytest.mark.parametrize(
    "day", ["Mon, 02 Mar 2026", "2 Mar 2026", "Xyz, 31 Feb 2026", "29 Feb 2024", "1 MAY 0900", "2 Mars 2026"]
)
def test_a_date_in_the_common_form_is_the_instant_that_feedparser_reads(day: str, zone: str) -> None:
    for time in ("08:05:09", "23:59:59", "24:00:00", "08:60:00"):
        text = f"{day} {time} {zone}".strip()
        quickly = common_stamp(text)
        if quickly:
            assert quickly.utctimetuple()[:6] == _parse_date(text)[:6], text


def test_every_golden_feed_is_read_the_same_both_ways() -> None:
    files = [path for name in ("feed", "arxiv-feed", "arxiv-api", "biorxiv") for path in (GOLDEN / name).glob("*.xml")]
    assert _same(path.read_bytes() for path in files) > 10


@pytest.mark.captures
def test_every_captured_feed_is_read_the_same_both_ways(captures: Path) -> None:
    contents = []
    for folder in ("feeds", "hf-rss", "arxiv-feeds", "arxiv-api", "biorxiv", "paperswithcode-rss"):
        for path in sorted((captures / "captures" / folder).rglob("*")):
            if path.name.endswith(".tar.xz"):
                contents += [content for _, content in packed(path)][::30]
            elif path.suffix in (".xml", ".rss", ".atom", ".rdf"):
                contents.append(path.read_bytes())
    assert _same(contents) > 60


def _same(contents: object) -> int:
    """Return how many feeds are plain, each of which reads the same both ways."""
    plain = 0
    for content in contents:  # type: ignore[attr-defined]
        quickly, slowly = read_both_ways(content)
        assert quickly in (None, slowly)
        plain += quickly is not None
    return plain
