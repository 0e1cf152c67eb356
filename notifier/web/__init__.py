"""The site: a Starlette application over the store. What changes anything is a POST; a GET never does (G7).

`application` is all that the daemon needs. Pages work without JavaScript and load nothing from elsewhere; every answer
carries the headers of `limits`. A link is the only authority for what it does: no cookies, no sessions, no passwords.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from notifier.errors import Unwritable
from notifier.web import feeds, leaving, mailcopy, manage, monitor, overview, pages, signup
from notifier.web.courteous import Courteous
from notifier.web.limits import Bounded, Crowded, Headed
from notifier.web.render import message
from notifier.web.site import Site

__all__ = ["Site", "application"]

FULL_DISK_RETRY = 300  # seconds after which to ask again


def application(site: Site) -> ASGIApp:
    """Return the ASGI application of a site."""
    app = Starlette(
        routes=[
            Route("/", pages.home, name="home"),
            Route("/subscribe", signup.subscribe, methods=["POST"], name="subscribe"),
            Route("/link", signup.send_link, methods=["GET", "POST"], name="link"),
            Route("/confirm/{link}", signup.confirm, methods=["GET", "POST"], name="confirm"),
            Route("/manage/{link}", manage.manage, name="manage"),
            Route("/manage/{link}/export.json", manage.export, name="export"),
            Route("/manage/{link}/erase", manage.erase, methods=["POST"], name="erase"),
            Route("/manage/{link}/feeds/{feed}", manage.rotate, methods=["POST"], name="rotate"),
            Route("/manage/{link}/add", manage.change, methods=["POST"], name="add"),
            Route("/manage/{link}/{subscription}", manage.change, methods=["POST"], name="change"),
            Route("/papers", pages.papers, name="archive"),
            Route("/papers/{paper}", pages.paper, name="paper"),
            Route("/status", pages.status, name="status"),
            Route("/style.css", pages.style, name="style"),
            Route("/site.js", pages.script, name="script"),
            Route("/favicon.ico", pages.icon, name="icon"),
            Route("/healthz", pages.healthz, name="healthz"),
            Route("/readyz", monitor.readyz, name="readyz"),
            Route("/metrics", monitor.metrics, name="metrics"),
            Route("/feeds", overview.overview, name="feeds"),
            Route("/feeds.opml", overview.outlines, name="all-outlines"),
            Route("/feeds/private/{link}.opml", feeds.outlines, name="outlines"),
            Route("/feeds/{name:path}", feeds.feed, name="feed"),
            Route("/digests/{copy}", mailcopy.digest, name="digest"),
            Route("/unsubscribe/{link}", leaving.unsubscribe, methods=["GET", "POST"], name="unsubscribe"),
            Route("/resubscribe/{link}", leaving.resubscribe, methods=["POST"], name="resubscribe"),
            Route("/weekly/{link}", leaving.weekly, methods=["POST"], name="weekly"),
        ],
        middleware=[Middleware(Courteous, site.shelf.courtesy), Middleware(Crowded), Middleware(Bounded)],
        exception_handlers={HTTPException: _error, Unwritable: _unwritable, Exception: _error},
    )
    app.router.redirect_slashes = False  # it would build its redirect from the Host header
    app.state.site = site
    # Headed is outside of everything else, so that the answer to a fault of ours has the headers too.
    return Headed(app)


async def _unwritable(request: Request, _fault: Exception) -> Response:
    """Say that what was asked for was not done, and when to ask again: the disk takes no more."""
    words = "Nothing can be stored right now, so nothing was changed. Please try again in some minutes."
    return message(request, 503, {"retry-after": str(FULL_DISK_RETRY)}, words)


async def _error(request: Request, fault: Exception) -> Response:
    """Answer an error in words, without what went wrong inside."""
    status = fault.status_code if isinstance(fault, HTTPException) else 500
    detail = fault.detail if isinstance(fault, HTTPException) and status == 400 else ""
    return message(request, status, getattr(fault, "headers", None), detail)
