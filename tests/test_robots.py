"""robots.txt: read as RFC 9309 says, obeyed, asked for once a day, and never a reason to fall silent."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import pytest

from notifier.fetch.robots import forbidding, robots
from tests.fetching import DAY, HOUR, MINUTE, Time, clock, page_of, polite, server, started, targets, trouble_of
from tests.servers.http import Site, site

__all__ = ["clock", "server"]  # fixtures


# --- robots.txt -------------------------------------------------------------------------------------------------------


async def test_g9_what_robots_txt_forbids_is_not_asked_and_the_remedy_is_named(clock: Time, server: Site) -> None:
    server.put("/robots.txt", "User-agent: *\nDisallow: /list/\n")
    server.put("/list/new", b"page")
    async with polite(clock) as web:
        trouble = await trouble_of(web, server.url("/list/new", "papers.example"))
        assert "(Disallow: /list/)" in trouble.reason
        assert 'robots = "ignore"' in trouble.reason
        assert targets(server) == ["/robots.txt"]
        assert (await page_of(web, server.url("/list/new", "papers.example"), obey_robots=False)).content == b"page"


async def test_a_redirect_into_what_robots_txt_forbids_is_not_followed(clock: Time, server: Site) -> None:
    server.put("/robots.txt", "User-agent: *\nDisallow: /private\n")
    server.put("/", status=302, location="/private")
    async with polite(clock) as web:
        assert "(Disallow: /private)" in (await trouble_of(web, server.url("/", "papers.example"))).reason
    assert targets(server) == ["/robots.txt", "/"]


async def test_robots_txt_is_asked_for_once_a_day_whatever_is_restarted(
    clock: Time, server: Site, tmp_path: Path
) -> None:
    server.put("/robots.txt", "User-agent: notifier\nCrawl-delay: 30\nDisallow: /x\n\nUser-agent: *\nDisallow: /\n")
    server.put("/", b"page")
    url = server.url("/", "papers.example")
    async with started(tmp_path, clock) as web:
        await asyncio.gather(*(page_of(web, url) for _ in range(3)))
    async with started(tmp_path, clock) as web:
        await page_of(web, url)
        assert targets(server) == ["/robots.txt", "/", "/", "/", "/"]
        assert clock.slept == [2, 30, 30, 30]  # the wish was not known yet when robots.txt itself was asked for
        clock.now += DAY
        server.put("/robots.txt", "User-agent: *\nDisallow: /\n")
        await trouble_of(web, url)
    assert targets(server)[5:] == ["/robots.txt"]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_no_robots_txt_allows_everything_and_stops_nobody(clock: Time, server: Site, status: int) -> None:
    server.put("/robots.txt", b"User-agent: *\nDisallow: /", status=status)
    server.put("/", b"page")
    async with polite(clock) as web:
        for _ in range(2):
            assert (await page_of(web, server.url("/", "papers.example"))).content == b"page"
    assert targets(server) == ["/robots.txt", "/", "/"]


async def test_a_robots_txt_that_cannot_be_read_silences_no_listing_and_is_asked_for_again_soon(
    clock: Time, server: Site
) -> None:
    server.put("/robots.txt", status=500)
    server.put("/", b"page")
    url = server.url("/", "papers.example")
    async with polite(clock) as web:
        await page_of(web, url)
        clock.now += HOUR - MINUTE
        await page_of(web, url)
        assert targets(server) == ["/robots.txt", "/", "/"]
        clock.now += MINUTE
        server.put("/robots.txt", "User-agent: *\nDisallow: /\n")
        await trouble_of(web, url)
        clock.now += DAY
        server.put("/robots.txt", status=500)
        assert "Disallow: /" in (await trouble_of(web, url)).reason, "what was read last holds meanwhile"
    assert targets(server)[3:] == ["/robots.txt", "/robots.txt"]


async def test_a_pause_that_robots_txt_asks_for_holds_for_the_pages(clock: Time, server: Site) -> None:
    server.put("/robots.txt", status=429, retry_after="600")
    server.put("/", b"page")
    async with polite(clock) as web:
        assert (await trouble_of(web, server.url("/", "papers.example"))).retry_after == 10 * MINUTE
        assert targets(server) == ["/robots.txt"]


async def test_two_hosts_whose_robots_txt_point_to_each_other_block_nobody(clock: Time) -> None:
    async with site() as one, site() as two:
        for here, there, name in ((one, two, "two.example"), (two, one, "one.example")):
            here.put("/robots.txt", status=302, location=there.url("/robots.txt", name))
            here.put("/", b"page")
        async with polite(clock) as web, asyncio.timeout(5):
            pages = await asyncio.gather(
                page_of(web, one.url("/", "one.example")), page_of(web, two.url("/", "two.example"))
            )
    assert [page.content for page in pages] == [b"page", b"page"]


@pytest.mark.parametrize(
    ("text", "target", "rule"),
    [
        ("", "/", None),
        ("User-agent: *\nDisallow:", "/", None),
        ("User-agent: *\nDisallow: /", "/x", "Disallow: /"),
        ("user-agent : *\r\nDISALLOW : /x # all of it\r\n", "/xy", "Disallow: /x"),
        ("\ufeffUser-agent: *\rDisallow: /x", "/x", "Disallow: /x"),
        ("User-agent: *\n\nDisallow: /x", "/x", "Disallow: /x"),
        ("User-agent: *\nSitemap: http://a.example/\nDisallow: /x", "/x", "Disallow: /x"),
        # the longest path wins wherever it stands; on a tie, Allow
        ("User-agent: *\nDisallow: /\nAllow: /list", "/list/new", None),
        ("User-agent: *\nAllow: /\nDisallow: /list", "/list/new", "Disallow: /list"),
        ("User-agent: *\nAllow: /list\nDisallow: /", "/list/new", None),
        ("User-agent: *\nDisallow: /list\nAllow: /", "/list/new", "Disallow: /list"),
        ("User-agent: *\nDisallow: /list\nAllow: /list", "/list", None),
        ("User-agent: *\nAllow: /list\nDisallow: /list", "/list", None),
        # our own group, if there is one, in all its parts
        ("User-agent: *\nDisallow: /\n\nUser-agent: notifier\nDisallow: /x", "/", None),
        ("User-agent: Notifier/2.0\nUser-agent: other\nDisallow: /x", "/x", "Disallow: /x"),
        ("User-agent: notifier\nAllow: /\nUser-agent: b\nDisallow: /x\nUser-agent: NOTIFIER\nDisallow: /y", "/x", None),
        ("User-agent: notifier\nAllow: /\nUser-agent: notifier\nDisallow: /y", "/y", "Disallow: /y"),
        ("User-agent: *\nDisallow: /\nUser-agent: notifier\nCrawl-delay: 1", "/", None),
        ("User-agent: notifierbot\nDisallow: /", "/", None),
        ("Disallow: /", "/", None),
        # patterns
        ("User-agent: *\nDisallow: /*.rss$", "/feeds/new.rss", "Disallow: /*.rss$"),
        ("User-agent: *\nDisallow: /*.rss$", "/feeds/new.rss?page=2", None),
        ("User-agent: *\nDisallow: /*?*page=", "/new?a=1&page=2", "Disallow: /*?*page="),
        ("User-agent: *\nDisallow: /x$", "/xy", None),
        ("User-agent: *\nDisallow: /ab*b$", "/ab", None),
        ("User-agent: *\nDisallow: *", "/", "Disallow: *"),
        # one spelling
        ("User-agent: *\nDisallow: /%7ejo", "/~jo", "Disallow: /~jo"),
        ("User-agent: *\nDisallow: /\u00e9", "/%C3%A9", "Disallow: /%C3%A9"),
        ("User-agent: *\nDisallow: /a%2fb", "/a/b", None),
        # what is not for a crawler
        ("<html><body>Disallow: /</body></html>", "/", None),
        ("\0\xff:::\nUser-agent\nUser-agent: *\nDisallow", "/", None),
    ],
)
def test_robots_txt_is_read_as_rfc_9309_says(text: str, target: str, rule: str | None) -> None:
    rules, _ = robots(text.encode(), "notifier")
    assert forbidding(rules, target) == rule


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("10", 10), ("0.2", 1), ("3600", 60), ("-1", 0), ("inf", 0), ("nan", 0), ("soon", 0), ("", 0), ("9" * 400, 0)],
)
def test_a_crawl_delay_is_obeyed_up_to_a_minute(value: str, seconds: int) -> None:
    assert robots(f"User-agent: *\nCrawl-delay: {value}".encode(), "notifier")[1] == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "content",
    [
        b"User-agent: *\n" + b"Disallow: /" + b"*a" * 900 + b"$\n" * 1 + b"Disallow: /*a*a*a*b\n" * 50_000,
        b"User-agent: *\n" * 1_000_000,
        b"User-agent: *\nDisallow: /" + b"*" * 5_000_000,
        b"\r" * 10_000_000,
        b"%ff" * 1_000_000,
    ],
)
def test_a_hostile_robots_txt_costs_little(content: bytes) -> None:
    began = time.process_time()
    rules, _ = robots(content, "notifier")
    forbidding(rules, "/" + "a" * 2000)
    assert time.process_time() - began < 2
    assert len(rules) < 5_000_000
