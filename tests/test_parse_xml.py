"""What reading XML promises: no file, no network, no minutes, whatever the document; and its text as it was meant."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from notifier.errors import PageError
from notifier.model import Batch, Page
from notifier.parse import parse
from notifier.parse.byline import _any, byline
from notifier.parse.dates import stamp
from notifier.parse.xml import document, first, parts, text_of

GOLDEN = Path(__file__).resolve().parent / "golden"
WHOLE_PAGES = {
    "arxiv-api": GOLDEN / "arxiv-api" / "first-page-of-two.xml",
    "arxiv-feed": GOLDEN / "arxiv-feed" / "rss.xml",
    "arxiv-mail": GOLDEN / "arxiv-mail" / "daily.txt",
    "oai-pmh": GOLDEN / "oai-pmh" / "arxiv-with-token.xml",
}
SECONDS = 2.0  # more than any of these pages may cost, on a loaded machine


def page(content: bytes | str, *, url: str = "https://listing.example/", charset: str | None = None) -> Page:
    raw = content.encode() if isinstance(content, str) else content
    return Page(url=url, content=raw, charset=charset, fetched_at=datetime(2026, 5, 5, tzinfo=UTC))


def title_of(content: bytes | str, *, charset: str | None = None) -> str:
    return first(parts(document(page(content, charset=charset)).root), "title")


def feed(title: str = "Gulls", *, attack: str = "") -> str:
    return (
        f"<rss><channel><title>phys.TD updates on arXiv.org</title>{attack}<item><title>{title}</title>"
        "<link>https://arxiv.org/abs/2605.00011</link></item></channel></rss>"
    )


# --- attacks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attack", "reason"),
    [
        pytest.param("<p " + " ".join(f"a{n}='1'" for n in range(200_000)) + "/>", "attributes", id="attributes"),
        pytest.param("<p " + " ".join(f"xmlns:a{n}='1'" for n in range(40_000)) + "/>", "attributes", id="namespaces"),
        pytest.param("<p " + " ".join(f"a{n}='1'" for n in range(40_000)), "attributes", id="a tag without end"),
        pytest.param("<a>" * 100_000 + "</a>" * 100_000, "depth", id="100,000 elements deep"),
        pytest.param("<a/>" * 1_100_000, "tags", id="a million tags"),
        pytest.param("<a>" + "x" * 11_000_000 + "</a>", "too long", id="11 MB of text in one element"),
        pytest.param("<!--" * 20_000, "not well-formed", id="comments that never end"),
        pytest.param("<![CDATA[" * 20_000, "not well-formed", id="sections that never end"),
        pytest.param("&a" * 500_000 + "<", "not well-formed", id="half a million ampersands"),
    ],
)
def test_f026_f027_f028_xml_that_costs_a_parser_minutes_is_refused_at_once(attack: str, reason: str) -> None:
    start = time.process_time()
    with pytest.raises(PageError, match=reason):
        parse(page(feed(attack=attack)), "arxiv-feed")
    assert time.process_time() - start < SECONDS


def test_f026_many_attributes_in_many_tags_cost_little() -> None:
    tag = "<p " + " ".join(f"a{n}='{n}'" for n in range(400)) + "/>"
    start = time.process_time()
    batch = parse(page(feed(attack=tag * 500)), "arxiv-feed")
    assert time.process_time() - start < SECONDS
    assert [paper.title for paper in batch.papers] == ["Gulls"]


def test_f026_a_long_attribute_or_a_text_full_of_equal_signs_is_no_attack() -> None:
    content = feed("x = '1' " * 1_000, attack=f'<p a="{"b=1 " * 5_000}"/>')
    assert len(parse(page(content), "arxiv-feed").papers) == 1


@pytest.mark.parametrize(
    "declared",
    [
        '<!DOCTYPE rss [<!ENTITY secret SYSTEM "file://{path}">]>',
        '<!DOCTYPE rss [<!ENTITY % remote SYSTEM "file://{path}"> %remote;]>',
        '<?xml version="1.0"?>\n<!-- > [ --><?x >?> <!DOCTYPE rss SYSTEM "a>b" [<!ENTITY secret "x">]>',
        "<!DOCTYPE rss [<!ATTLIST item a CDATA 'x'>]>",
    ],
)
def test_f029_a_document_that_declares_entities_is_refused_and_no_file_is_read(declared: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the lamp is hollow")
    with pytest.raises(PageError, match="declares entities") as caught:
        parse(page(declared.replace("{path}", str(secret)) + feed("&secret;")), "arxiv-feed")
    assert "hollow" not in str(caught.value)


def test_f029_a_document_type_elsewhere_is_neither_fetched_nor_missed(tmp_path: Path) -> None:
    (tmp_path / "rss.dtd").write_text('<!ENTITY secret "the lamp is hollow">')
    content = f'<!DOCTYPE rss SYSTEM "file://{tmp_path}/rss.dtd">' + feed("[&secret;]")
    assert parse(page(content), "arxiv-feed").papers[0].title == "[&secret;]"


def test_f030_a_billion_laughs_are_refused() -> None:
    laughs = '<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    start = time.process_time()
    with pytest.raises(PageError, match="declares entities"):
        parse(page(f"<!DOCTYPE rss [{laughs}]>" + feed("&a9;")), "arxiv-feed")
    assert time.process_time() - start < SECONDS


# --- bytes around and inside ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "declared", "charset"),
    [
        ("utf-8", "utf-8", None), ("utf-8", "utf-8", "utf-8"), ("utf-8-sig", "utf-8", None), ("utf-8", None, None),
        ("iso-8859-2", "iso-8859-2", None), ("iso-8859-2", "utf-8", "iso-8859-2"), ("utf-16", "utf-16", None),
        ("utf-8", "UTF-8", "iso-8859-1"), ("utf-8", "us-ascii", "utf-8"), ("utf-8", "no-such-thing", None),
        ("utf-8", "utf-8", "base64"), ("cp1252", "utf-8", "cp1252"),
    ],
)  # fmt: skip
def test_f021_f022_a_document_reads_in_the_encoding_it_is_in(
    encoding: str, declared: str | None, charset: str | None
) -> None:
    prolog = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
    title = "Möwen" if encoding == "cp1252" else "Möwen in Łódź" if encoding == "iso-8859-2" else "Möwen – Łódź"
    assert title_of(f"{prolog}<a><title>{title}</title></a>".encode(encoding), charset=charset) == title


@pytest.mark.parametrize("before", ["", " ", "\n\n\t", "\ufeff", "\ufeff \n"])
def test_blanks_and_marks_before_the_declaration_are_no_fault(before: str) -> None:
    assert title_of(f'{before}<?xml version="1.0"?><a><title>Gulls</title></a>') == "Gulls"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("A &amp; B", "A & B"), ("A & B", "A & B"), ("AT&T", "AT&T"), ("caf&eacute;", "café"), ("&bogus;", "&bogus;"),
        ("a &lt; b &LT; c", "a < b < c"), ("&#956;&#x3c4;", "μτ"), ("x&#11;y&#xFFFF;z&#0;", "x�y�z�"),
        ("x\x0by\ufffez", "x�y�z"), ("<![CDATA[A &nbsp; B]]> & C", "A &nbsp; B & C"), ("a<!-- no -->b<?x y?>c", "abc"),
        ("&", "&"), ("&#;&#x;&#99999999999;", "&#;&#x;&#99999999999;"), ("<b>bold</b> move", "bold move"),
    ],
)  # fmt: skip
def test_f031_text_that_xml_forbids_or_does_not_know_is_repaired_and_nothing_else_changes(
    written: str, read: str
) -> None:
    assert title_of(f"<a><title>{written}</title></a>") == read


def test_repairs_are_reported_and_sound_documents_are_not() -> None:
    assert parse(page(feed("A & B")), "arxiv-feed").oddities
    assert not parse(page(feed("A &amp; B")), "arxiv-feed").oddities


@given(st.text(max_size=60))
def test_text_comes_back_as_it_was_escaped(text: str) -> None:
    allowed = "".join(c for c in text if c in "\t\n" or (c >= " " and c not in "\ufffe\uffff"))
    escaped = allowed.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    content = f"<a><title>[{escaped}]</title></a>".encode(errors="surrogatepass")
    try:
        assert text_of(next(iter(document(page(content, charset="utf-8")).root))) == f"[{allowed}]"
    except PageError:
        pytest.fail("a sound document was refused")


# --- the formats on top ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", WHOLE_PAGES)
def test_f018_another_formats_page_is_an_error(format: str) -> None:
    for other, path in WHOLE_PAGES.items():
        if other != format:
            with pytest.raises(PageError):
                parse(page(path.read_bytes()), format)


@pytest.mark.parametrize("format", WHOLE_PAGES)
def test_f009_a_page_cut_anywhere_is_an_error_or_says_so(format: str) -> None:
    whole = WHOLE_PAGES[format].read_text().rstrip()
    end = whole.index("%%%---") if format == "arxiv-mail" else len(whole)
    for length in range(1, end, 7):
        with pytest.raises(PageError):
            parse(page(whole[:length]), format)


def test_f009_a_past_week_cut_inside_an_entry_says_that_it_was_cut() -> None:
    whole = (GOLDEN / "arxiv-mail" / "past-week.txt").read_text()
    last = whole.rindex("arXiv:")
    for length in range(last, len(whole) - 3, 5):
        batch = parse(page(whole[:length]), "arxiv-mail")
        assert batch.truncated
        assert len(batch.papers) == 3


def test_f039_absurd_dates_never_lose_a_paper() -> None:
    for written in [
        "",
        "yesterday",
        "Fri, 99 Foo 2026",
        "Mon, 4 May 99999999999 09:00:06 GMT",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-12:00",
    ]:
        for name in ("pubDate", "lastBuildDate"):
            batch = parse(page(feed(attack=f"<{name}>{written}</{name}>")), "arxiv-feed")
            assert len(batch.papers) == 1
        content = (GOLDEN / "arxiv-feed" / "atom.xml").read_text().replace("2026-05-05T00:00:00-04:00", written)
        assert len(parse(page(content), "arxiv-feed").papers) == 2


def test_a_day_announced_in_new_york_keeps_its_date_in_every_dialect() -> None:
    days = {
        name: parse(page((GOLDEN / "arxiv-feed" / name).read_bytes()), "arxiv-feed").listed_on
        for name in ("rss.xml", "atom.xml", "atom-of-a-holiday.xml", "rdf-of-2018.xml")
    }
    assert days == {
        "rss.xml": date(2026, 5, 5),
        "atom.xml": date(2026, 5, 5),
        "atom-of-a-holiday.xml": date(2026, 5, 5),
        "rdf-of-2018.xml": date(2018, 5, 24),
    }


def test_a_mail_is_of_the_day_it_has_in_gmt() -> None:
    whole = (GOLDEN / "arxiv-mail" / "daily.txt").read_text()
    evening = whole.replace("Tue,  5 May 26 00:31:14 GMT", "Mon, 4 May 2026 20:31:14 -0400")
    assert evening != whole
    assert parse(page(evening), "arxiv-mail").listed_on == date(2026, 5, 5)


def test_a_record_changed_long_after_its_submission_is_not_announced_as_new() -> None:
    whole = (GOLDEN / "oai-pmh" / "arxiv-get-record.xml").read_text()

    def kind(created: str) -> object:
        return (
            parse(page(whole.replace("<created>2026-05-04", f"<created>{created}")), "oai-pmh").papers[0].announce_type
        )

    assert [kind("2026-05-04"), kind("2026-04-06"), kind("2026-04-04"), kind("1999-01-04")] == [
        None, None, "replace", "replace",
    ]  # fmt: skip


@pytest.mark.parametrize("url", ["https://x.example/oai?verb=ListRecords&set=cs#top", "https://x.example/oai"])
def test_a_resumption_token_is_asked_for_alone_and_on_the_same_host(url: str) -> None:
    whole = (GOLDEN / "oai-pmh" / "arxiv-with-token.xml").read_text()
    assert parse(page(whole, url=url), "oai-pmh").next_url == (
        "https://x.example/oai?verb=ListRecords&resumptionToken=6511260%7C1001%26x"
    )


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Ada One", ("Ada One",)),
        ("A. One, B. Two and C. Three", ("A. One", "B. Two", "C. Three")),
        ("A. One, B. Two, and C. Three, Jr.", ("A. One", "B. Two", "C. Three Jr.")),
        (r"M\'aria Pet\H{o}, G\"unter \O stby", ("Mária Pető", "Günter Østby")),
        ("A. One (Quay (North), Lamp City), B. Two (1,2) ((1) Quay, (2) Shore)", ("A. One", "B. Two")),
        ("NVIDIA,  :, Amal Deshmukh", ("NVIDIA", "Amal Deshmukh")),
        ("Fog Collaboration: E. One, F. Two et al.", ("Fog Collaboration", "E. One", "F. Two et al.")),
        ("Anders Andersson and Brand Andrews", ("Anders Andersson", "Brand Andrews")),
        ("", ()),
        (" , ,, and ", ()),
    ],
)
def test_a_byline_is_split_into_names(written: str, read: tuple[str, ...]) -> None:
    assert byline(written) == read


BYLINE_PIECES = [
    "Ada One", "Anand Two", "G{\\\"o}del", "Jos\u00e9 Three", "e\u0301ric", "Jr.", "et al.", "and", "the", "1st",
    "x" * 201, ", ", ",", ", and ", " and ", " and", "and ", " & ", "; ", ": ", " ", "  ", "\n  ", "\n", "\xa0",
    "\u200b", "(Quay)", " (",
]  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(BYLINE_PIECES), max_size=12).map("".join))
@example("Ada One and and Bo Two")
@example("Ada One , Bo Two")
@example("Ada One,and Bo Two")
def test_a_common_byline_is_split_as_any_other(written: str) -> None:
    assert byline(written) == _any(written)


def test_f037_a_byline_of_ten_megabytes_is_split_in_bounded_time() -> None:
    attacks: list[Callable[[], str]] = [
        lambda: "A. Gull, " * 1_000_000,
        lambda: "(" * 5_000_000 + ")" * 5_000_000,
        lambda: " and" * 2_500_000,
        lambda: "\\'" * 5_000_000,
        lambda: ", Jr" * 2_500_000,
    ]
    for attack in attacks:
        start = time.process_time()
        assert len(byline(attack())) <= 10_000
        assert time.process_time() - start < 2 * SECONDS


@pytest.mark.parametrize(
    "line",
    [
        "Date: " + "(" * 300_000 + " " * 300_000,
        "Title: a" + "\n  b" * 200_000,
        "A" + "-b" * 300_000,
        "\\\\\n" * 200_000,
    ],
    ids=["blanks behind a date", "a title of 200,000 lines", "a long field name", "marks"],
)
def test_f037_a_mail_of_one_endless_entry_reads_or_is_refused_in_seconds(line: str) -> None:
    rule = "-" * 78
    content = f" received from  x\n{rule}\n\\\\\narXiv:2605.00011\n{line}\n\\\\\n%%%---%%%---\n"
    start = time.process_time()
    assert len(parse(page(content), "arxiv-mail").papers) == 1
    assert time.process_time() - start < SECONDS


@given(st.text(max_size=40))
def test_any_text_is_an_instant_or_none(text: str) -> None:
    moment = stamp(text)
    assert moment is None or moment.tzinfo is not None


def test_f037_ten_megabytes_of_items_read_or_are_refused_in_seconds() -> None:
    item = "<item><title>Gull {n}</title><link>https://arxiv.org/abs/2605.{n:05}</link><dc>x</dc></item>"
    start = time.process_time()
    content = feed(attack="".join(item.format(n=n) for n in range(9_000)))
    batch: Batch = parse(page(content), "arxiv-feed")
    assert len(batch.papers) + batch.skipped == 9_001
    assert batch.truncated
    assert time.process_time() - start < 3 * SECONDS


def mail_with(head: str) -> str:
    """The golden mail of a day, its second entry under another head."""
    whole = (GOLDEN / "arxiv-mail" / "daily.txt").read_text()
    begins = whole.index("arXiv:2605.00014")
    return whole[:begins] + head + whole[whole.index("\n\\\\\n", begins) :]


def test_an_id_stands_in_its_own_line_of_a_mail() -> None:
    mail = mail_with("arXiv:\nPaper: 9605001\nTitle: Loud Ploughs\nAuthors: A. Keeper\nCategories: phys.TD")
    assert "phys/9605001" in [paper.arxiv_id for paper in parse(page(mail), "arxiv-mail").papers]


@pytest.mark.parametrize(
    ("authors", "expected"),
    [
        ("Authors: \nAuthor: A. Keeper", ["A. Keeper"]),
        ("Authors: A. Keeper,\n\u00a0\n  B. Sand", ["A. Keeper", "B. Sand"]),
        ("Authors: A. Keeper,\n\n  B. Sand", ["A. Keeper", "B. Sand"]),
    ],
    ids=["a blank line of authors", "a line of hard blanks between", "an empty line between"],
)
def test_blank_lines_of_a_mail_hide_no_author(authors: str, expected: list[str]) -> None:
    mail = mail_with(f"arXiv:2605.00014\nTitle: Loud Ploughs\n{authors}\nCategories: phys.TD")
    [paper] = [one for one in parse(page(mail), "arxiv-mail").papers if one.title == "Loud Ploughs"]
    assert list(paper.authors) == expected


def test_the_day_of_a_past_week_may_have_words_behind_its_comment() -> None:
    whole = (GOLDEN / "arxiv-mail" / "past-week.txt").read_text()
    plain = parse(page(whole), "arxiv-mail")
    assert parse(page(whole.replace("*/", "*/ as sent")), "arxiv-mail").listed_on == plain.listed_on


def test_a_blank_name_of_oai_pmh_is_not_taken_for_one() -> None:
    whole = (GOLDEN / "oai-pmh" / "arxiv-last-part.xml").read_text()
    first = parse(page(whole), "oai-pmh").papers[0]
    odd = parse(page(whole.replace("<keyname>", "<keyname> </keyname><keyname>", 1)), "oai-pmh").papers[0]
    assert odd.authors == first.authors
