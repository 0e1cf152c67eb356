"""Where a request may go: no redirect, name or spelling leads to an address that the operator did not allow."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from notifier.fetch import Client, IPAddress, client, refusal
from tests.fetching import Names, at_once, page_of, server, trouble_of, web
from tests.servers.http import Site, site

__all__ = ["server", "web"]  # fixtures


# --- rows 11-16: where a request may go -------------------------------------------------------------------------------


async def test_five_redirects_are_followed_and_the_page_knows_where_it_was(web: Client, server: Site) -> None:
    for hop in range(5):
        server.put(f"/{hop}", status=301 + hop % 2, location=f"{hop + 1}?q=1")
    server.put("/5", b"page")
    page = await page_of(web, server.url("/0"))
    assert (page.content, page.url) == (b"page", server.url("/5?q=1"))


async def test_f011_a_redirect_loop_is_an_error_that_names_the_chain(web: Client, server: Site) -> None:
    server.put("/a", status=302, location="/b")
    server.put("/b", status=302, location="/a")
    reason = (await trouble_of(web, server.url("/a"))).reason
    assert reason.startswith("more than 5 redirects: ")
    assert reason.count(" -> ") == 6
    assert len(server.requests) == 6


async def test_f012_a_redirect_to_a_private_address_is_refused_before_connecting(server: Site) -> None:
    async with site("127.0.0.2") as inner:
        inner.put("/", b"secret")
        server.put("/", status=302, location=inner.url())

        def only_the_server(address: IPAddress, allow_private: bool) -> str | None:
            return None if str(address) == server.host else refusal(address, allow_private)

        async with client("ops@example.org", "1.0", refusal=only_the_server, sleep=at_once) as web:
            server.put("/port", status=302, location=inner.url())
            server.put("/80", status=302, location="http://127.0.0.2/")
            by_port = await trouble_of(web, server.url("/port"), allow_private=False)
            by_address = await trouble_of(web, server.url("/80"), allow_private=False)
        assert "unusual port" in by_port.reason
        assert "127.0.0.2 is a private address" in by_address.reason
        assert inner.requests == []


@pytest.mark.parametrize(
    "target",
    ["file:///etc/passwd", "ftp://127.0.0.1:{port}/", "gopher://127.0.0.1:{port}/", "data:,x"],
)
async def test_f013_a_redirect_out_of_http_is_refused(web: Client, server: Site, target: str) -> None:
    server.put("/", status=302, location=target.format(port=server.port))
    assert "only http:// and https:// can be fetched" in (await trouble_of(web, server.url())).reason
    assert len(server.requests) == 1


@pytest.mark.parametrize("target", ["http:///x", "//", "http://["])
async def test_a_redirect_to_nowhere_is_an_error(web: Client, server: Site, target: str) -> None:
    server.put("/", status=302, location=target)
    await trouble_of(web, server.url())


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "0x7f000001", "2130706433", "0", "017700000001", "localhost", "127。0。0。1"),
        *("[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::127.0.0.1]"),
        *("10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "[fe80::1]", "[fd00::1]"),
        *("[fec0::1]", "[2001:db8::1]", "[2001::1]", "[::]", "0.0.0.0", "224.0.0.1", "255.255.255.255", "[ff02::1]"),
    ],
)
async def test_f014_a_host_that_means_a_private_address_is_refused_however_spelt(
    web: Client, server: Site, host: str
) -> None:
    server.put("/", b"secret")
    reason = (await trouble_of(web, server.url("/", host), allow_private=False)).reason
    assert "not connecting" in reason or "cannot resolve" in reason or "not a URL" in reason
    assert server.requests == []


@pytest.mark.parametrize(
    "address", ["151.101.1.42", "2a04:4e42::1", "::ffff:151.101.1.42", "64:ff9b::9765:12a", "2002:9765:12a::1"]
)
def test_public_addresses_are_allowed(address: str) -> None:
    assert refusal(ip_address(address), False) is None


@pytest.mark.parametrize("address", ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "::ffff:0.0.0.0"])
def test_no_permission_reaches_an_address_that_is_nobodys(address: str) -> None:
    assert refusal(ip_address(address), True) is not None


async def test_f015_a_name_is_resolved_once_and_that_address_is_connected(server: Site) -> None:
    server.put("/", b"page")
    answers = iter([["127.0.0.1"], ["10.0.0.1"], ["10.0.0.1"]])

    async def rebinding(host: str, port: int) -> Sequence[str]:
        return next(answers)

    def only_loopback(address: IPAddress, allow_private: bool) -> str | None:
        return None if str(address) == "127.0.0.1" else "private"

    async with client("ops@example.org", "1.0", resolve=rebinding, refusal=only_loopback) as web:
        page = await page_of(web, server.url("/", "papers.example"))
        assert page.content == b"page"
        assert server.requests[0].headers["host"] == f"papers.example:{server.port}"
        assert "10.0.0.1 is private" in (await trouble_of(web, server.url("/", "papers.example"))).reason


async def test_f015_a_private_address_among_public_ones_is_never_tried() -> None:
    async with site("127.0.0.2") as inner:

        def no_inner(address: IPAddress, allow_private: bool) -> str | None:
            return "private" if str(address) == "127.0.0.2" else None

        look_up = Names(papers=["127.0.0.2", "127.0.0.1"])
        async with client("ops@example.org", "1.0", resolve=look_up, refusal=no_inner) as web:
            await trouble_of(web, inner.url("/", "papers.example"))
        assert inner.requests == []


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://a.example\\@127.0.0.1/", "no white space, controls or backslashes"),
        ("http://127.0.0.1\\.a.example/", "no white space, controls or backslashes"),
        ("http://user:secret@127.0.0.1/", "a user name or password"),
        ("http://@127.0.0.1/", "a user name or password"),
        ("http://127.0.0.1/\tx", "no white space, controls or backslashes"),
        ("http://127.0.0.1/\r\nX: y", "no white space, controls or backslashes"),
        ("http://127.0.0.1/ x", "no white space, controls or backslashes"),
        (" http://127.0.0.1/", "no white space, controls or backslashes"),
        ("file:///etc/passwd", "only http:// and https://"),
        ("127.0.0.1/x", "only http:// and https://"),
        ("http://", "only http:// and https://"),
        ("http://a..b.example:99999/", "cannot resolve"),
    ],
)
async def test_f016_a_url_that_two_parsers_could_read_differently_is_refused(web: Client, url: str, says: str) -> None:
    trouble = await trouble_of(web, url)
    assert says in trouble.reason and "secret" not in trouble.reason
