"""One polite, safe, conditional GET.

Owns every HTTP request to the outside (httpx lives here and nowhere else): URL -> address -> bytes. Follows RFC 9110
for conditional requests, redirects and content codings, RFC 1952 for gzip.

Promises, whatever the server does:
- One fetch costs at most DEADLINE seconds, MOST_BYTES decoded bytes and MOST_REDIRECTS redirects. The deadline is one
  for all, as a timeout per read lets a trickled body run for ever.
- No request reaches an address that the operator did not allow. A name is resolved once per hop, the addresses are
  checked, and the connection goes to the very address that was checked: there is no second look-up to turn it.
- One request at a time per host, a User-Agent that names a contact, `gzip` as the only content coding.
- Nothing of the environment is used: no proxy, no cookies, no .netrc. No connection is used for a second request, as
  connections are by address here, and two names may share one.

Fails with `FetchError` alone, whose reason is one printable line. Cancelled, it closes its connection.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import chain, zip_longest
from pathlib import Path
from weakref import WeakValueDictionary

import httpx

from notifier.errors import FetchError
from notifier.model import Listing, Page, Validators

# --- policy -----------------------------------------------------------------------------------------------------------

DEADLINE = 60.0  # seconds for one fetch with all its redirects; waiting for our own turn at a host does not count
CONNECT_TIMEOUT = 10.0  # seconds for one address, so that a broken IPv6 leaves time for IPv4
MOST_ADDRESSES = 6
MOST_REDIRECTS = 5
MOST_BYTES = 16 * 1024 * 1024  # of one body, on the wire and decoded
PIECE = 64 * 1024  # decoded bytes inflated at once
ERROR_BYTES = 2048  # of an error page, read for its first words
ERROR_WORDS = 120  # characters of them shown
LONGEST_VALIDATOR = 1024  # a longer ETag is not kept
SHORTEST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=24)  # what we obey of a Retry-After
RATE_EXCEEDED = b"Rate exceeded."  # all that arXiv says, whatever the status
RATE_EXCEEDED_PAUSE = timedelta(minutes=15)
PORTS = (80, 443)  # of a redirect, besides the port of the listing itself

# Never a server to read from, whoever allows it (IANA special-purpose address registries).
_NOBODY = [ip_network(n) for n in ("0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::/128", "ff00::/8")]
# Somebody's own network; only with `allow_private`.
_PRIVATE = [
    ip_network(n)
    for n in (
        *("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
        *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *("2001::/23", "2001:db8::/32", "3fff::/20"),
    )
]
_GLOBAL_UNICAST = ip_network("2000::/3")  # every other IPv6 address is private, or carries an IPv4 address
_NAT64 = ip_network("64:ff9b::/96")

IPAddress = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
Refusal = Callable[[IPAddress, bool], str | None]


# --- the public part --------------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Client:
    """What fetches share: the transport, the name we go by, the limits, and the gate of each host."""

    transport: httpx.AsyncBaseTransport
    user_agent: str
    deadline: float
    most_bytes: int
    resolve: Resolve
    refusal: Refusal
    clock: Callable[[], datetime]
    _gates: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    def gate(self, host: str) -> asyncio.Lock:
        """Return the lock that whoever talks to `host` holds: one request at a time."""
        lock = self._gates.get(host)
        if lock is None:
            lock = self._gates[host] = asyncio.Lock()
        return lock


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of `host` in the order the system prefers; raises OSError when there are none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def refusal(address: IPAddress, allow_private: bool) -> str | None:
    """Return why no request may go to `address`, None if it may; an IPv4 address in an IPv6 one counts as itself."""
    inner = _embedded(address)
    if inner is not None:
        return refusal(inner, allow_private)
    if any(address in network for network in _NOBODY):
        return "not the address of a server"
    if allow_private:
        return None
    if any(address in network for network in _PRIVATE) or (address.version == 6 and address not in _GLOBAL_UNICAST):
        return "a private address (allow_private = true on the listing permits it)"
    return None


@asynccontextmanager
async def client(
    contact: str,
    version: str,
    *,
    deadline: float = DEADLINE,
    most_bytes: int = MOST_BYTES,
    ca_file: Path | None = None,
    resolve: Resolve = resolve,
    refusal: Refusal = refusal,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> AsyncIterator[Client]:
    """Open a client for many fetches; `contact` is the mail address or URL that every server is told.

    `ca_file` (PEM) is trusted besides the public authorities. `deadline` is in seconds, `most_bytes` counts decoded
    bytes. Raises ValueError if `contact` or `version` cannot stand in a header.
    """
    user_agent = f"notifier/{version} (+{contact})"
    if not contact.strip() or not re.fullmatch(r"[ -~]+", user_agent):
        raise ValueError("the contact must be a mail address or URL in plain ASCII: sites want to know whom to ask")
    context = httpx.create_ssl_context(trust_env=False)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    # A bare transport, not httpx.AsyncClient: nothing that stores cookies, follows redirects or reads the environment.
    transport = httpx.AsyncHTTPTransport(
        verify=context, trust_env=False, limits=httpx.Limits(max_connections=None, max_keepalive_connections=0)
    )
    async with transport:
        yield Client(
            transport=transport,
            user_agent=user_agent,
            deadline=deadline,
            most_bytes=most_bytes,
            resolve=resolve,
            refusal=refusal,
            clock=clock,
        )


async def fetch(client: Client, listing: Listing, known: Validators) -> Page | None:
    """Return the page of `listing`, or None when it is still what `known` stands for (304).

    Raises FetchError; its `status` 403 means that this site does not want us: stop until a person looked at it.
    """
    url = _checked(listing, listing.url)
    trail, left = [str(url)], client.deadline
    now = asyncio.get_running_loop().time
    while len(trail) <= MOST_REDIRECTS + 1:
        async with client.gate(_host(url)):
            started = now()
            try:
                async with asyncio.timeout(left):
                    answer = await _visit(client, listing, url, known)
            except TimeoutError:
                raise _trouble(listing, f"no complete answer within {client.deadline:g} s") from None
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                raise _trouble(listing, f"{_host(url)}: {_words(error)}") from error
            left -= now() - started
        if not isinstance(answer, httpx.URL):
            return answer
        url = answer
        trail.append(str(url))
    raise _trouble(listing, f"more than {MOST_REDIRECTS} redirects: " + " -> ".join(trail))


# --- one hop ----------------------------------------------------------------------------------------------------------


async def _visit(client: Client, listing: Listing, url: httpx.URL, known: Validators) -> Page | httpx.URL | None:
    """Ask `url` once: a page, where it went, or None for 304."""
    response = await _open(client, listing, url, known)
    try:
        if response.status_code == 304:
            if known == Validators():
                raise _trouble(listing, "304 Not Modified, but nothing was asked conditionally", response)
            return None
        if response.status_code in (301, 302, 303, 307, 308):
            if not response.headers.get("location"):
                raise _trouble(listing, f"{_status(response)} without a Location", response)
            return _checked(listing, response.headers["location"], url)
        if response.status_code not in (200, 203):
            raise await _error_status(client, listing, response)
        content = await _body(client, listing, response)
        if content[:64].strip() == RATE_EXCEEDED:
            raise FetchError(
                listing.url, "Rate exceeded.", status=response.status_code, retry_after=RATE_EXCEEDED_PAUSE
            )
        media_type, _, parameters = response.headers.get("content-type", "").partition(";")
        charset = re.search(r'(?i)(?:^|;)\s*charset\s*=\s*"?([^\s;"]+)', parameters)
        return Page(
            url=str(url),
            content=content,
            media_type=media_type.strip().lower(),
            charset=charset[1] if charset else None,
            validators=Validators(_validator(response, b"etag"), _validator(response, b"last-modified")),
            fetched_at=client.clock(),
        )
    finally:
        await response.aclose()


def _checked(listing: Listing, text: str, base: httpx.URL | None = None) -> httpx.URL:
    """Return `text` as a URL that may be asked; one parser reads it for the check and for the request."""
    shown = _line(text)[:200]
    if "\\" in text or re.search(r"[\x00-\x20\x7f]", text):
        raise _trouble(listing, f"a URL has no white space, controls or backslashes: {shown}")
    try:
        url = base.join(text) if base else httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise _trouble(listing, f"not a URL: {shown} ({_words(error)})") from None
    if url.scheme not in ("http", "https") or not url.raw_host:
        raise _trouble(listing, f"only http:// and https:// can be fetched, not {shown}")
    if url.userinfo or "@" in re.split(r"[/?#]", text.partition("//")[2])[0]:
        raise _trouble(listing, "a URL with a user name or password is not fetched")
    if base and not listing.allow_private and url.port not in (None, *PORTS, httpx.URL(listing.url).port):
        raise _trouble(listing, f"redirected to the unusual port {url.port}: {shown}")
    return url.copy_with(fragment=None)


async def _open(client: Client, listing: Listing, url: httpx.URL, known: Validators) -> httpx.Response:
    """Return the response head of the first address of `url` that connects."""
    trouble: Exception | None = None
    for address in await _addresses(client, listing, url):
        try:
            return await client.transport.handle_async_request(_request(client, url, address, known))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            if _is_tls(error):
                raise  # another address of the same name is no reason to forgive a certificate
            trouble = error
    raise _trouble(listing, f"cannot connect to {_host(url)}: {_words(trouble)}")


def _is_tls(error: BaseException | None) -> bool:
    return error is not None and (isinstance(error, ssl.SSLError) or _is_tls(error.__cause__ or error.__context__))


async def _addresses(client: Client, listing: Listing, url: httpx.URL) -> list[IPAddress]:
    """Return the addresses to try, families in turn, each of them checked."""
    host = _host(url)
    try:
        found = [ip_address(text) for text in await client.resolve(host, url.port or _default_port(url))]
    except (OSError, UnicodeError) as error:
        raise _trouble(listing, f"cannot resolve {host}: {_words(error)}") from error
    reasons = {address: client.refusal(address, listing.allow_private) for address in found}
    good = [address for address in found if reasons[address] is None]
    if not good:
        why = "; ".join(f"{address} is {reason}" for address, reason in reasons.items()) or "it has no address"
        raise _trouble(listing, f"not connecting to {host}: {why}")
    first = [address for address in good if address.version == good[0].version]
    second = [address for address in good if address.version != good[0].version]
    in_turn = chain.from_iterable(zip_longest(first, second))
    return [address for address in in_turn if address is not None][:MOST_ADDRESSES]


def _host(url: httpx.URL) -> str:
    """Return the host as it is asked for: A-labels, no brackets (`url.host` decodes, and fails for a bad A-label)."""
    return url.raw_host.decode("ascii")


def _default_port(url: httpx.URL) -> int:
    return 443 if url.scheme == "https" else 80


def _request(client: Client, url: httpx.URL, address: IPAddress, known: Validators) -> httpx.Request:
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
            "sni_hostname": _host(url),
            "timeout": {"connect": CONNECT_TIMEOUT, "read": None, "write": None, "pool": None},
        },
    )


def _embedded(address: IPAddress) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address leads to: mapped (RFC 4291), 6to4 (RFC 3056), NAT64 (RFC 6052)."""
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


