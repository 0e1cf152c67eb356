"""What parsing promises in every format: the right page reads, any other is a `PageError`, in whatever encoding."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.errors import PageError
from notifier.model import AnnounceType
from notifier.parse import FORMATS, parse
from notifier.parse.charset import decode
from tests.listings import ABSTRACT, GOLDEN, api_page, listing_page, page, seconds, text_page

WHOLE_PAGES = {
    "arxiv-list": GOLDEN / "arxiv-list" / "new.html",
    "daily-papers-text": GOLDEN / "daily-papers-text" / "three-papers.txt",
    "hf-daily": GOLDEN / "hf-daily" / "two-papers.json",
}


# --- pages that are not the page ------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "body",
    [
        "<html><head><title>Just a moment...</title></head><body>Checking your browser</body></html>",
        "<html><head><title>Sign in</title></head><body><form><input type=password></form></body></html>",
        "<html><body>We are down for maintenance</body></html>",
        '{"error": "internal"}',
        "Bad gateway",
        '<?xml version="1.0"?><rss version="2.0"><channel></channel></rss>',
        "%PDF-1.7",
    ],
)
def test_f018_an_error_page_with_status_200_is_not_news(format: str, body: str) -> None:
    with pytest.raises(PageError):
        parse(page(body), format)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("body", [b"", b" \r\n\t ", b"\xef\xbb\xbf"])
def test_an_empty_body_is_an_error_not_an_empty_day(format: str, body: bytes) -> None:
    with pytest.raises(PageError):
        parse(page(body), format)


@pytest.mark.parametrize("format", FORMATS)
def test_another_formats_page_is_an_error(format: str) -> None:
    for other, path in WHOLE_PAGES.items():
        if other != format:
            with pytest.raises(PageError):
                parse(page(path.read_bytes()), format)


@pytest.mark.parametrize("format", ["arxiv-list", "hf-daily"])
def test_f009_a_page_cut_anywhere_is_an_error(format: str) -> None:
    whole = WHOLE_PAGES[format].read_text().rstrip()
    end = whole.index("</html") if format == "arxiv-list" else len(whole)
    for length in range(1, end, 7):
        with pytest.raises(PageError):
            parse(page(whole[:length]), format)


def test_f009_a_text_page_cut_anywhere_brings_no_title_it_does_not_hold() -> None:
    path = WHOLE_PAGES["daily-papers-text"]
    titles = [paper.title for paper in parse(page(path.read_bytes()), "daily-papers-text").papers]
    whole = path.read_text()
    for length in range(len(whole)):
        try:
            batch = parse(page(whole[:length]), "daily-papers-text")
        except PageError:
            continue
        assert [paper.title for paper in batch.papers] == titles[: len(batch.papers)]


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_page_with_one_byte_changed_never_crashes_the_parser(path: Path) -> None:
    whole = path.read_bytes()
    for at in range(0, len(whole), max(1, len(whole) // 60)):
        for byte in (b"", b"\x00", b"\xff", b"<", b'"', b"{"):
            try:
                parse(page(whole[:at] + byte + whole[at + 1 :]), path.parent.name)
            except PageError:
                continue


@given(st.sampled_from(sorted(FORMATS)), st.binary(max_size=400), st.sampled_from([None, "utf-8", "utf-16", "x"]))
def test_random_bytes_never_crash_a_parser(format: str, body: bytes, charset: str | None) -> None:
    try:
        parse(page(body, charset=charset), format)
    except PageError:
        return


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "title", "name"]), inner),
        max_leaves=10,
    )
)
def test_any_json_in_any_field_costs_at_most_its_own_paper(value: object) -> None:
    fields = ["title", "summary", "authors", "publishedAt", "submittedOnDailyAt", "submittedOnDailyBy", "upvotes"]
    fields += ["githubRepo", "projectPage", "organization", "unheard-of"]
    broken = {"id": "2605.00002", **dict.fromkeys(fields, value)}
    top = dict.fromkeys(["title", "thumbnail", "numComments", "organization", "submittedBy", "else"], value)
    items = [{"paper": {"id": "2605.00001", "title": "Loud Ploughs"}}, {"paper": broken, **top}]
    batch = parse(page(json.dumps(items)), "hf-daily")
    assert batch.papers[0].title == "Loud Ploughs"
    assert len(batch.papers) == 2


# --- encodings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "charset", ["base64", "utf-7", "idna", "punycode", "rot13", "zlib", "unicode_escape", "\x00", "é", "x" * 9999]
)
def test_f021_a_hostile_charset_is_ignored(charset: str) -> None:
    batch = parse(page(text_page(("Möwen", ABSTRACT)), charset=charset), "daily-papers-text")
    assert batch.papers[0].title == "Möwen"
    assert "charset" in batch.oddities[0]


@pytest.mark.parametrize(
    ("encoding", "charset"),
    [
        ("utf-8", None), ("utf-8", "UTF-8"), ("utf-8-sig", None), ("utf-16", None), ("utf-16", "utf-16"),
        ("iso-8859-2", "ISO-8859-2"), ("cp1252", "iso-8859-1"), ("cp1252", "us-ascii"), ("utf-16-le", "utf-16le"),
    ],
)  # fmt: skip
def test_a_page_reads_in_the_encoding_it_names(encoding: str, charset: str | None) -> None:
    content = text_page(("Möwen auf dem Äcker", ABSTRACT)).encode(encoding)
    assert parse(page(content, charset=charset), "daily-papers-text").papers[0].title == "Möwen auf dem Äcker"


def test_a_page_without_header_charset_reads_as_its_meta_says() -> None:
    content = listing_page("Łódź by the Sea", head="<meta charset='iso-8859-2'>").encode("iso-8859-2")
    assert parse(page(content), "arxiv-list").papers[0].title == "Łódź by the Sea"


def test_f022_text_in_no_encoding_named_is_read_as_windows_1252_and_said() -> None:
    batch = parse(page(text_page(("Möwen – laut", ABSTRACT)).encode("cp1252")), "daily-papers-text")
    assert batch.papers[0].title == "Möwen – laut"
    assert "windows-1252" in batch.oddities[0]


def test_f022_a_few_bytes_that_are_not_the_utf8_they_claim_are_replaced_and_said() -> None:
    content = text_page(("Gulls", ABSTRACT), ("Ploughs", ABSTRACT)).encode().replace(b"Ploughs\n", b"Plou\xffghs\n")
    batch = parse(page(content, charset="utf-8"), "daily-papers-text")
    assert [paper.title for paper in batch.papers] == ["Gulls", "Plou\ufffdghs"]
    assert batch.oddities == ("1 characters are not utf-8 and were replaced",)


def test_bytes_that_are_hopeless_in_the_encoding_they_claim_are_an_error() -> None:
    with pytest.raises(PageError, match="cannot be decoded"):
        decode(page(b"new\n\nDaily Papers\n\nAug 6\n\n" + b"\xff\xfe\xfa" * 100, charset="utf-8"))


def test_compressed_bytes_are_an_error_that_says_so() -> None:
    with pytest.raises(PageError, match="binary"):
        decode(page(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + bytes(range(256))))


# --- what a page says of itself -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://huggingface.co/api/daily_papers?date=2024-08-01",
        "https://huggingface.co/api/daily_papers?limit=100&date=2024-08-01",
        "https://huggingface.co/papers/date/2024-08-01",
    ],
)
def test_a_day_without_its_own_date_is_the_day_that_was_asked_for(url: str) -> None:
    assert parse(page(api_page("Loud Ploughs"), url=url), "hf-daily").listed_on == date(2024, 8, 1)


def test_a_papers_own_day_outweighs_the_day_asked_for() -> None:
    content = api_page("Loud Ploughs", submittedOnDailyAt="2026-05-04T00:19:22.371Z")
    assert parse(page(content, url="https://x.example/?date=2020-01-01"), "hf-daily").listed_on == date(2026, 5, 4)


def test_fifty_items_may_have_been_cut_and_forty_nine_were_not() -> None:
    assert parse(page(api_page(*map(str, range(50)))), "hf-daily").truncated
    assert not parse(page(api_page(*map(str, range(49)))), "hf-daily").truncated


def test_windows_and_old_mac_line_ends_separate_paragraphs_too() -> None:
    content = text_page(("Gulls", ABSTRACT), ("Ploughs", ABSTRACT))
    for end in ("\r\n", "\r"):
        batch = parse(page(content.replace("\n", end)), "daily-papers-text")
        assert [paper.title for paper in batch.papers] == ["Gulls", "Ploughs"]


def test_a_replaced_cross_list_is_announced_as_one_where_the_page_says_so() -> None:
    content = listing_page("Gulls").replace("x</a></dt>", "x</a> (cross-list from math.AG) (replaced)</dt>")
    assert parse(page(content), "arxiv-list").papers[0].announce_type is AnnounceType.REPLACE_CROSS


# --- speed ----------------------------------------------------------------------------------------------------------


def test_a_page_of_a_megabyte_reads_in_a_fraction_of_a_second() -> None:
    entry = listing_page("A $\\tau$-model of gulls").replace("</dd>", f"<p class='mathjax'>{ABSTRACT * 10}</p></dd>")
    one = entry[entry.index("<dt>") : entry.index("</dl>")]
    many = "".join(one.replace("2303.00001", f"2303.{n:05}") for n in range(1, 800))
    pages = {
        "daily-papers-text": text_page(*((f"Paper {n}", ABSTRACT * 10) for n in range(900))),
        "hf-daily": api_page(*(f"Paper {n}" for n in range(900)), summary=ABSTRACT * 10),
        "arxiv-list": entry.replace(one, many),
    }
    for format, content in pages.items():
        took = min(seconds(content, format)[0] for _ in range(3))
        print(f"{format}: {len(content) / 1e6:.2f} MB in {took * 1e3:.0f} ms")
        assert took < 1
