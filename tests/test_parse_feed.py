"""What reading any feed promises: hostile feeds cost seconds at most, a feed cut off is no news, text is only text."""

from __future__ import annotations

import io
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import feedparser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.errors import PageError
from notifier.model import Batch, Page
from notifier.parse import parse
from notifier.parse.creators import creators
from notifier.parse.fragment import plain, with_tree, without_tree
from notifier.parse.identifiers import identifiers


def page(content: bytes | str, *, charset: str | None = None) -> Page:
    raw = content.encode() if isinstance(content, str) else content
    fetched = datetime(2026, 5, 4, 8, 17, tzinfo=UTC)
    return Page(url="https://gulls.example/rss", content=raw, charset=charset, fetched_at=fetched)


def rss(items: str, *, before: str = "", attributes: str = "") -> str:
    channel = "<title>Gulls</title><link>https://gulls.example/</link>"
    return f'{before}<rss version="2.0"{attributes}><channel>{channel}{items}</channel></rss>'


def item(title: str, body: str = "", more: str = "") -> str:
    return f"<item><title>{title}</title><description>{body}</description>{more}</item>"


# --- feeds that are not whole ---------------------------------------------------------------------------------------


def test_f009_a_feed_cut_anywhere_is_an_error() -> None:
    whole = rss(item("Loud Ploughs") + item("Quiet Gulls"))
    for length in range(1, len(whole)):
        with pytest.raises(PageError):
            parse(page(whole[:length]), "feed")


def test_f009_a_json_feed_cut_anywhere_is_an_error() -> None:
    whole = json.dumps({"version": "https://jsonfeed.org/version/1.1", "items": [{"id": "1", "title": "Loud Ploughs"}]})
    for length in range(1, len(whole)):
        with pytest.raises(PageError):
            parse(page(whole[:length]), "feed")


def test_a_feed_that_is_not_well_formed_brings_what_is_sound_and_says_so() -> None:
    batch = parse(page(rss(item("Caf&eacute; & Gulls") + item("Loud Ploughs"))), "feed")
    assert [paper.title for paper in batch.papers] == ["Café & Gulls", "Loud Ploughs"]
    assert batch.oddities[0].startswith("not well-formed")


def test_f018_a_feed_that_says_there_was_an_error_is_an_error() -> None:
    with pytest.raises(PageError, match="Feed error for query"):
        parse(page(rss("").replace("<title>Gulls", "<title>Feed error for query: cs.XX")), "feed")


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param("<??><rss </height></rss>", id="TypeError"),
        pytest.param('<??><rss ""<title><media:player /></rss>', id="KeyError"),
        pytest.param('<??><rdf:RDF s="" xmlns:rdf=":\xa0#"></rdf:RDF>', id="ValueError"),
        pytest.param('<??><rdf:RDF xmlns="http://purl.org/rss/1.0/"<item"><links/m</rdf:RDF>', id="AttributeError"),
    ],
)
def test_a_page_over_which_the_library_stumbles_is_an_error_of_the_page(odd: str) -> None:
    with pytest.raises(PageError):
        parse(page(odd), "feed")


# --- hostile feeds --------------------------------------------------------------------------------------------------


def seconds(content: str) -> tuple[float, Batch | PageError]:
    start = time.process_time()
    try:
        found: Batch | PageError = parse(page(content), "feed")
    except PageError as error:
        found = error
    return time.process_time() - start, found


