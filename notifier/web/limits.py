"""Limits: what every request may be, and what every answer says. Wraps the whole site, its error answers included.

A body that states more than MOST_BODY bytes is refused before any of it is read (413), one that does not state its
length is read up to that limit and its connection closed, so that a body without end is one connection for a moment.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from notifier.web.render import message

MOST_BODY = 64 * 1024  # bytes of a request's body; the longest form here is a subscription's
MOST_ADDRESS = 8_000  # bytes of what follows the "?"
BODY_WITHIN = 20.0  # seconds for all of a body
MOST_AT_ONCE = 200  # requests
SPARE = 40  # more of them, for what these paths cost
LIGHT = {"/style.css", "/favicon.ico", "/healthz"}  # what an answer in words looks like, and whether the process lives
CROWD_RETRY = 10  # seconds after which to ask again
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(frozen=True, slots=True)
class Headed:
    """Adds HEADERS to every answer; closes the connection after a request whose body has no stated end."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
        stated = _stated(scope)
        if stated is None or stated > MOST_BODY:
            added.append((b"connection", b"close"))

        async def send_with_headers(part: Message) -> None:
            if part["type"] == "http.response.start":
                part["headers"] = [*part.get("headers", ()), *added]
            await send(part)

        await self.app(scope, receive, send_with_headers)


@dataclass(slots=True)
class Crowded:
    """Answers 503 when MOST_AT_ONCE requests are being answered, so that a crowd costs little and digests go on.

    Feeds have their own pace, and LIGHT has SPARE more places.
    """

    app: ASGIApp
    inside: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        most = MOST_AT_ONCE + SPARE * (path in LIGHT)
        if self.inside >= most and not path.startswith("/feeds/"):
            await message(Request(scope), 503, {"retry-after": str(CROWD_RETRY)})(scope, receive, send)
            return
        self.inside += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.inside -= 1


@dataclass(frozen=True, slots=True)
class Bounded:
    """Bounds what a request may be: 414 for a long address; a body longer than MOST_BODY is 413, a slow one 408.

    A body that states its length is refused at once, others when a page has read that much.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if len(scope.get("query_string", b"")) > MOST_ADDRESS:
            await message(Request(scope), 414)(scope, receive, send)
            return
        stated = _stated(scope) if scope["type"] == "http" else 0
        if stated is not None and stated > MOST_BODY:
            await message(Request(scope), 413)(scope, receive, send)
            return
        room = MOST_BODY
        until = monotonic() + BODY_WITHIN

        async def receive_within_bounds() -> Message:
            nonlocal room
            try:
                part = await asyncio.wait_for(receive(), max(0.01, until - monotonic()))
            except TimeoutError:
                raise HTTPException(408, headers={"connection": "close"}) from None
            room -= len(part.get("body", b""))
            if room < 0:
                raise HTTPException(413)
            return part

        await self.app(scope, receive_within_bounds, send)


def _stated(scope: Scope) -> int | None:
    """Return how long the request says its body is, None when it does not say; the server checked the number."""
    headers = Request(scope).headers
    if "transfer-encoding" in headers:
        return None
    return int(headers.get("content-length", "0"))
