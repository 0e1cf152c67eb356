"""One's own page, over a socket: what a reader changes, takes along and deletes there."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing

import pytest

from notifier import pipeline
from notifier.daemon import once
from notifier.model import Cadence
from tests.visit import NEW, OTHER, READER, Visit
from tests.world import text, text_page


@pytest.mark.both_databases
async def test_a_reader_changes_adds_and_ends_subscriptions(here: Visit) -> None:
    await here.subscribed()
    store, page = here.site.running.store, await here.link("manage")
    (mine,) = await store.subscriptions(READER)
    number = mine.subscription_id
    weekly = {"q": "harbours", "cadence": "weekly", "weekday": "4", "at": "18:30", "timezone": "Europe/Berlin"}
    assert "Saved" in (await here.client.post(f"{page}/{number}", data={**weekly, "quiet": "note"})).text
    (mine,) = await store.subscriptions(READER)
    assert (mine.clock.cadence, mine.clock.weekday, f"{mine.clock.at:%H:%M}", mine.quiet) == (
        "weekly",
        4,
        "18:30",
        "note",
    )
    assert "Saved" in (await here.client.post(f"{page}/{number}", data={**weekly, "q": "ferries"})).text
    assert "Added" in (await here.client.post(f"{page}/add", data={"q": "buoys", "cadence": "paused"})).text
    active = {each.label: each.clock.cadence for each in await store.subscriptions(READER) if each.active}
    assert active == {"ferries": Cadence.WEEKLY, "buoys": Cadence.PAUSED}
    last = max(each.subscription_id for each in await store.subscriptions(READER))
    assert "Ended: buoys" in (await here.client.post(f"{page}/{last}", data={"do": "end"})).text
    preview = await here.client.post(f"{page}/add", data={"q": "lighthouses", "do": "preview"})
    assert "1 paper" in preview.text
    assert [each.label for each in await store.subscriptions(READER) if each.active] == ["ferries"]


async def test_a_number_of_somebody_else_changes_nothing(here: Visit) -> None:
    await here.subscribed(READER)
    await here.subscribed(OTHER, "ferries")
    store, page = here.site.running.store, await here.link("manage", OTHER)
    (mine,) = await store.subscriptions(READER)
    for fields in ({"do": "end"}, {"q": "buoys"}):
        answer = await here.client.post(f"{page}/{mine.subscription_id}", data=fields)
        assert "had ended already" in answer.text
    assert await store.subscriptions(READER) == [mine]


@pytest.mark.both_databases
async def test_a_reader_finds_their_feeds_and_closes_an_address_that_got_about(here: Visit) -> None:
    await here.subscribed(READER)
    await here.subscribed(OTHER, "ferries")
    page = await here.link("manage")
    shown = (await here.client.get(page)).text
    (feed,) = re.findall(r'href="(/feeds/private/[^"]+\.atom)"', shown)
    (action,) = re.findall(r'action="(/manage/[^"]+/feeds/[^"]+)"', shown)
    assert (await here.client.get(feed)).status_code == 200
    foreign = action.replace(page, await here.link("manage", OTHER))
    assert "had ended already" in (await here.client.post(foreign)).text
    assert (await here.client.get(feed)).status_code == 200
    (new,) = re.findall(r'href="(/feeds/private/[^"]+\.atom)"', (await here.client.post(action)).text)
    assert new != feed
    assert (await here.client.get(feed)).status_code == 410
    assert (await here.client.get(new)).status_code == 200


@pytest.mark.both_databases
async def test_the_export_holds_what_is_stored_and_no_link(here: Visit) -> None:
    await here.subscribed()
    answer = await here.client.get(f"{await here.link('manage')}/export.json")
    found = answer.json()
    reader = await here.site.running.store.subscriber(READER)
    assert reader
    assert found["subscriber"][0]["email"] == READER
    assert [each["canonical"] for each in found["subscriptions"]] == ["harbour"]
    assert (found["messages"], found["unconfirmed"], found["papers"]) == ([], [], [])
    assert reader.token not in answer.text
    assert answer.headers["content-disposition"].startswith("attachment")


async def test_f118_erasing_forgets_everything_and_a_message_under_way_reaches_nobody_new(here: Visit) -> None:
    await here.subscribed()
    await here.subscribed(OTHER, "ferries")
    here.world.pages.put("/daily", text_page(*NEW))
    await pipeline.poll(here.site.running.config.listings[0], here.site.running.intake, here.world.now)
    await pipeline.queue_digests(here.site.running.store, here.site.running.desk.head, here.world.now)
    await here.site.running.store.note_asking(READER, None, here.world.now)
    page = await here.link("manage")
    unsure = await here.client.post(f"{page}/erase")
    assert (unsure.status_code, "Tick the box" in unsure.text) == (400, True)
    gone = await here.client.post(f"{page}/erase", data={"sure": "yes"})
    assert "Everything is deleted" in gone.text
    assert (await here.client.get(page)).status_code == 404
    with closing(sqlite3.connect(here.site.running.store.place)) as database:
        assert READER not in "\n".join(database.iterdump())
    await once(here.site.running)
    assert here.world.mails(READER) == []
    assert any(NEW[1] in text(mail) for mail in here.world.mails(OTHER))
