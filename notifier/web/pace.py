"""Pace: how often one reader may ask for feeds. Over-polling is answered 429 with the seconds to wait.

A private feed is counted by its own address, wherever the reader asks from. Public feeds are counted by the network of
the connection (an IPv4 address, an IPv6 /64), and only a global one: a loopback or private address is a proxy, or a
home, with any number of readers behind it. Counts are in memory, of the MOST_READERS that asked last.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil

from starlette.types import Scope

PRIVATE = (30.0, 30 / 3600)  # requests for one private feed at once, and more of them per second
PUBLIC = (600.0, 2.0)  # requests for public feeds by one network; an office reads many
SEARCH = (30.0, 60 / 3600)  # feeds of searches that are not ready, by one network
MOST_READERS = 20_000
IPV6_PREFIX = 64  # what one household has

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


def network(scope: Scope) -> str | None:
    """Return the network that a request came from, None when it is not a reader's own."""
    client = scope.get("client")
    if not client:
        return None
    try:
        address = ip_address(client[0].partition("%")[0])
    except ValueError:  # a Unix socket: a proxy
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if not address.is_global:
        return None
    if isinstance(address, IPv6Address):
        return str(ip_network((address, IPV6_PREFIX), strict=False))
    return str(address)
