"""What every page of the site may use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from starlette.requests import Request

from notifier.digest import Letterhead
from notifier.model import Listing
from notifier.publish import Shelf
from notifier.store import Store
from notifier.templates import Templates
from notifier.web.pace import Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The store to read, the templates to render with, the shelf with the feeds, and the listings that are watched."""

    store: Store
    templates: Templates
    head: Letterhead
    listings: tuple[Listing, ...]
    shelf: Shelf
    clock: Callable[[], datetime]
    pace: Pace = field(default_factory=Pace)


def site_of(request: Request) -> Site:
    """The site that a request was made to."""
    site: Site = request.app.state.site
    return site
