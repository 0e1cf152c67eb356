"""A listing whose first poll has passed, and one subscriber: what comes next is news."""

from __future__ import annotations

from notifier.model import Cadence
from tests.world import World, text_page

READER = "reader@example.org"
OLD = ["An Old Fictional Paper on Lighthouses", "Another Old Fictional Paper on Lanterns"]
NEW = ["A New Fictional Paper on Harbours", "Another New Fictional Paper on Ferries"]
LATE = ["A Late Fictional Paper on Tides"]


async def primed(installation: World, query: str = "*", cadence: Cadence = Cadence.IMMEDIATE, **clock: object) -> None:
    """Watch one listing whose first poll has passed, with one subscriber."""
    installation.listing("daily")
    installation.pages.put("/daily", text_page(*OLD), etag='"old"')
    await installation.subscribe(READER, query, cadence, **clock)
    await installation.run()
