"""Wishes: what is asked for on the site waits for its address, and is forgotten when nobody answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from notifier.model import Cadence, DigestClock, Subscriber, SubscriberState, Wish, WishId
from notifier.query import canonical, parse
from notifier.store import Store
from notifier.store.wishes import KEPT, MOST_WAITING
from tests.world import World, text_page

pytestmark = pytest.mark.both_databases

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
READER = "reader@example.org"


def wish(query: str, email: str = READER) -> Wish:
    return Wish(
        email=email, label=query, canonical=canonical(parse(query)), clock=DigestClock(Cadence.IMMEDIATE, "UTC")
    )


async def asked(store: Store, query: str, now: datetime = NOW) -> Subscriber:
    return await store.ask(wish(query), now)


async def all_of(store: Store, reader: Subscriber, now: datetime = NOW) -> list[WishId]:
    return [each.wish_id for each in await store.waiting(reader.subscriber_id, now)]


async def test_a_wish_owes_and_sends_nothing_until_it_is_confirmed(installation: World) -> None:
    installation.listing("daily")
    installation.pages.put("/daily", text_page("An Old Fictional Paper on Lighthouses"))
    await installation.run()
    async with installation.opened() as running:
        reader = await asked(running.store, "harbours", installation.now)
        assert reader.state is SubscriberState.PENDING
        assert await running.store.subscriptions() == []
    installation.pages.put("/daily", text_page("A Fictional Paper on Harbours"))
    await installation.run()
    assert installation.mails() == []


async def test_confirming_begins_what_was_chosen_and_drops_the_rest(installation: World) -> None:
    async with installation.opened() as running:
        store = running.store
        reader = await asked(store, "harbours")
        await asked(store, "not mine")
        first, _ = await all_of(store, reader)
        made = await store.confirm(reader.subscriber_id, [first], NOW)
        assert [each.canonical for each in made] == [canonical(parse("harbours"))]
        again = await store.subscriber(READER)
        assert again
        assert again.state is SubscriberState.CONFIRMED
        assert await all_of(store, reader) == []
        assert await store.confirm(reader.subscriber_id, [first], NOW) == []
        assert len(await store.subscriptions(READER)) == 1


async def test_a_wish_that_nobody_confirms_is_forgotten_with_its_address(installation: World) -> None:
    async with installation.opened() as running:
        reader = await asked(running.store, "harbours")
        late = NOW + KEPT + timedelta(minutes=1)
        assert await all_of(running.store, reader, late) == []
        assert await running.store.confirm(reader.subscriber_id, [WishId(1)], late) == []
        await running.store.ask(wish("ferries", "other@example.org"), late)
        assert await running.store.subscriber(READER) is None


async def test_f107_of_the_wishes_for_one_address_the_newest_wait(installation: World) -> None:
    async with installation.opened() as running:
        for number in range(MOST_WAITING + 3):
            reader = await asked(running.store, f"harbour{number}", NOW + timedelta(minutes=number))
        await asked(running.store, "harbour5", NOW + timedelta(hours=1))  # the same wish again is no other one
        waiting = await running.store.waiting(reader.subscriber_id, NOW)
        assert [each.wish.label for each in waiting] == [f"harbour{number}" for number in range(3, MOST_WAITING + 3)]


async def test_who_left_and_asks_for_one_thing_gets_that_and_nothing_of_before(installation: World) -> None:
    async with installation.opened() as running:
        store = running.store
        await store.subscribe(wish("lighthouses"), origin="web", now=NOW)
        await store.unsubscribe(READER, NOW)
        reader = await asked(store, "harbours")
        assert reader.state is SubscriberState.UNSUBSCRIBED
        await store.confirm(reader.subscriber_id, await all_of(store, reader), NOW)
        active = {each.label: each.active for each in await store.subscriptions(READER)}
        assert active == {"lighthouses": False, "harbours": True}


async def test_g4_history_comes_with_the_first_digest_only_when_it_was_asked_for(installation: World) -> None:
    installation.listing("daily")
    titles = ["A Fictional Paper on Harbours", "Another Fictional Paper on Harbours"]
    for shown in ("An Old Fictional Paper on Lighthouses", *titles):
        installation.pages.put("/daily", text_page(shown))
        await installation.run()
    async with installation.opened() as running:
        store = running.store
        papers = [each.paper_id for each in await store.papers_since(NOW, 10) if "Another" in each.paper.title]
        reader = await asked(store, "harbours", installation.now)
        (mine,) = await all_of(store, reader, installation.now)
        await store.confirm(reader.subscriber_id, [mine], installation.now, {mine: papers})
        other = await store.ask(wish("harbours", "other@example.org"), installation.now)
        (theirs,) = await all_of(store, other, installation.now)
        await store.confirm(other.subscriber_id, [theirs], installation.now)
    await installation.run()
    await installation.run()
    assert installation.titles(READER, titles) == [titles[1:]]
    assert installation.mails("other@example.org") == []
