"""Feeds over HTTP, with validators (RFC 9110 8.8), so that most answers are 304.

    /feeds, /feeds.opml                   all of the public ones, for people and for programs (`overview`)
    /feeds/all.atom                       everything new; each feed also as .rss and .json
    /feeds/listing/<name>.atom            one listing
    /feeds/trending.atom                  the most votes of the last days
    /feeds/search.atom?q=<query>          any query of the subscription language
    /feeds/private/<link>.atom            a subscription, or all of a subscriber's; .opml lists them all
    ...?page=<n>                          an archive page (RFC 5005) of everything, a listing or a private feed

A program gets the feed whatever it calls itself. Only a browser that says it is about to show a document
(Sec-Fetch-Dest, Fetch Metadata) gets a page to read, under the same address. What is ready needs none of this: `quick`
answers for it from the connection, with the `answer` that is made here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC
from email.utils import format_datetime, parsedate_to_datetime

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import URL, QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from notifier import present
from notifier.errors import Busy, CostlyQuery, NoSuchFeed, QueryError, RevokedFeed
from notifier.feed import MEDIA_TYPES, Outline, opml
from notifier.model import FeedFormat, SubscriberId
from notifier.publish import Address, Copy, Kind
from notifier.query import canonical, parse
from notifier.web.guard import seen
from notifier.web.pace import PRIVATE, PUBLIC, SEARCH
from notifier.web.site import Site, site_of

SHOWN = 20  # papers on the page for people, which stays light
MAX_AGE = 900  # seconds; listings change a few times a day
ARCHIVE_MAX_AGE = 86_400  # an archive page keeps its papers; their titles may still be corrected
VARY = "accept-encoding, sec-fetch-dest"
_PAGE = re.compile(r"[0-9]{1,9}")
_LINK = re.compile(r"[0-9a-f]{72}")


async def feed(request: Request) -> Response:
    """One feed, or the page that shows it."""
    site = site_of(request)
    name, _, ending = request.path_params["name"].rpartition(".")
    try:
        format = FeedFormat(ending)
        address = _address(name, request.query_params)
        _keep_pace(site, request, address)
        if request.headers.get("sec-fetch-dest") == "document":
            return await _page(request, address)
        copy = await site.shelf.copy(address, format)
    except (ValueError, NoSuchFeed):
        raise HTTPException(404) from None
    except RevokedFeed:
        raise HTTPException(410) from None
    except QueryError as fault:
        raise HTTPException(400, f"These words cannot be read as a query: {fault}.") from None
    except CostlyQuery as fault:
        raise HTTPException(400, str(fault)) from None
    except Busy:
        raise HTTPException(503, headers={"retry-after": "30"}) from None
    status, headers, body = answer(copy, _named(request.scope["headers"]))
    response = Response(body, status)
    response.raw_headers = [pair for pair in headers if status != 304 or pair[0] != b"content-length"]
    return response


async def outlines(request: Request) -> Response:
    """The list of a subscriber's own feeds, for a reader program to take in."""
    site, link = site_of(request), request.path_params["link"]
    try:
        _keep_pace(site, request, Address(Kind.PRIVATE, link))
        owner = await site.store.private_feed(link)
    except NoSuchFeed:
        raise HTTPException(404) from None
    except RevokedFeed:
        raise HTTPException(410) from None
    if owner.kind != "subscriber":
        raise HTTPException(404)
    own = await site.store.private_feeds(SubscriberId(owner.number))
    base = site.head.base_url
    listed = [
        Outline(
            title="My papers" if each.kind == "subscriber" else ", ".join(each.labels),
            feed_url=base + private_path(site, each.seed),
            page_url=f"{base}/",
        )
        for each in own
    ]
    headers = {**_PRIVATE, "content-disposition": 'attachment; filename="papers.opml"'}
    return Response(opml("My paper feeds", listed), media_type="text/x-opml; charset=utf-8", headers=headers)


def private_path(site: Site, seed: str, ending: str = "atom") -> str:
    """Return the address of a private feed below the base URL; with the ending "opml", of the list of them."""
    return f"/feeds/private/{site.store.link('feed', seed)}.{ending}"


def discovery(title: str, address: Address) -> list[dict[str, str]]:
    """Return what `<link rel="alternate">` says on a page that a public feed belongs to: type, title, href of each."""
    return [
        {"type": MEDIA_TYPES[format], "title": title, "href": f"{address.path}.{format}{address.query}"}
        for format in (FeedFormat.ATOM, FeedFormat.RSS, FeedFormat.JSON)
    ]


# --- what is asked for ------------------------------------------------------------------------------------------------


def _address(name: str, asked: QueryParams) -> Address:
    """Return the feed that a path names. Raises NoSuchFeed, or QueryError for a search."""
    if name in (Kind.ALL, Kind.TRENDING):
        return Address(Kind(name), page=_number(asked))
    if name == Kind.SEARCH:
        return Address(Kind.SEARCH, canonical(parse(asked.get("q", ""))))
    kind, _, of = name.partition("/")
    if kind == Kind.LISTING:
        return Address(Kind.LISTING, of, _number(asked))
    if kind == Kind.PRIVATE and _LINK.fullmatch(of):
        return Address(Kind.PRIVATE, of, _number(asked))
    raise NoSuchFeed(kind)


def _number(asked: QueryParams) -> int | None:
    page = asked.get("page")
    if page is None:
        return None
    if not _PAGE.fullmatch(page):
        raise NoSuchFeed("page")
    return int(page)


