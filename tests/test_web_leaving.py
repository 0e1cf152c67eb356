"""Leaving, over a socket: a button or a mail program ends all mail, and only that."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape

import pytest

from notifier.model import Cadence, SubscriberState
from tests.visit import NEW, OLD, ONE_CLICK, OTHER, READER, Visit, links, visit
from tests.world import World, text_page


async def test_g7_f105_a_scanner_that_follows_every_link_of_a_mail_changes_nothing(mailed: Visit) -> None:
    before, seen, todo = (
        mailed.dump(),
        set(),
        {mailed.site.here(link) for link in links(mailed.mail()) if "127.0.0.1" in link},
    )
    assert {url.split("/")[3] for url in todo} >= {"unsubscribe", "digests", "feeds"}
    while todo:
        url = todo.pop()
        seen.add(url)
        for method in ("GET", "HEAD", "GET", "OPTIONS"):
            answer = await mailed.client.request(method, url)
            assert answer.status_code in (200, 405), (method, url)
            found = re.findall(r'(?:href|action)="(/[^"]*)"', answer.text)
            todo |= {mailed.site.url + unescape(path) for path in found} - seen
    assert any("/digests/" in url for url in seen)
    assert mailed.dump() == before
    assert (await mailed.reader()).state is SubscriberState.CONFIRMED


async def test_g7_a_click_on_the_button_unsubscribes_at_once_and_a_second_one_is_friendly(mailed: Visit) -> None:
    url = mailed.leave_url()
    asked = (await mailed.client.get(url)).text
    (action, _) = re.findall(r'<form method="post" action="([^"]+)"', asked)
    assert "Unsubscribe?" in asked
    for _ in range(2):
        answer = await mailed.client.post(action)
        assert answer.status_code == 200
        assert "You are unsubscribed" in answer.text
        assert (await mailed.reader()).state is SubscriberState.UNSUBSCRIBED
    assert "You are unsubscribed" in (await mailed.client.get(url)).text
    assert (await mailed.reader(OTHER)).state is SubscriberState.CONFIRMED


@pytest.mark.parametrize("form", ["urlencoded", "multipart", "chunked"])
async def test_g7_one_click_by_a_mail_program_acts_at_once_without_cookie_or_redirect(mailed: Visit, form: str) -> None:
    """RFC 8058 3.1-3.2; programs send either form, and some do not say how long it is."""
    mail, url = mailed.mail(), mailed.leave_url()
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"

    async def pieces() -> AsyncIterator[bytes]:
        yield b"List-Unsubscribe="
        yield b"One-Click"

    if form == "urlencoded":
        answer = await mailed.client.post(url, data=ONE_CLICK)
    elif form == "multipart":
        answer = await mailed.client.post(url, files={name: (None, value) for name, value in ONE_CLICK.items()})
    else:
        answer = await mailed.client.post(url, content=pieces())
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert "location" not in answer.headers
    assert (await mailed.reader()).state is SubscriberState.UNSUBSCRIBED


async def test_who_left_gets_no_mail_and_who_undoes_it_gets_what_was_found_meanwhile(installation: World) -> None:
    late, latest = "A Late Fictional Paper on Tides", "The Latest Fictional Paper on Buoys"
    installation.listing("daily")
    installation.pages.put("/daily", text_page(*OLD))
    await installation.subscribe(READER, "*")
    await installation.run()
    installation.pages.put("/daily", text_page(*NEW))
    await installation.run()
    async with visit(installation) as visitor:
        left = await visitor.client.post(visitor.leave_url())
    installation.pages.put("/daily", text_page(late))
    await installation.run()
    assert installation.titles(READER, [*NEW, late]) == [NEW]
    (undo,) = re.findall(r'<form method="post" action="([^"]+)"', left.text)
    async with visit(installation) as visitor:
        assert (await visitor.client.get(undo)).status_code == 405
        for _ in range(2):
            answer = await visitor.client.post(undo)
            assert answer.status_code == 200
            assert "You are subscribed again" in answer.text
    installation.pages.put("/daily", text_page(latest))
    await installation.run()
    assert installation.titles(READER, [*NEW, late, latest]) == [NEW, [late, latest]]


@pytest.mark.both_databases
async def test_less_often_instead_makes_everything_weekly_and_keeps_the_subscription(here: Visit) -> None:
    await here.subscribed()
    leave = await here.link("unsubscribe")
    (action,) = re.findall(r'action="(/weekly/[^"]+)"', (await here.client.get(leave)).text)
    assert "Once a week" in (await here.client.post(action)).text
    (mine,) = await here.site.running.store.subscriptions(READER)
    assert (mine.clock.cadence, mine.active) == (Cadence.WEEKLY, True)


async def test_f106_forged_cut_and_foreign_links_all_get_the_same_page_and_do_nothing(mailed: Visit) -> None:
    before, link = mailed.dump(), mailed.leave_url().rpartition("/")[2]
    theirs = mailed.leave_url(OTHER).rpartition("/")[2]
    wrong = [
        *(link[:end] for end in (1, 10, 40, len(link) - 1)),
        link + "0",
        link.upper(),
        link[:40] + theirs[40:],
        "0" * len(link),
        "%F0%9F%93%AC",
        "%00",
        "-",
    ]
    pages = set()
    for each in wrong:
        for path in (f"/unsubscribe/{each}", f"/resubscribe/{each}"):
            answer = await mailed.client.post(path, data=ONE_CLICK)
            assert answer.status_code == 404, path
            pages.add((answer.text, *sorted(set(answer.headers.items()) - {("date", answer.headers["date"])})))
        answer = await mailed.client.get(f"/unsubscribe/{each}")
        pages.add((answer.text, *sorted(set(answer.headers.items()) - {("date", answer.headers["date"])})))
    assert len(pages) == 1
    assert mailed.dump() == before
