"""Pace: how often one reader may ask for feeds. Over-polling is answered 429 with the seconds to wait.

A private feed is counted by its own address, wherever the reader asks from. Public feeds are counted by the household
that `guard` tells. Counts are in memory, of the MOST_READERS that asked last.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil

PRIVATE = (30.0, 30 / 3600)  # requests for one private feed at once, and more of them per second
PUBLIC = (600.0, 2.0)  # requests for public feeds by one network; an office reads many
SEARCH = (30.0, 60 / 3600)  # feeds of searches that are not ready, by one network
WORDS = (120.0, 0.5)  # pages of the archive with words that are looked for, by one network
MOST_READERS = 20_000

Limit = tuple[float, float]


@dataclass(slots=True)
class Pace:
    """Buckets of tokens by reader: what is left, and the instant when that was."""

    _left: OrderedDict[tuple[Limit, str], tuple[float, datetime]] = field(default_factory=OrderedDict)

    def take(self, limit: Limit, reader: str, now: datetime) -> int:
        """Let a reader ask once; return 0, or in how many seconds to ask again."""
        most, rate = limit
        key = limit, reader
        left, since = self._left.pop(key, (most, now))
        left = min(most, left + max(0.0, (now - since).total_seconds()) * rate)
        wait = 0 if left >= 1 else ceil((1 - left) / rate)
        self._left[key] = (left if wait else left - 1, now)
        if len(self._left) > MOST_READERS:
            self._left.popitem(last=False)
        return wait
