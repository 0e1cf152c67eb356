"""Faults of networks and pages, seen by a whole installation: what a reader gets afterwards. See docs/faults.md."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from notifier.diff import diff
from notifier.identity import keys
from notifier.model import (
    AnnounceType,
    Batch,
    ChangeKind,
    Known,
    Outcome,
    Paper,
    PaperId,
    Seen,
    Track,
)
from tests.servers.http import HEAD, raw, reset, site
from tests.world import World, text_page

READER = "reader@example.org"
OLD = ["An Old Fictional Paper on Lighthouses", "Another Old Fictional Paper on Lanterns"]
NEW = ["A New Fictional Paper on Harbours", "Another New Fictional Paper on Ferries"]


def json_feed(*papers: tuple[str, str]) -> str:
    """A JSON Feed of fictional papers by id and title."""
    items = [
        {"id": name, "title": title, "content_text": f"It is about {title}, and invented."} for name, title in papers
    ]
    return json.dumps(
        {"version": "https://jsonfeed.org/version/1.1", "title": "Papers", "items": items}, ensure_ascii=False
    )


async def watched(installation: World, *titles: str) -> None:
    """Watch one listing that was read once, with one reader of everything."""
    installation.listing("daily")
    installation.pages.put("/daily", text_page(*titles), etag='"first"')
    await installation.subscribe(READER, "*")
    await installation.run()


# --- A: network and HTTP ----------------------------------------------------------------------------------------------


async def test_f002_a_listing_that_is_reset_waits_longer_each_time_and_the_others_are_read(installation: World) -> None:
    await watched(installation, *OLD)
    installation.listing("broken")
    installation.pages.fail("/broken", reset)
    pauses = []
    for number in range(4):
        installation.pages.put("/daily", text_page(f"Fictional Paper Number {number} on Persistence"))
        (good, bad), _ = await installation.run()
        assert (good.outcome, bad.outcome) == (Outcome.FRESH, Outcome.FAILED)
        async with installation.opened() as running:
            state = await running.store.listing_state("broken")
            assert state is not None
            pauses.append((state.next_poll_at - installation.now).total_seconds() / 60)
    assert pauses == [30, 60, 120, 240]
    assert len(installation.mails(READER)) == 4


async def test_f009_half_a_page_that_looks_whole_to_http_records_nothing_and_the_whole_one_brings_all(
    installation: World,
) -> None:
    """Neither Content-Length nor chunks: HTTP cannot tell that the connection closed too early."""
    installation.listing("papers", "feed")
    installation.pages.put("/papers", json_feed(("1", OLD[0])))
    await installation.subscribe(READER, "*")
    await installation.run()
    page = json_feed(("2", NEW[0]), ("3", NEW[1]), ("1", OLD[0])).encode()
    installation.pages.fail("/papers", raw(HEAD + b'ETag: "half"\r\n\r\n' + page[: len(page) // 2]))
    (poll,), _ = await installation.run()
    assert (poll.outcome, poll.new) == (Outcome.FAILED, 0)
    installation.pages.put("/papers", page, etag='"half"')
    (poll,), _ = await installation.run()
    assert (poll.outcome, poll.new) == (Outcome.FRESH, 2)
    assert installation.titles(READER, OLD + NEW) == [NEW]


async def test_f018_after_an_hour_of_maintenance_the_old_papers_are_not_news(installation: World) -> None:
    await watched(installation, *OLD)
    installation.pages.put("/daily", "<html><title>Back soon</title><body>We are upgrading our servers.</body></html>")
    (poll,), _ = await installation.run()
    assert poll.outcome is Outcome.FAILED
    installation.pages.put("/daily", text_page(*NEW, *OLD))
    await installation.run()
    assert installation.titles(READER, OLD + NEW) == [NEW]


async def test_f019_a_server_that_says_not_modified_for_too_long_is_asked_for_the_whole_page(
    installation: World,
) -> None:
    """An ETag that stays the same over new papers hides them for `stale_after`, four days, and no longer."""
    await watched(installation, *OLD)
    installation.pages.put("/daily", text_page(*NEW, *OLD), etag='"first"')
    said = []
    for _ in range(6):
        (poll,), _ = await installation.run(minutes=24 * 60)
        said.append(poll.outcome)
    assert said == [*[Outcome.WAITING] * 4, Outcome.STALE, Outcome.FRESH]
    assert installation.titles(READER, OLD + NEW) == [NEW]


async def test_f022_a_page_that_comes_in_a_new_or_wrong_encoding_is_no_storm_of_news(installation: World) -> None:
    """The words of a title change with its bytes; the arXiv id that the page gives does not."""
    titles = ("Über Gezeiten: Ein Aufsatz", "Étude des marées fictives", "潮の満ち引きについて")
    page = json_feed(*((f"https://arxiv.org/abs/2603.0000{number}", title) for number, title in enumerate(titles)))
    installation.listing("papers", "feed", first="owe")
    await installation.subscribe(READER, "*")
    news = []
    for content in (page.encode(), page.encode("utf-16"), page.encode().decode("latin-1").encode(), page.encode()):
        installation.pages.put("/papers", content)
        (poll,), _ = await installation.run()
        news.append((poll.outcome is not Outcome.FAILED, poll.new))
    assert news[0] == (True, 3)
    assert sum(new for _, new in news) == 3
    assert len(installation.mails(READER)) == 1


async def test_f025_without_a_network_at_the_start_the_papers_come_when_there_is_one(
    installation: World,
) -> None:
    async with site() as elsewhere:
        port = elsewhere.port
    installation.listings.append(
        f'[[listing]]\nname = "daily"\nurl = "http://127.0.0.1:{port}/daily"\nformat = "daily-papers-text"\n'
        'first = "owe"\nallow_private = true\n'
    )
    await installation.subscribe(READER, "*")
    (poll,), _ = await installation.run()
    assert (poll.outcome, poll.new) == (Outcome.FAILED, 0)
    assert "cannot connect to 127.0.0.1" in poll.reason
    async with site(port=port) as elsewhere:
        elsewhere.put("/daily", text_page(*NEW))
        await installation.run(minutes=10)
    assert installation.titles(READER, NEW) == [NEW]


# --- B: hostile and odd content ---------------------------------------------------------------------------------------


async def test_f038_one_paper_under_two_ids_on_two_listings_is_sent_once(installation: World) -> None:
    installation.listing("society", "feed", first="owe")
    installation.listing("preprints", "feed", first="owe")
    installation.pages.put("/society", json_feed(("https://doi.org/10.5555/tides.7", NEW[0])))
    installation.pages.put("/preprints", json_feed(("https://arxiv.org/abs/2603.00007", NEW[0])))
    await installation.subscribe(READER, "*")
    await installation.run()
    await installation.run()
    assert installation.titles(READER, NEW) == [[NEW[0]]]


def met(announced: AnnounceType | None, *, was_news: bool, here: bool = False) -> tuple[Paper, Seen]:
    """A stored paper that a page announced once, and what is seen because of it."""
    paper = Paper(
        source="test", source_key="1", arxiv_id="2603.00001", title="A Fictional Paper", url="", announce_type=announced
    )
    known = Known(PaperId(1), paper, was_news=was_news, here=here)
    return paper, Seen(dict.fromkeys(keys(paper), (known,)), latest=PaperId(1))


@pytest.mark.parametrize(
    ("before", "was_news", "here", "now", "expected"),
    [
        ("replace", False, False, None, "new"),  # arXiv replaced an old paper; another site shows it as of today
        ("replace", False, True, None, None),  # the same listing only goes on showing it
        ("replace", False, False, "replace", None),
        ("replace", False, False, "cross", "cross"),
        ("replace-cross", True, False, None, "new"),  # it was cross-listed, then replaced; nobody announced it as new
        ("replace-cross", True, True, "new", "new"),
        ("cross", True, False, None, "new"),
        ("cross", True, True, None, None),  # what the listing's first page recorded, it only goes on showing
        ("replace", True, False, None, None),  # announced as new, then replaced
        (None, True, False, "cross", None),
        ("new", True, False, None, None),
    ],
)
def test_f038_a_paper_is_news_by_what_this_page_says_of_it_and_not_by_what_another_said_before(
    before: str | None, was_news: bool, here: bool, now: str | None, expected: str | None
) -> None:
    stored, seen = met(AnnounceType(before) if before else None, was_news=was_news, here=here)
    entry = Paper(
        source="other", source_key="x", arxiv_id=stored.arxiv_id, title=stored.title, url="",
        announce_type=AnnounceType(now) if now else None,
    )  # fmt: skip
    result = diff(Batch(papers=(entry,)), seen, Track(), datetime(2026, 3, 2, tzinfo=UTC))
    news = [change.kind for change in result.changes if change.kind in (ChangeKind.NEW, ChangeKind.CROSS)]
    assert news == ([ChangeKind(expected)] if expected else [])


def test_f038_a_paper_announced_as_new_is_not_cross_listed_again_by_its_revision_elsewhere() -> None:
    """Else every plain listing that shows it afterwards would call it new once more."""
    stored, seen = met(AnnounceType.NEW, was_news=True)
    revision = Paper(
        source="test", source_key="1", arxiv_id=stored.arxiv_id, title=stored.title, url="", version=2,
        announce_type=AnnounceType.REPLACE_CROSS, announced_on=datetime(2026, 3, 3, tzinfo=UTC).date(),
    )  # fmt: skip
    (change,) = diff(Batch(papers=(revision,)), seen, Track(), datetime(2026, 3, 3, tzinfo=UTC)).changes
    assert (change.kind, change.paper.announce_type) == (ChangeKind.REVISED, AnnounceType.REPLACE)


async def test_f042_a_page_that_flips_between_two_versions_brings_nothing_again(installation: World) -> None:
    """Two caches answer in turn, one of them a day behind, each with its own ETag."""
    await watched(installation, *OLD)
    for _ in range(3):
        for titles, etag in ((NEW, '"ahead"'), (OLD, '"first"'), (NEW[::-1], '"reordered"')):
            installation.pages.put("/daily", text_page(*titles), etag=etag)
            await installation.run()
    assert installation.titles(READER, OLD + NEW) == [NEW]
