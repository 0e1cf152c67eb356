"""What a monitor asks the site: is it ready, and the metrics. Nobody else is told."""

from __future__ import annotations

import ipaddress
import secrets

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from notifier.web.site import site_of

LOOK_AGAIN = 30  # seconds; sooner nothing will have changed
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


async def readyz(request: Request) -> Response:
    """Answer 200 while the daemon does its work, else 503; what is wrong stays in the log."""
    site = site_of(request)
    troubles = site.monitor.troubles() if site.monitor else ()
    if troubles:
        return PlainTextResponse("not ready\n", 503, headers={"retry-after": str(LOOK_AGAIN)})
    return PlainTextResponse("ready\n")


async def metrics(request: Request) -> Response:
    """Answer with the metrics: to who has the token, or from this very machine where there is no token."""
    site = site_of(request)
    if site.monitor is None or not _may(request, site.monitor.token):
        raise HTTPException(404)
    return Response(await site.monitor.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _may(request: Request, token: str) -> bool:
    if token:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        return secrets.compare_digest(given.encode("utf-8", "replace"), token.encode())
    # A proxy on this machine asks for the whole world: it says so in a header.
    if any(name in request.headers for name in FORWARDED) or request.client is None:
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
