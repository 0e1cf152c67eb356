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
from functools import lru_cache
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

    def visitor(self, peer: str, forwarded: str) -> str:
        """Name who asks: an address, or the network that stands for one. `forwarded` is X-Forwarded-For."""
        found = self._trace(peer, forwarded)
        return _network(found) if found else "nobody"

    def household(self, peer: str, forwarded: str) -> str | None:
        """Name who asks as `visitor` does, None for an address that is not global.

        A loopback or private address is a proxy that the configuration does not name, or a home: any number of people.
        """
        if self.proxies or forwarded:
            found = self._trace(peer, forwarded)
            return _network(found) if found and found.is_global else None
        return _household(peer)

    def _trace(self, peer: str, forwarded: str) -> IPv4Address | IPv6Address | None:
        """Return the address that asked first, as far as it can be believed."""
        found = _address(peer)
        hops = forwarded.split(",") if forwarded else []
        while found and hops and self._is_proxy(found):
            before = _address(hops.pop())
            if before is None:
                break
            found = before
        return found

    def _is_proxy(self, peer: IPv4Address | IPv6Address) -> bool:
        return any(peer in network for network in self.proxies if network.version == peer.version)


def seen(request: Request) -> tuple[str, str]:
    """Return what a request says of who asks: the address of the connection, and X-Forwarded-For."""
    return request.client.host if request.client else "", ",".join(request.headers.getlist("x-forwarded-for"))


@lru_cache(maxsize=4096)
def _household(peer: str) -> str | None:
    found = _address(peer)
    return _network(found) if found and found.is_global else None


def _network(found: IPv4Address | IPv6Address) -> str:
    if isinstance(found, IPv6Address):
        return str(ip_network((found, IPV6_PREFIX), strict=False))
    return str(found)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text.strip().strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
