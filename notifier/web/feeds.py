"""Feeds over HTTP: the bytes that `publish` wrote, with validators (RFC 9110 8.8), so that most answers are 304."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from notifier.web.site import site_of

MAX_AGE = 900  # seconds; listings change a few times a day


async def papers(request: Request) -> Response:
    """The feed of everything new."""
    path = site_of(request).feed_file
    try:
        content, modified = path.read_bytes(), datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
    except FileNotFoundError:
        raise HTTPException(503, headers={"retry-after": "60"}) from None
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {
        "etag": etag,
        "last-modified": format_datetime(modified, usegmt=True),
        "cache-control": f"public, max-age={MAX_AGE}",
    }
    if _has_it(request, etag, modified):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/rss+xml; charset=utf-8", headers=headers)


def _has_it(request: Request, etag: str, modified: datetime) -> bool:
    """Tell whether the reader's copy is current; If-None-Match wins over If-Modified-Since (RFC 9110 13.2.2)."""
    match = request.headers.get("if-none-match")
    if match is not None:
        return match.strip() == "*" or etag in (each.strip().removeprefix("W/") for each in match.split(","))
    try:
        since = parsedate_to_datetime(request.headers["if-modified-since"])
    except (KeyError, ValueError):
        return False
    return modified <= (since if since.tzinfo else since.replace(tzinfo=UTC))
