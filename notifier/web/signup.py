"""Signing up: a wish, one neutral answer, a mail, a button.

Whoever asks learns nothing about an address: what is asked for is stored as it is, and the answer is given before
anything is looked up; all the work is done after that (`notifier.signup`), on a connection that ends with it. How often
one network and all networks may ask is `guard`'s.
"""

from __future__ import annotations

from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from notifier import log, present
from notifier.address import mailbox
from notifier.errors import AddressError, CostlyQuery, QueryError
from notifier.model import (
    Cadence,
    DigestClock,
    PaperId,
    Waiting,
    Wish,
    WishId,
)
from notifier.query import parse
from notifier.web.forms import fields, wish_of
from notifier.web.guard import seen
from notifier.web.pages import home_values
from notifier.web.recent import Busy
from notifier.web.render import message, page
from notifier.web.shown import rhythm_of
from notifier.web.site import Site, site_of

HONEYPOT = "website"  # a field that people do not see
HISTORIES = (0, 7, 30)  # days of the past that may come with the first digest


async def subscribe(request: Request) -> Response:
    """Take a wish; whatever becomes of it, the answer is the same."""
    site, form = site_of(request), await fields(request)
    default = DigestClock(Cadence.DAILY, site.timezone)
    wish, problems = wish_of(form, form.get("email", ""), default)
    if wish is None:
        values = await home_values(site, form.get("q", ""), form, problems)
        return await page(request, "home", values, status=400)
    return await _later(request, wish.email, wish, trap=form.get(HONEYPOT, ""))


async def send_link(request: Request) -> Response:
    """Take an address that lost its link; whatever becomes of it, the answer is the same."""
    if request.method != "POST":
        return await page(request, "lost", {"problem": "", "email": ""}, {"cache-control": "no-cache"})
    form = await fields(request)
    try:
        email = mailbox(form.get("email", ""))
    except AddressError as fault:
        values = {"problem": present.clean(str(fault), 300), "email": present.clean(form.get("email", ""), 300)}
        return await page(request, "lost", values, status=400)
    return await _later(request, email, None, trap=form.get(HONEYPOT, ""))


async def confirm(request: Request) -> Response:
    """GET shows what waits and a button; POST begins what was chosen."""
    site, link = site_of(request), request.path_params["link"]
    reader = await site.store.by_link("confirm", link)
    if reader is None:
        raise HTTPException(404)
    now = site.clock()
    waiting = await site.store.waiting(reader.subscriber_id, now)
    if request.method == "POST" and waiting:
        form = await fields(request)
        chosen = [each for each in waiting if len(waiting) == 1 or form.get(f"wish-{each.wish_id}")]
        days = form.get("history", "0")
        history = await _history(site, chosen, int(days) if days in map(str, HISTORIES) else 0)
        made = await site.store.confirm(reader.subscriber_id, [each.wish_id for each in chosen], now, history)
        values: dict[str, object] = {
            "made": [{"label": _label(each.label), "rhythm": rhythm_of(each.clock)} for each in made],
            "manage_url": f"/manage/{site.store.link('manage', reader.token)}",
        }
        return await page(request, "confirmed", values)
    values = {
        "confirm_url": f"/confirm/{link}",
        "waiting": [
            {"id": int(each.wish_id), "label": _label(each.wish.label), "rhythm": rhythm_of(each.wish.clock)}
            for each in waiting
        ],
        "histories": [days for days in HISTORIES if days],
    }
    return await page(request, "confirm", values)


async def _later(request: Request, email: str, wish: Wish | None, trap: str) -> Response:
    """Store what was asked for, give the neutral answer, and deal with it behind that; not for machines or a crowd."""
    site = site_of(request)
    wait = site.guard.take(site.guard.visitor(*seen(request)), site.clock().timestamp())
    if wait:
        return message(request, 429, {"retry-after": str(int(wait) + 1)})
    asking = None if trap else await site.store.note_asking(email, wish, site.clock())
    answer = await page(request, "asked", {})
    answer.headers["connection"] = "close"
    if asking:
        answer.background = BackgroundTask(site.deal_with, asking)
    return answer


async def _history(site: Site, chosen: list[Waiting], days: int) -> dict[WishId, list[PaperId]]:
    """Return the papers of the last days that each wish would have had; none for what takes too long to find."""
    found: dict[WishId, list[PaperId]] = {}
    for each in chosen if days else ():
        try:
            found[each.wish_id] = await site.recent.catch(parse(each.wish.canonical), site.clock(), days)
        except (Busy, CostlyQuery, QueryError) as fault:
            log.step_failed("history of a new subscription", fault)
    return found


def _label(label: str) -> str:
    return present.clean(label, 300)
