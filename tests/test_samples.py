"""The demo's sample pages are right, hold what each day is meant to show, and name nobody's real work."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import notifier.samples
from notifier.identity import keys, same
from notifier.match import match
from notifier.model import AnnounceType, Batch, Page, Paper, QueryId
from notifier.parse import parse
from notifier.query import parse as parse_query

SAMPLES = Path(notifier.samples.__file__).parent
THURSDAY, FRIDAY, SATURDAY, MONDAY = DAYS = ("2026-10-01", "2026-10-02", "2026-10-03", "2026-10-05")
FORMATS = {"daily.txt": "daily-papers-text", "hf.json": "hf-daily", "arxiv.html": "arxiv-list"}
LISTING_LINKS = {
    "arxiv.org",
    "huggingface.co",
}  # made by the parsers from an id; what a page says itself is example.org


def read(day: str, name: str) -> Batch:
    content = (SAMPLES / day / name).read_bytes()
    page = Page(url=f"http://localhost/{name}", content=content, charset="utf-8", fetched_at=datetime.now(UTC))
    return parse(page, FORMATS[name])


def distinct(papers: list[Paper]) -> list[Paper]:
    """Each paper once, as it is first met."""
    found: list[Paper] = []
    for paper in papers:
        if not any(set(keys(paper)) & set(keys(other)) and same(paper, other) for other in found):
            found.append(paper)
    return found


def on(*days: str) -> list[Paper]:
    return [paper for day in days for name in FORMATS for paper in read(day, name).papers]


def news(day: str) -> list[Paper]:
    """What nobody has met on an earlier day, without replacements."""
    before = distinct(on(*DAYS[: DAYS.index(day)]))
    fresh = distinct(before + on(day))[len(before) :]
    return [paper for paper in fresh if paper.announce_type is not AnnounceType.REPLACE]


def titles(papers: list[Paper]) -> list[str]:
    return [paper.title.split(":")[0] for paper in papers]


def test_the_samples_are_the_four_days_with_three_pages_each() -> None:
    files = {str(path.relative_to(SAMPLES)) for path in SAMPLES.glob("20*/*")}
    assert files == {f"{day}/{name}" for day in DAYS for name in FORMATS}
    assert [f"{date.fromisoformat(day):%A}" for day in DAYS] == ["Thursday", "Friday", "Saturday", "Monday"]


@pytest.mark.parametrize(
    ("day", "name", "count", "stated", "listed_on", "day_text"),
    [
        (THURSDAY, "daily.txt", 5, None, None, "Oct 1"),
        (THURSDAY, "hf.json", 6, None, date(2026, 10, 1), ""),
        (THURSDAY, "arxiv.html", 7, 7, date(2026, 10, 1), "Thursday, 1 October 2026"),
        (FRIDAY, "daily.txt", 5, None, None, "Oct 2"),
        (FRIDAY, "hf.json", 7, None, date(2026, 10, 2), ""),
        (FRIDAY, "arxiv.html", 6, 6, date(2026, 10, 2), "Friday, 2 October 2026"),
        (SATURDAY, "daily.txt", 5, None, None, "Oct 2"),
        (SATURDAY, "hf.json", 7, None, date(2026, 10, 2), ""),
        (SATURDAY, "arxiv.html", 6, 6, date(2026, 10, 2), "Friday, 2 October 2026"),
        (MONDAY, "daily.txt", 6, None, None, "Oct 5"),
        (MONDAY, "hf.json", 7, None, date(2026, 10, 5), ""),
        (MONDAY, "arxiv.html", 6, 6, date(2026, 10, 5), "Monday, 5 October 2026"),
    ],
)
def test_a_page_is_read_whole_and_says_its_day(
    day: str, name: str, count: int, stated: int | None, listed_on: date | None, day_text: str
) -> None:
    batch = read(day, name)
    assert (len(batch.papers), batch.stated) == (count, stated)
    assert (batch.listed_on, batch.day_text) == (listed_on, day_text)
    assert (batch.skipped, batch.oddities, batch.unknown_keys, batch.truncated) == (0, (), {}, False)


@pytest.mark.parametrize(("day", "kinds"), [(THURSDAY, (4, 2, 1)), (FRIDAY, (4, 1, 1)), (MONDAY, (4, 1, 1))])
def test_an_arxiv_page_has_new_cross_listed_and_replaced_papers(day: str, kinds: tuple[int, int, int]) -> None:
    announced = [paper.announce_type for paper in read(day, "arxiv.html").papers]
    wanted = (AnnounceType.NEW, AnnounceType.CROSS, AnnounceType.REPLACE)
    assert tuple(announced.count(kind) for kind in wanted) == kinds


@pytest.mark.parametrize("paper", distinct(on(*DAYS)), ids=lambda paper: titles([paper])[0])
def test_a_paper_fills_the_screen_with_60_to_130_words(paper: Paper) -> None:
    assert 60 <= len(paper.abstract.split()) <= 130
    assert "\\" not in paper.title + paper.abstract, "TeX that nobody can read on a screen"
    assert "$" not in paper.title + paper.abstract


def test_a_link_of_a_page_leads_to_example_org_and_an_id_to_no_real_paper() -> None:
    papers = on(*DAYS)
    for paper in papers:
        for link in filter(None, (paper.code_url, paper.project_url, paper.thumbnail)):
            assert (urlsplit(link).hostname or "").endswith(".example.org")
        assert not paper.url or urlsplit(paper.url).hostname in LISTING_LINKS
    numbers = {paper.arxiv_id.split(".")[1] for paper in papers if paper.arxiv_id}
    assert {number for number in numbers if not (len(number) == 5 and number > "90000")} == set()


@pytest.mark.parametrize(
    ("day", "shared"),
    [
        (THURSDAY, ["LanternLM", "τ-Patience", "Pebble Graphs"]),
        (
            FRIDAY,
            [
                "Orchard",
                "Neighbours of Neighbours of Nobody",
                "Quantum-Inspired Shuffling for Queues in Which n < 7",
            ],
        ),
        (MONDAY, ["Δ-Diaries", "Nearly Everyone Likes Soup", "Quantum Bookkeeping"]),
    ],
)
def test_three_papers_a_day_stand_on_both_pages_under_one_id_and_one_title(day: str, shared: list[str]) -> None:
    announced = {paper.arxiv_id: paper for paper in read(day, "arxiv.html").papers}
    both = [paper for paper in read(day, "hf.json").papers if paper.arxiv_id in announced]
    assert titles(both) == shared
    for paper in both:
        assert keys(paper) == keys(announced[paper.arxiv_id])


@pytest.mark.parametrize(
    ("title", "day", "next_day", "arxiv_id"),
    [
        ("S²Rec", THURSDAY, FRIDAY, "2609.99871"),  # only recorded by the first poll
        ("Graphs That Forget Politely", FRIDAY, MONDAY, "2610.90530"),  # news on Friday, so not again on Monday
    ],
)
def test_a_paper_without_id_gets_its_id_on_the_next_day(title: str, day: str, next_day: str, arxiv_id: str) -> None:
    (before,) = (paper for paper in read(day, "daily.txt").papers if titles([paper]) == [title])
    (after,) = (paper for paper in read(next_day, "hf.json").papers if titles([paper]) == [title])
    assert (before.arxiv_id, after.arxiv_id) == (None, arxiv_id)
    assert same(before, after)


def test_the_plain_text_page_drops_some_papers_and_brings_others() -> None:
    pages = [set(titles(list(read(day, "daily.txt").papers))) for day in (THURSDAY, FRIDAY, MONDAY)]
    assert [(len(old - new), len(new - old), len(old & new)) for old, new in pairwise(pages)] == [
        (2, 2, 3),
        (2, 3, 3),
    ]


def test_a_known_paper_is_replaced_on_monday_and_an_old_one_on_friday() -> None:
    def replaced(day: str) -> list[str | None]:
        papers = read(day, "arxiv.html").papers
        return [paper.arxiv_id for paper in papers if paper.announce_type is AnnounceType.REPLACE]

    assert replaced(FRIDAY) == ["2403.91273"]
    assert replaced(MONDAY) == ["2609.99512"]
    assert "2609.99512" in [paper.arxiv_id for paper in read(THURSDAY, "arxiv.html").papers]


def test_one_paper_has_forty_authors() -> None:
    longest = max(on(*DAYS), key=lambda paper: len(paper.authors))
    assert (titles([longest]), len(set(longest.authors))) == (["The Forty-Author Kitchen"], 40)


@pytest.mark.parametrize("name", ["daily.txt", "arxiv.html"])
def test_on_saturday_the_page_of_friday_stays_up(name: str) -> None:
    assert (SAMPLES / SATURDAY / name).read_bytes() == (SAMPLES / FRIDAY / name).read_bytes()


def test_on_saturday_only_votes_have_grown() -> None:
    friday, saturday = read(FRIDAY, "hf.json").papers, read(SATURDAY, "hf.json").papers
    assert [paper.arxiv_id for paper in saturday] == [paper.arxiv_id for paper in friday]
    for before, after in zip(friday, saturday, strict=True):
        assert (after.upvotes or 0) > (before.upvotes or 0)
    assert news(SATURDAY) == []


def test_each_day_shows_about_fourteen_papers() -> None:
    assert [len(distinct(on(day))) for day in DAYS] == [15, 14, 14, 15]
    assert [len(news(day)) for day in (FRIDAY, SATURDAY, MONDAY)] == [10, 0, 11]


@pytest.mark.parametrize(
    ("query", "friday", "monday"),
    [
        (
            "recommendation AND (graph OR survey)",
            ["Graphs That Forget Politely", "Neighbours of Neighbours of Nobody"],
            ["A Survey of Recommendation When the Catalogue Is Smaller Than the Menu", "Nearly Everyone Likes Soup"],
        ),
        (
            '"language model" AND NOT vision',
            ["One Sentence Per Kilometre", "Orchard"],
            ["Small Language Models in Lighthouses", "Δ-Diaries", "Second Reader"],
        ),
        (
            'author:"Okafor" OR title:quantum',
            [
                "The Forty-Author Kitchen",
                "Quantum-Inspired Shuffling for Queues in Which n < 7",
                "Gödel Numbering for Spreadsheets",
            ],
            [
                "Quantum Error Correction for People Who Lose Their Keys",
                "Café-Scale Reinforcement Learning",
                "Quantum Bookkeeping",
                "Proofs That Fit on a Postcard",
            ],
        ),
    ],
)
def test_the_demo_queries_find_good_and_different_papers(query: str, friday: list[str], monday: list[str]) -> None:
    for day, wanted in ((FRIDAY, friday), (MONDAY, monday)):
        papers = news(day)
        hits = match(papers, {QueryId(1): parse_query(query)})
        assert titles([papers[hit.paper] for hit in hits]) == wanted


def test_a_star_finds_everything_new() -> None:
    assert len(match(news(MONDAY), {QueryId(1): parse_query("*")})) == 11
