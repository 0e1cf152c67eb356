"""A subscriber's own page: what they get, what they got, and everything they may change. The link is the authority."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from notifier.errors import CostlyQuery
from notifier.model import (
    Cadence,
    DigestClock,
    Holdings,
    PrivateFeed,
    Subscriber,
    SubscriberState,
    Subscription,
    SubscriptionId,
)
from notifier.web import shown
from notifier.web.feeds import private_path
from notifier.web.forms import Problem, fields, query_of, wish_of, zones
from notifier.web.recent import DAYS, Busy
from notifier.web.render import PRIVATE, page
from notifier.web.site import Site, site_of

SENT = 30  # digests listed
MOST_SUBSCRIPTIONS = 50  # of one subscriber


async def manage(request: Request) -> Response:
    """Show everything."""
    return await _show(request)


async def change(request: Request) -> Response:
    """Save, preview or end one subscription, or add one."""
    site, holdings, form = site_of(request), await _holdings(request), await fields(request)
    reader, mine = holdings.subscriber, holdings.subscriptions
    text = request.path_params.get("subscription", "")
    number = SubscriptionId(int(text)) if text.isascii() and text.isdigit() and len(text) < 16 else None
    old = next((each for each in mine if each.subscription_id == number), None)
    if text and old is None:
        return await _show(request, note="That subscription had ended already.")
    if form.get("do") == "end" and old:
        await site.store.end(reader.subscriber_id, old.subscription_id)
        return await _show(request, note=f"Ended: {old.label}")
    default = old.clock if old else DigestClock(Cadence.DAILY, mine[0].clock.timezone if mine else site.timezone)
    wish, problems = wish_of(form, reader.email, default)
    if form.get("do") == "preview" or wish is None:
        return await _show(request, editing=(old, form, problems), status=200 if wish else 400)
    if old:
        await site.store.change(reader.subscriber_id, old.subscription_id, wish, site.clock())
    elif len(mine) >= MOST_SUBSCRIPTIONS:
        problem = Problem("q", f"{MOST_SUBSCRIPTIONS} subscriptions are the most that one address may have")
        return await _show(request, editing=(None, form, [problem]), status=400)
    else:
        await site.store.add(reader.subscriber_id, wish, site.clock())
    return await _show(request, note=f"{'Saved' if old else 'Added'}: {wish.label}")


async def export(request: Request) -> Response:
    """Everything that is stored about a subscriber, to take along."""
    site, reader = site_of(request), await _reader(request)
    values = _plain(await site.store.take_along(reader.subscriber_id))
    headers = {**PRIVATE, "content-disposition": 'attachment; filename="paper-alerts.json"'}
    return JSONResponse(values, headers=headers)


async def rotate(request: Request) -> Response:
    """Give one private feed a new address; the old one answers 410 from now on."""
    site, holdings = site_of(request), await _holdings(request)
    for each in holdings.feeds:
        if f"{each.kind}-{each.number}" == request.path_params["feed"]:
            await site.store.rotate_feed(each.seed)
            return await _show(request, note="The feed has a new address; the old one is closed.")
    return await _show(request, note="That subscription had ended already.")


async def erase(request: Request) -> Response:
    """Forget a subscriber, when the box is ticked."""
    site, reader, form = site_of(request), await _reader(request), await fields(request)
    if form.get("sure") != "yes":
        return await _show(request, unsure=True, status=400)
    await site.store.erase(reader.subscriber_id, site.clock())
    return await page(request, "erased", {})


async def _show(
    request: Request,
    *,
    note: str = "",
    editing: tuple[Subscription | None, dict[str, str], list[Problem]] | None = None,
    unsure: bool = False,
    status: int = 200,
) -> Response:
    """Show the page, with one form as it was sent when it is `editing`."""
    site, link, now = site_of(request), request.path_params["link"], site_of(request).clock()
    holdings = await _holdings(request)
    reader, mine = holdings.subscriber, holdings.subscriptions
    rows = [shown.subscription(each, now) for each in mine]
    for row in rows:
        row |= {"open": False, "preview": None, "excuse": ""}
    zone = mine[0].clock.timezone if mine else site.timezone
    new = {"form": shown.wish_form({"cadence": "daily", "at": "08:00", "timezone": zone}), "open": not mine}
    new |= {"preview": None, "excuse": ""}
    if editing:
        old, form, problems = editing
        place = next((n for n, each in enumerate(mine) if old and each.subscription_id == old.subscription_id), None)
        row = rows[place] if place is not None else new
        preview, excuse = await _preview(site, form.get("q", ""))
        row |= {"form": shown.wish_form(form, problems), "open": True, "preview": preview, "excuse": excuse}
    copy = site.store.link("digest", reader.token)
    values = {
        "link": link,
        "address": reader.email,
        "state": str(reader.state),
        "subscriptions": rows,
        "new": new,
        "zones": list(zones()),
        "note": note[:300],
        "unsure": unsure,
        "sent": [shown.sent(each, f"/digests/{copy}-{each.outbox_id}") for each in holdings.sent],
        "feeds": _feeds(site, holdings.feeds),
        "unsubscribe_url": f"/unsubscribe/{site.store.link('unsubscribe', reader.token)}",
        "left": reader.state is SubscriberState.UNSUBSCRIBED,
        "resubscribe_url": f"/resubscribe/{site.store.link('unsubscribe', reader.token)}",
        "suppressed": reader.state is SubscriberState.SUPPRESSED,
        "health": reader.health[:300],
    }
    return await page(request, "manage", values, status=status)


def _feeds(site: Site, mine: Sequence[PrivateFeed]) -> list[dict[str, str]]:
    """Say of each private feed what is in it and where it is: that of everything first, alone when there is one."""
    whole = [each for each in mine if each.kind == "subscriber"]
    single = [each for each in mine if each.kind == "subscription"]
    return [
        {
            "id": f"{each.kind}-{each.number}",
            "label": "Everything of yours" if each.kind == "subscriber" else ", ".join(each.labels),
            "opml": private_path(site, each.seed, "opml") if each.kind == "subscriber" else "",
            **{ending: private_path(site, each.seed, ending) for ending in ("atom", "rss", "json")},
        }
        for each in (whole + single if len(single) > 1 else whole)
    ]


async def _preview(site: Site, text: str) -> tuple[object, str]:
    query, _ = query_of(text)
    if query is None:
        return None, ""
    try:
        return shown.preview(await site.recent.survey(query, site.clock()), DAYS), ""
    except Busy:
        return None, "The papers of the last days are being read in. Try again in a moment."
    except CostlyQuery:
        return None, "This takes too long to preview. It can be saved."


async def _holdings(request: Request) -> Holdings:
    holdings = await site_of(request).store.holdings(request.path_params["link"], SENT)
    if holdings is None:
        raise HTTPException(404)
    return holdings


async def _reader(request: Request) -> Subscriber:
    reader = await site_of(request).store.by_link("manage", request.path_params["link"])
    if reader is None:
        raise HTTPException(404)
    return reader


def _plain(value: object) -> object:
    """Return a value as JSON has it."""
    match value:
        case dict():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case datetime() | date() | time():
            return value.isoformat()
    return value
