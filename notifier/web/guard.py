"""Guard: how often somebody may ask the site to write to an address.

One victim: a letter has the day in its key, so the database keeps a second one of the same day out, restarts or not.
One visitor (an IPv4 address, an IPv6 /64) and all visitors together: buckets of tokens in memory, which a restart
fills. Who the visitor is comes from the connection, or from X-Forwarded-For as far as the proxies that the
configuration names wrote it: the last address there that is none of theirs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.requests import Request

VISITOR = (8.0, 8 / 3600)  # sign-ups at once, and more of them per second
EVERYBODY = (120.0, 300 / 3600)
MOST_VISITORS = 10_000  # remembered; the one who was away longest is forgotten first
IPV6_PREFIX = 64  # what one household or one rented machine has

Network = IPv4Network | IPv6Network


@dataclass(slots=True)
class Bucket:
    """`left` tokens at `since` seconds of a clock that never goes back."""

    left: float
    since: float

    def take(self, limit: tuple[float, float], now: float) -> float:
        """Take a token; return 0, or the seconds until there is one."""
        most, rate = limit
        self.left = min(most, self.left + (now - self.since) * rate)
        self.since = now
        if self.left < 1:
            return (1 - self.left) / rate
        self.left -= 1
        return 0.0


@dataclass(slots=True)
class Guard:
    """The buckets of a site; `proxies` are the networks whose X-Forwarded-For is believed."""

    proxies: Sequence[Network] = ()
    _visitors: OrderedDict[str, Bucket] = field(default_factory=OrderedDict)
    _everybody: Bucket = field(default_factory=lambda: Bucket(EVERYBODY[0], 0.0))

    def take(self, visitor: str, now: float) -> float:
        """Let a visitor sign up once; return 0, or in how many seconds to try again."""
        bucket = self._visitors.pop(visitor, None) or Bucket(VISITOR[0], now)
        self._visitors[visitor] = bucket
        if len(self._visitors) > MOST_VISITORS:
            self._visitors.popitem(last=False)
        return bucket.take(VISITOR, now) or self._everybody.take(EVERYBODY, now)

    def visitor(self, request: Request) -> str:
        """Name who asks: an address, or the network that stands for one."""
        peer = _address(request.client.host if request.client else "")
        if peer is None:
            return "nobody"
        hops = [part for value in request.headers.getlist("x-forwarded-for") for part in value.split(",")]
        while hops and self._is_proxy(peer):
            before = _address(hops.pop())
            if before is None:
                break
            peer = before
        if isinstance(peer, IPv6Address):
            return str(ip_network((peer, IPV6_PREFIX), strict=False))
        return str(peer)

    def _is_proxy(self, peer: IPv4Address | IPv6Address) -> bool:
        return any(peer in network for network in self.proxies if network.version == peer.version)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text.strip().strip("[]"))
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
