"""Signing up and one's own page, over a socket: what is asked, what is answered, and what nobody can find out."""

from __future__ import annotations

import asyncio
import logging
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import timedelta
from html import unescape
from ipaddress import ip_network

import httpx
import pytest

from notifier.daemon import once
from notifier.daemon.site import site
from notifier.model import Cadence, DigestClock, SubscriberState, Wish
from notifier.query import parse
from notifier.signup import LEFT, TOO_LATE, deal_with, deal_with_left
from notifier.store.wishes import KEPT
from notifier.web import application, guard, limits, patience
from notifier.web.guard import Guard
from notifier.web.recent import AT_ONCE, Recent
from tests.world import Served, World, text, text_page

READER, OTHER = "ada@example.org", "bo@example.org"
OLD = "An Old Fictional Paper on Lighthouses"
NEWS = ["A Fictional Paper on Harbours", "A Fictional Paper on Ferries"]


@dataclass(frozen=True)
class Visit:
    """A visitor of a served site."""

    world: World
    site: Served
    client: httpx.AsyncClient

    async def ask(self, email: str = READER, q: str = "harbours", **fields: str) -> httpx.Response:
        """Send the form of the first page."""
        answer = await self.client.post("/subscribe", data={"q": q, "email": email, "cadence": "immediate", **fields})
        await self.site.idle()
        return answer

    async def link(self, purpose: str, email: str = READER) -> str:
        """Return a link of somebody's, as their mails have it."""
        store = self.site.running.store
        reader = await store.subscriber(email)
        assert reader
        return f"/{purpose}/{store.link(purpose, reader.token)}"

    async def subscribed(self, email: str = READER, q: str = "harbours") -> None:
        """Sign up and confirm."""
        await self.ask(email, q)
        answer = await self.client.post(await self.link("confirm", email), data={"history": "0"})
        assert "You are subscribed" in answer.text


@asynccontextmanager
async def visit(world: World) -> AsyncIterator[Visit]:
    async with world.served() as site, httpx.AsyncClient(base_url=site.url, follow_redirects=False) as client:
        yield Visit(world, site, client)


@pytest.fixture
async def here(installation: World) -> AsyncIterator[Visit]:
    """A site whose listing was read once."""
    installation.listing("daily")
    installation.pages.put("/daily", text_page(OLD))
    await installation.run()
    async with visit(installation) as visitor:
        yield visitor


async def letters(here: Visit) -> dict[str, int]:
    """Count the messages that are queued, by recipient."""
    with closing(sqlite3.connect(here.site.running.store.place)) as database:
        return dict(database.execute("SELECT recipient, count(*) FROM message GROUP BY recipient"))


# --- signing up -------------------------------------------------------------------------------------------------------


async def test_f108_every_address_gets_the_same_answer_before_anything_is_looked_up(here: Visit) -> None:
    await here.subscribed(READER)
    await here.subscribed(OTHER)
    await here.client.post(await here.link("unsubscribe", OTHER))
    with closing(sqlite3.connect(here.site.running.store.place, isolation_level=None)) as other:
        other.execute("ALTER TABLE subscriber RENAME TO elsewhere")  # whoever looks fails
        people = READER, OTHER, "cy@example.org"
        answers = [await here.client.post("/subscribe", data={"q": "ferries", "email": each}) for each in people]
        answers += [await here.client.post("/link", data={"email": email}) for email in (READER, "cy@example.org")]
        other.execute("ALTER TABLE elsewhere RENAME TO subscriber")
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert {answer.headers["connection"] for answer in answers} == {"close"}


