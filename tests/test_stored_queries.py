"""Queries that nobody asks are not matched; one that is asked again owes what it should, and nothing older."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from notifier import pipeline
from notifier.daemon.run import Running
from notifier.daemon.steps import once
from notifier.errors import SeenMeanwhile
from notifier.intake import Queries, load_queries, match_shard
from notifier.model import Cadence, Diff, DigestClock, Outcome, PaperId, Poll, QueryId, Seen, Subscription, Wish
from notifier.query import canonical, parse
from notifier.store import schema
from tests.world import World, apart, text_page

ADA, BO = "ada@reader.example", "bo@reader.example"
PAPERS = [f"A Fictional Paper on Harbours, Part {part}" for part in ("One", "Two", "Three")]


async def ask(running: Running, email: str, query: str = "harbours") -> Subscription:
    clock = DigestClock(Cadence.IMMEDIATE, timezone="UTC")
    wish = Wish(email=email, label=query, canonical=canonical(parse(query)), clock=clock)
    return await running.store.subscribe(wish, origin="cli", now=running.clock())


async def end(running: Running, subscription: Subscription) -> None:
    assert await running.store.end(subscription.subscriber_id, subscription.subscription_id)


async def hits(running: Running) -> list[str]:
    found = select(schema.paper.c.title).join_from(schema.hit, schema.paper).order_by(schema.paper.c.id)
    async with running.store._database.read() as connection:
        return list((await connection.execute(found)).scalars())


pytestmark = pytest.mark.both_databases


async def test_a_query_that_nobody_asks_any_more_is_not_matched_until_somebody_does(installation: World) -> None:
    installation.listing("daily", first="owe")
    async with installation.opened() as running:
        asked = await ask(running, ADA)
        for part, paper in enumerate(PAPERS):
            if part == 1:
                await end(running, asked)
            if part == 2:
                await ask(running, ADA)
            installation.pages.put("/daily", text_page(*PAPERS[: part + 1]))
            await once(running)
            assert len(running.intake.queries.every) == (part != 1), paper
        assert await hits(running) == [PAPERS[0], PAPERS[2]]
    assert sorted(installation.titles(ADA, PAPERS)) == sorted([[PAPERS[0]], [PAPERS[2]]])


async def test_after_a_restart_too(installation: World) -> None:
    installation.listing("daily", first="owe")
    for part in range(3):
        async with installation.opened() as running:
            if part != 1:
                asked = await ask(running, ADA)
            else:
                await end(running, asked)
        installation.pages.put("/daily", text_page(*PAPERS[: part + 1]))
        await installation.run()
    assert sorted(installation.titles(ADA, PAPERS)) == sorted([[PAPERS[0]], [PAPERS[2]]])


async def test_a_query_that_somebody_else_asks_is_matched_for_them_alone(installation: World) -> None:
    installation.listing("daily", first="owe")
    async with installation.opened() as running:
        asked = await ask(running, ADA)
        await ask(running, BO)
        await end(running, asked)
        installation.pages.put("/daily", text_page(PAPERS[0]))
        await once(running)
        await ask(running, ADA)
        await once(running)
    assert installation.titles(ADA, PAPERS) == []
    assert installation.titles(BO, PAPERS) == [[PAPERS[0]]]


async def test_who_left_and_comes_back_is_owed_what_was_polled_meanwhile(installation: World) -> None:
    installation.listing("daily", first="owe")
    async with installation.opened() as running:
        asked = await ask(running, ADA)
        await running.store.leave(asked.subscriber_id, running.clock())
        installation.pages.put("/daily", text_page(PAPERS[0]))
        await once(running)
        await running.store.come_back(asked.subscriber_id, running.clock())
        await once(running)
    assert installation.titles(ADA, PAPERS) == [[PAPERS[0]]]


async def test_g1_a_query_that_is_asked_again_while_a_page_is_matched_is_not_missed(installation: World) -> None:
    """A poll that was matched without it stores nothing, and is matched again."""
    async with installation.opened() as running:
        asked = await ask(running, ADA)
        await end(running, asked)
        queries = Queries()
        await load_queries(queries, running.store)
        await ask(running, ADA)
        poll = Poll(listing="daily", polled_at=running.clock(), outcome=Outcome.WAITING, reason="")
        nothing = Diff((), Outcome.WAITING, "")
        for expected in (True, False):
            try:
                await running.store.record_poll(
                    poll, nothing, [], None, seen=Seen({}, PaperId(0)), queries_up_to=queries.latest,
                    turned_up_to=queries.turned, next_poll_at=running.clock(),
                )  # fmt: skip
            except SeenMeanwhile:
                assert expected
                await load_queries(queries, running.store)
                assert len(queries.every) == 1
            else:
                assert not expected


@pytest.mark.parametrize("kept", [True, False], ids=["kept between polls", "read anew"])
async def test_workers_match_a_query_that_is_asked_again(installation: World, kept: bool) -> None:
    installation.listing("daily", first="owe")
    async with installation.opened() as opened:
        running = apart(opened)
        queries = Queries(QueryId(0))
        asked = await ask(running, ADA)
        for part in range(3):
            if part == 1:
                await end(running, asked)
            if part == 2:
                await ask(running, ADA)
            installation.pages.put("/daily", text_page(*PAPERS[: part + 1]))
            for listing in running.config.listings:
                await pipeline.poll(listing, running.intake, running.clock())
            for poll_id, first in await running.store.unmatched():
                shard = await running.store.shard(poll_id, first)
                assert shard
                assert await match_shard(shard, queries if kept else Queries(QueryId(0)), running.store)
        assert await hits(running) == [PAPERS[0], PAPERS[2]]
