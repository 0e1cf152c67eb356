"""Feeds over a socket: what a reader program gets from each address, and how little it costs to ask again."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import feedparser  # type: ignore[import-untyped]
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.daemon.site import site
from notifier.model import Cadence, FeedFormat, PrivateFeed
from notifier.publish import Address, Copy, Kind
from notifier.web import application
from notifier.web.feeds import answer
from tests.world import Served, World, text_page

READER, OTHER = "reader@example.org", "other@example.org"
OLD = ["An Old Fictional Paper on Lighthouses"]
NEW = ["A New Fictional Paper on Harbours", "Another New Fictional Paper on Ferries"]
LATER = "A Later Fictional Paper on Harbours"
FORMATS = ("rss", "atom", "json")
PUBLIC = [f"/feeds/{name}.{form}" for name in ("all", "listing/daily", "trending") for form in FORMATS]


@dataclass(frozen=True)
class Visit:
    world: World
    site: Served
    client: httpx.AsyncClient

    async def private(self, email: str = READER) -> list[PrivateFeed]:
        """Return a reader's private feeds: of all subscriptions, then of each."""
        store = self.site.running.store
        reader = await store.subscriber(email)
        assert reader
        return await store.private_feeds(reader.subscriber_id)

    def path(self, feed: PrivateFeed, ending: str = "atom") -> str:
        return f"/feeds/private/{self.site.running.store.link('feed', feed.seed)}.{ending}"

    async def news(self, *titles: str, minutes: int = 31) -> None:
        """Let the page show these papers too, and the daemon read it."""
        from notifier.daemon import once

        self.world.pages.put("/daily", text_page(*titles, *NEW, *OLD))
        self.world.now += timedelta(minutes=minutes)
        await once(self.site.running)


@asynccontextmanager
async def visit(world: World) -> AsyncIterator[Visit]:
    async with world.served() as site, httpx.AsyncClient(base_url=site.url, follow_redirects=False) as client:
        yield Visit(world, site, client)


@pytest.fixture
async def told(installation: World) -> AsyncIterator[Visit]:
    """A site whose one listing has brought two papers; one reader follows ferries and harbours, one everything."""
    installation.listing("daily")
    installation.pages.put("/daily", text_page(*OLD))
    await installation.subscribe(READER, "ferries")
    await installation.subscribe(READER, "harbours", cadence=Cadence.FEED)
    await installation.subscribe(OTHER, "*")
    await installation.run()
    installation.pages.put("/daily", text_page(*NEW, *OLD))
    await installation.run()
    async with visit(installation) as visitor:
        yield visitor


def titles(answer: httpx.Response) -> list[str]:
    """Return the titles of a feed of any form, as a reader program sees them."""
    if answer.url.path.endswith(".json"):
        return [item["title"] for item in answer.json()["items"]]
    read = feedparser.parse(answer.content)
    assert not read.bozo, read.bozo_exception
    return [entry.title for entry in read.entries]


def ids(answer: httpx.Response) -> list[str]:
    if answer.url.path.endswith(".json"):
        return [item["id"] for item in answer.json()["items"]]
    return [entry.id for entry in feedparser.parse(answer.content).entries]


# --- what each feed holds ---------------------------------------------------------------------------------------------


async def test_a_public_feed_holds_what_was_news_and_not_what_was_there_before(told: Visit) -> None:
    types = {"rss": "application/rss+xml", "atom": "application/atom+xml", "json": "application/feed+json"}
    for name in ("all", "listing/daily"):
        for form in FORMATS:
            got = await told.client.get(f"/feeds/{name}.{form}")
            assert (got.status_code, got.headers["content-type"]) == (200, f"{types[form]}; charset=utf-8")
            assert sorted(titles(got)) == sorted(NEW)