async def test_what_was_answered_and_then_cut_off_is_dealt_with_later_and_once(here: Visit) -> None:
    await here.subscribed(OTHER)
    running, before = here.site.running, await letters(here)
    with closing(sqlite3.connect(running.store.place, isolation_level=None)) as database:
        database.execute("ALTER TABLE subscriber RENAME TO elsewhere")  # what follows the answer fails
        assert "Look into your mailbox" in (await here.ask()).text
        assert (await here.client.post("/link", data={"email": OTHER})).status_code == 200
        await here.site.idle()
        database.execute("ALTER TABLE elsewhere RENAME TO subscriber")
    assert await letters(here) == before
    here.world.now += LEFT + timedelta(seconds=1)
    assert await deal_with_left(running.desk, here.world.now) == 2
    assert await deal_with_left(running.desk, here.world.now) == 0
    assert await letters(here) == {READER: 1, OTHER: before[OTHER] + 1}
    answer = await here.client.post(await here.link("confirm"), data={"history": "0"})
    assert "You are subscribed" in answer.text


async def test_what_was_dealt_with_before_midnight_and_again_after_it_is_one_mail(here: Visit) -> None:
    store, desk = here.site.running.store, here.site.running.desk
    asked_at = here.world.now.replace(hour=23, minute=59)
    wish = Wish(email=READER, label="ferries", canonical="ferries", clock=DigestClock(Cadence.IMMEDIATE, "UTC"))
    await deal_with(await store.note_asking(READER, wish, asked_at), desk, asked_at)
    await store.note_asking(READER, wish, asked_at)  # as if the power had failed before it was forgotten
    assert await deal_with_left(desk, asked_at + timedelta(minutes=5)) == 1
    assert await letters(here) == {READER: 1}


async def test_what_was_asked_for_days_ago_is_forgotten(here: Visit) -> None:
    store, now = here.site.running.store, here.world.now
    await store.note_asking(READER, None, now - TOO_LATE - timedelta(minutes=1))
    await deal_with_left(here.site.running.desk, now)
    assert await store.askings(now) == []
    assert await letters(here) == {}


async def test_f107_many_sign_ups_for_one_address_are_one_mail_a_day(
    here: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "VISITOR", (1000.0, 1.0))
    monkeypatch.setattr(guard, "EVERYBODY", (1000.0, 1.0))
    for number in range(30):
        assert (await here.ask(q=f"harbour{number}")).status_code == 200
    assert await letters(here) == {READER: 1}
    here.world.now += timedelta(days=1)
    await here.ask()
    assert await letters(here) == {READER: 2}


async def test_f107_one_visitor_may_ask_so_often_and_is_told_when_again(here: Visit) -> None:
    answers = [await here.ask(f"victim{number}@example.org") for number in range(12)]
    assert [answer.status_code for answer in answers].count(200) == guard.VISITOR[0]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 3600
    assert len(await letters(here)) == guard.VISITOR[0]
    assert (await here.client.get("/")).status_code == 200


async def test_f107_what_fills_the_hidden_field_is_a_machine_and_sends_nothing(here: Visit) -> None:
    answer = await here.ask(website="https://spam.example")
    assert "Look into your mailbox" in answer.text
    assert await letters(here) == {}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"email": "nobody"}, "@"),
        ({"email": "a@b@example.org"}, "@"),
        ({"q": "harbours AND"}, "expected"),
        ({"q": ""}, "write the words"),
        ({"timezone": "Mars/Olympus"}, "no time zone"),
        ({"timezone": "../../etc/passwd"}, "no time zone"),
        ({"at": "25:99"}, "time of day"),
    ],
)
async def test_what_is_wrong_with_a_form_is_said_beside_its_field(
    here: Visit, fields: dict[str, str], said: str
) -> None:
    answer = await here.ask(**fields)
    assert answer.status_code == 400
    errors = " ".join(re.findall(r'class="error".*?</p>', answer.text))
    assert said in unescape(errors)
    assert await letters(here) == {}


async def test_f109_the_domain_of_an_address_is_folded_and_its_local_part_is_not(here: Visit) -> None:
    for spelled in ("Ada@EXAMPLE.org", " Ada@example.ORG ", "Ada@example.org"):
        await here.ask(spelled)
    assert await letters(here) == {"Ada@example.org": 1}


