"""Matching apart: what shards find is what one process finds at once, and digests wait for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import select

from notifier.daemon import Running
from notifier.daemon.steps import poll_due
from notifier.intake import Queries, load_queries, match_shard
from notifier.model import AnnounceType, Cadence, Change, ChangeKind, DigestClock, Paper, PaperId, QueryId, Wish
from notifier.pipeline import queue_digests
from notifier.query import canonical, parse
from notifier.store import schema, shards
from tests.world import World, apart, text_page

pytestmark = [pytest.mark.both_databases, pytest.mark.pgbouncer]

QUERIES = ("graphs", "forests", '"random forests"', "paper -graphs", "title:graphs OR forests")
FIRST = ("A Fictional Paper on Graphs", "A Fictional Paper on Random Forests")
SECOND = ("A Fictional Paper on Forests of Graphs", *FIRST)


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two queries to a shard, so that five make three."""
    monkeypatch.setattr(shards, "SHARD", 2)


def wish(words: str) -> Wish:
    """What a reader asks for on the site."""
    clock = DigestClock(Cadence.DAILY, timezone="UTC")
    return Wish(email="reader@example.org", label=words, canonical=canonical(parse(words)), clock=clock)


async def match_all(running: Running) -> int:
    """Do what workers with the role match do; return how many shards there were."""
    left = await running.store.unmatched()
    for poll_id, first in left:
        shard = await running.store.shard(poll_id, first)
        assert shard
        assert await match_shard(shard, Queries(QueryId(first - 1)), running.store)
    return len(left)


async def hits(running: Running) -> set[tuple[str, str, str]]:
    """Return (query, title, kind) of every hit."""
    hit = schema.hit
    asked = (
        select(schema.query.c.canonical, schema.paper.c.title, hit.c.kind)
        .join_from(hit, schema.query, schema.query.c.id == hit.c.query_id)
        .join(schema.paper, schema.paper.c.id == hit.c.paper_id)
    )
    async with running.store._database.read() as connection:
        return {tuple(row) for row in await connection.execute(asked)}


async def test_one_process_that_goes_on_alone_matches_what_workers_left(installation: World) -> None:
    installation.listing("daily", first="owe")
    await installation.subscribe("reader@example.org", "forests")
    async with installation.opened() as running:
        installation.pages.put("/daily", text_page(*FIRST))
        await poll_due(apart(running))
        assert await running.store.unmatched()
    await installation.run()
    assert installation.titles("reader@example.org", FIRST) == [[FIRST[1]]]


