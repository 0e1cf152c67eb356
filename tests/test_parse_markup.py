"""The quick look at a page's tags and the close one: the quick one is never the more lenient."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from notifier.errors import PageError
from notifier.parse import markup

PIECES = [
    "<div>", "</div>", "<p>", "<b>", "</b>", "<title>", "</title>", "<TITLE>", "<script>", "</script>", "<style>",
    "</style>", "<svg>", "</svg>", "<path/>", "<math>", "<textarea>", "</textarea>", "<!--", "-->", "<!-->", "--!>",
    "<option>", "<br/>", "<x<script>", "<script", "<script/>", "<titl>", "<a href='x'>", '<a t=">"', "<a t='", '"',
    "'", ">", "<", "x", " ", "=", '<a ="><div>">', "<img a = '>'>", "<\u017fcript>", "</\u017fcript>", "<\u017ftyle>",
    "<script\x0b>", "<style\u00a0>", "</scripts>", "</script\u00a0>", "<lin\u212a>",
]  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join), st.integers(0, 8))
@example("<!-->" + "-->", 8)
@example("<x<script>", 8)
@example("<svg><style>", 8)
@example("<\u017fcript>" + "<div>" * 8 + "</script>", 0)
@example("<script></\u017fcript>" + "<div>" * 8, 0)
def test_f027_what_the_quick_look_calls_plain_the_close_one_does_not_refuse(text: str, deep: int) -> None:
    with patch.object(markup, "DEPTH_LIMIT", 6), patch.object(markup, "OPTIONS_LIMIT", 3):
        page = text + "<div>" * deep
        if markup._is_plain(page):
            markup._refuse_attacks(page)


@pytest.mark.parametrize("name", ["div", "b", "dt", "article"])
def test_a_common_page_is_plain(name: str) -> None:
    row = f'<{name} class="a b" id=x title=\'it "is"\'>text &amp; more<br/></{name}><!-- a remark --><p>'
    page = f"<!DOCTYPE html><html><head><title>T</title><script>if (a<b) go()</script></head><body>{row * 2_000}"
    assert markup._is_plain(page)


@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 501,
        "<!-->" + "<div>" * 501 + "-->",
        "<!--x--!>" + "<div>" * 501 + "-->",
        "<svg><title><b></title>" + "<div>" * 501 + "</svg>",
        f"<p {'a ' * 501}>",
        "<option>" * 5_001,
    ],
    ids=["depth", "empty comment", "comment", "title in svg", "attributes", "options"],
)
def test_f026_f027_what_is_not_plain_gets_the_close_look_that_refuses_it(page: str) -> None:
    assert not markup._is_plain(page)
    with pytest.raises(PageError):
        markup._refuse_attacks(page)


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param("<script\u00a0>" + "<div>" * 600 + "</script>", id="a script with a no-break space"),
        pytest.param("<script\x0b>" + "<div>" * 600 + "</script>", id="a script with a vertical tab"),
        pytest.param("<\u017fcript>" + "<div>" * 600 + "</script>", id="a script with a long s"),
        pytest.param("<script></\u017fcript></script>" + "<div>" * 600, id="a long s in a script"),
        pytest.param("<script></scripts><!--</script>" + "<div>" * 600, id="an end tag of another name in a script"),
        pytest.param("<a b=\u00a0'>" + "<div>" * 600 + "'>", id="a value behind a no-break space"),
        pytest.param("<lin\u212a>" * 600, id="a link with the sign of the kelvin"),
    ],
)
def test_f027_names_that_are_no_known_elements_to_a_browser_count_like_any_other(attack: str) -> None:
    with pytest.raises(PageError, match="more than 500 elements inside each other"):
        markup.tree(f"<!DOCTYPE html><html><body>{attack}</body></html>")
