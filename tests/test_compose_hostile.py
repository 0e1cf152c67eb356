"""Foreign text has no structure (G8): whatever a paper or label says, the mail and the feed keep their shape."""

from __future__ import annotations

import email
import email.policy
import unicodedata
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from fictional import channel, digest, entry, paper
from hypothesis import example, given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from notifier import present
from notifier.compose import compose, subject
from notifier.compose.fragments import Fragments
from notifier.feed import rss
from notifier.model import Channel, Digest, Marks
from notifier.templates import Templates

TEMPLATES = Fragments(Templates())
NASTY = [
    "=?utf-8?q?a=0ABcc:_eve@x.example?=",
    "a\r\nBcc: eve@x.example\r\n\r\nbody",
    "\u2028\u2029\x0b\x0c\x85\x1e",
    "\x00\x1b[31m\x9b\ufffe\uffff\ud800\udfff\U0001ffff",
    "\r\n.\r\nMAIL FROM:<eve@x.example>\r\n",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "</title></style></p></td></tr></table><h1>",
    "]]><item/><!--",
    "\" onmouseover='x' style=`",
    "&#x3c;b&#x3e;&amp;&lt;",
    "{{ 7 * 7 }}{% raw %}{{ ''.__class__.__mro__ }}",
    "\u202eevil\u2066\u200b\ufeff",
    "Z" + "\u0301" * 5_000,
    "\ufdfa" * 2_000,
    "--=_",
    "W" * 5_000,
]
any_text = st.text(st.characters(exclude_categories=()), max_size=120) | st.sampled_from(NASTY)
text = st.builds("".join, st.lists(any_text, min_size=1, max_size=3))


def hostile(title: str, author: str, abstract: str, label: str, spans: list[tuple[int, int]]) -> Digest:
    shown = paper(title="x" + title, authors=("x" + author,), abstract="x" + abstract, categories=("x" + author,))
    marks = Marks(title=tuple(spans), abstract=tuple(spans), authors=(), words=("x" + label,))
    made = replace(entry(shown, "x" + label), marks=marks, listings=("x" + label,))
    return digest(entries=(made,), labels=("x" + label,))


PLAIN = digest(entries=(entry(paper(title="x", authors=("x",), abstract="x", categories=("x",)), "x"),), labels=("x",))


def elements(content: bytes) -> list[tuple[str, tuple[str, ...]]]:
    """Return every element of the HTML part with the names of its attributes, `mark` apart."""
    part = email.message_from_bytes(content, policy=email.policy.default).get_body(("html",))
    assert part is not None
    root = LexborHTMLParser(part.get_content()).root
    assert root is not None
    found = [(str(node.tag), tuple(sorted(node.attributes))) for node in root.traverse(include_text=False)]
    return [(tag, names) for tag, names in found if tag != "mark"]


@settings(max_examples=60, deadline=None)
@given(text, text, text, text, st.lists(st.tuples(st.integers(0, 90), st.integers(0, 90)), max_size=3))
@example(*NASTY[:4], [(0, 1)])
@example(*NASTY[4:8], [])
@example(*NASTY[8:12], [(3, 1), (0, 999)])
@example(*NASTY[12:16], [(1, 2)])
def test_f031_f032_f033_f034_f035_f036_no_text_changes_the_shape_of_a_mail(
    title: str, author: str, abstract: str, label: str, spans: list[tuple[int, int]]
) -> None:
    made = hostile(title, author, abstract, label, spans)
    content = compose(made, TEMPLATES)
    message = email.message_from_bytes(content, policy=email.policy.default)
    expected = email.message_from_bytes(compose(PLAIN, TEMPLATES), policy=email.policy.default)
    assert message.keys() == expected.keys()
    assert [address.addr_spec for address in message["To"].addresses] == ["ada@reader.example"]
    assert message["Subject"] == subject(made)
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/alternative",
        "text/plain",
        "text/html",
    ]
    assert elements(content) == elements(compose(PLAIN, TEMPLATES))


