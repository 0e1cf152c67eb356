"""Pages that are the same for everybody: the first page with its preview, the archive, the state of the listings."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from notifier import present
from notifier.errors import CostlyQuery
from notifier.model import Coverage, Outcome, PaperId, Poll, StoredPaper
from notifier.store.archive import Sought
from notifier.web import shown
from notifier.web.forms import LONGEST, Problem, query_of, zones
from notifier.web.guard import seen
from notifier.web.pace import WORDS
from notifier.web.recent import DAYS, Busy
from notifier.web.render import beside, public
from notifier.web.site import Site, site_of

FEED = "/feeds/all.atom"
NEWEST = 8  # papers on the first page; the archive has more
PER_PAGE = 25  # papers of the archive
LAST_PAGE = 200  # of one search; what is further back is found by its dates
EXAMPLES = ('"graph neural network" AND recommendation', 'title:survey AND "language model"', 'author:"Ada Lovelace"')


async def home(request: Request) -> Response:
    """What this is, what a query would have caught, how to subscribe, how each listing is and what is new."""
    asked = request.query_params.get("q", "")[:LONGEST]

    async def gather() -> dict[str, object]:
        return await home_values(site_of(request), asked)

    return await public(request, "home", gather)


async def home_values(
    site: Site, asked: str, values: dict[str, str] | None = None, problems: list[Problem] | None = None
) -> dict[str, object]:
    """Return what the first page sees; `values` and `problems` are those of a form that came back."""
    newest = await site.store.newest_papers(NEWEST)
    found = present.home(
        await batches(site),
        [stored.paper for stored in newest],
        waiting=[each.name for each in site.listings],
        feed_url=FEED,
        met=[stored.seen_at.date() for stored in newest],
    )
    problems = list(problems or [])
    query, problem = query_of(asked)
    if problem and not problems:
        problems.append(problem)
    preview, excuse = None, ""
    if query is not None:
        try:
            preview = shown.preview(await site.recent.survey(query, site.clock()), DAYS)
        except Busy:
            excuse = "The papers of the last days are being read in. Try again in a moment, or subscribe right away."
        except CostlyQuery:
            excuse = "This takes too long to preview, because it must be looked for word by word. It can be subscribed."
    form = {"cadence": "daily", "at": "08:00", "timezone": site.timezone, **(values or {}), "q": asked}
    for place, stored in enumerate(newest):
        found["papers"][place]["page_url"] = f"/papers/{stored.paper_id}"
    return {
        **found,
        "form": shown.wish_form(form, problems),
        "zones": list(zones()),
        "asked": query is not None,
        "preview": preview,
        "excuse": excuse,
        "examples": [{"text": each, "url": "/?" + urlencode({"q": each})} for each in EXAMPLES],
    }


async def batches(site: Site) -> list[Coverage]:
    """Return how the last poll of each listing ended; one that only repeats the last fresh one counts as that."""
    found = []
    for listing in site.listings:
        polls = await site.store.last_polls(listing.name, 1)
        if polls and polls[0].outcome is Outcome.WAITING:
            batch = await site.store.last_batch(listing.name)
            polls = [batch] if batch else polls
        found += [_covered(poll) for poll in polls]
    return found


def _covered(poll: Poll) -> Coverage:
    return Coverage(
        listing=poll.listing, outcome=poll.outcome, polled_at=poll.polled_at, listed_on=poll.listed_on, read=poll.read,
        stated=poll.stated, new=poll.new, reason=poll.reason,
    )  # fmt: skip


async def status(request: Request) -> Response:
    """How each listing did in the last days, for everybody."""
    site = site_of(request)

    async def gather() -> dict[str, object]:
        now = site.clock()
        polls = await site.store.polls_since(now - timedelta(days=shown.STATUS_DAYS))
        states = [_covered(poll) for listing in site.listings for poll in await site.store.last_polls(listing.name, 1)]
        found = present.coverage(states)
        by_name = {batch["listing"]: batch for batch in found["batches"]}
        total, news = await site.store.paper_counts()
        rows = []
        for listing in site.listings:
            row = shown.listing(listing.name, [each for each in polls if each.listing == listing.name], now)
            rows.append({**row, "batch": by_name.get(row["name"])})
        return {
            "rows": rows,
            "coverage": found,
            "papers": f"{total:,}",
            "news": f"{news:,}",
            "days": shown.STATUS_DAYS,
            "at": present.instant(now),
        }

    return await public(request, "status", gather)


async def papers(request: Request) -> Response:
    """The archive: every paper, or those whose title or authors hold some words, of a listing, of some days."""
    # A text of PostgreSQL holds no NUL.
    given = {name: value.replace("\0", "")[:300] for name, value in request.query_params.items()}
    asked = {name: given.get(name, "") for name in ("q", "listing", "from", "to", "page")}
    site = site_of(request)
    if asked["q"]:
        _keep_pace(site, request)

    async def gather() -> dict[str, object]:
        number = int(asked["page"]) if re.fullmatch("[0-9]{1,5}", asked["page"]) else 1
        number = min(max(1, number), LAST_PAGE)
        since, since_problem = _day(asked["from"])
        until, until_problem = _day(asked["to"])
        sought = Sought(
            words=asked["q"],
            listing=asked["listing"] or None,
            since=datetime.combine(since, time(), UTC) if since else None,
            until=datetime.combine(until, time(), UTC) + timedelta(days=1) if until else None,
        )
        found = await site.store.search(sought, PER_PAGE + 1, (number - 1) * PER_PAGE)
        kept = {name: value for name, value in asked.items() if value and name != "page"}
        return {
            "asked": asked,
            "problem": since_problem or until_problem,
            "listings": [
                {"name": present.clean(each.name, 100), "chosen": each.name == asked["listing"]}
                for each in site.listings
            ],
            "papers": [_line(stored) for stored in found[:PER_PAGE]],
            "number": number,
            "newer": "/papers?" + urlencode({**kept, "page": number - 1}) if number > 1 else "",
            "older": "/papers?" + urlencode({**kept, "page": number + 1})
            if len(found) > PER_PAGE and number < LAST_PAGE
            else "",
            "feed_url": FEED,
        }

    return await public(request, "papers", gather)


async def paper(request: Request) -> Response:
    """One paper, with where and when it was seen."""
    site, text = site_of(request), request.path_params["paper"]
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise HTTPException(404)

    async def gather() -> dict[str, object]:
        stored = await site.store.paper(PaperId(int(text)))
        if stored is None:
            raise HTTPException(404)
        trace = await site.store.trace(stored.paper_id, None)
        return {
            "paper": {**present.paper(stored.paper), "page_url": ""},
            "sightings": [
                {"listing": present.clean(each.listing, 100), "at": present.instant(each.polled_at)}
                for each in trace.sightings
            ],
        }

    return await public(request, "paper", gather)


async def style(request: Request) -> Response:
    """The one style sheet."""
    return await beside(request, "style.css", "text/css")


async def script(request: Request) -> Response:
    """The one script, which no page needs: it guesses the time zone and previews a query while it is typed."""
    return await beside(request, "site.js", "text/javascript")


async def icon(request: Request) -> Response:
    """The mark of the site in a browser's tab, where every browser and feed reader looks for it."""
    return await beside(request, "icon.svg", "image/svg+xml")


async def healthz(_request: Request) -> Response:
    """Says that the process answers."""
    return PlainTextResponse("ok\n", headers={"cache-control": "no-store"})


def _line(stored: StoredPaper) -> dict[str, object]:
    line = present.paper(stored.paper, listings=[present.short_day(stored.seen_at.date())])
    return {**line, "page_url": f"/papers/{stored.paper_id}"}


def _keep_pace(site: Site, request: Request) -> None:
    """Raise HTTPException 429 for a reader who searches too often."""
    where = site.guard.household(*seen(request))
    wait = 0 if where is None else site.pace.take(WORDS, where, site.clock())
    if wait:
        raise HTTPException(429, headers={"retry-after": str(wait)})


def _day(text: str) -> tuple[date | None, str]:
    try:
        day = date.fromisoformat(text) if text else None
    except ValueError:
        day = date.max
    return (None, "Write a day such as 2026-11-21.") if day == date.max else (day, "")  # no day follows the last
