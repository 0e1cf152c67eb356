"""What every page of the site may use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from starlette.requests import Request

from notifier.digest import Letterhead
from notifier.model import Asking, Listing
from notifier.publish import Shelf
from notifier.store import Store
from notifier.templates import Templates
from notifier.web.fresh import Fresh
from notifier.web.guard import Guard
from notifier.web.pace import Pace
from notifier.web.recent import Recent


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """What a monitor may ask: the metrics as text, what is wrong now, and the token that it must show ("": none)."""

    metrics: Callable[[], Awaitable[bytes]]
    troubles: Callable[[], Sequence[str]]
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The store to read, the templates to render with, the shelf with the feeds, and the listings that are watched.

    `deal_with` does what a visitor asked for and was answered. `timezone` is that of whoever names none.
    """

    store: Store
    templates: Templates
    head: Letterhead
    listings: tuple[Listing, ...]
    shelf: Shelf
    clock: Callable[[], datetime]
    deal_with: Callable[[Asking], Awaitable[None]]
    recent: Recent
    timezone: str = "UTC"
    guard: Guard = field(default_factory=Guard)
    fresh: Fresh = field(default_factory=Fresh)
    pace: Pace = field(default_factory=Pace)
    monitor: Monitor | None = None


def site_of(request: Request) -> Site:
    """The site that a request was made to."""
    site: Site = request.app.state.site
    return site