# --- the answer -------------------------------------------------------------------------------------------------------


async def _body(client: Client, listing: Listing, response: httpx.Response) -> bytes:
    content = bytearray()
    async with aclosing(_decoded(listing, response, client.most_bytes)) as pieces:
        async for piece in pieces:
            content += piece
            if len(content) > client.most_bytes:
                raise _trouble(listing, f"more than {client.most_bytes} bytes", response)
    return bytes(content)


async def _decoded(listing: Listing, response: httpx.Response, most_bytes: int) -> AsyncGenerator[bytes, None]:
    """Yield the body without its content coding, in pieces that cannot be bombs (RFC 9110 8.4, RFC 1952)."""
    coding = ", ".join(response.headers.get_list("content-encoding")).strip().lower()
    if coding in ("", "identity"):
        async for chunk in response.aiter_raw():
            yield chunk
        return
    if coding not in ("gzip", "x-gzip"):
        raise _trouble(listing, f"the content coding {_line(coding)[:40]!r} was not asked for", response)
    received, member = 0, zlib.decompressobj(wbits=31)
    async for chunk in response.aiter_raw():
        rest = chunk
        received += len(chunk)
        if received > most_bytes:
            raise _trouble(listing, f"more than {most_bytes} bytes", response)
        while rest:
            if member.eof:
                member = zlib.decompressobj(wbits=31)  # a gzip file may have several members
            try:
                piece = member.decompress(rest, PIECE)
            except zlib.error as error:
                raise _trouble(listing, f"the gzip body is damaged: {_words(error)}", response) from None
            if piece:
                yield piece
            rest = member.unconsumed_tail or member.unused_data
    if received and not member.eof:
        raise _trouble(listing, "the gzip body ends early", response)