async def test_f116_markup_as_a_query_is_text_on_every_page_and_in_the_mail(here: Visit) -> None:
    query = '"{{harbours}} <b>bold</b>"'
    pages = [await here.client.get("/", params={"q": query}), await here.ask(q=query)]
    pages += [await here.client.get(await here.link("confirm"))]
    await here.subscribed(q=query)
    pages += [await here.client.get(await here.link("manage"))]
    assert all("<b>" not in page.text for page in pages)
    assert "{{harbours}} <b>bold</b>" in unescape(pages[-1].text)


async def test_the_letter_asks_and_its_button_begins_what_it_names(installation: World) -> None:
    installation.listing("daily")
    installation.pages.put("/daily", text_page(OLD))
    await installation.run()
    async with visit(installation) as here:
        await here.ask()
    await installation.run()
    (asked,) = installation.mails(READER)
    assert "harbours" in text(asked)
    assert "/confirm/" in text(asked)
    assert asked["List-Unsubscribe"] is None
    async with visit(installation) as here:
        page = await here.client.get(await here.link("confirm"))
        assert "harbours" in page.text
        await here.subscribed()
    installation.pages.put("/daily", text_page(*NEWS))
    await installation.run()
    assert [NEWS[0] in text(mail) for mail in installation.mails(READER)[1:]] == [True]


async def test_f106_a_confirmation_that_is_used_late_cut_or_foreign_is_friendly_and_does_nothing(here: Visit) -> None:
    await here.ask()
    await here.ask(OTHER)
    link = await here.link("confirm")
    for wrong in (link[:-3], link[:-1] + ("0" if link[-1] != "0" else "1"), link.replace("confirm", "manage")):
        assert (await here.client.post(wrong)).status_code in (404, 405)
    assert await here.site.running.store.subscriptions() == []
    assert "You are subscribed" in (await here.client.post(link)).text
    again = await here.client.post(link)
    assert (again.status_code, "Nothing to confirm" in again.text) == (200, True)
    await here.client.post(await here.link("unsubscribe"))
    assert "Nothing to confirm" in (await here.client.post(link)).text  # nothing begins by an old link
    reader = await here.site.running.store.subscriber(READER)
    assert reader
    assert reader.state is SubscriberState.UNSUBSCRIBED
    here.world.now += KEPT + timedelta(minutes=1)
    assert "Nothing to confirm" in (await here.client.post(await here.link("confirm", OTHER))).text
    assert [each.email for each in await here.site.running.store.subscriptions()] == [READER]


async def test_g7_looking_at_a_confirmation_begins_nothing(here: Visit) -> None:
    await here.ask()
    for method in ("GET", "HEAD", "OPTIONS"):
        await here.client.request(method, await here.link("confirm"))
    assert await here.site.running.store.subscriptions() == []


# --- one's own page ---------------------------------------------------------------------------------------------------


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
async def test_less_often_instead_makes_everything_weekly_and_keeps_the_subscription(here: Visit) -> None:
    await here.subscribed()
    leave = await here.link("unsubscribe")
    (action,) = re.findall(r'action="(/weekly/[^"]+)"', (await here.client.get(leave)).text)
    assert "Once a week" in (await here.client.post(action)).text
    (mine,) = await here.site.running.store.subscriptions(READER)
    assert (mine.clock.cadence, mine.active) == (Cadence.WEEKLY, True)


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
    here.world.pages.put("/daily", text_page(*NEWS))
    from notifier import pipeline
    from notifier.daemon import once

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
    assert any(NEWS[1] in text(mail) for mail in here.world.mails(OTHER))


