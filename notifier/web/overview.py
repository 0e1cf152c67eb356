"""Overview: every public feed of the site in its three forms, how any query becomes one, and all of them as OPML."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from notifier import present
from notifier.feed import Outline, opml
from notifier.model import FeedFormat
from notifier.publish import Address, Kind
from notifier.query import canonical
from notifier.web import shown
from notifier.web.feeds import MAX_AGE, discovery
from notifier.web.forms import LONGEST, query_of
from notifier.web.render import public
from notifier.web.site import Site, site_of

FORMS = (("Atom", FeedFormat.ATOM), ("RSS", FeedFormat.RSS), ("JSON Feed", FeedFormat.JSON))


async def overview(request: Request) -> Response:
    """All feeds, and those of the query that was asked for."""
    site, asked = site_of(request), request.query_params.get("q", "")[:LONGEST]

    async def gather() -> Mapping[str, object]:
        query, problem = query_of(asked)
        searched = Address(Kind.SEARCH, canonical(query)) if query is not None else None
        feeds = [_feed(site, address) for address in site.shelf.stand.public]
        return {
            "feeds": feeds,
            "searched": searched and _feed(site, searched),
            "preview_url": f"/{searched.query}" if searched else "",
            "form": shown.wish_form({"q": asked}, [problem] if problem else []),
            "alternates": [each for address in site.shelf.stand.public for each in discovery(_title(address), address)],
        }

    return await public(request, "feeds", gather)


async def outlines(request: Request) -> Response:
    """Every public feed, for a reader program to take in."""
    site = site_of(request)
    base = site.head.base_url
    listed = [
        Outline(title=_title(each), feed_url=f"{base}{each.path}.{FeedFormat.ATOM}", page_url=f"{base}/feeds")
        for each in site.shelf.stand.public
    ]
    headers = {
        "cache-control": f"public, max-age={MAX_AGE}",
        "content-disposition": 'attachment; filename="feeds.opml"',
    }
    return Response(opml("Paper alerts", listed), media_type="text/x-opml; charset=utf-8", headers=headers)


def _feed(site: Site, address: Address) -> dict[str, object]:
    """Return a feed as the page shows it; the addresses are whole, for they are to be copied."""
    return {
        "title": _title(address),
        "words": _WORDS.get(address.kind, ""),
        "forms": [
            {"name": name, "url": f"{site.head.base_url}{address.path}.{format}{address.query}"}
            for name, format in FORMS
        ],
    }


_WORDS = {
    Kind.ALL: "Every new paper of all listings, once.",
    Kind.TRENDING: "The papers of the last seven days with the most votes.",
}


def _title(address: Address) -> str:
    if address.kind in (Kind.LISTING, Kind.SEARCH):
        return present.clean(address.of, present.PHRASE_MAX)
    return {Kind.ALL: "Everything", Kind.TRENDING: "Trending"}[address.kind]
