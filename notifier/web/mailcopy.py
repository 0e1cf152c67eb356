"""The web copy of a mail: every paper of a digest, for whoever has its link, some on a page."""

from __future__ import annotations

import re
from math import ceil

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from notifier import present
from notifier.digest import digest as make_digest
from notifier.model import OutboxId
from notifier.web.render import page
from notifier.web.site import site_of

PER_PAGE = 20  # papers, so that a page stays light
_COPY = re.compile(r"([0-9a-f]+)-([0-9]{1,18})")


async def digest(request: Request) -> Response:
    """The web copy of a mail, with every paper of it."""
    site = site_of(request)
    found = _COPY.fullmatch(request.path_params["copy"])
    reader = await site.store.by_link("digest", found[1]) if found else None
    message = await site.store.message(OutboxId(int(found[2]))) if found and reader else None
    if message is None or reader is None or message.recipient != reader.email:
        raise HTTPException(404)
    values = present.digest(make_digest(message, site.head))
    asked = request.query_params.get("page", "1")
    pages = max(1, ceil(len(values["papers"]) / PER_PAGE))
    if not asked.isascii() or not asked.isdigit() or len(asked) > 4 or not 1 <= int(asked) <= pages:
        raise HTTPException(404)
    number = int(asked)
    shown = {
        "papers": values["papers"][(number - 1) * PER_PAGE : number * PER_PAGE],
        "number": number,
        "pages": pages,
        "before": f"{request.url.path}?page={number - 1}" if number > 1 else "",
        "after": f"{request.url.path}?page={number + 1}" if number < pages else "",
    }
    return await page(request, "digest", {**values, **shown})
