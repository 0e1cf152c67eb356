"""What reading any page by selectors promises: an error names its selector, a wrong one is found before any page."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from notifier.errors import PageError
from notifier.model import Listing, Page, Paper
from notifier.parse import parse, selector_problems

SELECTORS = {"item": "li", "title": "h3"}


def papers(body: str, **selectors: str) -> tuple[Paper, ...]:
    content = f"<!DOCTYPE html><html><head><title>Tides</title></head><body>{body}</body></html>".encode()
    page = Page(url="https://tides.example/new/", content=content, fetched_at=datetime(2026, 5, 4, tzinfo=UTC))
    return parse(page, "html", SELECTORS | selectors).papers


@pytest.mark.parametrize(
    ("selectors", "problem"),
    [
        ({}, "the html format wants a selector for 'item'"),
        ({"item": "li"}, "the html format wants a selector for 'title'"),
        (SELECTORS | {"abstrct": "p"}, "selector 'abstrct' is unknown; did you mean 'abstract'?"),
        (SELECTORS | {"link": "a >"}, "selector 'link' is not CSS: 'a >'"),
        (SELECTORS | {"link": "a[href"}, "selector 'link' is not CSS: 'a[href'"),
        (SELECTORS | {"link": "a:unheard-of"}, "selector 'link' is not CSS: 'a:unheard-of'"),
        (SELECTORS | {"id": "  "}, "selector 'id' is empty"),
        (SELECTORS | {"id": "p" * 301}, "selector 'id' is empty or longer than 300"),
        (SELECTORS | {"item": "li@id"}, "selector 'item' wants an element, not an attribute: 'li@id'"),
    ],
)
def test_a_wrong_selector_is_found_before_any_page_is_read(selectors: dict[str, str], problem: str) -> None:
    assert any(said.startswith(problem) for said in selector_problems(selectors)), selector_problems(selectors)


def test_right_selectors_have_no_problems() -> None:
    assert selector_problems(SELECTORS | {"link": "a[href*='@']@href", "date": "time@datetime", "id": "@data-id"}) == []


@pytest.mark.parametrize(
    ("body", "selectors", "reason"),
    [
        ("<p>Gulls</p>", {}, "item 'li' matches nothing"),
        ("<li><h4>Gulls</h4></li>", {}, "title 'h3' matches nothing"),
        ("<li><h3>Gulls</h3></li>", {"abstract": "p.abstract"}, "abstract 'p.abstract' matches nothing in any of 1"),
        ("<li><h3>Gulls</h3></li>", {"link": "a.full"}, "link 'a.full' matches nothing in any of 1"),
        ("<li><h3>Gulls</h3></li>", {"list": "#papers"}, "list '#papers' matches nothing"),
    ],
)
def test_f041_a_page_whose_layout_has_changed_is_an_error_that_names_the_selector(
    body: str, selectors: dict[str, str], reason: str
) -> None:
    with pytest.raises(PageError) as caught:
        papers(body, **selectors)
    assert reason in caught.value.reason


def test_a_page_without_selectors_is_an_error_that_says_which_are_wanted() -> None:
    page = Page(url="https://tides.example/", content=b"<html></html>", fetched_at=datetime(2026, 5, 4, tzinfo=UTC))
    with pytest.raises(PageError, match="wants a selector for 'item'"):
        parse(page, "html")


def test_an_attribute_an_element_and_the_item_itself_can_be_read() -> None:
    (paper,) = papers(
        "<li id=p17><h3>Bells</h3><a class=more href='../17?x=1'>more</a><p title='They ring.'></p></li>",
        link="a.more",
        abstract="p@title",
        id="@id",
    )
    assert (paper.source_key, paper.url, paper.abstract) == ("p17", "https://tides.example/17?x=1", "They ring.")


@pytest.mark.parametrize(
    "written",
    [
        "<time datetime='2026-05-04T08:00:00+02:00'>today</time>",
        "<time>2026-05-04T06:00:00Z</time>",
        "<time>Mon, 04 May 2026 06:00:00 GMT</time>",
    ],
)
def test_an_instant_reads_in_any_usual_form(written: str) -> None:
    assert papers(f"<li><h3>Bells</h3>{written}</li>", date="time")[0].published_at == datetime(
        2026, 5, 4, 6, tzinfo=UTC
    )


@pytest.mark.parametrize("written", ["2026-05-04", "4 May 2026", "May 4, 2026", "Published: 4 May 2026"])
def test_a_day_reads_in_any_usual_form(written: str) -> None:
    (paper,) = papers(f"<li><h3>Bells</h3><i>{written}</i></li>", date="i")
    assert paper.published_at == datetime(2026, 5, 4, tzinfo=UTC)


def test_authors_read_from_one_element_or_from_many() -> None:
    together = papers("<li><h3>Bells</h3><i>Ada Quay, Bo Two and C. Three</i></li>", authors="i")
    apart = papers("<li><h3>Bells</h3><i>Ada Quay,</i><i>Bo Two,</i><i>C. Three</i></li>", authors="i")
    assert together[0].authors == apart[0].authors == ("Ada Quay", "Bo Two", "C. Three")


def test_identifiers_are_found_in_the_id_and_the_link() -> None:
    (arxiv, doi) = papers(
        "<li><h3>Bells</h3><a href='https://arxiv.org/pdf/2605.00017v2'>pdf</a></li>"
        "<li><h3>Gulls</h3><a href='https://doi.org/10.5555/GULL.1'>doi</a></li>"
    )
    assert (arxiv.arxiv_id, arxiv.version) == ("2605.00017", 2)
    assert doi.doi == "10.5555/gull.1"


def test_f026_f027_a_page_that_costs_a_parser_minutes_is_refused() -> None:
    for attack in ("<div>" * 100_000, "<p " + " ".join(f"a{n}=1" for n in range(20_000)) + ">"):
        with pytest.raises(PageError):
            papers(f"{attack}<li><h3>Bells</h3></li>")


def test_a_listing_holds_selectors_and_can_be_a_key() -> None:
    one = Listing(name="tides", url="https://tides.example/", format="html", selectors=SELECTORS)
    assert {one: 1}[one] == 1
    assert Listing(name="x", url="https://x.example/", format="feed").selectors == {}
