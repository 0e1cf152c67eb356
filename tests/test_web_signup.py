"""Signing up, over a socket: what is asked, what is answered, and what nobody can find out."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from datetime import timedelta
from html import unescape

import pytest

from notifier.model import Cadence, DigestClock, SubscriberState, Wish
from notifier.signup import LEFT, TOO_LATE, deal_with, deal_with_left
from notifier.store.wishes import KEPT
from notifier.web import guard
from tests.visit import NEW, OLD, OTHER, READER, Visit, letters, visit
from tests.world import World, text, text_page


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
    installation.pages.put("/daily", text_page(*OLD))
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
    installation.pages.put("/daily", text_page(*NEW))
    await installation.run()
    assert [NEW[0] in text(mail) for mail in installation.mails(READER)[1:]] == [True]


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
