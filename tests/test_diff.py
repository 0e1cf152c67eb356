"""Diff: what changed on a page, and what kind of poll that was."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from notifier.diff import batch_keys, diff, merge, unchanged
from notifier.identity import keys
from notifier.model import AnnounceType, Batch, ChangeKind, Known, Outcome, Paper, PaperId, Seen, Track

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
NOTHING = Seen({}, PaperId(0))


def paper(number: int = 1, **values: object) -> Paper:
    given = {"source": "test", "source_key": str(number), "arxiv_id": f"2603.{number:05}", "url": ""}
    return Paper(**{**given, "title": f"The fictional paper with the number {number}", **values})


def batch(*papers: Paper, **values: object) -> Batch:
    return Batch(papers=papers, **values)


def seen(*papers: Paper, was_news: bool = True, here: bool = True) -> Seen:
    known = [Known(PaperId(number), each, was_news, here) for number, each in enumerate(papers, 1)]
    by_key = {key: (each,) for each in known for key in keys(each.paper)}
    return Seen(by_key, PaperId(len(papers)))


def kinds(found: Seen, *papers: Paper) -> list[ChangeKind]:
    return [change.kind for change in diff(batch(*papers), found, Track(), NOW).changes]


def test_an_unseen_paper_is_new_and_makes_the_poll_fresh() -> None:
    result = diff(batch(paper(1), paper(2)), seen(paper(1)), Track(), NOW)
    assert [(change.kind, change.paper.source_key) for change in result.changes] == [(ChangeKind.NEW, "2")]
    assert result.outcome is Outcome.FRESH
    assert result.known == (PaperId(1),)


def test_a_page_that_shows_what_we_know_is_waiting_and_changes_nothing() -> None:
    result = diff(batch(paper(1)), seen(paper(1)), Track(), NOW)
    assert (result.changes, result.outcome) == ((), Outcome.WAITING)


def test_g5_a_later_day_that_brings_only_new_versions_is_fresh() -> None:
    day, later = date(2026, 3, 2), date(2026, 3, 3)
    shown = paper(1, announced_on=day)
    track = Track(last_fresh_at=NOW, listed_on=day, fresh_on=day)
    again = paper(1, announced_on=later, announce_type=AnnounceType.REPLACE)
    result = diff(batch(again, listed_on=later), seen(shown), track, NOW)
    assert [change.kind for change in result.changes] == [ChangeKind.REVISED]
    assert (result.outcome, result.reason) == (Outcome.FRESH, "1 read, 0 new, 1 revised")
    assert diff(batch(shown, listed_on=later), seen(shown), track, NOW).outcome is Outcome.STALE


def test_an_empty_page_is_quiet() -> None:
    assert diff(batch(), NOTHING, Track(), NOW).outcome is Outcome.QUIET


def test_nothing_unseen_for_too_long_is_stale_whatever_the_page_does() -> None:
    track = Track(last_fresh_at=NOW - timedelta(days=5), stale_after=timedelta(days=4))
    assert diff(batch(paper(1)), seen(paper(1)), track, NOW).outcome is Outcome.STALE
    assert diff(batch(), NOTHING, track, NOW).outcome is Outcome.STALE
    assert unchanged(track, NOW).outcome is Outcome.STALE
    assert unchanged(Track(last_fresh_at=NOW), NOW).outcome is Outcome.WAITING


def test_a_page_that_states_another_count_than_it_shows_failed_and_changes_nothing() -> None:
    result = diff(batch(paper(1), paper(2), stated=3), NOTHING, Track(), NOW)
    assert (result.changes, result.outcome) == ((), Outcome.FAILED)
    assert "states 3" in result.reason
    assert "2 were read" in result.reason


def test_an_entry_that_could_not_be_read_counts_as_an_entry() -> None:
    assert diff(batch(paper(1), stated=2, skipped=1), NOTHING, Track(), NOW).outcome is Outcome.FRESH


def test_a_paper_that_stands_twice_on_a_page_is_one() -> None:
    cross = paper(1, announce_type=AnnounceType.CROSS, upvotes=3)
    (change,) = diff(batch(paper(1), cross), NOTHING, Track(), NOW).changes
    assert change.paper.upvotes == 3


def test_a_paper_of_a_text_page_met_later_with_an_id_becomes_one_and_gains_the_id() -> None:
    bare = paper(1, arxiv_id=None)
    (change,) = diff(batch(paper(1)), seen(bare), Track(), NOW).changes
    assert (change.kind, change.paper_id, change.paper.arxiv_id) == (ChangeKind.KNOWN, PaperId(1), "2603.00001")
    assert "arxiv:2603.00001" in change.keys


def test_a_higher_version_revises_and_a_lower_one_does_not() -> None:
    stored = paper(1, version=2, title="The second fictional title")
    assert kinds(seen(stored), paper(1, version=3, title="The third fictional title")) == [ChangeKind.REVISED]
    assert kinds(seen(stored), paper(1, version=1, title="The first fictional title")) == []


def test_a_replacement_revises_by_its_day_where_no_version_is_given() -> None:
    stored = paper(1, announced_on=date(2026, 3, 1))
    replaced = paper(1, announce_type=AnnounceType.REPLACE, announced_on=date(2026, 3, 2))
    (change,) = diff(batch(replaced), seen(stored), Track(), NOW).changes
    assert change.kind is ChangeKind.REVISED
    assert kinds(seen(change.paper), replaced) == []


def test_a_paper_first_met_as_a_replacement_is_not_new() -> None:
    assert kinds(NOTHING, paper(1, announce_type=AnnounceType.REPLACE)) == [ChangeKind.REVISED]


def test_a_paper_that_another_listing_only_recorded_is_still_news_here() -> None:
    """A first poll of one listing must not hide a paper from another that would have brought it as news."""
    assert kinds(seen(paper(1), was_news=False, here=False), paper(1)) == [ChangeKind.NEW]
    assert kinds(seen(paper(1), was_news=False, here=True), paper(1)) == []
    assert kinds(seen(paper(1), was_news=True, here=False), paper(1)) == []


def test_votes_that_grow_are_a_change_but_no_news() -> None:
    (change,) = diff(batch(paper(1, upvotes=7)), seen(paper(1, upvotes=5)), Track(), NOW).changes
    assert change.kind is ChangeKind.KNOWN
    assert (change.before.upvotes, change.paper.upvotes) == (5, 7)


def test_merging_fills_gaps_and_keeps_a_title_together_with_its_source() -> None:
    stored = paper(1, title="τ-bench for fiction", title_tex=r"$\tau$-bench for fiction", authors=("Ada Quill",))
    entry = paper(1, title="tau-bench for fiction", abstract="An abstract.", authors=("A. Quill",), upvotes=2)
    merged = merge(stored, entry)
    assert (merged.title, merged.title_tex) == (stored.title, stored.title_tex)
    assert (merged.abstract, merged.authors, merged.upvotes) == ("An abstract.", ("Ada Quill",), 2)


def test_a_paper_that_vanishes_and_returns_is_not_new() -> None:
    assert kinds(seen(paper(1), paper(2)), paper(2)) == []
    assert kinds(seen(paper(1), paper(2)), paper(1), paper(2)) == []


def test_all_keys_of_a_batch_are_asked_for() -> None:
    assert batch_keys(batch(paper(1), paper(2))) == {*keys(paper(1)), *keys(paper(2))}


def test_f040_a_flood_of_new_papers_fails_until_the_operator_says_that_it_is_meant() -> None:
    flood = batch(*(paper(number) for number in range(1, 602)))
    quiet_site = Track(last_fresh_at=NOW, usual=12)
    result = diff(flood, NOTHING, quiet_site, NOW)
    assert (result.changes, result.outcome) == ((), Outcome.FAILED)
    assert "601 new papers at once, 12 are usual" in result.reason
    assert "`most_new = 601`" in result.reason
    meant = Track(last_fresh_at=NOW, usual=12, most_new=601)
    assert len(diff(flood, NOTHING, meant, NOW).changes) == 601
    busy_site = Track(last_fresh_at=NOW, usual=200)
    assert diff(flood, NOTHING, busy_site, NOW).outcome is Outcome.FRESH
    assert diff(flood, NOTHING, Track(usual=12), NOW).outcome is Outcome.FRESH  # its first poll, or a past day
