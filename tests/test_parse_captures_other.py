"""Real feeds read completely: bioRxiv's, third parties' copies of Daily Papers, and many dialects."""

from __future__ import annotations

import json
import tarfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from notifier.errors import PageError
from notifier.model import Page
from notifier.parse import parse

pytestmark = pytest.mark.captures


def page(content: bytes) -> Page:
    return Page(url="https://listing.example/feed", content=content, fetched_at=datetime(2026, 5, 4, tzinfo=UTC))


def packed(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The files of the folder's archive, in order."""
    with tarfile.open(next(folder.glob("*.tar.xz"))) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None:
                yield member.name, file.read()


def test_the_real_biorxiv_feed_reads_its_paper(captures: Path) -> None:
    (path,) = (captures / "captures" / "biorxiv").glob("*.xml")
    (paper,) = parse(page(path.read_bytes()), "biorxiv").papers
    assert (paper.doi, paper.version, len(paper.authors)) == ("10.1101/2023.12.16.571984", 1, 10)
    assert paper.url == "https://www.biorxiv.org/content/10.1101/2023.12.16.571984v1"
    assert "Plaumann, P.-L." in paper.authors
    assert len(paper.abstract) > 1_000


def test_every_real_rss_feed_of_daily_papers_reads_as_many_papers_as_it_has_items(captures: Path) -> None:
    feeds = papers = size = 0
    took = 0.0
    for name, content in packed(captures / "captures" / "hf-rss"):
        start = time.process_time()
        batch = parse(page(content), "feed")
        took, size = took + time.process_time() - start, size + len(content)
        assert len(batch.papers) == content.count(b"<item>"), name
        assert (batch.skipped, batch.oddities) == (0, ()), name
        for paper in batch.papers:
            assert paper.arxiv_id and paper.authors and paper.abstract and paper.upvotes is not None, (name, paper)
            assert not paper.abstract.startswith(("Authors:", "Summary:"))
        feeds, papers = feeds + 1, papers + len(batch.papers)
    print(f"{feeds} feeds, {papers} papers, {size / 1e6:.1f} MB in {took:.2f} s of CPU")
    assert feeds > 50


def test_every_real_json_feed_of_daily_papers_reads_as_many_papers_as_it_has_items(captures: Path) -> None:
    snapshots = 0
    for name, content in packed(captures / "captures" / "hf-jsonfeed"):
        batch = parse(page(content), "feed")
        assert len(batch.papers) == len({item["id"] for item in json.loads(content)["items"]}), name
        assert batch.unknown_keys == {}
        for paper in batch.papers:
            assert paper.arxiv_id and "AI-generated summary" not in paper.abstract, (name, paper)
        snapshots += 1
    assert snapshots == 68


def test_a_feed_that_holds_only_a_notice_is_an_error_and_brings_no_paper(captures: Path) -> None:
    notices = 0
    for path in sorted((captures / "captures" / "hf-jsonfeed" / "degenerate").glob("*.json")):
        content = path.read_bytes()
        if b"Something is wrong" in content:
            notices += 1
            with pytest.raises(PageError, match="a notice, no paper"):
                parse(page(content), "feed")
        else:
            assert all(paper.arxiv_id for paper in parse(page(content), "feed").papers)
    assert notices > 5


def test_a_feed_that_died_is_valid_and_empty(captures: Path) -> None:
    folder = captures / "captures" / "paperswithcode-rss"
    counts = {path.stem: len(parse(page(path.read_bytes()), "feed").papers) for path in folder.glob("*.xml")}
    assert counts["2025-06-15T091739_latest"] == 50
    assert counts["2025-07-24T211130_latest"] == 0


def test_every_dialect_reads_or_says_why_not(captures: Path) -> None:
    read, refused = {}, {}
    for path in sorted((captures / "captures" / "feeds").glob("*/*")):
        try:
            read[path.name] = parse(page(path.read_bytes()), "feed")
        except PageError as error:
            refused[path.name] = error.reason
    assert set(refused) == {
        "atom__atom_entry_1.xml",  # an entry without a feed
        "rss2__rss_2.0_invalid_1.xml",  # ends in the middle
        "xml__xml_iso8859.xml",
        "xml__xml_sample_1.xml",
        "xml__xml_sample_2.xml",
    }
    assert "cut off" in refused["rss2__rss_2.0_invalid_1.xml"]
    assert len(read) > 60
    empty = {name for name, batch in read.items() if not batch.papers}
    assert empty == {f"expected{kind}Format__feed.empty.{end}" for kind, end in KINDS}
    for name, batch in read.items():
        assert batch.skipped == 0, name
        assert all(paper.title and not paper.title.startswith("<") for paper in batch.papers), name
    assert read["rss0__rss_0.91_encoding_1.xml"].papers[0].title == "bash - Expansão de Parâmetros"
    assert read["atom__atom_relative.xml"].papers[0].url == "https://listing.example/blog/2003/12/13/atom03"
    assert "not well-formed" in read["rss2__rss_2.0_dbengines.xml"].oddities[0]


KINDS = (("Atom", "xml"), ("Mrss", "xml"), ("Json", "json"))
