"""What nobody can make the site do: requests that are forged, crooked, huge, slow or too many."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator
from ipaddress import ip_network

import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from notifier.model import SubscriberState
from notifier.web import guard, limits, patience
from notifier.web.guard import Guard
from notifier.web.limits import HEADERS
from tests.visit import OTHER, PATHS, READER, Visit, letters, raw, status, words


async def test_every_answer_carries_the_security_headers(mailed: Visit) -> None:
    answers = [
        await mailed.client.request(method, url)
        for url in (*PATHS, mailed.leave_url(), mailed.copy_url())
        for method in ("GET", "HEAD", "POST", "DELETE")
    ]
    answers.append(await mailed.client.get("/feeds/all.rss", headers={"If-None-Match": "*"}))
    assert {answer.status_code for answer in answers} == {200, 304, 404, 405}
    for answer in answers:
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
        assert "server" not in answer.headers
        assert "set-cookie" not in answer.headers
        assert answer.headers["cache-control"]


async def test_f110_no_answer_may_be_framed_or_load_and_run_what_is_not_ours(mailed: Visit) -> None:
    """Written out, so that a word lost from the policy is missed."""
    for url in ("/", "/nothing", mailed.leave_url(), mailed.copy_url()):
        headers = (await mailed.client.get(url)).headers
        policy = {
            name: words for name, *words in (each.split() for each in headers["content-security-policy"].split(";"))
        }
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == ["'none'"]
        assert {
            words for name in policy.keys() - {"default-src", "base-uri", "frame-ancestors"} for words in policy[name]
        } == {"'self'"}
        assert {"form-action", "script-src", "style-src"} <= policy.keys()
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


async def test_f117_a_link_opens_one_thing_of_one_reader(mailed: Visit) -> None:
    mine, _, my_number = mailed.copy_url().rpartition("-")
    theirs, _, their_number = mailed.copy_url(OTHER).rpartition("-")
    unsubscribe = mailed.leave_url().rpartition("/")[2]
    for link in (
        f"{mine}-{their_number}",
        f"{theirs}-{my_number}",
        f"{mine}-9999",
        f"{mine}-{10**30}",
        mine,
        f"{mine}-{my_number}"[:-3],
        f"{mailed.site.url}/digests/{unsubscribe}-{my_number}",
        f"{mailed.site.url}/digests/-{my_number}",
    ):
        assert (await mailed.client.get(link)).status_code == 404, link
    copy = mine.rpartition("/")[2]
    assert (await mailed.client.get(f"/unsubscribe/{copy}")).status_code == 404


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


# --- paths and headers ------------------------------------------------------------------------------------------------


CROOKED = [
    "/feeds/../../../../etc/passwd",
    "/feeds/%2e%2e/%2e%2e/config.toml",
    "/feeds/..%2fnotifier.db",
    "/feeds/all.rss%00.html",
    "/feeds/%00",
    "/style.css/../../notifier.db",
    "/digests/%2e%2e%2f1",
    "/unsubscribe/%00",
    "/%ff%fe",
    "/" + "a" * 8_000,
    "/" + "a/" * 4_000,
    "//evil.example/",
    "//evil.example/%2f..",
    "/\\evil.example",
    "/healthz/",
    "/unsubscribe/x/",
    "/resubscribe/x?next=//evil.example",
]


async def test_f113_f114_a_crooked_path_is_not_there_and_leads_nowhere_else(fresh: Visit) -> None:
    for target in CROOKED:
        for method in ("GET", "POST"):
            code, answer = await status(fresh.site, target, "Host: evil.example", method=method)
            there = "next=" in target if method == "GET" else target.startswith("/feeds/")
            assert code == (405 if there else 404), target
            assert b"location:" not in answer.lower()
            assert b"evil" not in answer
    code, answer = await status(fresh.site, "/?next=//evil.example/../x&x=/healthz/")
    assert code == 200
    assert b"evil" not in answer


FORGED = [
    ("Host: evil.example",),
    ("Host: evil.example:99999",),
    ("Host: 127.0.0.1", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "X-Forwarded-For: evil"),
    ("Host: 127.0.0.1", "Forwarded: host=evil.example;proto=https"),
    ('Host: "><script>evil',),
]


async def test_f112_forged_host_headers_reach_no_link(mailed: Visit) -> None:
    for headers in FORGED:
        for url in ("/", mailed.leave_url(), mailed.copy_url(), "/feeds/all.rss", "/healthz/"):
            code, answer = await status(mailed.site, url.removeprefix(mailed.site.url), *headers)
            assert code in (200, 400, 404)
            assert b"evil" not in answer


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


# --- what is huge, slow or too much -----------------------------------------------------------------------------------


async def test_f111_a_body_that_states_a_gigabyte_is_refused_before_it_is_read(mailed: Visit) -> None:
    path = mailed.leave_url().removeprefix(mailed.site.url)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {2**30}\r\n\r\n"
    answer = await raw(mailed.site, head.encode(), b"List-Unsubscribe=One-Click")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer
    assert b"content-security-policy: default-src 'none'" in answer
    assert (await mailed.reader()).state is SubscriberState.CONFIRMED


async def test_f111_a_body_without_end_ends_with_its_connection(mailed: Visit) -> None:
    """The server hangs up long before it has taken what one connection would send."""
    path = mailed.leave_url().removeprefix(mailed.site.url)
    _, writer = await asyncio.open_connection("127.0.0.1", int(mailed.site.url.rpartition(":")[2]))
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    piece, sent = b"10000\r\n" + b"x" * 0x10000 + b"\r\n", 0
    with pytest.raises(ConnectionError):
        while sent < 2**27:
            writer.write(piece)
            await writer.drain()
            sent += len(piece)
    assert sent < 2**25  # what the kernel's buffers hold
    writer.close()
    assert (await mailed.client.get("/healthz")).text == "ok\n"


def in_chunks(body: bytes, size: int = 1000) -> Iterator[bytes]:
    """Yield a body as HTTP/1.1 sends one that does not state its length, without the chunk that ends it."""
    for start in range(0, len(body), size):
        piece = body[start : start + size]
        yield b"%x\r\n%b\r\n" % (len(piece), piece)


@pytest.mark.parametrize(("beyond", "end", "answered"), [(0, b"0\r\n\r\n", 200), (1, b"", 413)])
async def test_f111_a_body_of_unstated_length_is_read_up_to_the_limit_and_no_further(
    here: Visit, beyond: int, end: bytes, answered: int
) -> None:
    """One byte beyond it is answered though the body goes on, and the connection ends."""
    head = b"POST /subscribe HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    form = f"email={READER}&q=harbours".encode() + b"".join(b"&f%d=%b" % (n, b"x" * 1500) for n in range(50))
    body = form[: limits.MOST_BODY + beyond]
    assert len(body) == limits.MOST_BODY + beyond
    try:
        answer = await raw(here.site, head, *in_chunks(body), end)
    except ConnectionResetError:  # what the kernel makes of an end that leaves something unread
        assert beyond
    else:
        assert answer.startswith(b"HTTP/1.1 %d " % answered)
        assert b"connection: close" in answer
    await here.site.idle()
    assert await letters(here) == ({READER: 1} if answered == 200 else {})


async def test_f111_of_a_body_without_end_a_page_receives_no_more_than_the_limit() -> None:
    received = 0

    async def page(_scope: Scope, receive: Receive, _send: Send) -> None:
        nonlocal received
        while True:
            received += len((await receive())["body"])

    async def without_end() -> Message:
        assert received <= 2 * limits.MOST_BODY, "nothing ends it"
        return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

    async def unused(_part: Message) -> None:
        pass

    scope = {"type": "http", "query_string": b"", "headers": [(b"transfer-encoding", b"chunked")]}
    with pytest.raises(HTTPException) as refused:
        await limits.Bounded(page)(scope, without_end, unused)
    assert refused.value.status_code == 413
    assert received == limits.MOST_BODY // 1000 * 1000


async def test_f111_ten_thousand_form_fields_change_nothing_about_the_answer(mailed: Visit) -> None:
    answer = await mailed.client.post(mailed.leave_url(), data={f"f{n}": "" for n in range(10_000)})
    assert answer.status_code in (200, 413)
    assert (await mailed.client.get("/healthz")).text == "ok\n"


async def test_f111_idle_connections_keep_nobody_else_waiting(mailed: Visit) -> None:
    port = int(mailed.site.url.rpartition(":")[2])
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
    for n, (_, writer) in enumerate(idle):
        writer.write(b"GET / HTTP/1.1\r\nHos" if n % 2 else b"")
    assert (await mailed.client.get("/")).status_code == 200
    for _, writer in idle:
        writer.close()


async def test_f111_who_does_not_finish_a_request_is_hung_up_on(here: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert "try again in 10 seconds" in explained(answer)
    style = await here.client.get("/style.css")
    assert (style.status_code, style.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert (await here.client.get("/healthz")).text == "ok\n", "a crowd is no reason to start the program anew"
    monkeypatch.setattr(limits, "SPARE", 0)
    assert (await here.client.get("/style.css")).status_code == 503


# --- what is said of it -----------------------------------------------------------------------------------------------


def explained(answer: httpx.Response) -> str:
    """Return the words of an answer that is a page of the site, with its navigation."""
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert '<link rel="stylesheet" href="/style.css">' in answer.text
    assert '<nav aria-label="Site">' in answer.text
    assert answer.headers["cache-control"] == "no-store"
    found = re.search(r"<main.*?<h1>.*?</h1>(.*?)</main>", answer.text, re.DOTALL)
    assert found
    return words(found[1])


async def test_what_is_not_there_or_too_much_says_what_to_do(here: Visit) -> None:
    form = {"email": READER, "q": "x" * 100_000}
    for answer, status_code, said in (
        (await here.client.get("/nothing"), 404, "copy the whole of it"),
        (await here.client.get("/subscribe"), 405, "Begin on the first page"),
        (await here.client.post("/subscribe", data=form), 413, "Go back and send less"),
        (await here.client.get("/papers", params={"q": "x" * 9_000}), 414, "search for less"),
    ):
        assert (answer.status_code, said in explained(answer)) == (status_code, True), explained(answer)


async def test_who_opens_the_old_address_of_a_feed_is_told_where_the_new_one_stands(here: Visit) -> None:
    await here.subscribed()
    page = (await here.client.get(await here.link("manage"))).text
    (feed,) = re.findall(r'href="(/feeds/private/[^"]+\.atom)"', page)
    (action,) = re.findall(r'action="(/manage/[^"]+/feeds/[^"]+)"', page)
    await here.client.post(action)
    answer = await here.client.get(feed, headers={"Sec-Fetch-Dest": "document"})
    assert answer.status_code == 410
    assert "the new one stands on your own page" in explained(answer)


async def test_who_asked_too_often_is_told_how_long_to_wait(here: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    for rate, retry, said in ((1 / 32, 33, "33 seconds"), (1 / 512, 513, "9 minutes"), (1 / 8192, 8193, "3 hours")):
        monkeypatch.setattr(guard, "VISITOR", (0.0, rate))
        answer = await here.client.post("/link", data={"email": READER})
        assert (answer.status_code, answer.headers["retry-after"]) == (429, str(retry))
        assert f"Please try again in {said}." in explained(answer)


@pytest.mark.parametrize(
    "q", ["(" * 900, "a* " * 300, "-a", "x" * 1900, '="' + "y" * 900 + '"', "\x00", "a OR " * 390 + "b"]
)
async def test_f115_a_query_that_is_a_bomb_is_answered_with_a_page(here: Visit, q: str) -> None:
    assert (await here.client.get("/", params={"q": q})).status_code == 200


async def test_f115_an_endless_address_and_a_form_of_ten_thousand_fields_are_refused(here: Visit) -> None:
    assert (await here.client.get("/", params={"q": "x" * 9000})).status_code == 414
    assert (await here.client.post("/subscribe", data={f"f{n}": "" for n in range(10_000)})).status_code in (400, 413)
