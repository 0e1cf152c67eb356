"""Fetching: a real server on loopback, polite and conditional requests, and every way a server can misbehave."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from notifier.fetch import Client, client, fetch
from notifier.model import Page, Validators
from tests.fetching import NOW, Names, listing, page_of, server, trouble_of, web
from tests.servers.http import HEAD, Answer, Fault, Site, raw, reset, silence, site, trickle
from tests.servers.tls import certificate

__all__ = ["server", "web"]  # fixtures

# --- a good page ------------------------------------------------------------------------------------------------------


async def test_a_page_comes_with_its_bytes_its_type_and_its_validators(web: Client, server: Site) -> None:
    server.pages["/rss"] = Answer(
        body=b"<rss/>",
        headers=(("Content-Type", 'Application/RSS+XML; charset="utf-8"'),),
        etag='W/"a,\xe9"',
        last_modified="Mon, 02 Mar 2026 00:00:00 GMT",
    )
    assert await page_of(web, server.url("/rss")) == Page(
        url=server.url("/rss"),
        content=b"<rss/>",
        media_type="application/rss+xml",
        charset="utf-8",
        validators=Validators('W/"a,\xe9"', "Mon, 02 Mar 2026 00:00:00 GMT"),
        fetched_at=NOW,
    )


async def test_a_request_names_the_program_and_a_contact_and_asks_for_gzip_alone(web: Client, server: Site) -> None:
    server.put("/")
    await page_of(web, server.url("/#fragment"))
    (request,) = server.requests
    assert request.target == "/"
    assert request.headers == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": "notifier/1.0 (+ops@example.org)",
        "accept": "*/*",
        "accept-encoding": "gzip",
        "connection": "close",
    }


@pytest.mark.parametrize("contact", ["", " ", "ops@example.org\r\nCookie: x", "jürgen"])
async def test_a_client_without_a_contact_that_fits_a_header_is_refused(contact: str) -> None:
    with pytest.raises(ValueError, match="contact"):
        async with client(contact, "1.0"):
            pass


async def test_what_we_know_is_sent_back_byte_for_byte_and_304_is_no_page(web: Client, server: Site) -> None:
    server.pages["/"] = Answer(body=b"page", etag='W/"a,\xe9"', last_modified="Mon, 2 Mar 26 00:00:00 +0000")
    page = await page_of(web, server.url())
    assert await fetch(web, listing(server.url()), page.validators) is None
    assert server.requests[-1].headers["if-none-match"] == 'W/"a,\xe9"'
    assert server.requests[-1].headers["if-modified-since"] == "Mon, 2 Mar 26 00:00:00 +0000"
    server.put("/", b"news", etag='"2"')
    assert (await page_of(web, server.url(), page.validators)).content == b"news"


async def test_a_gzip_page_is_inflated_even_in_several_members(web: Client, server: Site) -> None:
    body = gzip.compress(b"one ") + gzip.compress(b"two " * 50_000)
    server.put("/", body, content_encoding="gzip")
    assert (await page_of(web, server.url())).content == b"one " + b"two " * 50_000


async def test_cookies_and_connections_are_not_kept(web: Client, server: Site) -> None:
    server.put("/", b"page", set_cookie="id=1; Path=/")
    await page_of(web, server.url())
    await page_of(web, server.url())
    assert "cookie" not in server.requests[-1].headers


async def test_one_host_is_asked_one_thing_at_a_time(web: Client, server: Site) -> None:
    server.put("/a")
    server.put("/b")
    await asyncio.gather(*(page_of(web, server.url(path)) for path in ("/a", "/b", "/a", "/b")))
    assert server.most_connections == 1
    assert len(server.requests) == 4


async def test_waiting_for_the_turn_at_a_host_does_not_use_up_the_deadline(server: Site) -> None:
    server.fail("/slow", silence)
    server.put("/quick", b"page")
    async with client("ops@example.org", "1.0", deadline=0.3) as web:
        slow = asyncio.create_task(trouble_of(web, server.url("/slow")))
        await server.until(lambda: bool(server.requests))
        assert (await page_of(web, server.url("/quick"))).content == b"page"
        assert "0.3 s" in (await slow).reason


async def test_a_cancelled_fetch_closes_its_connection_and_frees_the_host(web: Client, server: Site) -> None:
    server.fail("/slow", trickle(HEAD + b"\r\n", b"x"))
    server.put("/quick", b"page")
    slow = asyncio.create_task(page_of(web, server.url("/slow")))
    await server.until(lambda: bool(server.requests))
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    assert (await page_of(web, server.url("/quick"))).content == b"page"
    await server.until(lambda: server.open_connections == 0)


# --- rows 1-11: a broken network --------------------------------------------------------------------------------------


async def test_f001_an_unknown_name_is_an_error_that_says_so() -> None:
    async with client("ops@example.org", "1.0", resolve=Names()) as web:
        assert "cannot resolve papers.example" in (await trouble_of(web, "http://papers.example/")).reason


async def test_f064_a_name_that_is_no_valid_a_label_is_asked_for_as_it_is(server: Site) -> None:
    server.put("/", status=302, location="http://xn--a.example/")
    look_up = Names(**{"127": ["127.0.0.1"]})
    async with client("ops@example.org", "1.0", resolve=look_up) as web:
        assert "cannot resolve xn--a.example" in (await trouble_of(web, server.url())).reason


async def test_f001_a_resolver_that_never_answers_ends_at_the_deadline() -> None:
    async def never(host: str, port: int) -> Sequence[str]:
        await asyncio.get_running_loop().create_future()
        return []

    async with client("ops@example.org", "1.0", deadline=0.2, resolve=never) as web:
        assert "within 0.2 s" in (await trouble_of(web, "http://papers.example/")).reason


async def test_f002_refused_and_reset_connections_are_errors_that_name_the_host(web: Client, server: Site) -> None:
    server.fail("/", reset)
    assert "127.0.0.1" in (await trouble_of(web, server.url())).reason
    async with site() as gone:
        url = gone.url()
    assert "cannot connect to 127.0.0.1" in (await trouble_of(web, url)).reason


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(silence, id="f003_silence"),
        pytest.param(trickle(HEAD + b"\r\n", b"x"), id="f004_trickled_body"),
        pytest.param(trickle(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), id="f003_trickled_headers"),
        pytest.param(trickle(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), id="f003_endless_continue"),
        pytest.param(trickle(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"), id="f004_trickled_chunks"),
    ],
)
async def test_f003_f004_a_slow_server_is_cut_at_one_overall_deadline(server: Site, fault: Fault) -> None:
    server.pages["/"] = fault
    async with client("ops@example.org", "1.0", deadline=0.4) as web:
        assert "no complete answer within 0.4 s" in (await trouble_of(web, server.url())).reason


async def test_f005_an_endless_body_stops_at_the_limit(web: Client, server: Site) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    server.fail("/", trickle(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunk, pause=0))
    assert "more than 16777216 bytes" in (await trouble_of(web, server.url())).reason


async def test_f006_a_gzip_bomb_stops_at_the_limit_with_bounded_memory(web: Client, server: Site) -> None:
    deflate = zlib.compressobj(9, wbits=31)
    bomb = b"".join([*(deflate.compress(b"\0" * 1_000_000) for _ in range(200)), deflate.flush()])
    server.put("/", bomb, content_encoding="gzip")
    tracemalloc.start()
    try:
        assert "more than 16777216 bytes" in (await trouble_of(web, server.url())).reason
        assert tracemalloc.get_traced_memory()[1] < 64_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("coding", ["gzip, gzip", "br", "deflate", "zstd", "gzip\r\nContent-Encoding: gzip"])
async def test_f007_a_coding_that_was_not_asked_for_is_refused(web: Client, server: Site, coding: str) -> None:
    server.put("/", gzip.compress(gzip.compress(b"0" * 1_000_000)), content_encoding=coding)
    assert "content coding" in (await trouble_of(web, server.url())).reason


@pytest.mark.parametrize(
    "octets",
    [
        HEAD + b"Content-Length: 100\r\n\r\nhalf a page",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n10\r\nhalf",
        HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"a page, " * 100)[:-12],
        HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"a page")[:-8] + b"12345678",
        HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"a page") + b"something else",
        b"",
        b"220 mail.example ESMTP\r\n",
        b"<html>no header at all</html>",
    ],
    ids=["short", "chunk", "gzip-cut", "gzip-sum", "gzip-more", "nothing", "mail", "no-header"],
)
async def test_f008_half_an_answer_is_no_page(web: Client, server: Site, octets: bytes) -> None:
    server.fail("/", raw(octets))
    await trouble_of(web, server.url())


async def test_f009_a_body_that_only_the_close_ends_is_passed_on_for_the_parser_to_judge(
    web: Client, server: Site
) -> None:
    server.fail("/", raw(HEAD + b"\r\n<html><p>half"))
    assert (await page_of(web, server.url())).content == b"<html><p>half"


async def test_f010_a_header_of_200_kb_is_an_error(web: Client, server: Site) -> None:
    server.fail("/", raw(HEAD + b"X: " + b"y" * 200_000 + b"\r\n\r\npage"))
    await trouble_of(web, server.url())


# --- row 17: TLS ------------------------------------------------------------------------------------------------------


async def test_tls_verifies_the_name_though_the_connection_is_to_an_address(tmp_path: Path) -> None:
    shown = certificate(tmp_path, "papers.example")
    look_up = Names(papers=["127.0.0.1"], other=["127.0.0.1"])
    async with site(tls=shown.server) as server:
        server.put("/", b"page")
        async with client("ops@example.org", "1.0", ca_file=shown.file, resolve=look_up) as web:
            assert (await page_of(web, server.url("/", "papers.example"), allow_private=True)).content == b"page"
            reason = (await trouble_of(web, server.url("/", "other.example"), allow_private=True)).reason
            assert "Hostname mismatch" in reason
            assert len(server.requests) == 1


async def test_f017_an_expired_or_unknown_certificate_is_refused(tmp_path: Path, web: Client) -> None:
    expired, unknown = certificate(tmp_path, "IP:127.0.0.1", expired=True), certificate(tmp_path, "IP:127.0.0.1")
    async with site(tls=unknown.server) as server:
        assert "self-signed certificate" in (await trouble_of(web, server.url())).reason
    async with (
        site(tls=expired.server) as server,
        client("ops@example.org", "1.0", ca_file=expired.file) as trusting,
    ):
        assert "certificate has expired" in (await trouble_of(trusting, server.url())).reason
        assert server.requests == []


# --- rows 19-24: what a server says -----------------------------------------------------------------------------------


async def test_f019_a_304_that_nobody_asked_for_is_an_error(web: Client, server: Site) -> None:
    server.put("/", status=304)
    assert "nothing was asked" in (await trouble_of(web, server.url())).reason


@pytest.mark.parametrize(
    ("retry_after", "pause"),
    [
        ("120", timedelta(minutes=2)),
        ("1", timedelta(minutes=1)),
        ("1000000000", timedelta(hours=24)),
        ("9" * 5000, timedelta(hours=24)),
        ("-5", timedelta(minutes=1)),
        ("Mon, 02 Mar 2026 12:30:00 GMT", timedelta(minutes=30)),
        ("Mon, 02 Mar 2026 12:30:00", timedelta(minutes=30)),
        ("Mon, 02 Mar 2020 12:30:00 GMT", timedelta(minutes=1)),
        ("Mon, 02 Mar 9999 12:30:00 GMT", timedelta(hours=24)),
        ("soon", timedelta(minutes=1)),
        ("Mon, 99 Foo 2026 99:99:99 GMT", timedelta(minutes=1)),
        ("²", timedelta(minutes=1)),
        ("", timedelta(minutes=1)),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_f020_retry_after_is_obeyed_within_reason(
    web: Client, server: Site, status: int, retry_after: str, pause: timedelta
) -> None:
    server.put("/", b"later", status=status, retry_after=retry_after.encode().decode("latin-1"))
    trouble = await trouble_of(web, server.url())
    assert (trouble.status, trouble.retry_after) == (status, pause)


@pytest.mark.parametrize("status", [200, 403, 429, 503])
async def test_rate_exceeded_is_no_page_whatever_the_status(web: Client, server: Site, status: int) -> None:
    server.put("/", b"Rate exceeded.\n", status=status)
    trouble = await trouble_of(web, server.url())
    assert "Rate exceeded." in trouble.reason
    assert (trouble.status, trouble.retry_after) == (status, timedelta(minutes=15))


async def test_an_error_page_gives_its_status_and_its_first_words_with_controls_escaped(
    web: Client, server: Site
) -> None:
    page = b"<html><head><title>x</title></head><body><h1>No\nentry</h1> \x1b[31m " + b"word " * 10_000
    server.put("/", gzip.compress(page), status=403, content_encoding="gzip")
    trouble = await trouble_of(web, server.url())
    assert trouble.status == 403
    assert trouble.reason.startswith(r"403 Whatever: No entry \x1b[31m word word")
    assert len(trouble.reason) < 150


@pytest.mark.parametrize("status", [201, 204, 206, 300, 400, 401, 404, 410, 500, 502, 599, 999])
async def test_any_other_status_is_an_error_that_carries_it(web: Client, server: Site, status: int) -> None:
    server.put("/", b"" if status == 204 else b"text", status=status)
    assert (await trouble_of(web, server.url())).status == status


async def test_a_redirect_without_a_location_is_an_error(web: Client, server: Site) -> None:
    server.put("/", status=301)
    assert "without a Location" in (await trouble_of(web, server.url())).reason


@pytest.mark.parametrize("charset", ["base64", "utf-7", "idna", "no-such-thing"])
async def test_f021_a_hostile_charset_is_passed_on_unused(web: Client, server: Site, charset: str) -> None:
    server.put("/", b"page", content_type=f"text/html;charset={charset}")
    assert await page_of(web, server.url()) == Page(
        url=server.url(), content=b"page", media_type="text/html", charset=charset, fetched_at=NOW
    )


async def test_f023_a_proxy_in_the_environment_is_ignored(server: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async with site() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url())
        monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
        server.put("/", b"page")
        async with client("ops@example.org", "1.0") as web:
            assert (await page_of(web, server.url())).content == b"page"
        assert proxy.requests == []


async def test_f024_another_address_is_tried_when_one_does_not_connect(server: Site) -> None:
    server.put("/", b"page")
    look_up = Names(papers=["::1", "127.0.0.3", "127.0.0.1"])
    async with client("ops@example.org", "1.0", resolve=look_up) as web:
        assert (await page_of(web, server.url("/", "papers.example"), allow_private=True)).content == b"page"
    assert look_up.asked == ["papers.example"]


async def test_f024_a_host_that_has_ipv6_alone_is_reached(web: Client) -> None:
    try:
        async with site("::1") as server:
            server.put("/", b"page")
            assert (await page_of(web, server.url(), allow_private=True)).content == b"page"
            assert server.requests[0].headers["host"] == f"[::1]:{server.port}"
    except OSError as error:
        pytest.skip(f"no IPv6 on this machine: {error}")