def _keep_pace(site: Site, request: Request, address: Address) -> None:
    """Raise HTTPException 429 for a reader who asks too often."""
    now = site.clock()
    where = site.guard.household(*seen(request))
    wait = 0
    if address.kind is Kind.PRIVATE:
        wait = site.pace.take(PRIVATE, address.of, now)
    elif where is not None:
        wait = site.pace.take(SEARCH if address.kind is Kind.SEARCH else PUBLIC, where, now)
    if wait:
        raise HTTPException(429, headers={"retry-after": str(wait)})


# --- answers ----------------------------------------------------------------------------------------------------------

Headers = list[tuple[bytes, bytes]]
_PRIVATE = {"cache-control": f"private, max-age={MAX_AGE}", "x-robots-tag": "noindex"}
_PUBLIC = {"cache-control": f"public, max-age={MAX_AGE}", "access-control-allow-origin": "*"}
_ARCHIVE = {**_PUBLIC, "cache-control": f"public, max-age={ARCHIVE_MAX_AGE}"}


def answer(copy: Copy, asked: Mapping[bytes, bytes]) -> tuple[int, Headers, bytes]:
    """Return status, headers and body for a reader who asked with these headers."""
    compressed = takes_gzip(asked.get(b"accept-encoding", b""))
    if has_it(asked, copy):
        return 304, _headers(copy, compressed=compressed), b""
    body = copy.gzipped if compressed else copy.body
    headers = [*_headers(copy, compressed=compressed), (b"content-length", str(len(body)).encode())]
    headers.append((b"content-type", copy.media_type.encode()))
    if compressed:
        headers.append((b"content-encoding", b"gzip"))
    return 200, headers, body


def _headers(copy: Copy, *, compressed: bool) -> Headers:
    """Return the headers that a 200 and a 304 share; each coding has an ETag of its own (RFC 9110 8.8.3.3)."""
    headers = {
        "etag": f'"{copy.etag}-gzip"' if compressed else f'"{copy.etag}"',
        **({} if _is_undated(copy) else {"last-modified": format_datetime(copy.modified, usegmt=True)}),
        "vary": VARY,
        **(_PRIVATE if copy.private else _PUBLIC if copy.address.page is None else _ARCHIVE),
    }
    if copy.links:
        headers["link"] = copy.links
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]


def takes_gzip(accepted: bytes) -> bool:
    """Tell whether an Accept-Encoding names gzip (RFC 9110 12.5.3); what cannot be read names nothing."""
    for each in accepted.lower().split(b",")[:32]:
        coding, _, weight = each.partition(b";")
        if coding.strip() in (b"gzip", b"x-gzip"):
            return not re.fullmatch(rb"\s*q\s*=\s*0(\.0*)?\s*", weight)
    return False


def has_it(asked: Mapping[bytes, bytes], copy: Copy) -> bool:
    """Tell whether the reader's copy is current; If-None-Match wins over If-Modified-Since (RFC 9110 13.2.2)."""
    match = asked.get(b"if-none-match")
    if match is not None:
        return match.strip() == b"*" or any(copy.etag.encode() == tag for tag in _tags(match))
    since = asked.get(b"if-modified-since")
    if since is None or _is_undated(copy):
        return False
    try:
        date = parsedate_to_datetime(since.decode("latin-1"))
        return copy.modified <= (date if date.tzinfo else date.replace(tzinfo=UTC))
    except (ValueError, TypeError, OverflowError):
        return False


def _is_undated(copy: Copy) -> bool:
    """Tell whether a date says nothing: the trending papers change places without any being newer."""
    return copy.address.kind is Kind.TRENDING


def _tags(match: bytes) -> Iterable[bytes]:
    """Return the entity tags of a list, whatever their coding; weak ones too, as a GET may (RFC 9110 13.1.2)."""
    for each in match.split(b","):
        tag = each.strip().removeprefix(b"W/")
        if len(tag) > 2 and tag[:1] == tag[-1:] == b'"':
            yield tag[1:-1].removesuffix(b"-gzip").removesuffix(b";gzip").removesuffix(b"-br")


def _named(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return headers by name; of those that came more than once the values as one list (RFC 9110 5.3)."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        found[name] = found[name] + b", " + value if name in found else value
    return found


async def _page(request: Request, address: Address) -> Response:
    """Show a feed to a person."""
    site = site_of(request)
    channel = await site.shelf.channel(address)
    private = address.kind is Kind.PRIVATE
    values = {
        "heading": present.clean(channel.title, present.PHRASE_MAX),
        "description": present.clean(channel.description, 2 * present.PHRASE_MAX),
        "private": private,
        "addresses": [
            {"name": name, "url": channel.address(format)}
            for name, format in (("Atom", FeedFormat.ATOM), ("RSS", FeedFormat.RSS), ("JSON Feed", FeedFormat.JSON))
        ],
        "papers": [
            present.paper(item.paper, item.marks, item.labels, [present.short_day(item.published.date())])
            for item in channel.items[:SHOWN]
        ],
        "older": f"?{URL(channel.address(FeedFormat.ATOM, channel.older)).query}" if channel.older is not None else "",
        "alternates": [] if private else discovery(channel.title, address),
    }
    html = await run_in_threadpool(site.templates.html, "web/feed.html", values)
    headers = {"cache-control": "no-store" if private else "no-cache", "vary": VARY}
    if private:
        headers["x-robots-tag"] = "noindex"
    return Response(html, media_type="text/html; charset=utf-8", headers=headers)
