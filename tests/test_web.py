"""The site over a socket: what each page answers."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import closing
from datetime import timedelta
from html import unescape

import httpx
import pytest

from notifier.daemon import once
from notifier.daemon.site import site
from notifier.query import parse
from notifier.web import application
from notifier.web.limits import HEADERS
from notifier.web.recent import AT_ONCE, Recent
from tests.visit import NEW, OLD, OTHER, PATHS, READER, Visit, visit, words
from tests.world import World, text_page


async def test_the_first_page_says_how_each_listing_is_and_what_is_new(mailed: Visit) -> None:
    answer = await mailed.client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<strong>daily</strong>" in answer.text
    assert all(title in answer.text for title in NEW)
    assert OLD[0] not in answer.text
    assert '<link rel="alternate" type="application/atom+xml"' in answer.text


async def test_the_first_page_of_a_new_site_says_that_nothing_was_read_yet(fresh: Visit) -> None:
    answer = await fresh.client.get("/")
    assert answer.status_code == 200
    assert "Not read yet: daily." in answer.text


async def test_head_says_what_get_says_without_the_body(mailed: Visit) -> None:
    paths = (*PATHS, mailed.leave_url(), mailed.copy_url())
    for url in paths:
        plain = {"Accept-Encoding": "identity"}
        full, head = await mailed.client.get(url, headers=plain), await mailed.client.head(url, headers=plain)
        assert (head.status_code, head.content) == (full.status_code, b""), url
        assert head.headers["content-length"] == str(len(full.content))
        assert head.headers["content-type"] == full.headers["content-type"]


async def test_no_page_names_an_address(mailed: Visit) -> None:
    left = await mailed.client.post(mailed.leave_url(OTHER))
    pages = [
        await mailed.client.get(url) for url in ("/", "/feeds/all.rss", mailed.copy_url(), mailed.leave_url(), "/no")
    ]
    for answer in [left, *pages]:
        assert not re.search(r"(?:reader|other)\W{0,5}@", answer.text)
        assert "@example.org" not in answer.text
        assert "@" not in str(answer.headers)


async def test_a_fault_of_ours_is_a_plain_answer_without_its_inside_and_the_site_lives(mailed: Visit) -> None:
    with closing(sqlite3.connect(mailed.site.running.store.place)) as database:
        database.execute("ALTER TABLE poll RENAME TO elsewhere")
    answer = await mailed.client.get("/")
    assert answer.status_code == 500
    assert "Please try again later" in answer.text
    assert "poll" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["content-security-policy"] == HEADERS["content-security-policy"]
    assert (await mailed.client.get("/healthz")).text == "ok\n"


async def test_an_operator_may_replace_a_page_and_the_style_sheet(installation: World) -> None:
    folder = installation.folder / "templates/web"
    folder.mkdir(parents=True)
    (folder / "style.css").write_text("h1 { color: teal }\n")
    (folder / "message.html").write_text("<h1>Ours: {{ title }}</h1>\n")
    installation.extra = 'templates = "templates"\n'
    async with visit(installation) as visitor:
        style = await visitor.client.get("/style.css")
        assert (style.text, style.headers["content-type"]) == ("h1 { color: teal }\n", "text/css; charset=utf-8")
        assert (await visitor.client.get("/nothing")).text == "<h1>Ours: Nothing here</h1>\n"


# --- the web copy of a digest -----------------------------------------------------------------------------------------


async def test_the_web_copy_holds_every_paper_of_the_mail_and_is_for_its_reader_only(mailed: Visit) -> None:
    answer = await mailed.client.get(mailed.copy_url())
    assert answer.status_code == 200
    assert all(title in answer.text for title in NEW)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-robots-tag"] == "noindex"
    theirs = words((await mailed.client.get(mailed.copy_url(OTHER))).text)
    assert (NEW[0] in theirs, NEW[1] in theirs) == (False, True)


async def test_the_web_copy_of_a_long_digest_has_light_pages_that_hold_every_paper(installation: World) -> None:
    long = [f"Paper {n} of a Long Day: " + "Fictional Knots, Ropes and Flags " * 7 for n in range(90)]
    installation.listing("daily", first="owe")
    installation.pages.put("/daily", text_page(*long))
    await installation.subscribe(READER, "*")
    await installation.run()
    async with visit(installation) as visitor:
        url, seen = visitor.copy_url(), ""
        pages = [await visitor.client.get(url)]
        while more := re.search(r'rel="next" href="([^"]+)"', pages[-1].text):
            pages.append(await visitor.client.get(unescape(more[1])))
        seen = "".join(page.text for page in pages)
        assert len(pages) == 5
        assert all(f"Paper {n} of a Long Day" in words(seen) for n in range(90))
        assert max(len(page.content) for page in [*pages, await visitor.client.get("/papers")]) < 60_000
        assert [(await visitor.client.get(f"{url}?page={n}")).status_code for n in ("0", "6", "x", "1")] == [
            404,
            404,
            404,
            200,
        ]


# --- the archive, the status and the preview --------------------------------------------------------------------------


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
