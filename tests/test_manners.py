"""Politeness (G9): the gap between two requests to a host, its pauses, its robots.txt; none is forgotten by a restart.

Hosts have public names here and stand on loopback: the client of these tests takes 127.0.0.1 for a public address. Its
clock moves only when it waits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from notifier.cli import app
from notifier.daemon import steps
from notifier.fetch import host_of
from notifier.fetch.manners import asked, error_pause, paused, rest, used_up
from notifier.model import HostState, Outcome
from notifier.store import open_store
from tests.fetching import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    Time,
    clock,
    listing,
    page_of,
    polite,
    server,
    started,
    targets,
    trouble_of,
)
from tests.servers.http import Answer, Request, Site, silence, site
from tests.world import World, text_page

__all__ = ["clock", "server"]  # fixtures

# --- the gap ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "gap"),
    [("export.arxiv.org", 3), ("rss.arxiv.org", 3), ("arxiv.org", 15), ("arxiv.org.", 15), ("papers.example", 2)],
)
async def test_g9_two_requests_to_one_host_are_at_least_a_gap_apart(
    clock: Time, server: Site, host: str, gap: int
) -> None:
    begun: list[datetime] = []

    def answer(_request: Request) -> Answer:
        begun.append(clock.now)
        return Answer(body=b"page")

    server.otherwise = answer
    async with polite(clock) as web:
        await asyncio.gather(*(page_of(web, server.url(f"/{n}", host)) for n in range(50)))
    assert sorted(targets(server)) == sorted(["/robots.txt", *(f"/{n}" for n in range(50))])
    assert begun == [NOW + n * timedelta(seconds=gap) for n in range(51)]


async def test_g9_the_gap_holds_over_a_redirect(clock: Time, server: Site) -> None:
    server.put("/old", status=301, location="/new")
    server.put("/new", b"page")
    async with polite(clock) as web:
        await page_of(web, server.url("/old", "papers.example"))
    assert targets(server) == ["/robots.txt", "/old", "/new"]
    assert clock.slept == [2, 2]


async def test_hosts_do_not_wait_for_one_another(clock: Time, server: Site) -> None:
    server.fail("/slow", silence)
    server.put("/quick", b"page")
    async with polite(clock) as web:
        slow = asyncio.create_task(page_of(web, server.url("/slow", "slow.example")))
        await server.until(lambda: "/slow" in targets(server))
        for _ in range(3):
            await page_of(web, server.url("/quick", "quick.example"))
        assert not slow.done()
        slow.cancel()


async def test_a_listing_of_our_own_network_has_no_gap_and_no_robots(clock: Time, server: Site) -> None:
    server.put("/", b"page")
    async with polite(clock) as web:
        for _ in range(3):
            await page_of(web, server.url(), allow_private=True)
    assert targets(server) == ["/", "/", "/"]
    assert clock.slept == []


async def test_g9_the_gap_survives_a_restart(clock: Time, server: Site, tmp_path: Path) -> None:
    server.put("/", b"page")
    for _ in range(2):
        async with started(tmp_path, clock) as web:
            await page_of(web, server.url("/", "arxiv.org"))
    assert targets(server) == ["/robots.txt", "/", "/"]
    assert clock.slept == [15, 15]


def test_a_gap_or_pause_that_a_wrong_clock_set_is_over() -> None:
    before = HostState(host="a.example", next_request_at=NOW + HOUR, blocked_until=NOW + 2 * DAY)
    assert rest(before, NOW) == timedelta()
    after = paused(asked(HostState(host="a.example"), NOW), NOW, DAY, "403")
    assert rest(after, NOW) == DAY
    assert rest(after, NOW - 1000 * DAY) == timedelta()
    assert rest(after, NOW + 1000 * DAY) == timedelta()


def test_a_pause_is_not_cut_short_by_a_shorter_one() -> None:
    state = paused(HostState(host="a.example"), NOW, DAY, "403 Forbidden")
    assert paused(state, NOW, HOUR, "429") == state
    assert rest(paused(state, NOW + 2 * DAY, HOUR, "429"), NOW + 2 * DAY) == HOUR


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://ArXiv.org/list/cs.CL", "arxiv.org"),
        ("http://arxiv.org.:80/", "arxiv.org"),
        ("http://127.0.0.1:8001/", "127.0.0.1:8001"),
        ("http://[::1]:8001/", "[::1]:8001"),
        ("no URL", "no URL"),
    ],
)
def test_a_host_is_its_name_with_its_port_where_that_is_unusual(url: str, host: str) -> None:
    assert host_of(listing(url)) == host


# --- pauses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "pause", "words"),
    [
        (Answer(status=503, headers=(("Retry-After", "600"),)), 10 * MINUTE, "503"),
        (Answer(status=429, headers=(("Retry-After", "600"),)), 10 * MINUTE, "429"),
        (Answer(status=429), 15 * MINUTE, "429"),
        (Answer(status=429, headers=(("RateLimit", '"default";r=0;t=300'),)), 5 * MINUTE, "429"),
        (Answer(status=503, body=b"Rate exceeded."), 15 * MINUTE, "Rate exceeded."),
        (Answer(body=b"Rate exceeded.\n"), 15 * MINUTE, "Rate exceeded."),
        (Answer(status=403, body=b"Rate exceeded."), 15 * MINUTE, "Rate exceeded."),
        (Answer(status=403, body=b"No robots here"), DAY, "403 Whatever: No robots here"),
    ],
)
async def test_g9_f020_a_pause_holds_for_every_listing_of_the_host_and_survives_a_restart(
    clock: Time, server: Site, tmp_path: Path, answer: Answer, pause: timedelta, words: str
) -> None:
    server.pages["/a"] = answer
    server.put("/b", b"page")
    async with started(tmp_path, clock) as web:
        assert (await trouble_of(web, server.url("/a", "papers.example"))).retry_after == pause
    before = targets(server)
    clock.now += pause - 2 * MINUTE
    async with started(tmp_path, clock) as web:
        trouble = await trouble_of(web, server.url("/b", "papers.example"))
        assert trouble.retry_after == 2 * MINUTE
        assert "papers.example" in trouble.reason
        assert words in trouble.reason
        assert targets(server) == before
        assert (await page_of(web, server.url("/b", "other.example"))).content == b"page"
        clock.now += 2 * MINUTE
        assert (await page_of(web, server.url("/b", "papers.example"))).content == b"page"


@pytest.mark.parametrize(
    "headers",
    [
        (("RateLimit", '"default";r=0;t=30'),),
        (("RateLimit-Remaining", "0"), ("RateLimit-Reset", "30")),
        (("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", str(int(NOW.timestamp()) + 30))),
    ],
)
async def test_a_rate_limit_that_a_good_page_uses_up_is_waited_for(
    clock: Time, server: Site, headers: tuple[tuple[str, str], ...]
) -> None:
    server.pages["/"] = Answer(body=b"page", headers=headers)
    async with polite(clock) as web:
        for _ in range(2):
            await page_of(web, server.url(), allow_private=True)
    assert [round(seconds) for seconds in clock.slept] == [30]


@pytest.mark.parametrize(
    ("field", "seconds"),
    [
        ('"default";r=0;t=30', 30),
        ('"default";r=1;t=30', None),
        ('"fixed;r=0;t=9";r=4;t=7', None),
        ('"burst";r=9;t=1, "daily";r=0;t=3600', 3600),
        ('"a";r=0;t=5,"b";r=0;t=7', 7),
        ('"a" ; r=00 ; t=5', 5),
        ("limit=100, remaining=0, reset=30", 30),
        ("limit=100, remaining=1, reset=30", None),
        ('"a";r=0;t=0', None),
        ('"a";r=0', None),
        ('"a";r=-1;t=5', None),
        (f'"a";r=0;t={"9" * 5000}', 86400),
        ("garbage", None),
        ("", None),
    ],
)
def test_f020_a_ratelimit_field_is_obeyed_within_reason(field: str, seconds: int | None) -> None:
    pause = used_up({"ratelimit": field}, NOW)
    assert (pause.total_seconds() if pause else None) == seconds


@pytest.mark.parametrize(
    ("remaining", "reset", "seconds"),
    [
        ("0", "30", 30),
        ("3", "30", None),
        ("-2", "30", 30),
        ("0", "soon", None),
        ("0", "", None),
        ("0", "9" * 40, 86400),
    ],
)
def test_f020_the_older_rate_limit_fields_are_obeyed_within_reason(
    remaining: str, reset: str, seconds: int | None
) -> None:
    pause = used_up({"ratelimit-remaining": remaining, "ratelimit-reset": reset}, NOW)
    assert (pause.total_seconds() if pause else None) == seconds


def test_a_limit_that_was_renewed_already_is_no_pause() -> None:
    past = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW.timestamp()) - 5)}
    assert used_up(past, NOW) is None
    assert error_pause(500, past, b"", NOW) is None


async def test_g9_403_stops_the_host_for_a_day_over_restarts(installation: World) -> None:
    for name in ("first", "second"):
        installation.listing(name)
    installation.pages.put("/first", b"go away", status=403)
    installation.pages.put("/second", text_page("A Fictional Paper on Manners"))
    polls, _ = await installation.run()
    assert [poll.outcome for poll in polls] == [Outcome.FAILED, Outcome.FAILED]
    assert polls[0].reason == "403 Whatever: go away"
    assert polls[1].reason.endswith("is left alone until 2026-03-03 12:01 UTC: 403 Whatever: go away")
    await installation.run(minutes=60)
    assert targets(installation.pages) == ["/first"]
    installation.pages.put("/first", text_page("Another Fictional Paper on Manners"))
    polls, _ = await installation.run(minutes=24 * 60)
    assert targets(installation.pages) == ["/first", "/first", "/second"]
    assert Outcome.FAILED not in {poll.outcome for poll in polls}


def test_an_operator_sees_who_is_left_alone_and_why_and_can_end_it(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        'contact = "me@example.org"\n[[listing]]\nname = "new"\nurl = "https://papers.example/new"\nformat = "feed"\n'
    )

    async def forbidden() -> None:
        async with open_store(f"sqlite:///{tmp_path}/notifier.db") as store:
            state = HostState(host="papers.example")
            await store.keep_host(paused(state, datetime.now(UTC), DAY, "403 Forbidden: [not] you"))
            await store.keep_host(asked(HostState(host="other.example"), datetime.now(UTC)))
            assert [resting.host for resting in await store.resting_hosts(datetime.now(UTC))] == ["papers.example"]
            assert await store.resting_hosts(datetime.now(UTC) + DAY) == []

    def said(*command: str) -> str:
        return CliRunner().invoke(app, [*command, "--config", str(config)]).output

    asyncio.run(forbidden())
    assert "papers.example is left alone until" in said("status")
    assert "403 Forbidden: [not] you" in said("status")
    assert "other.example" not in said("status")
    assert '"reason": "403 Forbidden: [not] you"' in said("status", "--json")
    assert "asked again now: new" in said("resume", "papers.example")
    assert "left alone" not in said("status")
    assert "is not left alone" in said("resume", "papers.example")


# --- the daemon -------------------------------------------------------------------------------------------------------


async def test_a_host_that_does_not_answer_keeps_no_other_host_waiting(installation: World) -> None:
    async with site() as other:
        for n in range(steps.POLLS_AT_ONCE + 2):
            installation.listing(f"slow-{n}")
            installation.pages.fail(f"/slow-{n}", silence)
        installation.listing("quick")
        installation.listings[-1] = installation.listings[-1].replace(installation.pages.url(), other.url())
        other.put("/quick", text_page("A Fictional Paper on Patience"))
        async with installation.opened() as running:
            polling = asyncio.create_task(steps.poll_due(running))
            async with asyncio.timeout(10):
                await other.until(lambda: bool(other.requests))
            assert targets(installation.pages) == ["/slow-0"], "and it is asked one thing at a time"
            polling.cancel()


async def test_a_slow_host_is_left_after_a_round_and_taken_up_where_it_was_left(installation: World) -> None:
    for name in ("a", "b", "c"):
        installation.listing(name)

    def slowly(_request: Request) -> Answer:
        installation.now += steps.ROUND
        return Answer(body=text_page("A Fictional Paper on Endurance").encode())

    installation.pages.otherwise = slowly
    async with installation.opened() as running:
        for asked_for in (["/a"], ["/a", "/b"], ["/a", "/b", "/c"]):
            await steps.poll_due(running)
            assert targets(installation.pages) == asked_for
        installation.now += HOUR
        await steps.poll_due(running)
        assert targets(installation.pages)[3:] == ["/a"]


async def test_the_time_of_50_unchanged_listings_is_told(installation: World, tell: Callable[[str], None]) -> None:
    for n in range(50):
        installation.listing(f"page-{n}")
        page = text_page(f"A Fictional Paper with the Number {n}").encode()
        installation.pages.pages[f"/page-{n}"] = Answer(body=page, etag=f'"{n}"')
    await installation.run()
    async with installation.opened() as running:
        installation.now += HOUR
        began = time.perf_counter()
        await steps.poll_due(running)
        took = time.perf_counter() - began
        states = await running.store.listing_states()
    assert {state.polled_at for state in states} == {installation.now}
    assert [request.headers.get("if-none-match") for request in installation.pages.requests[50:]] == [
        f'"{n}"' for n in range(50)
    ]
    tell(f"50 unchanged listings on loopback: {took:.2f} s")
