"""Feeds straight from the connection: the same answers as the long way, and nothing odd is read on the short one."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from notifier.courtesy import Courtesy
from notifier.daemon.door import Door
from notifier.web import patience
from notifier.web.patience import HEADERS_WITHIN, SLOWEST, Patient
from notifier.web.pieces import HIGH_WATER, PIECE
from tests.visit import Visit, raw

LONG = "Trailer: x"  # a header that a feed does not depend on, and that makes a request no plain one


def request(*headers: str, method: str = "GET", target: str = "/feeds/all.atom") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: x", *headers, "", ""]).encode("latin-1")


async def asked(told: Visit, sent: Sequence[bytes], most: int = 1) -> list[tuple[bytes, set[bytes], bytes]]:
    """Send these pieces over one connection; return status line, other lines and body of each answer, without dates."""
    port = int(told.site.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in sent:
        writer.write(piece)
        await writer.drain()
    found = []
    head_only = b"HEAD " in b"".join(sent)
    while len(found) < most:
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).strip().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.lower().startswith(b"content-length:")), 0)
        body = await reader.readexactly(0 if head_only else length)
        found.append((status, {line for line in lines if not line.startswith(b"date: ")}, body))
    writer.close()
    return found


@pytest.fixture
async def ready(told: Visit) -> Visit:
    """The site with its public feeds on the shelf, as the daemon has them after its first step."""
    await told.site.running.shelf.refresh()
    return told


async def etag(told: Visit) -> str:
    return str((await told.client.get("/feeds/all.atom")).headers["etag"])


async def test_the_short_and_the_long_way_give_the_same_answer(ready: Visit) -> None:
    known = f"If-None-Match: {await etag(ready)}"
    counted = ready.site.server.server_state.total_requests
    for headers in ([], ["Accept-Encoding: gzip"], [known], [known, "Accept-Encoding: gzip"], ["if-none-match: *"]):
        for method in ("GET", "HEAD"):
            short = await asked(ready, [request(*headers, method=method)])
            long = await asked(ready, [request(*headers, LONG, method=method)])
            assert short == long, (method, headers)
            assert short[0][0] == (b"HTTP/1.1 304 Not Modified" if "atch: " in str(headers) else b"HTTP/1.1 200 OK")
    assert ready.site.server.server_state.total_requests == counted + 20


async def test_a_connection_is_closed_for_who_asks_so_in_whatever_letters(ready: Visit) -> None:
    for word in ("close", "Close"):
        port = int(ready.site.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(f"Connection: {word}"))
        async with asyncio.timeout(10):
            assert b"connection: close" in await reader.read(), word
        writer.close()


async def test_requests_that_come_in_pieces_or_together_are_all_answered_in_order(ready: Visit) -> None:
    one = request()
    whole = await asked(ready, [one])
    assert await asked(ready, [one[:30], one[30:]]) == whole
    assert await asked(ready, [one[:-2], one[-2:]]) == whole
    assert await asked(ready, [one * 3], 3) == whole * 3
    both = await asked(ready, [one + request(target="/healthz") + one], 3)
    assert [both[0], both[2]] == whole * 2
    assert both[1][2] == b"ok\n"
    assert await asked(ready, [one, request("Content-Length: 1"), b"x", one], 3) == whole * 3


async def test_what_is_no_request_is_refused_as_it_is_everywhere(ready: Visit) -> None:
    for odd in (
        b"GET /feeds/all.atom HTTP/1.1\r\n\r\n",  # no Host
        b"GET /feeds/all.atom HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET /feeds/all.atom HTTP/1.1\r\nHost: x\r\nX y: z\r\n\r\n",
        b"GET /feeds/all.atom HTTP/1.1\r\nHost: x\r\nX: \x00\r\n\r\n",
        b"GET  /feeds/all.atom HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /feeds/all.atom\r\n\r\n",
        b"GET /feeds/all.atom HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ):
        assert (await raw(ready.site, odd)).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 200 OK\r\n")), odd
    smuggled = request("Transfer-Encoding: chunked", "Content-Length: 4")[:-2] + b"\r\n0\r\n\r\n"
    got = await raw(ready.site, smuggled + request(target="/healthz"))
    assert b"ok\n" not in got or got.count(b"HTTP/1.1 ") == 2


async def test_who_wants_the_connection_closed_is_told_so(ready: Visit) -> None:
    got = await raw(ready.site, request("Connection: close"))
    assert re.search(rb"\r\nconnection: close\r\n", got)
    assert got.endswith(b"</feed>\n")


async def test_what_is_kept_of_a_second_is_given_to_who_asks_for_the_same(ready: Visit) -> None:
    whole = (await asked(ready, [request()]))[0][2]
    for _ in range(2):
        head = await raw(ready.site, request("Connection: close", method="HEAD"))
        got = await raw(ready.site, request("Connection: close"))
        assert head.endswith(b"\r\n\r\n")
        assert b"\r\nconnection: close\r\n" in head
        assert b"\r\nconnection: close\r\n" in got
        assert got.endswith(whole)
        ((_, lines, body),) = await asked(ready, [request()])
        assert (b"connection: close" in lines, body) == (False, whole)


async def test_a_feed_that_was_made_anew_is_answered_at_once(ready: Visit) -> None:
    public = ready.site.running.shelf.public
    ((_, _, before),) = await asked(ready, [request()])
    public["/feeds/all.atom"] = replace(public["/feeds/all.atom"], body=before + b"<!-->")
    ((_, _, after),) = await asked(ready, [request()])
    assert after == before + b"<!-->"


async def test_the_date_is_that_of_the_answer(ready: Visit) -> None:
    state = ready.site.server.server_state
    first = await raw(ready.site, request("Connection: close"))
    made = state.default_headers
    async with asyncio.timeout(10):
        while state.default_headers is made:  # noqa: ASYNC110  the clock of the server
            await asyncio.sleep(0.01)
    later = await raw(ready.site, request("Connection: close"))
    dates = [re.search(rb"\r\ndate: ([^\r]+)", got) for got in (first, later)]
    assert dates[0]
    assert dates[1]
    assert dates[0][1] != dates[1][1]


async def test_f111_who_takes_no_answer_is_hung_up_on_and_costs_one_feed_at_a_time(
    ready: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "HEADERS_WITHIN", 0.2)
    grow(ready, 30_000_000)
    port = int(ready.site.url.rpartition(":")[2])
    _reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    for _ in range(50):
        writer.write(request())
    while not ready.site.server.server_state.connections:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    mine = max(ready.site.server.server_state.connections, key=lambda each: each.transport.get_write_buffer_size())
    while not mine.transport.is_closing():
        assert mine.transport.get_write_buffer_size() <= 61_000_000
        assert mine.transport.copied <= HIGH_WATER + PIECE
        await asyncio.sleep(0.01)
    writer.close()


def grow(told: Visit, size: int) -> bytes:
    """Let the feed of everything have so many bytes; return them."""
    shelf = told.site.running.shelf
    copy = shelf.public["/feeds/all.atom"]
    body = b"fictional " * (size // 10)
    kept = {name: getattr(copy, name) for name in copy.__slots__}
    shelf.public["/feeds/all.atom"] = type(copy)(**kept | {"body": body})
    return body


@asynccontextmanager
async def slow_readers(told: Visit, count: int) -> AsyncIterator[tuple[list[socket.socket], list[Patient]]]:
    """Let readers ask for the feed of everything and take what a small window takes; with their connections here."""
    port, loop = int(told.site.url.rpartition(":")[2]), asyncio.get_running_loop()
    state = told.site.server.server_state
    before = set(state.connections)
    readers = []
    for _ in range(count):
        reader = socket.socket()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.setblocking(False)
        await loop.sock_connect(reader, ("127.0.0.1", port))
        await loop.sock_sendall(reader, request())
        readers.append(reader)
    try:
        while sum(each.transport.written > 0 for each in state.connections - before) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        yield readers, list(state.connections - before)
    finally:
        for reader in readers:
            reader.close()


async def test_f111_slow_readers_of_a_large_feed_share_it(ready: Visit) -> None:
    size = len(grow(ready, 5_000_000))
    async with slow_readers(ready, 20) as (_readers, here):
        assert all(each.transport.copied <= HIGH_WATER + PIECE for each in here)
        assert all(each.transport.untaken > size / 2 for each in here), "the kernel did not take it for them"
        answer = await ready.client.get("/feeds/all.json")
    assert answer.status_code == 200


async def test_f111_a_reader_must_take_some_of_its_answer_between_two_looks(ready: Visit) -> None:
    grow(ready, 5_000_000)
    least, loop = int(SLOWEST * HEADERS_WITHIN), asyncio.get_running_loop()
    async with slow_readers(ready, 1) as ((reader,), (here,)):
        here._expire()
        for _ in range(3):
            goal = here.transport.untaken - least
            while here.transport.untaken > goal:
                await loop.sock_recv(reader, 1024)
            here._expire()
            assert not here.transport.is_closing()
        here._expire()
        assert here.transport.is_closing()


async def test_an_answer_in_pieces_is_whole_whichever_way_it_goes(ready: Visit) -> None:
    body = grow(ready, 5_000_000)
    plain, long = request(), request(LONG)
    for sent in ([plain, plain], [long, long], [plain, long, plain]):
        answers = await asked(ready, sent, len(sent))
        assert [answer[2] == body for answer in answers] == [True] * len(sent)
    last = await raw(ready.site, request("Connection: close"))
    assert last.endswith(b"\r\n\r\n" + body)


@asynccontextmanager
async def small_window(told: Visit, sent: bytes) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Send this with a small window for the answer, of which some is still left when the block begins."""
    before = set(told.site.server.server_state.connections)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    port = int(told.site.url.rpartition(":")[2])
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=connection, limit=1024)
    writer.write(sent)
    while not any(  # noqa: ASYNC110 - nothing tells when an answer is stuck
        each.transport.get_write_buffer_size() for each in told.site.server.server_state.connections - before
    ):
        await asyncio.sleep(0.01)
    yield reader, writer
    writer.close()