async def test_f117_no_link_is_ever_logged(here: Visit, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await here.subscribed()
    for purpose in ("manage", "unsubscribe", "confirm"):
        link = await here.link(purpose)
        await here.client.get(link)
        await here.client.get(f"{link}/../x")
    reader = await here.site.running.store.subscriber(READER)
    assert reader
    ours = [
        each for each in caplog.records if not each.name.startswith(("httpx", "httpcore", "aiosqlite", "sqlalchemy"))
    ]
    assert [each.name for each in ours if reader.token in each.getMessage()] == []


# --- what nobody can do -----------------------------------------------------------------------------------------------


def test_f112_only_what_a_listed_proxy_wrote_says_who_visits() -> None:
    behind = Guard([ip_network("10.0.0.0/8"), ip_network("::1")])
    assert Guard().visitor("192.0.2.1", "198.51.100.7") == "192.0.2.1"
    assert behind.visitor("192.0.2.1", "198.51.100.7") == "192.0.2.1"
    assert behind.visitor("10.0.0.1", "198.51.100.7") == "198.51.100.7"
    assert behind.visitor("10.0.0.1", "203.0.113.9, 198.51.100.7, 10.0.0.2") == "198.51.100.7"
    assert behind.visitor("10.0.0.1", "198.51.100.7,nonsense") == "10.0.0.1"
    assert behind.visitor("::1", "2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::/64"
    assert behind.visitor("2001:db8:1:2:ffff::", "") == "2001:db8:1:2::/64"
    assert behind.visitor("::ffff:192.0.2.1", "") == "192.0.2.1"


def test_f112_readers_of_feeds_are_told_apart_behind_a_listed_proxy_and_not_behind_another() -> None:
    behind, alone = Guard([ip_network("10.0.0.0/8")]), Guard()
    assert behind.household("10.0.0.1", "93.184.215.14") == "93.184.215.14"
    assert behind.household("10.0.0.1", "192.168.1.7") is None
    assert behind.household("10.0.0.1", "") is None
    assert behind.household("2001:4860::7", "") == "2001:4860::/64"
    assert alone.household("127.0.0.1", "93.184.215.14") is None, "anybody can write that"
    assert alone.household("93.184.215.14", "192.168.1.7") == "93.184.215.14"


async def test_f111_who_does_not_finish_a_request_is_hung_up_on(here: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.test_web import raw

    monkeypatch.setattr(patience, "HEADERS_WITHIN", 0.2)
    assert await raw(here.site) == b""
    assert await raw(here.site, b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ") == b""
    monkeypatch.setattr(limits, "BODY_WITHIN", 0.2)
    slow = await raw(here.site, b"POST /subscribe HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nq=har")
    assert slow.startswith(b"HTTP/1.1 408 ")


async def test_f111_beyond_so_many_at_once_visitors_are_asked_to_come_back(
    here: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_AT_ONCE", 0)
    answer = await here.client.get("/")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")


@pytest.mark.parametrize(
    "q", ["(" * 900, "a* " * 300, "-a", "x" * 1900, '="' + "y" * 900 + '"', "\x00", "a OR " * 390 + "b"]
)
async def test_f115_a_query_that_is_a_bomb_is_answered_with_a_page(here: Visit, q: str) -> None:
    assert (await here.client.get("/", params={"q": q})).status_code == 200


async def test_f115_an_endless_address_and_a_form_of_ten_thousand_fields_are_refused(here: Visit) -> None:
    assert (await here.client.get("/", params={"q": "x" * 9000})).status_code == 414
    assert (await here.client.post("/subscribe", data={f"f{n}": "" for n in range(10_000)})).status_code in (400, 413)


# --- open pages -------------------------------------------------------------------------------------------------------


@pytest.mark.both_databases
async def test_the_archive_finds_papers_by_word_listing_and_day_and_pages_through_them(installation: World) -> None:
    installation.listing("daily")
    installation.pages.put("/daily", text_page(*(f"Fictional Paper Number {n} on Knots" for n in range(60))))
    await installation.run()
    async with visit(installation) as here:
        first = await here.client.get("/papers", params={"q": "knots"})
        assert first.text.count("<article") == 25
        (older,) = re.findall(r'rel="next" href="([^"]+)"', first.text)
        second = await here.client.get(unescape(older))
        assert "Number 34 on" in second.text
        for nothing in ({"q": "nots"}, {"listing": "other"}, {"from": "2026-03-03"}, {"to": "2026-03-01"}):
            assert "Nothing here" in (await here.client.get("/papers", params=nothing)).text
        assert "Number 7 on" in (await here.client.get("/papers/8")).text
        for path in ("/papers/99999", "/papers/x", "/papers/²", "/papers/" + "9" * 400):
            assert (await here.client.get(path)).status_code == 404
        for odd in ("0", "-1", "99999", "x", "٣", "²"):
            assert (await here.client.get("/papers", params={"page": odd})).status_code == 200
        for day in ({"from": "soon"}, {"to": "9999-12-31"}):
            assert "such as 2026-11-21" in (await here.client.get("/papers", params=day)).text
        for odd in ("\0", "a\0b"):
            for name in ("q", "listing", "from", "page"):
                assert (await here.client.get("/papers", params={name: odd})).status_code == 200


async def test_who_searches_the_archive_all_the_time_is_asked_to_wait_and_nobody_else_is(here: Visit) -> None:
    for client, expected in (("93.184.215.14", 429), ("203.0.113.7", 200)):
        transport = httpx.ASGITransport(app=application(site(here.site.running)), client=(client, 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://site") as asking:
            answers = [await asking.get("/papers", params={"q": "knots"}) for _ in range(121)]
            assert (answers[119].status_code, answers[120].status_code) == (200, expected), client
            assert ("retry-after" in answers[120].headers) == (expected == 429)
            assert (await asking.get("/papers")).status_code == 200


async def test_the_status_names_every_listing_and_how_it_ended(here: Visit) -> None:
    page = (await here.client.get("/status")).text
    assert "daily" in page
    assert "The listing was read." in page


async def test_a_preview_counts_marks_and_says_when_a_query_is_too_broad(installation: World) -> None:
    installation.listing("daily")
    titles = [f"Fictional Paper Number {n} on Knots" for n in range(39)]
    installation.pages.put("/daily", text_page(*titles, "Knots and Ferries"))
    await installation.run()
    async with visit(installation) as here:
        page = (await here.client.get("/", params={"q": "knots"})).text
        assert "<strong>40 papers</strong> of 40 in the last 30 days" in page
        assert "(1 paper)." in page
        assert "<mark>Knots</mark>" in page
        assert "nearly the listing itself" in page
        assert 'role="img" aria-label="40 matching papers in 30 days' in page
        none = (await here.client.get("/", params={"q": "knotts"})).text
        assert "<strong>0 papers</strong>" in none
        assert "try knot" in none


async def test_an_answer_out_of_the_days_before_is_not_given_after_the_days_that_came(here: Visit) -> None:
    store, query = here.site.running.store, parse("harbours")
    recent, now = Recent(store), here.world.now
    await recent.survey(parse("ferries"), now)
    places = [object() for _ in range(AT_ONCE)]
    for place in places:
        await recent._threads.acquire_on_behalf_of(place)
    slow = asyncio.create_task(recent.survey(query, now))
    while not recent._threads.statistics().tasks_waiting:  # noqa: ASYNC110 - nothing tells who begins to wait
        await asyncio.sleep(0)
    here.world.pages.put("/daily", text_page("A Later Fictional Paper on Harbours"))
    here.world.now += timedelta(minutes=31)
    await once(here.site.running)
    await recent._issues(here.world.now, None)
    assert recent._reading
    await recent._reading
    for place in places:
        recent._threads.release_on_behalf_of(place)
    old = (await slow).hits
    assert (await recent.survey(query, here.world.now)).hits == old + 1
