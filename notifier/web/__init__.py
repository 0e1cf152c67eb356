"""The site: a Starlette application over the store. What changes anything is a POST; a GET never does (G7).

`application` is all that the daemon needs. Pages work without JavaScript and load nothing from elsewhere; every answer
carries the headers below. A link is the only authority for what it does: no cookies, no sessions, no passwords.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from notifier.web import feeds, pages
from notifier.web.site import Site

__all__ = ["Site", "application"]

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


def application(site: Site) -> Starlette:
    """Return the ASGI application of a site."""
    app = Starlette(
        routes=[
            Route("/", pages.home, name="home"),
            Route("/style.css", pages.style, name="style"),
            Route("/healthz", pages.healthz, name="healthz"),
            Route("/feeds/papers.rss", feeds.papers, name="papers"),
            Route("/digests/{copy}", pages.digest, name="digest"),
            Route("/unsubscribe/{link}", pages.unsubscribe, methods=["GET", "POST"], name="unsubscribe"),
            Route("/resubscribe/{link}", pages.resubscribe, methods=["POST"], name="resubscribe"),
        ],
        middleware=[Middleware(_Headers)],
        exception_handlers={HTTPException: _error, Exception: _error},
    )
    app.state.site = site
    return app


async def _error(request: Request, fault: Exception) -> Response:
    """Answer an error in words, without what went wrong inside."""
    status = fault.status_code if isinstance(fault, HTTPException) else 500
    return pages.message(request, status, getattr(fault, "headers", None))


@dataclass(slots=True)
class _Headers:
    """Adds HEADERS to every answer."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    *((name.encode(), value.encode()) for name, value in HEADERS.items()),
                ]
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)
