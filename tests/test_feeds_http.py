"""Feeds over HTTP: how little it costs to ask again, what a browser sees, and requests that are odd."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta

import httpx
from hypothesis import given
from hypothesis import strategies as st

from notifier.daemon.site import site
from notifier.model import FeedFormat
from notifier.publish import Address, Copy, Kind
from notifier.web import application
from notifier.web.feeds import answer
from tests.visit import LATER, NEW, OLD, PUBLIC, Visit, titles, visit
from tests.world import World, text_page

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
        assert got.headers.get("last-modified") == before.headers.get("last-modified"), path
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


async def test_over_polling_public_feeds_is_told_when_to_come_back_and_a_proxy_is_never(told: Visit) -> None:
    application_of_it = application(site(told.site.running))
    for client, expected in (("203.0.113.7", 200), ("93.184.215.14", 429), ("2001:4860::7", 429), ("10.0.0.1", 200)):
        transport = httpx.ASGITransport(app=application_of_it, client=(client, 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://site") as asking:
            answers = [await asking.get("/feeds/all.atom") for _ in range(601)]
        assert (answers[599].status_code, answers[600].status_code) == (200, expected), client
        assert ("retry-after" in answers[600].headers) == (expected == 429)


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


async def test_what_is_trending_has_no_date_by_which_a_reader_could_miss_a_change(told: Visit) -> None:
    got = await told.client.get("/feeds/trending.atom")
    assert "last-modified" not in got.headers
    future = {"If-Modified-Since": "Fri, 31 Dec 2100 23:59:59 GMT"}
    assert (await told.client.get("/feeds/trending.atom", headers=future)).status_code == 200
    known = {**future, "If-None-Match": got.headers["etag"]}
    assert (await told.client.get("/feeds/trending.atom", headers=known)).status_code == 304


async def test_an_odd_request_header_gets_the_whole_feed(told: Visit) -> None:
    for name, value in ODD:
        for path in ("/feeds/all.atom", "/feeds/search.atom?q=fictional"):
            got = await told.client.get(path, headers={"Accept-Encoding": "identity", name: value})
            assert (got.status_code, sorted(titles(got))) == (200, sorted(NEW)), (name, value)
            assert "content-encoding" not in got.headers


@given(since=st.text(st.characters(codec="latin-1"), max_size=60), match=st.none() | st.binary(max_size=40))
def test_no_conditional_header_is_too_odd(since: str, match: bytes | None) -> None:
    copy = Copy(
        address=Address(Kind.ALL), format=FeedFormat.RSS, url="https://example.org/", body=b"<rss/>",
        gzipped=gzip.compress(b"<rss/>"), etag="1", modified=datetime(2026, 3, 2, tzinfo=UTC),
        media_type="application/rss+xml", links="", source=b"", poll=1, owner=None,
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
