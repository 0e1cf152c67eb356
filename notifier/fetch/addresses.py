"""Where a request may go: names to addresses, and which of those are nobody's, somebody's own, or public.

The networks are those of the IANA special-purpose address registries; an IPv6 address that carries an IPv4 one counts
as that. Promises that every address it gives was checked; whoever connects to it needs no second look-up.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import chain, zip_longest

from notifier.fetch.trouble import trouble, words
from notifier.model import Listing

MOST_ADDRESSES = 6  # tried for one name

# Never a server to read from, whoever allows it.
_NOBODY = [ip_network(n) for n in ("0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::/128", "ff00::/8")]
# Somebody's own network; only with `allow_private`.
_PRIVATE = [
    ip_network(n)
    for n in (
        *("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
        *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *("2001::/23", "2001:db8::/32", "3fff::/20"),
    )
]
_GLOBAL_UNICAST = ip_network("2000::/3")  # every other IPv6 address is private, or carries an IPv4 address
_NAT64 = ip_network("64:ff9b::/96")

IPAddress = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
Refusal = Callable[[IPAddress, bool], str | None]


async def addresses(listing: Listing, host: str, port: int, resolve: Resolve, refusal: Refusal) -> list[IPAddress]:
    """Return the addresses to try, families in turn, each of them checked; raises FetchError when there is none."""
    try:
        found = [ip_address(text) for text in await resolve(host, port)]
    except TimeoutError:
        raise
    except (OSError, UnicodeError) as error:
        raise trouble(listing, f"cannot resolve {host}: {words(error)}") from error
    reasons = {address: refusal(address, listing.allow_private) for address in found}
    good = [address for address in found if reasons[address] is None]
    if not good:
        why = "; ".join(f"{address} is {reason}" for address, reason in reasons.items()) or "it has no address"
        raise trouble(listing, f"not connecting to {host}: {why}")
    first = [address for address in good if address.version == good[0].version]
    second = [address for address in good if address.version != good[0].version]
    in_turn = chain.from_iterable(zip_longest(first, second))
    return [address for address in in_turn if address is not None][:MOST_ADDRESSES]


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of `host` in the order the system prefers; raises OSError when there are none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def refusal(address: IPAddress, allow_private: bool) -> str | None:
    """Return why no request may go to `address`, None if it may."""
    inner = _embedded(address)
    if inner is not None:
        return refusal(inner, allow_private)
    if any(address in network for network in _NOBODY):
        return "not the address of a server"
    if not allow_private and is_private(address):
        return "a private address (permitted by allow_private = true on the listing, or --allow-private)"
    return None


def is_private(address: IPAddress) -> bool:
    """Tell whether `address` is in a network of somebody's own, this machine included."""
    inner = _embedded(address)
    if inner is not None:
        return is_private(inner)
    if any(address in network for network in _PRIVATE):
        return True
    return address.version == 6 and address not in _GLOBAL_UNICAST


def _embedded(address: IPAddress) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address leads to: mapped (RFC 4291), 6to4 (RFC 3056), NAT64 (RFC 6052)."""
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour
