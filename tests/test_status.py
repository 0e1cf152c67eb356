"""Status: how each listing fares, in words for 80 columns and as JSON, with an exit code that a monitor can use."""

from __future__ import annotations

import json
import re
from datetime import date, datetime, timedelta

import pytest
from rich.cells import cell_len
from rich.text import Text

from notifier.model import BounceKind, Report
from notifier.status import Status, as_json, lines, status
from tests.day_pages import Days, day_page
from tests.terminal import notifier
from tests.world import World, text_page

OLD, NEW, ONLY = "An Old Fictional Paper", "A New Fictional Paper", "A Fictional Paper That One of Them Shows"


async def look(world: World) -> Status:
    async with world.opened() as running:
        return await status(running.store, running.config.listings, world.now)


def shown(seen: Status) -> str:
    return "\n".join(Text.from_markup(line).plain for line in lines(seen))


async def test_a_listing_shows_its_last_batch_the_next_poll_and_the_reason(installation: World) -> None:
    installation.listing("daily")
    installation.listing("other")
    installation.pages.put("/daily", text_page(OLD))
    installation.pages.put("/other", b"gateway trouble", status=502)
    await installation.run()
    installation.pages.put("/daily", text_page(NEW, OLD))
    await installation.run(minutes=59)
    await installation.run(minutes=30)
    assert shown(await look(installation)) == (
        "listing  outcome  last poll (UTC)   next poll\n"
        "daily    waiting  2026-03-02 13:30  2026-03-02 14:00\n"
        "    fresh 2026-03-02 13:00, batch of Mar 2: 2 read, 1 new\n"
        "    2 read, all seen before\n"
        "    next poll: every 30 minutes\n"
        "other    failed   2026-03-02 13:30  2026-03-02 15:30\n"
        "    never fresh\n"
        "    failed 3 times in a row: 502 Whatever: gateway trouble\n"
        "    next poll: later after each failure, 6 hours at most\n"
        "papers: 2 seen, 1 of them news\n"
        "outbox: none\n"
        "subscribers: none"
    )


async def test_after_a_403_its_host_is_left_alone_until_the_next_poll_of_each_listing(installation: World) -> None:
    installation.listing("first")
    installation.listing("second")
    installation.pages.put("/first", b"go away", status=403)
    await installation.run()
    seen = await look(installation)
    assert [each.why for each in seen.listings] == ["its host is left alone until then"] * 2
    assert shown(seen).count("    next poll: its host is left alone until then\n") == 2


async def test_all_of_it_fits_80_columns_but_for_reasons_which_stand_alone(installation: World) -> None:
    installation.listing("a-listing-with-a-name-of-35-columns")
    installation.pages.put("/a-listing-with-a-name-of-35-columns", text_page(OLD))
    await installation.run()
    assert max(cell_len(line) for line in shown(await look(installation)).splitlines()) <= 80


async def test_json_has_stable_keys_and_iso_instants(installation: World) -> None:
    installation.listing("daily")
    installation.listing("never", "feed")
    installation.pages.put("/daily", text_page(OLD))
    installation.pages.put("/never", b"trouble", status=500)
    config = installation.config
    installation.listings.pop()
    await installation.run()
    installation.listings.append('[[listing]]\nname = "never"\nurl = "https://example.org/"\nformat = "feed"\n')
    told = json.loads(json.dumps(as_json(await look(installation))))
    assert config.listing[1].name == "never"
    assert list(told) == [
        "at", "well", "listings", "differences", "hosts", "quarantined", "lost_days", "papers", "news", "outbox",
        "mail_held", "relays", "subscribers", "bounces", "suppressed", "troubles",
    ]  # fmt: skip
    daily, never = told["listings"]
    assert daily == {
        "name": "daily",
        "url": installation.pages.url("/daily"),
        "format": "daily-papers-text",
        "outcome": "fresh",
        "reason": "1 read, recorded by the first poll: not news",
        "failures": 0,
        "primed": True,
        "polled_at": "2026-03-02T12:01:00+00:00",
        "fresh_at": "2026-03-02T12:01:00+00:00",
        "next_poll_at": "2026-03-02T12:31:00+00:00",
        "next_poll_why": "every 30 minutes",
        "batch": {
            "listed_on": None,
            "day_text": "Mar 2",
            "polled_at": "2026-03-02T12:01:00+00:00",
            "read": 1,
            "stated": None,
            "new": 0,
            "remarks": "",
        },
        "missed_days": [],
        "missed_days_trouble": None,
    }
    assert list(never) == list(daily)
    assert (never["outcome"], never["polled_at"], never["batch"]) == (None, None, None)
    assert datetime.fromisoformat(told["at"]) == installation.now


async def test_what_only_one_of_two_listings_showed_is_counted_and_named_in_json(installation: World) -> None:
    """Each names the other; the pair is compared once."""
    installation.listing("page", compare_with="feed")
    installation.listing("feed", compare_with="page")
    for name in ("page", "feed"):
        installation.pages.put(f"/{name}", text_page(OLD))
    await installation.run()
    installation.pages.put("/page", text_page(ONLY, OLD))
    await installation.run()
    assert "differ" not in shown(await look(installation))
    installation.now += timedelta(hours=13)
    seen = await look(installation)
    assert "\npage and feed differ: 1 only on page (--json names them)\n" in shown(seen)
    (difference,) = as_json(seen)["differences"]
    assert [paper["title"] for paper in difference["only_listing"]] == [ONLY]
    assert (difference["listing"], difference["other"], difference["only_other"]) == ("page", "feed", [])


async def test_past_days_that_are_still_to_be_read_or_were_given_up_are_said(installation: World) -> None:
    name, days = "api/daily_papers", Days(installation)
    installation.listing(name, "hf-daily")
    days.days["2026-03-09"] = day_page("2026-03-09", 1)
    await installation.run()
    days.days["2026-03-12"] = day_page("2026-03-12", 2)
    days.broken = {"2026-03-09", "2026-03-10", "2026-03-11"}
    await installation.run(minutes=3 * 24 * 60)
    async with installation.opened() as running:
        for day in (9, 10):
            await running.store.gap_failed(name, date(2026, 3, day), "404 Not Found", most_tries=1)
        await running.store.gap_failed(name, date(2026, 3, 11), "503 Whatever: busy", most_tries=9)
    seen = await look(installation)
    said = "    past days still to be read: 2026-03-11\n      not read so far: 503 Whatever: busy\n"
    assert said in shown(seen)
    assert f"{name}: 2026-03-10 was given up: 404 Not Found" in shown(seen)
    told = as_json(seen)
    assert told["listings"][0]["missed_days"] == ["2026-03-11"]
    assert told["listings"][0]["missed_days_trouble"] == "503 Whatever: busy"
    assert [(lost["day"], lost["reason"]) for lost in told["lost_days"]] == [
        ("2026-03-09", "404 Not Found"), ("2026-03-10", "404 Not Found"),
    ]  # fmt: skip
    assert told["listings"][0]["batch"]["listed_on"] == "2026-03-12"


@pytest.mark.parametrize(("trouble", "code"), [(None, 0), ("failed", 1), ("stale", 1)])
async def test_the_exit_code_tells_a_monitor(installation: World, trouble: str | None, code: int) -> None:
    installation.listing("daily")
    installation.pages.put("/daily", text_page(OLD))
    await installation.run()
    if trouble == "failed":
        installation.pages.put("/daily", b"gateway trouble", status=502)
        await installation.run(minutes=60)
    if trouble == "stale":
        await installation.run(minutes=5 * 24 * 60)
    said = await notifier("status", folder=installation.folder)
    told = await notifier("status", "--json", folder=installation.folder)
    assert (said.code, told.code, json.loads(told.out)["well"]) == (code, code, code == 0)
    assert (trouble or "fresh") in said.out


async def test_what_came_back_is_counted_where_anything_did(installation: World) -> None:
    assert "came back" not in shown(await look(installation))
    async with installation.opened() as running:
        for number in range(2):
            await running.store.record_bounce(Report(kind=BounceKind.UNKNOWN), b"mail %d" % number, installation.now)
    seen = await look(installation)
    assert shown(seen).endswith("\ncame back in 7 days: 2 unknown; 0 suppressed (`notifier bounces list`)")
    assert (as_json(seen)["bounces"], as_json(seen)["suppressed"]) == ({"unknown": 2}, 0)
    installation.now += timedelta(days=8)
    assert "came back" not in shown(await look(installation))


async def test_bounces_are_listed_and_shown_and_no_terminal_obeys_them(installation: World) -> None:
    mail = b"From: \x1b[31meve\x1b[0m\nSubject: hello\n\nNobody understands me.\n"
    async with installation.opened() as running:
        await running.store.record_bounce(Report(kind=BounceKind.UNKNOWN, diagnostic="hello"), mail, installation.now)
    listed = await notifier("bounces", "list", "--unclear", folder=installation.folder)
    assert re.search(r"^1 +2026-03-02 12:00 UTC +unknown +nobody known +hello", listed.out, re.MULTILINE), listed.out
    one = await notifier("bounces", "show", "1", folder=installation.folder)
    assert (one.code, "Nobody understands me." in one.out, "\x1b" in one.out) == (0, True, False)
    assert (await notifier("bounces", "show", "2", folder=installation.folder)).code == 1
    assert (await notifier("subscriber", "resume", "a@example.org", folder=installation.folder)).code == 1