@settings(max_examples=60, deadline=None)
@given(text, text, text, text)
@example(*NASTY[:4])
@example(*NASTY[4:8])
@example(*NASTY[8:12])
@example(*NASTY[12:16])
def test_f031_f035_no_text_changes_the_shape_of_a_feed(title: str, author: str, abstract: str, label: str) -> None:
    def shape(made: Channel) -> list[str]:
        return [element.tag for element in ElementTree.fromstring(rss(made)).iter()]

    def with_text(title: str, author: str, abstract: str, label: str) -> Channel:
        shown = paper(title="x" + title, authors=("x" + author,), abstract="x" + abstract, categories=("x" + author,))
        item = replace(channel(1).items[0], paper=shown, labels=("x" + label,), marks=Marks())
        return channel(items=(item,), title="x" + title, description="x" + label)

    made = with_text(title, author, abstract, label)
    assert shape(made) == shape(with_text("", "", "", ""))
    description = ElementTree.fromstring(rss(made)).findtext("channel/item/description")
    tags = [node.tag for node in LexborHTMLParser(str(description)).css("body *")]
    assert tags == ["p", "p", "p", "p", "p", "a", "a"]


def test_f033_an_encoded_word_in_a_label_is_shown_literally_and_adds_no_header() -> None:
    made = digest(labels=("=?utf-8?q?a=0ABcc:_eve@x.example?=",))
    content = compose(made, TEMPLATES)
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert "Bcc" not in message
    assert "= ?utf-8?q?a=0ABcc:_eve@x.example?=" in message["Subject"]


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,<script>",
        "https://arxiv.org@evil.example/",
        "//evil.example/x",
        "ftp://x.example/",
        "https://[::1/",
        "https://x.example:99999999/",
        "https://" + "x" * 5_000,
    ],
)
def test_f035_a_link_that_is_not_plain_http_is_not_a_link(url: str) -> None:
    shown = paper(url=url, pdf_url=url, code_url=url, project_url=url, arxiv_id=None)
    content = compose(digest(entries=(entry(shown),)), TEMPLATES)
    part = email.message_from_bytes(content, policy=email.policy.default).get_body(("html",))
    assert part is not None
    hrefs = [node.attributes["href"] for node in LexborHTMLParser(part.get_content()).css("a")]
    assert all(str(href).startswith("https://alerts.example.org/") for href in hrefs)
    item = replace(channel(1).items[0], paper=shown, link="")
    document = ElementTree.fromstring(rss(channel(items=(item,))))
    assert document.find("channel/item/link") is None
    assert "<a " not in str(document.findtext("channel/item/description"))


@given(text, st.integers(1, 50))
@settings(max_examples=200, deadline=None)
def test_f031_f036_clean_text_is_short_on_one_line_and_cleaning_it_again_changes_nothing(
    dirty: str, limit: int
) -> None:
    cleaned = present.clean(dirty, limit)
    assert len(cleaned) <= limit
    assert present.clean(cleaned, limit) == cleaned
    assert cleaned.split(" ") == cleaned.split() or cleaned == ""
    ElementTree.fromstring(f"<a>{cleaned.translate(dict.fromkeys(map(ord, '<&>')))}</a>")


@given(text, st.lists(st.tuples(st.integers(-5, 200), st.integers(-5, 200)), max_size=5), st.integers(1, 300))
@settings(max_examples=200, deadline=None)
def test_marks_never_add_or_lose_text(dirty: str, spans: list[tuple[int, int]], limit: int) -> None:
    def letters(parts: list[present.Plain]) -> list[str]:
        # Runs of combining marks are bounded piece by piece, white space is trimmed at the ends only.
        return [c for part in parts for c in part["text"] if not c.isspace() and not unicodedata.combining(c)]

    assert letters(present.segments(dirty, spans, 10**6)) == letters(present.segments(dirty, [], 10**6))
    assert sum(len(part["text"]) for part in present.segments(dirty, spans, limit)) <= limit
