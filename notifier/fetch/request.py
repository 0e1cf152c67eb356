"""One request on the wire: which URL may be asked, in which words, over a connection to a checked address."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence

import httpx

from notifier.fetch.addresses import IPAddress
from notifier.fetch.session import Client
from notifier.fetch.trouble import line, trouble, words
from notifier.model import Listing, Validators

CONNECT_TIMEOUT = 10.0  # seconds for one address, so that a broken IPv6 leaves time for IPv4
PORTS = (80, 443)  # of a redirect, besides the port of the listing itself


async def request(
    client: Client, listing: Listing, url: httpx.URL, known: Validators, found: Sequence[IPAddress]
) -> httpx.Response:
    """Return the response head of the first address of `url` that connects."""
    fault: Exception | None = None
    for address in found:
        try:
            return await client.transport.handle_async_request(_get(client, url, address, known))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            if _is_tls(error):
                raise  # another address of the same name is no reason to forgive a certificate
            fault = error
    raise trouble(listing, f"cannot connect to {host_name(url)}: {words(fault)}")


def checked(listing: Listing, text: str, base: httpx.URL | None = None) -> httpx.URL:
    """Return `text` as a URL that may be asked; one parser reads it for the check and for the request."""
    shown = line(text)[:200]
    if "\\" in text or re.search(r"[\x00-\x20\x7f]", text):
        raise trouble(listing, f"a URL has no white space, controls or backslashes: {shown}")
    try:
        url = base.join(text) if base else httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise trouble(listing, f"not a URL: {shown} ({words(error)})") from None
    if url.scheme not in ("http", "https") or not url.raw_host:
        raise trouble(listing, f"only http:// and https:// can be fetched, not {shown}")
    if url.userinfo or "@" in re.split(r"[/?#]", text.partition("//")[2])[0]:
        raise trouble(listing, "a URL with a user name or password is not fetched")
    if base and not listing.allow_private and url.port not in (None, *PORTS, httpx.URL(listing.url).port):
        raise trouble(listing, f"redirected to the unusual port {url.port}: {shown}")
    return url.copy_with(fragment=None)


def host_name(url: httpx.URL) -> str:
    """Return the host as it is asked for: A-labels, no brackets (`url.host` decodes, and fails for a bad A-label)."""
    return url.raw_host.decode("ascii")


def authority(url: httpx.URL) -> str:
    """Return what gaps and pauses are counted by: the host's name, with its port where that is unusual."""
    name = host_name(url).rstrip(".").lower()
    name = f"[{name}]" if ":" in name else name
    return name if url.port in (None, *PORTS) else f"{name}:{url.port}"


def port(url: httpx.URL) -> int:
    """Return the port that `url` is asked at."""
    return url.port or (443 if url.scheme == "https" else 80)


def _is_tls(error: BaseException | None) -> bool:
    return error is not None and (isinstance(error, ssl.SSLError) or _is_tls(error.__cause__ or error.__context__))


def _get(client: Client, url: httpx.URL, address: IPAddress, known: Validators) -> httpx.Request:
    """Build the request to `address` for `url`: the name is in Host and, for TLS, in SNI and the verification."""
    headers = [
        (b"Host", url.netloc),
        (b"User-Agent", client.user_agent.encode("ascii")),
        (b"Accept", b"*/*"),
        (b"Accept-Encoding", b"gzip"),
        (b"Connection", b"close"),
    ]
    if known.etag is not None:
        headers.append((b"If-None-Match", known.etag.encode("latin-1")))
    if known.last_modified is not None:
        headers.append((b"If-Modified-Since", known.last_modified.encode("latin-1")))
    return httpx.Request(
        "GET",
        url.copy_with(host=str(address)),
        headers=headers,
        extensions={
            "sni_hostname": host_name(url),
            "timeout": {"connect": CONNECT_TIMEOUT, "read": None, "write": None, "pool": None},
        },
    )