def test_f040_a_json_feed_of_100_000_items_is_refused_at_once() -> None:
    took, found = seconds('{"version": "https://jsonfeed.org/version/1.1", "items": [[]' + ", []" * 100_000 + "]}")
    assert isinstance(found, PageError)
    assert took < 2


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param("<item " + " ".join(f'a{n}="1"' for n in range(20_000)) + "/>", id="20,000 attributes"),
        pytest.param("<item>" + "<b>" * 100_000 + "</b>" * 100_000 + "</item>", id="100,000 elements deep"),
        pytest.param(item("x") * 50_000, id="50,000 items"),
        pytest.param("<p/>" * 400_000, id="400,000 tags"),
        pytest.param("<item>" + "<b></i>" * 50_000 + "</item>", id="50,000 elements that another's end does not close"),
        pytest.param("<item>" + "<b " * 100_000 + "</item>", id="100,000 tags without an end"),
        pytest.param("<item>" + "& " * 300_000 + "</item>", id="300,000 bare ampersands"),
        pytest.param("<p " + 'x="1" ' * 400 + "/>" + ("<p " + 'x="1" ' * 400 + "/>") * 1_000, id="400,000 attributes"),
    ],
)
def test_f026_f027_f040_a_feed_that_costs_the_parser_minutes_is_refused_at_once(attack: str) -> None:
    took, found = seconds(rss(attack))
    assert isinstance(found, PageError)
    assert took < 2


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param("<author>" + "a." * 50_000 + "</author>", id="an author of letters and dots"),
        pytest.param("<author>" + "a@" * 50_000 + "</author>", id="an author of mail signs"),
        pytest.param("<dc:creator><![CDATA[" + "a." * 50_000 + "]]></dc:creator>", id="a creator in CDATA"),
        pytest.param("<pubDate>" + "1:" * 50_000 + "</pubDate>", id="a long date"),
        pytest.param("<category>x</category>" * 20_000, id="20,000 categories"),
        pytest.param("<link>https://gulls.example/</link>" * 20_000, id="20,000 links"),
        pytest.param("&nbsp;" + "<!--" * 20_000, id="comments that never end"),
        pytest.param("&nbsp;" + "<![CDATA[" * 20_000, id="CDATA that never ends"),
        pytest.param("&nbsp;" + "<a b='" * 2_000, id="attributes that never end"),
        pytest.param("<content><![CDATA[" + "<div>" * 100_000 + "]]></content>", id="HTML 100,000 deep"),
        pytest.param("<content><![CDATA[" + "<p " * 50_000 + "]]></content>", id="HTML tags that never end"),
        pytest.param("<content>" + "Abstract " * 50_000 + "</content>", id="an opening again and again"),
        pytest.param("<content>Authors: " + "Upvotes: 1 " * 20_000 + "</content>", id="labels again and again"),
    ],
)
def test_f028_f037_an_odd_item_costs_little(odd: str) -> None:
    took, _ = seconds(rss(item("Loud Ploughs") + item("x", more=odd)))
    assert took < 2


def test_f029_f030_a_feed_with_entities_of_its_own_is_refused() -> None:
    for declared in ('<!ENTITY a SYSTEM "file:///etc/passwd">', '<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">'):
        with pytest.raises(PageError, match="DTD"):
            parse(page(rss(item("&a;"), before=f"<!DOCTYPE rss [{declared}]>")), "feed")


def test_a_body_that_names_a_file_or_a_link_is_never_opened(tmp_path: Path) -> None:
    file = tmp_path / "feed.xml"
    file.write_text(rss(item("From the Disk")))
    for body in (str(file), file.as_uri(), "http://127.0.0.1:9/"):
        with pytest.raises(PageError):
            parse(page(body), "feed")
    assert feedparser.parse(str(file)).entries, "feedparser itself would have opened it"
    assert not feedparser.parse(io.BytesIO(str(file).encode())).entries


def test_f035_no_markup_and_no_script_link_leaves_a_feed() -> None:
    body = "&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;&lt;b&gt;Loud&lt;/b&gt; ploughs"
    (paper,) = parse(page(rss(item("a", body, "<link>javascript:alert(1)</link>"))), "feed").papers
    assert (paper.abstract, paper.url) == ("Loud ploughs", "")


def test_f031_control_characters_do_not_cost_the_other_items() -> None:
    batch = parse(page(rss(item("Loud\x0b Plo\x01ughs") + item("Quiet Gulls"))), "feed")
    assert [paper.title for paper in batch.papers][1] == "Quiet Gulls"


def test_f038_two_papers_under_one_guid_are_two_papers() -> None:
    guid = '<guid isPermaLink="false">1</guid>'
    batch = parse(page(rss(item("Loud Ploughs", more=guid) + item("Quiet Gulls", more=guid))), "feed")
    assert [paper.title for paper in batch.papers] == ["Loud Ploughs", "Quiet Gulls"]


def test_f039_absurd_dates_never_lose_the_paper() -> None:
    for written in (
        "Mon, 01 Jan 99999 00:00:00 GMT",
        "Mon, 4 May 99999999999 09:00:06 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "yesterday",
        "0000-00-00",
        "",
    ):
        assert parse(page(rss(item("Loud Ploughs", more=f"<pubDate>{written}</pubDate>"))), "feed").papers


@pytest.mark.parametrize("charset", [None, "utf-8", "base64", "us-ascii"])
def test_f021_a_feed_reads_in_the_encoding_of_its_declaration(charset: str | None) -> None:
    text = rss(item("Möwen auf dem Äcker"), before='<?xml version="1.0" encoding="utf-8"?>')
    assert parse(page(text, charset=charset), "feed").papers[0].title == "Möwen auf dem Äcker"


