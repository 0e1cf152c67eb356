"""What parsing promises in every format: the right page reads, any other is a `PageError`, and text comes out clean."""

from __future__ import annotations

import json
import re
import tarfile
import time
import unicodedata
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from notifier.errors import PageError
from notifier.model import AnnounceType, Batch, Page
from notifier.parse import FORMATS, parse
from notifier.parse.charset import decode
from notifier.parse.text import NAME_LIMIT, line, link, names, reading

GOLDEN = Path(__file__).resolve().parent / "golden"
WHOLE_PAGES = {
    "arxiv-list": GOLDEN / "arxiv-list" / "new.html",
    "daily-papers-text": GOLDEN / "daily-papers-text" / "three-papers.txt",
    "hf-daily": GOLDEN / "hf-daily" / "two-papers.json",
}
ABSTRACT = "Ploughs are loud. We measure how loud, in three fields, and offer the measurements to any gull that asks."


def page(content: bytes | str, *, url: str = "https://listing.example/", charset: str | None = None) -> Page:
    raw = content.encode() if isinstance(content, str) else content
    return Page(url=url, content=raw, charset=charset, fetched_at=datetime(2026, 5, 4, 8, 17, tzinfo=UTC))


def text_page(*papers: tuple[str, str]) -> str:
    body = "\n\n".join(f"{title}\n\n{abstract}" for title, abstract in papers)
    return f"new\n\nDaily Papers\n\nbyAK and the research community\n\nAug 6\n\n{body}\n"


def api_page(*titles: str, **paper: object) -> str:
    items = [{"paper": {"id": f"2605.{n:05}", "title": title, **paper}} for n, title in enumerate(titles, start=1)]
    return json.dumps(items)


def listing_page(title: str, *, head: str = "") -> str:
    return f"""<!DOCTYPE html><html><head>{head}<title>x</title></head><body><div id='dlpage'>
        <h3>Showing new listings for Friday, 3 March 2023</h3>
        <dl id='articles'><h3>New submissions (showing 1 of 1 entries)</h3>
        <dt><a href ="/abs/2303.00001" title="Abstract">x</a></dt>
        <dd><div class='list-title'><span class='descriptor'>Title:</span>{title}</div></dd></dl>
        </div></body></html>"""


def seconds(content: str, format: str) -> tuple[float, Batch | PageError]:
    start = time.process_time()
    try:
        found: Batch | PageError = parse(page(content), format)
    except PageError as error:
        found = error
    return time.process_time() - start, found


# --- real pages -----------------------------------------------------------------------------------------------------


@pytest.mark.captures
@pytest.mark.parametrize(("number", "papers", "day"), [(1, 90, "Aug 6"), (2, 92, "Mar 13"), (3, 84, "Mar 14")])
def test_the_real_text_pages_read_completely(captures: Path, number: int, papers: int, day: str) -> None:
    batch = parse(page((captures / "listings" / f"daily-papers-{number}.txt").read_bytes()), "daily-papers-text")
    assert (len(batch.papers), batch.day_text, batch.skipped, batch.oddities) == (papers, day, 0, ())
    assert all(len(paper.abstract) > 1_000 and len(paper.title) < 200 for paper in batch.papers)


@pytest.mark.captures
def test_the_real_text_pages_read_in_turn_bring_212_papers(captures: Path) -> None:
    seen: set[str] = set()
    brought = []
    for number in (1, 2, 3):
        batch = parse(page((captures / "listings" / f"daily-papers-{number}.txt").read_bytes()), "daily-papers-text")
        keys = {paper.source_key for paper in batch.papers}
        brought.append(len(keys - seen))
        seen |= keys
    assert (brought, len(seen)) == ([90, 73, 49], 212)


@pytest.mark.captures
def test_every_real_api_day_reads_completely_or_is_a_dump_that_records_nothing(captures: Path) -> None:
    days, items, refused, took, size = 0, 0, [], 0.0, 0
    with tarfile.open(next((captures / "captures" / "hf-daily-api").glob("*.tar.xz"))) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is None:
                continue
            content = file.read()
            day = Path(member.name).stem
            start = time.process_time()
            try:
                batch = parse(page(content, url=f"https://huggingface.co/api/daily_papers?date={day}"), "hf-daily")
            except PageError:
                refused.append(day)
                continue
            finally:
                took += time.process_time() - start
                size += len(content)
            assert len(batch.papers) == len(json.loads(content)), day
            assert batch.listed_on == date.fromisoformat(day)
            assert batch.unknown_keys == {}
            assert all(paper.arxiv_id and paper.abstract and paper.published_at for paper in batch.papers)
            days, items = days + 1, items + len(batch.papers)
    print(f"{days} days, {items} papers, {size / 1e6:.1f} MB in {took:.2f} s")
    assert len(refused) == 22
    assert (min(refused), max(refused)) == ("2024-12-11", "2025-01-10")


@pytest.mark.captures
def test_the_real_html_page_reads_completely(captures: Path) -> None:
    (path,) = (captures / "captures" / "hf-papers-html").glob("*.html")
    batch = parse(page(path.read_bytes()), "hf-daily")
    assert (len(batch.papers), batch.listed_on, batch.unknown_keys) == (13, date(2024, 8, 1), {})


@pytest.mark.captures
def test_the_real_arxiv_pages_read_as_many_entries_as_they_state(captures: Path) -> None:
    counts = {}
    for path in sorted((captures / "captures" / "arxiv-html").glob("*__list__*.html")):
        batch = parse(page(path.read_bytes()), "arxiv-list")
        assert len(batch.papers) == batch.stated, path.name
        assert batch.oddities == ()
        assert all(paper.title and paper.primary_category and paper.authors for paper in batch.papers)
        if path.name.endswith("new.html"):
            assert all(paper.announce_type and paper.abstract for paper in batch.papers)
            assert batch.listed_on == date(2011, 2, 3)
        counts[path.name] = len(batch.papers)
    assert counts["db__list__math__new.html"] == 6
    assert counts["fs__list__astro-ph__pastweek.html"] == 50


@pytest.mark.captures
def test_a_real_paper_page_is_not_a_listing(captures: Path) -> None:
    for path in (captures / "captures" / "arxiv-html").glob("*__abs__*.html"):
        with pytest.raises(PageError, match="no #dlpage"):
            parse(page(path.read_bytes()), "arxiv-list")


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


# --- clean text and links -------------------------------------------------------------------------------------------

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
