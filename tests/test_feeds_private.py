"""Private feeds: a secret address for each subscription and for each reader, which its owner may change."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import feedparser  # type: ignore[import-untyped]
import httpx
import pytest
from sqlalchemy import Engine, event, func, insert, select, update

from notifier.model import Change, ChangeKind, Hits, Paper, PrivateFeed, SubscriptionId
from notifier.store import schema
from notifier.store.hits import add_hits
from tests.visit import FORMATS, LATER, NEW, OTHER, READER, Visit, ids, titles

pytestmark = pytest.mark.both_databases


async def test_each_subscription_has_a_private_feed_and_each_reader_one_of_all(told: Visit) -> None:
    everything, ferries, harbours = await told.private()
    for form in FORMATS:
        found = [titles(await told.client.get(told.path(feed, form))) for feed in (everything, ferries, harbours)]
        assert [sorted(each) for each in found] == [sorted(NEW), [NEW[1]], [NEW[0]]]


async def test_a_private_feed_says_why_a_paper_is_there(told: Visit) -> None:
    _, ferries, _ = await told.private()
    (item,) = (await told.client.get(told.path(ferries, "json"))).json()["items"]
    assert "<p>matches: ferries</p>" in item["content_html"]
    assert "<mark>ferries</mark>" in item["content_html"]


async def test_a_subscription_without_mail_is_read_as_a_feed(told: Visit) -> None:
    _, _, harbours = await told.private()
    await told.news(LATER)
    assert titles(await told.client.get(told.path(harbours))) == [LATER, NEW[0]]
    assert all(LATER not in str(mail) for mail in told.world.mails(READER))


async def test_the_mail_links_the_feed_of_its_reader(told: Visit) -> None:
    (mail,) = told.world.mails(READER)
    body = mail.get_body(("plain",))
    assert body
    (link,) = re.findall(r"http\S+/feeds/private/\S+", body.get_content())
    assert sorted(titles(await told.client.get(told.site.here(link)))) == sorted(NEW)


async def test_f117_a_new_address_ends_the_old_one_at_once(told: Visit) -> None:
    _, ferries, _ = await told.private()
    old = told.path(ferries)
    before = await told.client.get(old)
    assert before.status_code == 200
    await told.site.running.store.rotate_feed(ferries.seed)
    _, rotated, _ = await told.private()
    assert (await told.client.get(old)).status_code == 410
    assert (await told.client.get(old, headers={"If-None-Match": before.headers["etag"]})).status_code == 410
    after = await told.client.get(told.path(rotated))
    assert (after.status_code, ids(after)) == (200, ids(before))


async def test_f117_an_address_that_never_was_is_not_there_whatever_is_wrong_with_it(told: Visit) -> None:
    everything, *_ = await told.private()
    link = told.site.running.store.link("feed", everything.seed)
    unsubscribe = told.site.running.store.link("unsubscribe", everything.seed)
    first, last = ("0" if digit != "0" else "1" for digit in (link[0], link[-1]))
    forged = [link[:-1] + last, link[:-1], link[:40], link + "0", link.upper(), first + link[1:], "0" * 72, "", "x"]
    for each in [*forged, unsubscribe]:
        got = await told.client.get(f"/feeds/private/{each}.atom")
        assert got.status_code == 404, each
        assert "etag" not in got.headers
    assert (await told.client.get(f"/feeds/private/{link}.pdf")).status_code == 404


async def test_f117_a_private_feed_is_kept_from_caches_search_engines_and_referrers(told: Visit) -> None:
    everything, *_ = await told.private()
    got = await told.client.get(told.path(everything))
    assert got.headers["cache-control"] == "private, max-age=900"
    assert got.headers["x-robots-tag"] == "noindex"
    assert got.headers["referrer-policy"] == "no-referrer"
    assert not {"link", "access-control-allow-origin", "set-cookie"} & set(got.headers)
    assert READER.encode() not in got.content


async def test_an_ended_subscription_ends_its_feed_and_leaves_the_feed_of_all(told: Visit) -> None:
    everything, ferries, harbours = await told.private()
    await told.site.running.store.unsubscribe(READER, told.world.now)
    paths = [told.path(each) for each in (everything, ferries, harbours)]
    assert [(await told.client.get(path)).status_code for path in paths] == [200, 200, 200], "it ends mail, not feeds"


async def test_all_feeds_of_a_reader_are_one_list_for_a_reader_program(told: Visit) -> None:
    everything, ferries, harbours = await told.private()
    got = await told.client.get(told.path(everything, "opml"))
    assert got.headers["content-type"] == "text/x-opml; charset=utf-8"
    base = told.site.running.config.base_url
    assert re.findall(r'xmlUrl="([^"]+)"', got.text) == [
        base + told.path(each) for each in (everything, ferries, harbours)
    ]
    assert re.findall(r' text="([^"]+)"', got.text) == ["My papers", "ferries", "harbours"]
    assert (await told.client.get(told.path(ferries, "opml"))).status_code == 404


async def test_f117_over_polling_a_private_feed_is_told_when_to_come_back(told: Visit) -> None:
    everything, ferries, _ = await told.private()
    answers = [await told.client.get(told.path(everything)) for _ in range(31)]
    assert [each.status_code for each in answers] == [200] * 30 + [429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 120
    assert (await told.client.get(told.path(ferries))).status_code == 200, "another feed has a count of its own"
    told.world.now += timedelta(minutes=2)
    assert (await told.client.get(told.path(everything))).status_code == 200


async def test_older_papers_of_a_private_feed_are_on_archive_pages_which_keep_them(told: Visit) -> None:
    everything, *_ = await told.private(OTHER)
    for start in range(0, 360, 120):
        await told.news(*(f"Fictional Paper Number {n} of Many" for n in range(start, start + 120)))
    newest = await told.client.get(told.path(everything, "json"))
    seen, got = titles(newest), newest
    while older := got.json().get("next_url"):
        got = await told.client.get(told.site.here(older))
        assert got.headers["cache-control"] == "private, max-age=900"
        seen += titles(got)
    assert len(titles(newest)) == 100
    assert set(seen) == {*NEW, *(f"Fictional Paper Number {n} of Many" for n in range(360))}
    first = told.path(everything, "atom") + "?page=1"
    before = await told.client.get(first)
    assert 'rel="prev-archive"' in before.text
    assert 'rel="next-archive"' in before.text
    await told.news(LATER)
    after = await told.client.get(first)
    assert (ids(before), len(ids(before))) == (ids(after), 100)
    assert (await told.client.get(told.path(everything) + "?page=9")).status_code == 404


async def test_a_private_feed_keeps_a_paper_for_two_weeks_and_longer(told: Visit) -> None:
    everything, *_ = await told.private()
    before = sorted(titles(await told.client.get(told.path(everything))))
    await told.news(minutes=60 * 24 * 30)
    await told.site.running.store.prune_polls(told.world.now, timedelta(days=7))
    assert sorted(titles(await told.client.get(told.path(everything)))) == before == sorted(NEW)


# --- a feed whose owner changes what they look for --------------------------------------------------------------------


async def reworded(told: Visit, feed: PrivateFeed, words: str, cadence: str = "feed") -> httpx.Response:
    """Let the reader change the words of a subscription on their page."""
    store = told.site.running.store
    reader = await store.subscriber(READER)
    assert reader
    path = f"/manage/{store.link('manage', reader.token)}/{feed.number}"
    return await told.client.post(path, data={"q": words, "cadence": cadence, "timezone": "UTC"})


@pytest.mark.parametrize("form", FORMATS)
async def test_a_feed_keeps_its_address_its_name_and_its_items_when_its_owner_changes_the_words(
    told: Visit, form: str
) -> None:
    _, ferries, _ = await told.private()
    path = told.path(ferries, form)
    before = await told.client.get(path)
    assert "Saved" in (await reworded(told, ferries, "buoys")).text
    after = await told.client.get(path)
    assert (ids(after), titles(after)) == (ids(before), titles(before)) != ([], [])
    await told.news("A Fictional Paper on Buoys", "Yet Another Fictional Paper on Ferries")
    later = await told.client.get(path)
    assert titles(later) == ["A Fictional Paper on Buoys", *titles(before)]
    assert ids(later)[1:] == ids(before)
    if form == "atom":
        assert feedparser.parse(later.content).feed.id == feedparser.parse(before.content).feed.id


async def test_a_feed_keeps_everything_through_words_that_come_back(told: Visit) -> None:
    path = told.path((await told.private())[1])
    for words, title in (("buoys", "A Paper on Buoys"), ("ferries", "A Paper on New Ferries"), ("buoys", "More Buoys")):
        await reworded(told, (await told.private())[-1 if words == "ferries" else 1], words)
        await told.news(title, "A Paper on Nothing")
    shown = titles(await told.client.get(path))
    assert shown == [
        "More Buoys",
        "A Paper on New Ferries",
        "A Paper on Buoys",
        "Another New Fictional Paper on Ferries",
    ]
    everything = titles(await told.client.get(told.path((await told.private())[0])))
    assert set(shown) <= set(everything)


async def test_a_feed_keeps_a_cross_listed_paper_that_is_announced_as_new_after_its_words_changed(told: Visit) -> None:
    _, ferries, _ = await told.private()
    database, hit, (term,) = told.site.running.store._database, schema.hit, ferries.terms
    async with database.write() as connection:
        wants = update(schema.subscription).where(schema.subscription.c.id == ferries.number)
        await connection.execute(wants.values(versions="cross"))
        await connection.execute(update(hit).values(kind="cross"))
    before = await told.client.get(told.path(ferries))
    await reworded(told, ferries, "buoys")
    await told.news("A Paper on Nothing", "Another Paper on Buoys")
    async with database.write() as connection:
        paper = await connection.scalar(select(hit.c.paper_id).where(hit.c.query_id == term.query_id))
        poll = await connection.scalar(select(func.max(schema.poll.c.id)))
        change = Change(kind=ChangeKind.NEW, paper=Paper(source="", source_key="", title="", url=""), keys=())
        await add_hits(database, connection, [Hits(term.query_id, (0,))], [change], [paper], poll)
        known = {"p": paper, "q": term.query_id}
        changed = select(hit.c.kind, hit.c.poll_id).where(hit.c.paper_id == known["p"], hit.c.query_id == known["q"])
        assert (await connection.execute(changed)).one() == ("new", poll)
    after = await told.client.get(told.path(ferries))
    assert titles(after) == ["Another Paper on Buoys", *titles(before)]
    assert ids(after)[1:] == ids(before) != []


async def test_a_feed_that_was_a_thousand_things_is_still_shown(told: Visit) -> None:
    _, ferries, _ = await told.private()
    before = ids(await told.client.get(told.path(ferries)))
    database, table, (term,) = told.site.running.store._database, schema.earlier, ferries.terms
    was = {"subscription_id": ferries.number, "subscriber_id": 1, "query_id": term.query_id, "label": "ferries",
           "versions": "new", "began": 0, "until": 0}  # fmt: skip
    async with database.write() as connection:
        await connection.execute(insert(table), [was] * 1_500)
    everything, ferries, _ = await told.private()
    assert len(ferries.terms) == 1_501
    assert ids(await told.client.get(told.path(ferries))) == before != []
    assert (await told.client.get(told.path(everything))).status_code == 200


async def test_a_feed_costs_no_longer_statements_the_more_it_was(told: Visit) -> None:
    _, ferries, _ = await told.private()
    database, table, (term,) = told.site.running.store._database, schema.earlier, ferries.terms
    said: list[tuple[str, int]] = []

    def executed(_connection: Any, _cursor: Any, statement: str, given: Any, _context: Any, _many: bool) -> None:
        said.append((statement, len(given)))

    async def asked_with(more: int) -> set[tuple[str, int]]:
        was = {"subscription_id": ferries.number, "subscriber_id": 1, "query_id": term.query_id, "label": "ferries"}
        earlier = [was | {"versions": "cross", "began": 1_000 + poll, "until": 1_001 + poll} for poll in range(more)]
        async with database.write() as connection:
            await connection.execute(insert(table), earlier)
        feeds = (await told.private())[:2]
        said.clear()
        event.listen(Engine, "before_cursor_execute", executed)
        try:
            for feed in feeds:
                assert (await told.site.running.store.private_page(feed, None, 100))[0] > 0
        finally:
            event.remove(Engine, "before_cursor_execute", executed)
        return set(said)

    assert await asked_with(1) == await asked_with(3_000)


async def test_a_feed_of_words_that_have_a_subscription_already_closes(told: Visit) -> None:
    _, ferries, harbours = await told.private()
    await reworded(told, ferries, "harbours")
    assert (await told.client.get(told.path(ferries))).status_code == 410
    assert (await told.client.get(told.path(harbours))).status_code == 200


async def test_a_feed_keeps_its_items_when_they_come_by_mail_from_now_on(told: Visit) -> None:
    _, _, harbours = await told.private()
    before = ids(await told.client.get(told.path(harbours)))
    await reworded(told, harbours, "harbours", cadence="immediate")
    assert ids(await told.client.get(told.path(harbours))) == before != []


async def test_an_ended_feed_begins_anew_with_its_subscription(told: Visit) -> None:
    _, ferries, _ = await told.private()
    await reworded(told, ferries, "buoys")
    store = told.site.running.store
    reader = await store.subscriber(READER)
    assert reader
    (buoys,) = [each for each in await told.private() if each.labels == ["buoys"]]
    await store.end(reader.subscriber_id, SubscriptionId(buoys.number))
    assert (await told.client.get(told.path(buoys))).status_code == 410
    await told.client.post(f"/manage/{store.link('manage', reader.token)}/add", data={"q": "buoys", "cadence": "feed"})
    (anew,) = [each for each in await told.private() if each.labels == ["buoys"]]
    assert ids(await told.client.get(told.path(anew))) == []


async def test_what_a_feed_was_earlier_is_taken_along_and_erased_with_its_owner(told: Visit) -> None:
    _, ferries, _ = await told.private()
    await reworded(told, ferries, "buoys")
    store = told.site.running.store
    reader = await store.subscriber(READER)
    assert reader
    (term,) = (await store.take_along(reader.subscriber_id))["earlier"]
    assert term["label"] == "ferries"
    await store.erase(reader.subscriber_id, told.world.now)
    assert (await store.take_along(reader.subscriber_id))["earlier"] == []