@given(st.text(max_size=200))
def test_any_text_in_any_field_costs_at_most_its_own_item(text: str) -> None:
    odd = dict.fromkeys(("title", "url", "content_html", "content_text", "image", "date_published"), text)
    items = [{"id": "1", "title": "Loud Ploughs"}, {"id": "2", **odd, "authors": [{"name": text}], "tags": [text]}]
    batch = parse(page(json.dumps({"version": "https://jsonfeed.org/version/1", "items": items})), "feed")
    assert batch.papers[0].title == "Loud Ploughs"
    assert len(batch.papers) + batch.skipped == 2


# --- text, names, identifiers ---------------------------------------------------------------------------------------

FRAGMENTS = [
    "<p>", "</p>", "<P>", "<b>", "</b>", "<i class='x'>", "</i>", "<br/>", "<br>", "<li>", "</ul>", "<ul>", "<h2>",
    '<a href="https://gulls.example/?a=1">', "</a>", "<a href='x'", "<img src='x'/>", "<think>", "<script>",
    "</script>", "<table>", "<td>", "<!--", "-->", "< ", "<", ">", "&amp;", "&amp;lt;", "&lt;b&gt;", "&nbsp;", "</h2>",
    "&eacute;", "&am", "&",
    ";", "&#39;", "&#8217;", "waves", " and ", "x<y", "\n", '"', "'", "\x00", "<sub>2</sub>", "é",
]  # fmt: skip


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=20).map("".join))
def test_a_fragment_reads_the_same_without_a_tree_as_with_one(fragment: str) -> None:
    quickly = without_tree(fragment)
    assert quickly is None or quickly.split() == with_tree(fragment).split()


def test_common_fragments_need_no_tree() -> None:
    assert without_tree("<p>Waves &amp; <b>sand</b>, x &lt; 2<br/>again</p>") == " Waves & sand, x < 2 again "
    assert without_tree('<a href="https://gulls.example/">Gulls</a> where a < b') == "Gulls where a < b"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One.</p><p>Two.</p>", "One. Two."),
        ("H<sub>2</sub>O<br/>is wet", "H2O is wet"),
        ("the <think> tag, a<b and p <0.05", "the <think> tag, a<b and p <0.05"),
        ("R&D, AT&amp;T, &amp;lt;1%", "R&D, AT&T, <1%"),
        ("<style>p{}</style>seen<!-- not seen -->", "seen"),
        ("<jats:title>Abstract</jats:title><jats:p>We <jats:italic>see</jats:italic>.</jats:p>", "We see."),
        ("no markup at all", "no markup at all"),
    ],
)
def test_markup_becomes_the_text_a_reader_sees(html: str, text: str) -> None:
    assert " ".join(plain(html).split()) == text


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("Ada Quay, Bo Two and C. Three", ("Ada Quay", "Bo Two", "C. Three")),
        ("QUAY, A. B., Two, B.-J., The Fog Consortium", ("QUAY, A. B.", "Two, B.-J.", "The Fog Consortium")),
        ("Quay, Ada; Two, Bo", ("Quay, Ada", "Two, Bo")),
        ("Ada Quay", ("Ada Quay",)),
        ("", ()),
    ],
)
def test_one_string_of_creators_is_split_into_names(written: str, names: tuple[str, ...]) -> None:
    assert creators(written) == names


@pytest.mark.parametrize(
    ("written", "doi"),
    [
        ("https://doi.org/10.5555/ABC.1", "10.5555/abc.1"),
        ("https://pub.example/doi/full/10.5555/abc.1?af=R", "10.5555/abc.1"),
        ("https://pub.example/doi/10.5555/abc.1/pdf", "10.5555/abc.1"),
        ("https://pub.example/doi/10.5555%2Fabc.1#top", "10.5555/abc.1"),
        ("https://www.biorxiv.org/content/10.1101/2026.04.30.712345v2.full.pdf", "10.1101/2026.04.30.712345"),
        ("doi:10.5555/abc.1", "10.5555/abc.1"),
        ("https://pub.example/?ref=10.5555/other", None),
        ("https://pub.example/articles/17", None),
    ],
)
def test_a_doi_is_found_in_a_link_without_what_stands_around_it(written: str, doi: str | None) -> None:
    assert identifiers([written]).doi == doi
