"""What every page of the site may use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from starlette.requests import Request

from notifier.digest import Letterhead
from notifier.model import Listing
from notifier.store import Store
from notifier.templates import Templates


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The store to read, the templates to render with, the feed's file, and the listings that are watched."""

    store: Store
    templates: Templates
    head: Letterhead
    listings: tuple[Listing, ...]
    feed_file: Path
    clock: Callable[[], datetime]


def site_of(request: Request) -> Site:
    """The site that a request was made to."""
    site: Site = request.app.state.site
    return site