LAST = {
    "short way": request("Connection: close"),
    "long way": request("Connection: close", LONG),
    "HTTP/1.0": b"GET /feeds/all.atom HTTP/1.0\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("way", LAST)
@pytest.mark.parametrize("more", [b"\r\n", request(), request(LONG), b"\x00"], ids=["line", "request", "long", "junk"])
async def test_what_is_said_after_the_last_request_is_not_heard_and_cuts_nothing_off(
    ready: Visit, way: str, more: bytes
) -> None:
    body, state = grow(ready, 5_000_000), ready.site.server.server_state
    counted = state.total_requests
    async with small_window(ready, LAST[way]) as (reader, writer):
        mine = list(state.connections)
        writer.write(more)
        await writer.drain()
        answer = await asyncio.wait_for(reader.read(), 30)
    assert answer.endswith(b"\r\n\r\n" + body)
    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert state.total_requests == counted + 1
    assert all(each.transport.is_closing() for each in mine)


@pytest.mark.parametrize("sent", [[request()], [request(LONG)], [request(LONG), request(LONG)], [*LAST.values()][:1]])
async def test_who_has_no_more_to_say_gets_the_whole_answer(ready: Visit, sent: list[bytes]) -> None:
    body = grow(ready, 5_000_000)
    async with small_window(ready, b"".join(sent)) as (reader, writer):
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 30)
    assert answer.count(b"HTTP/1.1 200 OK") == len(sent)
    assert answer.count(body) == len(sent)
    assert answer.endswith(body)


