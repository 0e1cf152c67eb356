"""The web copy of a mail: every paper of a digest, for whoever has its link."""

from __future__ import annotations

import re

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from notifier import present
from notifier.digest import digest as make_digest
from notifier.model import OutboxId
from notifier.web.render import page
from notifier.web.site import site_of

_COPY = re.compile(r"([0-9a-f]+)-([0-9]{1,18})")


async def digest(request: Request) -> Response:
    """The web copy of a mail, with every paper of it."""
    site = site_of(request)
    found = _COPY.fullmatch(request.path_params["copy"])
    reader = await site.store.by_link("digest", found[1]) if found else None
    message = await site.store.message(OutboxId(int(found[2]))) if found and reader else None
    if message is None or reader is None or message.recipient != reader.email:
        raise HTTPException(404)
    return await page(request, "digest", present.digest(make_digest(message, site.head)))
