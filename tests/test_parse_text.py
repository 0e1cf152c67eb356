"""Text and links out of a page: one bounded line without invisible characters, and plain http or nothing."""

from __future__ import annotations

import re
import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from notifier.parse.text import NAME_LIMIT, line, link, names, reading

HOSTILE = st.text(
    st.characters()
    | st.sampled_from("\u202e\u2066\u200b\ufeff\u2028\x00\x0b\ud800\ufffe\u0301\u0323\ufdfa\u00a0\U000e0041 "),
    max_size=300,
)


@given(HOSTILE, st.integers(min_value=1, max_value=200))
@example("Gu\u200blls\ufeff under \u202eploughs\u2066", 200)
@example("Gulls\u2028under\x00ploughs\x0band\ud800 more\ufffe", 200)
@example("Gulls " * 9, 10)
def test_f031_f032_f036_clean_text_is_one_bounded_line_without_invisible_characters(raw: str, limit: int) -> None:
    text = line(raw, limit)
    assert len(text) <= limit
    assert text == " ".join(text.split())
    assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    assert not re.search("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufffe\uffff]", text)
    assert text.encode().decode() == text


@given(HOSTILE)
def test_cleaning_clean_text_changes_nothing(raw: str) -> None:
    text = line(raw, 100)
    assert line(text, 100) == text
    assert unicodedata.is_normalized("NFC", text)


@given(HOSTILE)
def test_reading_gives_clean_text_and_a_source_only_where_it_differs(raw: str) -> None:
    text, source = reading(raw, 100)
    assert text == line(text, 100)
    assert not source or source != text
    assert bool(text) == bool(line(raw, 100))


def test_f036_a_million_combining_marks_or_ligatures_cost_nothing() -> None:
    start = time.process_time()
    assert len(line("a" + "\u0301\u0323" * 500_000, 20_000)) < 10
    assert len(line("\u0344" * 1_000, 20_000)) == 4  # each is two marks in normal form
    assert len(line("\ufdfa" * 1_000_000, 1_000)) == 1_000
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    "raw",
    [
        "javascript:alert(1)", "javascript://x.example/%0aalert(1)", "ftp://x.example/",
        "data:text/html,x", "file:///etc/passwd", "//host.example/x", "/papers/1", "", "https://",
        "http://[::1", "https://good.example@evil.example/", "https://x.example/a b", "https://x.example/\u202e",
        'https://x.example/"onload=', "https://x.example/\\evil", "https://x.example:99999999/", "HTTPS:x", "x" * 5_000,
    ],
)  # fmt: skip
def test_f035_a_link_that_is_not_plain_http_is_dropped(raw: str) -> None:
    assert link(raw) is None


def test_a_link_is_resolved_against_its_page() -> None:
    assert link("/papers/1", "https://x.example/y") == "https://x.example/papers/1"
    assert link(" https://x.example/ä?q=1#f ") == "https://x.example/ä?q=1#f"


URLS = [
    "http",
    "https",
    "HTTPS",
    ":",
    "//",
    "/",
    "x.example",
    "X.example",
    "..",
    ".",
    "-",
    "a@b",
    "?",
    "#",
    "q=1",
    "%20",
    "é",
]


@given(st.lists(st.sampled_from(URLS), max_size=8).map("".join))
def test_a_link_that_needs_no_look_is_what_the_look_gives(url: str) -> None:
    assert link(url) == link(f" {url}")  # white space before it needs one


@given(st.text(st.sampled_from("ab \t\n\xa0\u0301\u200b\u115f\x07éﬁ\U0001f980|"), max_size=12))
def test_names_cleaned_together_are_as_cleaned_alone(text: str) -> None:
    raw = text.split("|")
    assert names(raw) == tuple(filter(None, (line(one, NAME_LIMIT) for one in raw)))


@given(st.text(st.sampled_from("ab \t\n\xa0\u0301\u200b\u115f\x07é\U0001f980"), max_size=12))
def test_text_that_needs_no_cleaning_is_what_cleaning_gives(raw: str) -> None:
    assert line(raw, 20) == line(raw + " " * 100, 20).removesuffix("…").rstrip()  # too long to be looked at quickly