@pytest.mark.parametrize("target", ["/healthz", "/feeds/all.atom", "/feeds/search.atom?q=harbour"])
async def test_who_has_no_more_to_say_is_answered_though_the_answer_must_be_made_first(
    ready: Visit, target: str
) -> None:
    port = int(ready.site.url.rpartition(":")[2])
    for sent, answers in (request(LONG, target=target), 1), (2 * request(LONG, target=target), 2), (b"", 0):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        writer.write_eof()
        got = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        assert got.count(b"HTTP/1.1 200 OK") == answers, target


async def test_who_leaves_in_the_middle_of_a_request_is_not_waited_for(ready: Visit) -> None:
    port = int(ready.site.url.rpartition(":")[2])
    for sent in (b"GET /heal", request("Content-Length: 10", method="POST", target="/subscribe") + b"q=har"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        writer.write_eof()
        assert b" 200 " not in await asyncio.wait_for(reader.read(), 30)
        writer.close()
    while ready.site.server.server_state.tasks:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_behind_a_unix_socket_nobody_is_hung_up_on_for_what_the_kernel_adds(ready: Visit, tmp_path: Path) -> None:
    """Linux counts its own buffers, and not the bytes, as what waits in a socket of that kind."""
    body, loop, place = grow(ready, 1_000), asyncio.get_running_loop(), str(tmp_path / "web")
    listening, reader = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    listening.bind(place)
    door = Door(listening, ready.site.server._protocol, Courtesy())
    connections = ready.site.server.server_state.connections
    before = set(connections)
    reader.setblocking(False)
    await loop.sock_connect(reader, place)
    await loop.sock_sendall(reader, request())
    while not any(each.transport.written for each in connections - before):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    (mine,) = connections - before
    for _ in range(3):
        assert mine.transport.untaken <= mine.transport.written
        mine._expire()
        assert not mine.transport.is_closing()
    assert (await loop.sock_recv(reader, 65_536)).endswith(b"\r\n\r\n" + body)
    reader.close()
    door.close()
    await door.wait_closed()


async def test_nobody_is_hung_up_on_at_the_first_look(ready: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the kernel says: there is nothing yet to compare it with."""
    grow(ready, 5_000_000)
    async with slow_readers(ready, 1) as (_readers, (here,)):
        monkeypatch.setattr(type(here.transport), "_in_kernel", lambda _: 10_000_000)
        here._expire()
        assert not here.transport.is_closing()
