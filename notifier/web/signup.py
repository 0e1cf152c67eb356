"""Signing up: a wish, one neutral answer, a mail, a button.

Whoever asks learns nothing about an address: the answer is ready before anything is looked up, and all the work is
done after it was given, on a connection that ends with it. An address is written to at most once a day, by a key in
the database; how often one network and all networks may ask is `guard`'s.
"""

from __future__ import annotations

from datetime import UTC

from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from notifier import log, present
from notifier.address import mailbox
from notifier.errors import AddressError, CostlyQuery, NotifierError, QueryError
from notifier.model import (
    Cadence,
    DigestClock,
    Letter,
    LetterKind,
    PaperId,
    Subscriber,
    SubscriberState,
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
    return await _later(request, BackgroundTask(_ask, site, wish), trap=form.get(HONEYPOT, ""))


async def send_link(request: Request) -> Response:
    """Take an address that lost its link; whatever becomes of it, the answer is the same."""
    if request.method != "POST":
        return await page(request, "lost", {"problem": "", "email": ""}, {"cache-control": "no-cache"})
    site, form = site_of(request), await fields(request)
    try:
        email = mailbox(form.get("email", ""))
    except AddressError as fault:
        values = {"problem": present.clean(str(fault), 300), "email": present.clean(form.get("email", ""), 300)}
        return await page(request, "lost", values, status=400)
    return await _later(request, BackgroundTask(_remind, site, email), trap=form.get(HONEYPOT, ""))


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


async def _later(request: Request, task: BackgroundTask, trap: str) -> Response:
    """Give the neutral answer, and do the work behind it unless a machine or a crowd asked."""
    site = site_of(request)
    wait = site.guard.take(site.guard.visitor(*seen(request)), site.clock().timestamp())
    if wait:
        return message(request, 429, {"retry-after": str(int(wait) + 1)})
    await site.store.ensure_writable(site.clock())  # else the answer would say what cannot be done
    answer = await page(request, "asked", {})
    answer.headers["connection"] = "close"
    if not trap:
        answer.background = task
    return answer


async def _ask(site: Site, wish: Wish) -> None:
    """Let the wish wait, and write to its address if nothing was written to it today."""
    try:
        now = site.clock()
        reader = await site.store.ask(wish, now)
        labels = [_label(each.wish.label) for each in await site.store.waiting(reader.subscriber_id, now)]
        url = f"{site.head.base_url}/confirm/{site.store.link('confirm', reader.token)}"
        key = f"confirm {now.astimezone(UTC).date()}"
        values = {"labels": labels, "confirm_url": url}
        await site.post(Letter(kind=LetterKind.CONFIRM, recipient=wish.email, key=key, values=values))
    except NotifierError as fault:
        log.step_failed("sign-up", fault)


async def _remind(site: Site, email: str) -> None:
    """Write their link to an address that has confirmed one day, if that was not done today."""
    try:
        now, reader = site.clock(), await site.store.subscriber(email)
        if reader is None or reader.state is not SubscriberState.CONFIRMED:
            return
        values = {
            "heading": "Your link",
            "paragraphs": [
                "Somebody, hopefully you, asked for the link to change what this address is sent. "
                "If it was not you, do nothing: only who reads this mail has the link."
            ],
            "links": [
                {"text": "Change what is sent", "url": f"{site.head.base_url}/manage/{_manage(site, reader)}"},
                {"text": "Unsubscribe", "url": f"{site.head.base_url}/unsubscribe/{_leave(site, reader)}"},
            ],
        }
        key = f"link {now.astimezone(UTC).date()}"
        await site.post(Letter(kind=LetterKind.NOTE, recipient=email, key=key, values=values))
    except NotifierError as fault:
        log.step_failed("sending a link", fault)


def _manage(site: Site, reader: Subscriber) -> str:
    return site.store.link("manage", reader.token)


def _leave(site: Site, reader: Subscriber) -> str:
    return site.store.link("unsubscribe", reader.token)


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