async def test_a_paper_has_the_same_id_in_every_form_and_every_feed(told: Visit) -> None:
    everything, *_ = await told.private(OTHER)
    paths = [f"/feeds/all.{form}" for form in FORMATS]
    paths += ["/feeds/listing/daily.atom", "/feeds/search.rss?q=fictional", told.path(everything)]
    found = [dict(zip(titles(got), ids(got), strict=True)) for got in [await told.client.get(p) for p in paths]]
    assert set(found[0]) == set(NEW)
    assert all(each == found[0] for each in found)
    assert all(re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", guid) for guid in found[0].values())


async def test_an_empty_feed_is_a_valid_one(installation: World) -> None:
    installation.listing("daily")
    async with visit(installation) as visitor:
        for path in PUBLIC:
            got = await visitor.client.get(path)
            assert (got.status_code, titles(got)) == (200, []), path


async def test_the_trending_feed_holds_the_most_voted_first_and_nothing_without_votes(installation: World) -> None:
    def page(*votes: int) -> bytes:
        found = [
            {
                "paper": {
                    "id": f"2611.{10000 + n}", "title": f"A Fictional Paper With {n}", "summary": "An abstract. " * 20,
                    "authors": [{"name": "Ilse Quandt"}], "publishedAt": "2026-03-02T00:00:00.000Z", "upvotes": each,
                },
                "publishedAt": "2026-03-02T00:00:00.000Z", "title": f"A Fictional Paper With {n}",
            }
            for n, each in enumerate(votes)
        ]  # fmt: skip
        return json.dumps(found).encode()

    installation.listing("hf", "hf-daily", first="owe")
    installation.pages.put("/hf", page(3, 0, 17, 5), content_type="application/json")
    await installation.run()
    async with visit(installation) as visitor:
        got = await visitor.client.get("/feeds/trending.json")
        assert [title[-1] for title in titles(got)] == ["2", "3", "0"]
        assert "17 upvotes" in got.json()["items"][0]["content_html"]
        assert "upvote" not in (await visitor.client.get("/feeds/all.json")).text, "it would change with every vote"


# --- search -----------------------------------------------------------------------------------------------------------


async def test_a_search_is_a_feed_of_what_matches_with_marks_and_the_reason(told: Visit) -> None:
    got = await told.client.get("/feeds/search.json", params={"q": "Ferry OR lighthouse"})
    assert titles(got) == [NEW[1]]
    (item,) = got.json()["items"]
    assert "<p>matches: ferry OR lighthouse</p>" in item["content_html"]
    assert "<mark>ferries</mark>" in item["content_html"]


async def test_spellings_of_one_query_are_one_feed(told: Visit) -> None:
    first = await told.client.get("/feeds/search.atom?q=harbours%20ferries")
    second = await told.client.get("/feeds/search.atom?q=%20Harbours+AND%20%20ferries")
    assert (first.content, first.headers["etag"]) == (second.content, second.headers["etag"])


async def test_f115_a_search_that_cannot_be_understood_is_explained(told: Visit) -> None:
    for query in ["", "(", "a" * 5000, "title:", '"']:
        got = await told.client.get("/feeds/search.rss", params={"q": query})
        assert got.status_code == 400
        assert "column" in got.text


# --- private feeds ----------------------------------------------------------------------------------------------------


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
    digit = "0" if link[-1] != "0" else "1"
    forged = [link[:-1] + digit, link[:-1], link[:40], link + "0", link.upper(), digit + link[1:], "0" * 72, "", "x"]
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


async def test_over_polling_public_feeds_is_told_when_to_come_back_and_a_proxy_is_never(told: Visit) -> None:
    application_of_it = application(site(told.site.running))
    for client, expected in (("203.0.113.7", 200), ("93.184.215.14", 429), ("2001:4860::7", 429), ("10.0.0.1", 200)):
        transport = httpx.ASGITransport(app=application_of_it, client=(client, 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://site") as asking:
            answers = [await asking.get("/feeds/all.atom") for _ in range(601)]
        assert (answers[599].status_code, answers[600].status_code) == (200, expected), client
        assert ("retry-after" in answers[600].headers) == (expected == 429)


# --- asking again -----------------------------------------------------------------------------------------------------


def known(got: httpx.Response) -> list[dict[str, str]]:
    """Return ways to say that one has this answer already."""
    etag, modified = got.headers["etag"], got.headers["last-modified"]
    return [
        {"If-None-Match": etag},
        {"If-None-Match": f'"other", W/{etag}'},
        {"If-None-Match": "*"},
        {"If-None-Match": etag, "If-Modified-Since": "Thu, 01 Jan 2015 00:00:00 GMT"},
        {"If-None-Match": ", ".join(f'"{n}"' for n in range(500)) + f", {etag}"},
        {"If-Modified-Since": modified},
        {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
    ]


async def test_f043_who_has_a_feed_is_told_so_without_a_body(told: Visit) -> None:
    everything, *_ = await told.private()
    for path in ("/feeds/all.atom", told.path(everything), "/feeds/search.rss?q=ferries"):
        await asks_again(told, path)


async def asks_again(told: Visit, path: str) -> None:
    full = await told.client.get(path)
    for headers in known(full):
        for method in ("GET", "HEAD"):
            got = await told.client.request(method, path, headers=headers)
            assert (got.status_code, got.content) == (304, b""), headers
            same = ("etag", "last-modified", "cache-control", "vary")
            assert [got.headers[name] for name in same] == [full.headers[name] for name in same]
            assert "content-type" not in got.headers
    etag, modified = full.headers["etag"], full.headers["last-modified"]
    for headers in (
        {"If-None-Match": '"other"'},
        {"If-None-Match": '"other"', "If-Modified-Since": modified},  # the ETag decides (RFC 9110 13.2.2)
        {"If-None-Match": etag.strip('"')},
        {"If-None-Match": ""},
        {"If-Modified-Since": "Thu, 01 Jan 2015 00:00:00 GMT"},
        {"If-Modified-Since": "yesterday"},
    ):
        told.world.now += timedelta(minutes=2)
        got = await told.client.get(path, headers=headers)
        assert (got.status_code, got.content) == (200, full.content), headers


async def test_head_says_what_get_says(told: Visit) -> None:
    for path in (*PUBLIC, "/feeds/search.atom?q=harbours"):
        get, head = await told.client.get(path), await told.client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        said = [{name: value for name, value in each.headers.items() if name != "date"} for each in (get, head)]
        assert said[0] == said[1], path


async def test_a_feed_is_compressed_for_who_asks_and_each_form_has_its_own_validator(told: Visit) -> None:
    plain = await told.client.get("/feeds/all.json", headers={"Accept-Encoding": "identity"})
    packed = await told.client.get("/feeds/all.json", headers={"Accept-Encoding": "br;q=1.0, gzip;q=0.8"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    assert packed.headers["etag"] != plain.headers["etag"]
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"])
    assert "accept-encoding" in plain.headers["vary"]
    for etag in (plain.headers["etag"], packed.headers["etag"]):
        assert (await told.client.get("/feeds/all.json", headers={"If-None-Match": etag})).status_code == 304


async def test_a_feed_stays_the_same_until_a_paper_comes_and_after_a_restart(told: Visit) -> None:
    first = {path: await told.client.get(path) for path in PUBLIC}
    await told.news(minutes=300)
    for path, before in first.items():
        got = await told.client.get(path)
        assert (got.content, got.headers["etag"]) == (before.content, before.headers["etag"]), path
        assert got.headers["last-modified"] == before.headers["last-modified"], path
    await told.news(LATER)
    for path, before in first.items():
        if "trending" in path:
            continue
        got = await told.client.get(path, headers={"If-None-Match": before.headers["etag"]})
        assert (got.status_code, titles(got)[0]) == (200, LATER), path
        since = await told.client.get(path, headers={"If-Modified-Since": before.headers["last-modified"]})
        assert since.status_code == 200, path


async def test_another_process_that_serves_the_same_papers_serves_the_same_bytes(told: Visit) -> None:
    from notifier.publish import Shelf

    shelf = Shelf(told.site.running.shelf.stand, lambda: told.world.now + timedelta(days=3))
    again = await shelf.copy(Address(Kind.ALL), FeedFormat.ATOM)
    got = await told.client.get("/feeds/all.atom")
    assert (again.body, f'"{again.etag}-gzip"') == (got.content, got.headers["etag"])


async def test_no_name_of_a_reader_program_changes_the_answer(told: Visit) -> None:
    names = ["", "Mozilla/5.0 (X11; Linux x86_64) Chrome/140", "NetNewsWire", "Feedly/1.0", "curl/8", "\x80\xff"]
    for path in ("/feeds/all.rss", "/feeds/search.rss?q=ferries"):
        got = [await told.client.get(path, headers={"User-Agent": name.encode("latin-1")}) for name in names]
        assert {(each.status_code, each.content) for each in got} == {(200, got[0].content)}


async def test_a_browser_gets_a_page_to_read_and_a_program_that_takes_html_too_gets_the_feed(told: Visit) -> None:
    everything, *_ = await told.private()
    html = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    for path in (
        "/feeds/all.rss",
        "/feeds/listing/daily.json",
        "/feeds/search.atom?q=fictional",
        told.path(everything),
    ):
        page = await told.client.get(path, headers={"Accept": html, "Sec-Fetch-Dest": "document"})
        assert page.headers["content-type"] == "text/html; charset=utf-8", path
        assert "sec-fetch-dest" in page.headers["vary"]
        assert all(title in page.text.replace("<mark>", "").replace("</mark>", "") for title in NEW), path
        assert f"<code>{told.site.running.config.base_url}/feeds/" in page.text
        feed = await told.client.get(path, headers={"Accept": html})
        assert sorted(titles(feed)) == sorted(NEW), path


# --- older papers -----------------------------------------------------------------------------------------------------


async def test_older_papers_are_on_archive_pages_which_lead_to_every_one(installation: World) -> None:
    def name(number: int) -> str:
        return f"Fictional Paper Number {number} of Many"

    installation.listing("daily", first="owe")
    shown: list[str] = []
    for start in range(0, 250, 50):
        shown = [name(n) for n in range(start, start + 50)]
        installation.pages.put("/daily", text_page(*shown))
        await installation.run(minutes=60)
    async with visit(installation) as visitor:
        for path in ("/feeds/all.atom", "/feeds/listing/daily.rss", "/feeds/all.json"):
            seen: list[str] = []
            url, pages = path, []
            while url:
                got = await visitor.client.get(url)
                assert got.status_code == 200, url
                seen += titles(got)
                pages.append(got)
                url = visitor.site.here(older) if (older := _older(got)) else ""
            assert len(titles(pages[0])) == 100
            assert set(seen) == {name(n) for n in range(250)}, path
            assert 3 <= len(pages) <= 4
            assert pages[1].headers["cache-control"] == "public, max-age=86400"
        last = visitor.site.running.config.base_url
        archive = (await visitor.client.get("/feeds/all.atom?page=0")).text
        assert "<fh:archive/>" in archive
        assert f'rel="current" href="{last}/feeds/all.atom"' in archive
        assert "next-archive" in archive


async def test_an_archive_page_keeps_its_papers_when_new_ones_come(told: Visit) -> None:
    before = await told.client.get("/feeds/all.atom?page=0")
    await told.news(LATER)
    after = await told.client.get("/feeds/all.atom?page=0")
    assert ids(after)[-len(ids(before)) :] == ids(before)


async def test_an_archive_page_that_is_not_there_is_not_found(told: Visit) -> None:
    for page in ["-1", "1e3", "", "999999999", "99999999999999999999", "0x1"]:
        assert (await told.client.get("/feeds/all.atom", params={"page": page})).status_code == 404


def _older(got: httpx.Response) -> str | None:
    if got.url.path.endswith(".json"):
        url: Any = got.json().get("next_url")
        return str(url) if url else None
    links = feedparser.parse(got.content).feed.get("links", [])
    return next((link.href for link in links if link.rel == "prev-archive"), None)


# --- odd requests -----------------------------------------------------------------------------------------------------


NOT_THERE = [
    "/feeds/", "/feeds/all", "/feeds/all.xml", "/feeds/all.RSS", "/feeds/ALL.rss", "/feeds/listing/none.rss",
    "/feeds/listing/.rss", "/feeds/listing/..%2f..%2fetc%2fpasswd.rss", "/feeds/%2e%2e/all.rss", "/feeds/all.rss/",
    "/feeds/all.rss%00", "/feeds/" + "a" * 5000 + ".rss", "/feeds/search", "/feeds/private/", "/feeds/private.rss",
]  # fmt: skip


async def test_f113_a_feed_that_is_not_there_is_not_found(told: Visit) -> None:
    for path in NOT_THERE:
        assert (await told.client.get(path)).status_code == 404, path


async def test_a_listing_may_have_any_name_that_the_configuration_takes(installation: World) -> None:
    for name in ("cs.CL", "a b", "a/b+c: d", "..", "Zeitschrift für Häfen"):
        installation.listings.append(
            f'[[listing]]\nname = "{name}"\nurl = "{installation.pages.url("/x")}"\n'
            'format = "daily-papers-text"\nallow_private = true\n'
        )
    installation.pages.put("/x", text_page(*OLD))
    await installation.run()
    async with visit(installation) as visitor:
        for name in ("cs.CL", "a b", "a/b+c: d", "..", "Zeitschrift für Häfen"):
            address = Address(Kind.LISTING, name)
            got = await visitor.client.get(f"{address.path}.json".replace("/..", "/%2E%2E"))
            assert got.status_code == 200, name
            assert got.json()["feed_url"].endswith(f"{address.path}.json")


ODD = [
    ("Accept-Encoding", "gzip;q=0"), ("Accept-Encoding", "*"), ("Accept-Encoding", "identity;q=0"),
    ("Accept-Encoding", ",;q=,gz ip" * 200), ("Range", "bytes=0-9"), ("Range", "bytes=9999999-"),
    ("If-Range", '"x"'), ("Accept", "image/png"), ("Cookie", "a=b"), ("Origin", "https://elsewhere.example"),
]  # fmt: skip


async def test_an_odd_request_header_gets_the_whole_feed(told: Visit) -> None:
    for name, value in ODD:
        for path in ("/feeds/all.atom", "/feeds/search.atom?q=fictional"):
            got = await told.client.get(path, headers={"Accept-Encoding": "identity", name: value})
            assert (got.status_code, sorted(titles(got))) == (200, sorted(NEW)), (name, value)
            assert "content-encoding" not in got.headers


@given(since=st.text(st.characters(codec="latin-1"), max_size=60), match=st.none() | st.binary(max_size=40))
def test_no_conditional_header_is_too_odd(since: str, match: bytes | None) -> None:
    copy = Copy(
        address=Address(Kind.ALL), format=FeedFormat.RSS, body=b"<rss/>", gzipped=gzip.compress(b"<rss/>"), etag="1",
        modified=datetime(2026, 3, 2, tzinfo=UTC), media_type="application/rss+xml", links="", source=b"", poll=1,
        owner=None,
    )  # fmt: skip
    asked = {b"if-modified-since": since.encode("latin-1")} | ({b"if-none-match": match} if match is not None else {})
    assert answer(copy, asked)[0] in (200, 304)


async def test_a_post_to_a_feed_is_refused(told: Visit) -> None:
    assert (await told.client.post("/feeds/all.rss", content=b"x")).status_code == 405
    assert (await told.client.request("GET", "/feeds/all.rss", content=b"x" * 100_000)).status_code == 413


async def test_every_feed_answer_carries_the_security_headers(told: Visit) -> None:
    from notifier.web.limits import HEADERS

    everything, *_ = await told.private()
    for path in ("/feeds/all.atom", "/feeds/search.atom?q=x", told.path(everything), "/feeds/none.rss"):
        got = await told.client.get(path)
        assert {name: got.headers.get_list(name) for name in HEADERS} == {k: [v] for k, v in HEADERS.items()}, path


# --- files ------------------------------------------------------------------------------------------------------------


async def test_public_feeds_are_files_too_the_same_as_served(told: Visit) -> None:
    folder = told.world.folder / "feeds"
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"{name}.{form}" for name in ("all", "trending", "listing-daily") for form in FORMATS
    )
    for path in PUBLIC:
        got = await told.client.get(path)
        assert (folder / path.removeprefix("/feeds/").replace("/", "-")).read_bytes() == got.content, path
    kept = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    await told.news(minutes=300)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == kept, "nothing came, nothing is written"
