"""Leaving, coming back, and less mail instead. The link is the authority for this alone (RFC 8058)."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from notifier.model import Cadence, Subscriber, SubscriberState
from notifier.web.render import page
from notifier.web.site import Site, site_of

MAILED_OFTEN = {Cadence.IMMEDIATE, Cadence.DAILY}


async def unsubscribe(request: Request) -> Response:
    """GET asks; POST, by the page's button or by a mail program (RFC 8058), acts at once. The link is the authority."""
    site = site_of(request)
    reader = await _reader(site, request.path_params["link"])
    if request.method == "POST":
        await site.store.leave(reader.subscriber_id, site.clock())
        reader = await _reader(site, request.path_params["link"])
    link = request.path_params["link"]
    often = [each for each in await site.store.subscriptions(reader.email) if each.clock.cadence in MAILED_OFTEN]
    values = {
        "done": reader.state is SubscriberState.UNSUBSCRIBED,
        "unsubscribe_url": f"/unsubscribe/{link}",
        "undo_url": f"/resubscribe/{link}",
        "weekly_url": f"/weekly/{link}" if any(each.active for each in often) else "",
    }
    return await page(request, "unsubscribe", values)


async def resubscribe(request: Request) -> Response:
    """Undo an unsubscription."""
    site, link = site_of(request), request.path_params["link"]
    reader = await _reader(site, link)
    await site.store.come_back(reader.subscriber_id, site.clock())
    return await page(request, "resubscribed", {"unsubscribe_url": f"/unsubscribe/{link}"})


async def weekly(request: Request) -> Response:
    """Less often instead: everything that came by mail comes once a week."""
    site, link = site_of(request), request.path_params["link"]
    reader = await _reader(site, link)
    await site.store.less_often(reader.subscriber_id, site.clock())
    return await page(request, "weekly", {"unsubscribe_url": f"/unsubscribe/{link}"})


async def _reader(site: Site, link: str) -> Subscriber:
    reader = await site.store.by_link("unsubscribe", link)
    if reader is None:
        raise HTTPException(404)
    return reader
