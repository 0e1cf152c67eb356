"""Hostile pages: what would cost a parser minutes is refused, what is odd costs little and loses nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from notifier.errors import PageError
from notifier.model import Batch
from notifier.parse import parse
from tests.listings import ABSTRACT, api_page, listing_page, page, seconds, text_page

# --- hostile pages --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param("<p " + " ".join(f"a{n}=1" for n in range(200_000)) + ">", id="200,000 attributes"),
        pytest.param("<p " + "a/" * 200_000 + ">", id="attributes between slashes"),
        pytest.param("<p x='" + "<p x=" * 100_000, id="a tag that never ends"),
        pytest.param("<div>" * 100_000, id="100,000 elements deep"),
        pytest.param("<svg>" + "<div/>" * 100_000, id="deep behind svg"),
        pytest.param("<select>" + "<option>" * 200_000, id="200,000 options"),
    ],
)
def test_f026_f027_html_that_costs_a_parser_minutes_is_refused_at_once(attack: str) -> None:
    took, found = seconds(listing_page("Gulls").replace("<body>", f"<body>{attack}"), "arxiv-list")
    assert isinstance(found, PageError)
    assert took < 2


@pytest.mark.parametrize(
    "filler",
    [
        pytest.param("<!--" * 20_000, id="comments that never end"),
        pytest.param("<svg>" + "<path/>" * 20_000 + "</svg>", id="a big drawing"),
        pytest.param("<script>if (a<b) x('<div><div>')</script>" * 2_000, id="tags inside scripts"),
        pytest.param("<p>" * 20_000, id="paragraphs without end tags"),
        pytest.param(
            "<dl><dd class=list-subjects>" * 400 + "<b class=primary-subject></b>" * 2_000 + "</dd></dl>" * 400,
            id="lists inside each other",
        ),
    ],
)
def test_f028_odd_but_lawful_html_costs_little_and_loses_nothing(filler: str) -> None:
    took, found = seconds(listing_page("Gulls").replace("</div></body>", f"{filler}</div></body>"), "arxiv-list")
    assert isinstance(found, Batch)
    assert [paper.title for paper in found.papers] == ["Gulls"]
    assert took < 2


def test_f037_ten_megabytes_read_or_are_refused_in_seconds() -> None:
    for content, format in [
        (text_page(*((f"Paper {n}", ABSTRACT * 10) for n in range(9_500))), "daily-papers-text"),
        (api_page(*(f"Paper {n}" for n in range(9_500)), summary=ABSTRACT * 10), "hf-daily"),
        ("[" * 10_000_000, "hf-daily"),
        ('[{"paper":' * 500_000, "hf-daily"),
        ("[" + "9" * 10_000_000 + "]", "hf-daily"),
        (listing_page("A" * 10_000_000), "arxiv-list"),
    ]:
        took, found = seconds(content, format)
        print(f"{len(content) / 1e6:.1f} MB {format}: {took:.2f} s, {type(found).__name__}")
        assert took < 8


def test_f037_a_title_of_five_megabytes_and_ten_thousand_authors_are_cut_to_their_limits() -> None:
    authors = [{"name": f"Author {n} " + "x" * 500} for n in range(10_500)]
    (paper,) = parse(page(api_page("Gull " * 1_000_000, authors=authors, summary="a" * 100_000)), "hf-daily").papers
    assert (len(paper.title), len(paper.abstract), len(paper.authors)) == (1_000, 20_000, 10_000)
    assert paper.title.endswith("…")
    assert max(map(len, paper.authors)) == 200


def test_f037_a_paper_without_title_keeps_its_place_under_its_id() -> None:
    batch = parse(page(api_page("\u200b \u2028", "Loud Ploughs")), "hf-daily")
    assert [paper.title for paper in batch.papers] == ["arXiv:2605.00001", "Loud Ploughs"]


def test_f040_fifty_thousand_entries_are_not_a_day() -> None:
    with pytest.raises(PageError, match="more than 10000 entries"):
        parse(
            page(json.dumps([{"paper": {"id": f"{n:04}.00001", "title": "x"}} for n in range(10_000, 60_000)])),
            "hf-daily",
        )


def test_f039_absurd_dates_are_kept_or_dropped_but_never_lose_the_paper() -> None:
    for written, expected in {
        "1970-01-01T00:00:00Z": datetime(1970, 1, 1, tzinfo=UTC),
        "2999-12-31T23:59:59+14:00": datetime(2999, 12, 31, 9, 59, 59, tzinfo=UTC),
        "0001-01-01T00:00:00+14:00": None,
        "2026-05-04": datetime(2026, 5, 4, tzinfo=UTC),
        "yesterday": None,
    }.items():
        (paper,) = parse(page(api_page("Loud Ploughs", publishedAt=written)), "hf-daily").papers
        assert paper.published_at == expected


def test_f041_a_listing_whose_entries_changed_their_markup_is_an_error_not_a_quiet_day() -> None:
    changed = listing_page("Gulls").replace("<dt>", "<div>").replace("</dt>", "</div>").replace("dd>", "div>")
    with pytest.raises(PageError, match="no entry can be read"):
        parse(page(changed), "arxiv-list")
