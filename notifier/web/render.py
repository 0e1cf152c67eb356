"""Render a page, privately for one reader or the same for everybody, and say in words what cannot be had."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from math import ceil

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from notifier import present
from notifier.web.site import site_of

HTML = "text/html; charset=utf-8"
PRIVATE = {"cache-control": "no-store", "x-robots-tag": "noindex"}  # of pages that a link of somebody's opens
PUBLIC = {"cache-control": "no-cache"}
WORDS = {  # an answer's title and text, by its status; {again} is when to try again
    400: ("That cannot be read", "What the form sent is no form. Go back and try again."),
    404: (
        "Nothing here",
        "There is no such page. If you followed a link from a mail, it may have been cut in two: copy the whole of it.",
    ),
    405: ("Not this way", "This address answers to its button only. Begin on the first page."),
    408: ("Too slow", "The form took too long to arrive. Go back and send it again."),
    410: (
        "Gone",
        "This address was changed or ended by its owner, and opens nothing any more. If it was yours, the new one "
        "stands on your own page, to which every mail links.",
    ),
    413: ("Too large", "That was more than this site takes, and nothing was changed. Go back and send less."),
    414: ("Too long", "That address is longer than any of this site. Go back and search for less."),
    429: ("Too often", "That was asked for too often in a short time. Please try again {again}."),
    503: ("Busy right now", "Too much is asked of this site at the moment. Please try again {again}."),
}


async def page(
    request: Request,
    name: str,
    values: Mapping[str, object],
    headers: Mapping[str, str] = PRIVATE,
    status: int = 200,
) -> Response:
    """Render `web/<name>.html` for whoever asked."""
    html = await run_in_threadpool(site_of(request).templates.html, f"web/{name}.html", values)
    return Response(html, status, media_type=HTML, headers=dict(headers))


async def public(request: Request, name: str, gather: Callable[[], Awaitable[Mapping[str, object]]]) -> Response:
    """Render a page that is the same for everybody; its address, with the query, is all that it depends on."""
    site = site_of(request)

    async def make() -> bytes:
        values = await gather()
        html = await run_in_threadpool(site.templates.html, f"web/{name}.html", values)
        return html.encode()

    content = await site.fresh.get(f"{request.url.path}?{request.url.query}", make)
    return Response(content, media_type=HTML, headers=PUBLIC)


def message(request: Request, status: int, headers: Mapping[str, str] | None = None, detail: str = "") -> Response:
    """An answer in words, for a page that is not there or cannot be had now; `detail` says what was wrong."""
    title, words = WORDS.get(status, ("That did not work", "Please try again {again}."))
    words = words.format(again=_again(headers or {}))
    words = present.clean(detail, 2 * present.PHRASE_MAX) or words
    html = site_of(request).templates.html("web/message.html", {"title": title, "text": words})
    return Response(html, status, headers={**PRIVATE, **(headers or {})}, media_type=HTML)


def _again(headers: Mapping[str, str]) -> str:
    """Return in words when an answer asks to come back; "later" when it does not say."""
    seconds = int(headers.get("retry-after", "0"))
    for unit, length in (("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds >= 2 * length:
            return f"in {present.counted(ceil(seconds / length), unit)}"
    return "in a moment" if seconds else "later"


async def beside(request: Request, name: str, media_type: str) -> Response:
    """What a page loads; like every template the operator may replace it."""
    content = await run_in_threadpool(site_of(request).templates.text, f"web/{name}", {})
    return Response(content, media_type=media_type, headers={"cache-control": "public, max-age=3600"})
