"""What an arXiv listing means: by classes rather than by tags, whatever its elements are in."""

from __future__ import annotations

import pytest

from notifier.model import AnnounceType, Batch
from notifier.parse import parse
from tests.listings import page

AUTHORS = "<a href='/a/quay'>Ines Quay</a>, <a href='/a/strom'>Bo Strom</a>"
TITLE, COMMENTS = (
    "<div class='list-title mathjax'>Title: Gulls</div>",
    "<div class='list-comments'>Comments: 9 pages</div>",
)
SUBJECTS = (
    "<div class='list-subjects'>Subjects: <span class='primary-subject'>Tides (phys.TD)</span>; Optics (phys.OP)</div>"
)
ABSTRACT = "<p class='mathjax'>Gulls follow ploughs.</p>"
IN_DIV = f"<div class='list-authors'>{AUTHORS}</div>"


def term(number: int) -> str:
    return f"<dt><a href='/abs/2303.{number:05}' title='Abstract'>x</a></dt>"


def entry(number: int, *fields: str) -> str:
    return f"{term(number)}<dd><div class='meta'>{''.join(fields)}</div></dd>"


def section(kind: str, *entries: str) -> str:
    return f"<dl id='articles'><h3>{kind} (showing 3 of 3 entries)</h3>{''.join(entries)}</dl>"


def read(*sections: str, before: str = "") -> Batch:
    return parse(
        page(
            "<!DOCTYPE html><html><body><div id='dlpage'><h3>Showing new listings for Friday, 3 March 2023</h3>"
            f"{before}{''.join(sections)}</div></body></html>"
        ),
        "arxiv-list",
    )


def others(first: str) -> str:
    return section("New submissions", first, entry(2, TITLE, IN_DIV, SUBJECTS, ABSTRACT), entry(3, TITLE, IN_DIV))


@pytest.mark.parametrize(
    ("title", "authors", "comments"),
    [
        pytest.param("<h3 class='list-title mathjax'>Title: Gulls</h3>", IN_DIV, COMMENTS, id="title in a heading"),
        pytest.param("<a class='list-title' href='/1'>Title: Gulls</a>", IN_DIV, COMMENTS, id="title in a link"),
        pytest.param(
            TITLE, IN_DIV, "<h3 class='list-comments mathjax'>Comments: 9 pages</h3>", id="comments in a heading"
        ),
        pytest.param(
            TITLE,
            IN_DIV,
            "<dl><dt>Key</dt><dd class='list-comments'>Comments: 9 pages</dd></dl>",
            id="comments in a list of their own",
        ),
        pytest.param(
            TITLE,
            IN_DIV,
            "<div class='list-comments'>Comments: <a href='/pages'>9 pages</a></div>",
            id="a link in the comments",
        ),
        pytest.param(TITLE, f"<dl class='list-authors'>{AUTHORS}</dl>", COMMENTS, id="authors in a list"),
        pytest.param(TITLE, f"<p class='mathjax list-authors'>{AUTHORS}</p>", COMMENTS, id="authors in a paragraph"),
        pytest.param(
            TITLE,
            f"<div class='list-authors'><span class='list-authors'>{AUTHORS}</span></div>",
            COMMENTS,
            id="authors twice inside each other",
        ),
        pytest.param(TITLE, f"{IN_DIV}<div class='list-authors'><a>No One</a></div>", COMMENTS, id="authors twice"),
        pytest.param(
            TITLE, IN_DIV.replace("<a ", "<a class='list-authors' "), COMMENTS, id="each author marked as authors"
        ),
        pytest.param(TITLE, IN_DIV.replace("<a ", "<a class='mathjax' ", 1), COMMENTS, id="one author with a formula"),
        pytest.param(TITLE, IN_DIV.replace("<a ", "<a class='x' "), COMMENTS, id="authors of another class"),
        pytest.param(TITLE, f"<div><div>{IN_DIV}</div></div>", COMMENTS, id="authors further inside"),
        pytest.param(TITLE, f"<dl id='articles'></dl>{IN_DIV}", COMMENTS, id="an empty section in an entry"),
    ],
)
def test_a_field_is_told_by_its_class_whatever_its_tag_is(title: str, authors: str, comments: str) -> None:
    batch = read(others(entry(1, title, authors, comments, SUBJECTS, ABSTRACT)))
    paper = batch.papers[0]
    assert (paper.title, paper.authors, paper.comments) == ("Gulls", ("Ines Quay", "Bo Strom"), "9 pages")
    assert (paper.categories, paper.primary_category) == (("phys.TD", "phys.OP"), "phys.TD")
    assert [each.announce_type for each in batch.papers] == [AnnounceType.NEW] * 3
    assert (batch.stated, batch.oddities) == (3, ())


def test_a_heading_with_the_class_of_a_field_heads_its_section() -> None:
    batch = read(others(entry(1, TITLE)).replace("<h3>New", "<h3 class='mathjax'>New"))
    assert [each.announce_type for each in batch.papers] == [AnnounceType.NEW] * 3
    assert batch.stated == 3


def test_sections_that_are_never_closed_are_read_like_closed_ones() -> None:
    new = section("New submissions", entry(1, TITLE, IN_DIV, ABSTRACT)).removesuffix("</dl>")
    replaced = section("Replacement submissions", entry(2, TITLE, IN_DIV)).removesuffix("</dl>")
    batch = read(new, replaced)
    assert [(each.source_key, each.announce_type, each.abstract) for each in batch.papers] == [
        ("2303.00001", AnnounceType.NEW, "Gulls follow ploughs."),
        ("2303.00002", AnnounceType.REPLACE, ""),
    ]


def test_second_details_of_an_entry_are_not_read() -> None:
    batch = read(section("New submissions", entry(1, TITLE), f"<dd>{IN_DIV}{ABSTRACT}</dd>", entry(2, TITLE)))
    assert [(each.title, each.authors, each.abstract) for each in batch.papers] == [("Gulls", (), "")] * 2


def test_an_entry_without_details_takes_none_from_the_next_section() -> None:
    batch = read(section("New submissions", entry(1, TITLE), term(2)), section("Cross-lists", f"<dd>{TITLE}</dd>"))
    assert [each.source_key for each in batch.papers] == ["2303.00001"]
    assert batch.oddities == ("skipped: an entry without details",)


def test_what_stands_behind_the_entries_is_no_field_of_the_last_one() -> None:
    stray = f"<div class='list-subjects'><b class='primary-subject'>Ploughs (cs.PL)</b></div>{IN_DIV}{TITLE}"
    plain = SUBJECTS.replace("<span class='primary-subject'>", "").replace("</span>", "")
    (paper,) = read(section("New submissions", entry(1, plain)), stray).papers
    assert (paper.primary_category, paper.authors) == ("phys.TD", ())


@pytest.mark.parametrize("named", ["paging", "pages"])
def test_a_page_that_shows_3_of_7_is_not_the_whole_listing(named: str) -> None:
    batch = read(others(entry(1, TITLE)), before=f"<div class='{named}'>Total of 7 entries</div>")
    assert (batch.stated, batch.truncated) == (3, True)
