"""The hub: which public feeds it is still to be told of, and when to tell it again after it could not be told.

What it was not told is in memory: after a start every public feed is announced, and a hub that finds nothing new in one
tells nobody. A hub that is down costs a line in the log now and then and delays nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from notifier import log
from notifier.errors import FetchError
from notifier.fetch import Client, announce
from notifier.publish import Copy

AT_ONCE = 20  # feeds in one request
RETRIES = [timedelta(minutes=n) for n in (1, 5, 15, 60)]  # the last one again and again


@dataclass(slots=True)
class Hub:
    """A WebSub hub, at its URL."""

    url: str
    client: Client
    clock: Callable[[], datetime]
    _untold: dict[str, None] = field(default_factory=dict)
    _failures: int = 0
    _again: datetime | None = None

    def changed(self, copies: Iterable[Copy]) -> None:
        """Note that public feeds have changed."""
        self._untold |= dict.fromkeys(copy.url for copy in copies)

    async def tell(self) -> None:
        """Tell the hub what it was not told yet, unless it is being given time."""
        now = self.clock()
        if self._again and timedelta() < self._again - now <= RETRIES[-1]:
            return
        while some := list(self._untold)[:AT_ONCE]:
            try:
                await announce(self.client, self.url, some)
            except FetchError as fault:
                self._again = now + RETRIES[min(self._failures, len(RETRIES) - 1)]
                self._failures += 1
                log.hub_untold(fault)
                return
            self._failures, self._again = 0, None
            self._untold = {feed: None for feed in self._untold if feed not in some}
            log.hub_told(len(some))