async def test_shards_find_what_one_process_finds(
    installation: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    found = []
    whole = World(tmp_path_factory.mktemp("whole"), installation.pages)
    for here, split in ((whole, False), (installation, True)):
        here.listing("daily", first="owe")
        for number, query in enumerate(QUERIES):
            await here.subscribe(f"reader{number}@example.org", query)
        async with here.opened() as running:
            for titles in (FIRST, SECOND):
                installation.pages.put("/daily", text_page(*titles))
                await poll_due(apart(running) if split else running)
                here.now = here.now.replace(day=here.now.day + 1)
                assert await match_all(running) == (3 if split else 0)
            found.append(await hits(running))
    assert found[0] == found[1]
    assert len(found[0]) > len(QUERIES)


async def test_digests_wait_for_the_last_shard_and_then_carry_everything(installation: World) -> None:
    installation.listing("daily", first="owe")
    installation.pages.put("/daily", text_page(*FIRST))
    for number, query in enumerate(QUERIES):
        await installation.subscribe(f"reader{number}@example.org", query)
    async with installation.opened() as running:
        await poll_due(apart(running))
        left = await running.store.unmatched()
        for poll_id, first in left[:-1]:
            shard = await running.store.shard(poll_id, first)
            assert shard
            assert await match_shard(shard, Queries(QueryId(first - 1)), running.store)
        assert await queue_digests(running.store, running.desk.head, installation.now) == 0
        await match_all(running)
        assert await queue_digests(running.store, running.desk.head, installation.now) == 5


async def test_g2_a_shard_that_two_workers_match_is_stored_once(installation: World) -> None:
    installation.listing("daily", first="owe")
    installation.pages.put("/daily", text_page(*FIRST))
    await installation.subscribe("reader@example.org", "graphs")
    async with installation.opened() as running:
        await poll_due(apart(running))
        [(poll_id, first)] = await running.store.unmatched()
        both = [await running.store.shard(poll_id, first) for _ in range(2)]
        assert [await match_shard(shard, Queries(), running.store) for shard in both if shard] == [True, False]
        assert len(await hits(running)) == 1
        assert await running.store.shard(poll_id, first) is None


async def test_g4_who_subscribes_before_the_last_shard_is_owed_nothing_of_that_poll(installation: World) -> None:
    installation.listing("daily", first="owe")
    installation.pages.put("/daily", text_page(*FIRST))
    await installation.subscribe("reader@example.org", "graphs")
    async with installation.opened() as running:
        await poll_due(apart(running))
    await installation.subscribe("late@example.org", "graphs")
    async with installation.opened() as running:
        assert await queue_digests(running.store, running.desk.head, installation.now) == 0
        await match_all(running)
        await queue_digests(running.store, running.desk.head, installation.now)
        parcels = await running.store.parcels()
    assert [each.recipient for each in parcels] == ["reader@example.org"]


async def test_words_that_change_before_the_last_shard_leave_their_feed_what_was_found(installation: World) -> None:
    installation.listing("daily", first="owe")
    installation.pages.put("/daily", text_page(*FIRST))
    async with installation.opened() as running:
        store = running.store
        mine = await store.subscribe(wish("graphs"), origin="web", now=installation.now)
        await poll_due(apart(running))
        made = await store.change(mine.subscriber_id, mine.subscription_id, wish("forests"), installation.now)
        assert made is not None
        await match_all(running)
        _, feed = await store.private_feeds(mine.subscriber_id)
        assert feed.number == made.subscription_id
        count, papers = await store.private_page(feed, None, 10)
        assert [each.stored.paper.title for each in papers] == ["A Fictional Paper on Graphs"]
        assert count == 1


async def test_words_that_nobody_asks_any_more_are_matched_no_longer_than_the_poll_before(
    installation: World,
) -> None:
    installation.listing("daily", first="owe")
    installation.pages.put("/daily", text_page(*FIRST))
    async with installation.opened() as running:
        store, kept = running.store, Queries()
        mine = await store.subscribe(wish("graphs"), origin="web", now=installation.now)
        await poll_due(apart(running))
        await store.change(mine.subscriber_id, mine.subscription_id, wish("forests"), installation.now)
        [(poll_id, first)] = await store.unmatched()
        shard = await store.shard(poll_id, first)
        assert shard
        assert await match_shard(shard, kept, store)
        await load_queries(kept, store)
        assert len(kept.every) == 1


def test_changes_come_back_as_they_were_written() -> None:
    paper = Paper(
        source="test", source_key="1", title="Fictional \x00 \ud800 Title", url="u", version=2, upvotes=3,
        authors=("A", "B"), categories=("cs.CL",), announce_type=AnnounceType.CROSS, announced_on=date(2026, 3, 2),
        published_at=datetime(2026, 3, 1, 12, tzinfo=UTC), withdrawn=True,
    )  # fmt: skip
    changes = [
        Change(ChangeKind.NEW, paper, keys=(), paper_id=PaperId(7)),
        Change(ChangeKind.KNOWN, replace(paper, upvotes=9), keys=(), paper_id=PaperId(8), before=paper),
    ]
    assert list(shards._read(shards._written([(each, PaperId(each.paper_id or 0)) for each in changes]))) == changes