async def _error_status(client: Client, listing: Listing, response: httpx.Response) -> FetchError:
    """Return what an error status means, with the first words of its page."""
    start = bytearray()
    try:
        async with aclosing(_decoded(listing, response, client.most_bytes)) as pieces:
            async for piece in pieces:
                start += piece
                if len(start) >= ERROR_BYTES:
                    break
    except (FetchError, httpx.HTTPError):
        pass  # the status is the news
    text = re.sub(r"(?is)<(script|style|head)\b.*?</\1>|<[^>]*>", " ", start[:ERROR_BYTES].decode("utf-8", "replace"))
    words = _line(text)[:ERROR_WORDS]
    pause = _pause(response, client.clock())
    if start[:64].strip() == RATE_EXCEEDED:
        pause = pause or RATE_EXCEEDED_PAUSE
    reason = _status(response) + (f": {words}" if words else "")
    return FetchError(listing.url, reason, status=response.status_code, retry_after=pause)


def _pause(response: httpx.Response, now: datetime) -> timedelta | None:
    """Return the server's Retry-After (RFC 9110 10.2.3) within what we obey; nonsense counts as the shortest."""
    text = response.headers.get("retry-after")
    if text is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", text.strip()):
        wish = timedelta(seconds=int(text))
    elif re.fullmatch(r"[0-9]+", text.strip()):
        wish = LONGEST_PAUSE
    else:
        try:
            until = parsedate_to_datetime(text)
            wish = (until if until.tzinfo else until.replace(tzinfo=UTC)) - now
        except (ValueError, TypeError, OverflowError, IndexError):
            wish = SHORTEST_PAUSE
    return min(max(wish, SHORTEST_PAUSE), LONGEST_PAUSE)


def _validator(response: httpx.Response, name: bytes) -> str | None:
    """Return a validator as it was sent, byte for byte (latin-1)."""
    for key, text in response.headers.raw:
        if key.lower() == name and 0 < len(text) <= LONGEST_VALIDATOR:
            return text.decode("latin-1")
    return None


def _status(response: httpx.Response) -> str:
    return f"{response.status_code} {response.reason_phrase}".strip()


def _trouble(listing: Listing, reason: str, response: httpx.Response | None = None) -> FetchError:
    return FetchError(listing.url, _line(reason), status=response.status_code if response else None)


def _words(error: BaseException | None) -> str:
    return _line(str(error)) or type(error).__name__


def _line(text: str) -> str:
    """Return `text` on one line: white space collapsed, what does not print escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(text.split()))
