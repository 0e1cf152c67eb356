"""arXiv's feeds, search answers, mails and harvests as they are in the wild: every entry of every captured page."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from lxml import etree

from notifier.errors import PageError
from notifier.model import AnnounceType, Batch, Page
from notifier.parse import parse

pytestmark = pytest.mark.captures

REPLACED = (AnnounceType.REPLACE, AnnounceType.REPLACE_CROSS)  # announced without abstract by mail
SECONDS_A_MEGABYTE = 0.05  # what reading a day of cs.CV may cost one core
SLOWER = 4  # how much slower than that a loaded machine may be before a test calls it a fault


def read(path: Path, format: str, url: str = "https://listing.example/") -> Batch:
    return parse(Page(url=url, content=path.read_bytes(), fetched_at=datetime(2026, 5, 4, tzinfo=UTC)), format)


def elements(path: Path, name: str) -> int:
    """Count the elements of this name, whatever their namespace, with a parser of its own."""
    return sum(1 for _ in etree.parse(path).iter(f"{{*}}{name}"))


def spaced(name: str) -> str:
    """Set initials apart, as the feed does: "D.A.M. Gull" is "D. A. M. Gull"."""
    return " ".join(name.replace(".", ". ").split())


def feeds(captures: Path, pattern: str) -> Iterator[tuple[Path, Batch]]:
    paths = sorted((captures / "captures" / "arxiv-feeds").glob(pattern))
    assert paths
    for path in paths:
        yield path, read(path, "arxiv-feed")


def test_every_real_feed_reads_completely_and_names_its_day(captures: Path) -> None:
    for path, batch in feeds(captures, "*.xml"):
        assert len(batch.papers) == elements(path, "item") + elements(path, "entry"), path.name
        assert (batch.skipped, batch.oddities, batch.unknown_keys, batch.truncated) == (0, (), {}, False)
        assert batch.listed_on is not None
        assert batch.listed_on.isoformat() in path.name
        for paper in batch.papers:
            assert paper.arxiv_id and paper.version and paper.announce_type and paper.authors
            assert paper.abstract or paper.announce_type in REPLACED
            assert paper.primary_category == paper.categories[0]
            assert paper.announced_on == batch.listed_on
            assert "Announce Type" not in paper.abstract


def test_real_weekends_are_right_and_empty(captures: Path) -> None:
    empty = {path.name: batch for path, batch in feeds(captures, "*.xml") if not batch.papers}
    days = {batch.listed_on for batch in empty.values()}
    assert len(empty) == 8
    assert all(batch.stated == 0 for batch in empty.values())
    assert all(day and day.weekday() >= 5 for day in days)


def test_real_rss_and_atom_of_a_day_say_the_same(captures: Path) -> None:
    for path, atom in feeds(captures, "*.atom.xml"):
        rss = read(path.with_name(path.name.replace(".atom.", ".rss.")), "arxiv-feed")
        assert atom.papers == rss.papers
        assert atom.listed_on == rss.listed_on


def test_a_real_day_announces_new_cross_replaced_and_replaced_cross_papers(captures: Path) -> None:
    ((_, batch),) = feeds(captures, "cs.CV_2026-04-21.rss.xml")
    kinds = Counter(paper.announce_type for paper in batch.papers)
    assert sum(kinds.values()) == 501
    assert set(kinds) == set(AnnounceType)


def test_a_real_day_of_astro_ph_loses_its_affiliations_and_keeps_its_dois(captures: Path) -> None:
    ((_, batch),) = feeds(captures, "astro-ph_2023-03-03.rss.xml")
    assert not [name for paper in batch.papers for name in paper.authors if set("()\\{}") & set(name)]
    assert sum(paper.doi is not None for paper in batch.papers) == sum(
        1 for _ in etree.parse(captures / "captures/arxiv-feeds/astro-ph_2023-03-03.rss.xml").iter("{*}DOI")
    )
    assert max(len(paper.authors) for paper in batch.papers) > 30


def test_real_days_of_cs_cv_parse_in_fifty_milliseconds_a_megabyte(captures: Path) -> None:
    took, size = 0.0, 0
    for path in sorted((captures / "captures" / "arxiv-feeds").glob("cs.CV_*.xml")):
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            read(path, "arxiv-feed")
            best = min(best, time.process_time() - start)
        took, size = took + best, size + path.stat().st_size
    print(f"{size / 1e6:.1f} MB in {took * 1e3:.0f} ms: {took / size * 1e9:.0f} ms a MB")
    assert took / size * 1e6 < SECONDS_A_MEGABYTE * SLOWER


def test_every_real_search_answer_reads_as_many_entries_as_it_states(captures: Path) -> None:
    paths = sorted((captures / "captures" / "arxiv-api").glob("*.xml"))
    for path in paths:
        if "_id_abc_" in path.name:
            with pytest.raises(PageError, match="incorrect id format"):
                read(path, "arxiv-api")
            continue
        batch = read(path, "arxiv-api")
        assert len(batch.papers) == batch.stated == elements(path, "entry"), path.name
        assert (batch.skipped, batch.oddities, batch.unknown_keys) == (0, (), {})
        for paper in batch.papers:
            assert paper.version and paper.published_at and paper.updated_at and paper.primary_category
            assert "\n" not in paper.title and "  " not in paper.title
    assert len(paths) == 12


def test_a_real_search_goes_on_where_its_page_ends(captures: Path) -> None:
    url = "https://export.arxiv.org/api/query?search_query=testing&start=20&max_results=10"
    (path,) = (captures / "captures" / "arxiv-api").glob("*_s20_m10_*")
    assert read(path, "arxiv-api", url).next_url == (
        "https://export.arxiv.org/api/query?search_query=testing&max_results=10&start=30"
    )
    (path,) = (captures / "captures" / "arxiv-api").glob("*_id_1605.08386_*")
    assert read(path, "arxiv-api", url).next_url is None


def test_a_real_mail_reads_completely_in_its_three_sections(captures: Path) -> None:
    path = captures / "captures" / "arxiv-mail" / "astro-ph__new.CO.txt"
    batch = read(path, "arxiv-mail")
    assert len(batch.papers) == path.read_text().count("\narXiv:")
    assert (batch.listed_on, batch.skipped, batch.oddities, batch.unknown_keys) == (date(2023, 3, 3), 0, (), {})
    for paper in batch.papers:
        replaced = paper.announce_type in REPLACED
        assert bool(paper.abstract) != replaced
        assert (paper.published_at is None) == replaced
        assert (paper.updated_at is None) != replaced
        assert paper.authors and paper.categories
        assert "astro-ph.CO" in paper.categories
    assert set(Counter(paper.announce_type for paper in batch.papers)) == set(AnnounceType)


def test_a_real_past_week_reads_completely_day_by_day(captures: Path) -> None:
    path = captures / "captures" / "arxiv-mail" / "astro-ph__pastweek.CO.txt"
    batch = read(path, "arxiv-mail")
    assert len(batch.papers) + batch.skipped == path.read_text().count("\narXiv:")
    assert (batch.listed_on, batch.truncated) == (date(2023, 3, 3), False)
    days = {paper.announced_on for paper in batch.papers}
    assert days == {date(2023, 2, 27), date(2023, 2, 28), date(2023, 3, 1), date(2023, 3, 2), date(2023, 3, 3)}
    assert not any(paper.abstract for paper in batch.papers)


def test_the_papers_of_a_real_mail_are_those_of_the_feed_of_its_day(captures: Path) -> None:
    mail = read(captures / "captures" / "arxiv-mail" / "astro-ph__new.CO.txt", "arxiv-mail")
    ((_, feed),) = feeds(captures, "astro-ph_2023-03-03.rss.xml")
    known = {paper.arxiv_id: paper for paper in feed.papers}
    common = [(paper, known[paper.arxiv_id]) for paper in mail.papers if paper.arxiv_id in known]
    assert len(common) >= 10
    for mailed, fed in common:
        assert mailed.title == fed.title
        assert [spaced(name) for name in mailed.authors] == [spaced(name) for name in fed.authors]
        assert mailed.announced_on == fed.announced_on


def test_every_real_harvest_reads_completely(captures: Path) -> None:
    paths = sorted((captures / "captures" / "oai-pmh").glob("*.xml"))
    assert len(paths) == 15
    for path in paths:
        try:
            expected = elements(path, "record")
        except etree.XMLSyntaxError:
            with pytest.raises(PageError, match="not well-formed"):
                read(path, "oai-pmh")
            continue
        batch = read(path, "oai-pmh")
        assert len(batch.papers) + batch.skipped == expected, path.name
        assert batch.listed_on is not None
        for paper in batch.papers:
            assert paper.arxiv_id and paper.published_at and paper.abstract and paper.authors and paper.categories
            assert paper.doi is None or " " not in paper.doi
