"""Pages for people. Each handler gathers plain values and renders one template."""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from notifier import present
from notifier.digest import digest as make_digest
from notifier.model import Coverage, OutboxId, Subscriber, SubscriberState
from notifier.web.site import Site, site_of

FEED = "/feeds/all.atom"
NEWEST = 10  # papers on the first page; the feed has more
PRIVATE = {"cache-control": "no-store", "x-robots-tag": "noindex"}  # of pages that a link of somebody's opens
WORDS = {  # an answer's title and text, by its status
    404: ("Nothing here", "If you followed a link from a mail, it may have been cut in two: copy the whole of it."),
    405: ("Not this way", "This address answers to its button only."),
    400: ("Not understood", "Please look at what was asked for."),
    410: ("Gone", "This address was changed or ended by its owner, and opens nothing any more."),
    429: ("Too often", "Please ask again later: nothing new comes that fast."),
    413: ("Too large", "That was more than this site takes."),
    503: ("Not ready yet", "Please try again in a minute."),
}
_COPY = re.compile(r"([0-9a-f]+)-([0-9]{1,18})")


async def home(request: Request) -> Response:
    """What this is, and how each listing is."""
    site = site_of(request)
    batches = []
    for listing in site.listings:
        polls = await site.store.last_polls(listing.name, 1)
        batches += [
            Coverage(
                listing=poll.listing, outcome=poll.outcome, polled_at=poll.polled_at, listed_on=poll.listed_on,
                read=poll.read, stated=poll.stated, new=poll.new, reason=poll.reason,
            )
            for poll in polls
        ]  # fmt: skip
    newest = await site.store.newest_papers(NEWEST)
    values = present.home(
        batches,
        [stored.paper for stored in newest],
        waiting=[each.name for each in site.listings],
        feed_url=FEED,
        met=[stored.seen_at.date() for stored in newest],
    )
    return await _page(request, "home", values)


async def style(request: Request) -> Response:
    """The one style sheet."""
    return await _beside(request, "style.css", "text/css")


async def icon(request: Request) -> Response:
    """The mark of the site in a browser's tab, where every browser and feed reader looks for it."""
    return await _beside(request, "icon.svg", "image/svg+xml")


async def healthz(_request: Request) -> Response:
    """Says that the process answers."""
    return PlainTextResponse("ok\n", headers={"cache-control": "no-store"})


async def digest(request: Request) -> Response:
    """The web copy of a mail, with every paper of it."""
    site = site_of(request)
    found = _COPY.fullmatch(request.path_params["copy"])
    reader = await site.store.by_link("digest", found[1]) if found else None
    message = await site.store.message(OutboxId(int(found[2]))) if found and reader else None
    if message is None or reader is None or message.recipient != reader.email:
        raise HTTPException(404)
    shown = present.digest(make_digest(message, site.head))
    return await _page(request, "digest", shown, PRIVATE)


async def unsubscribe(request: Request) -> Response:
    """GET asks; POST, by the page's button or by a mail program (RFC 8058), acts at once. The link is the authority."""
    site = site_of(request)
    reader = await _reader(site, request.path_params["link"])
    if request.method == "POST":
        await site.store.leave(reader.subscriber_id, site.clock())
        reader = await _reader(site, request.path_params["link"])
    return await _unsubscribe_page(request, reader)


async def resubscribe(request: Request) -> Response:
    """Undo an unsubscription."""
    site, link = site_of(request), request.path_params["link"]
    reader = await _reader(site, link)
    await site.store.come_back(reader.subscriber_id, site.clock())
    return await _page(request, "resubscribed", {"unsubscribe_url": f"/unsubscribe/{link}"}, PRIVATE)


def message(request: Request, status: int, headers: Mapping[str, str] | None = None, detail: str = "") -> Response:
    """An answer in words, for a page that is not there or cannot be had now; `detail` says what was wrong."""
    title, words = WORDS.get(status, ("That did not work", "Please try again later."))
    words = present.clean(detail, 2 * present.PHRASE_MAX) or words
    html = site_of(request).templates.html("web/message.html", {"title": title, "text": words})
    return Response(html, status, headers={**PRIVATE, **(headers or {})}, media_type="text/html; charset=utf-8")


async def _reader(site: Site, link: str) -> Subscriber:
    reader = await site.store.by_link("unsubscribe", link)
    if reader is None:
        raise HTTPException(404)
    return reader


async def _unsubscribe_page(request: Request, reader: Subscriber) -> Response:
    link = request.path_params["link"]
    values = {
        "done": reader.state is SubscriberState.UNSUBSCRIBED,
        "unsubscribe_url": f"/unsubscribe/{link}",
        "undo_url": f"/resubscribe/{link}",
    }
    return await _page(request, "unsubscribe", values, PRIVATE)


async def _beside(request: Request, name: str, media_type: str) -> Response:
    """What a page loads; like every template the operator may replace it."""
    content = await run_in_threadpool(site_of(request).templates.text, f"web/{name}", {})
    return Response(content, media_type=media_type, headers={"cache-control": "public, max-age=3600"})


async def _page(
    request: Request, name: str, values: Mapping[str, object], headers: Mapping[str, str] | None = None
) -> Response:
    html = await run_in_threadpool(site_of(request).templates.html, f"web/{name}.html", values)
    return Response(html, media_type="text/html; charset=utf-8", headers=dict(headers or {"cache-control": "no-cache"}))
