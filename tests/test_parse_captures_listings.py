"""Real pages of Daily Papers and arXiv read completely: every entry of every captured day."""

from __future__ import annotations

import json
import tarfile
import time
from datetime import date
from pathlib import Path

import pytest

from notifier.errors import PageError
from notifier.parse import parse
from tests.listings import page

pytestmark = pytest.mark.captures


@pytest.mark.parametrize(("number", "papers", "day"), [(1, 90, "Aug 6"), (2, 92, "Mar 13"), (3, 84, "Mar 14")])
def test_the_real_text_pages_read_completely(captures: Path, number: int, papers: int, day: str) -> None:
    batch = parse(page((captures / "listings" / f"daily-papers-{number}.txt").read_bytes()), "daily-papers-text")
    assert (len(batch.papers), batch.day_text, batch.skipped, batch.oddities) == (papers, day, 0, ())
    assert all(len(paper.abstract) > 1_000 and len(paper.title) < 200 for paper in batch.papers)


def test_the_real_text_pages_read_in_turn_bring_212_papers(captures: Path) -> None:
    seen: set[str] = set()
    brought = []
    for number in (1, 2, 3):
        batch = parse(page((captures / "listings" / f"daily-papers-{number}.txt").read_bytes()), "daily-papers-text")
        keys = {paper.source_key for paper in batch.papers}
        brought.append(len(keys - seen))
        seen |= keys
    assert (brought, len(seen)) == ([90, 73, 49], 212)


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


def test_the_real_html_page_reads_completely(captures: Path) -> None:
    (path,) = (captures / "captures" / "hf-papers-html").glob("*.html")
    batch = parse(page(path.read_bytes()), "hf-daily")
    assert (len(batch.papers), batch.listed_on, batch.unknown_keys) == (13, date(2024, 8, 1), {})


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


def test_a_real_paper_page_is_not_a_listing(captures: Path) -> None:
    for path in (captures / "captures" / "arxiv-html").glob("*__abs__*.html"):
        with pytest.raises(PageError, match="no #dlpage"):
            parse(page(path.read_bytes()), "arxiv-list")
