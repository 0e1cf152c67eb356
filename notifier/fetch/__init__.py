"""One polite, safe, conditional GET.

Owns every HTTP request to the outside (httpx lives here and nowhere else): URL -> address -> bytes. Follows RFC 9110
for conditional requests, redirects and content codings, RFC 9309 for robots.txt. Rooms: `session` (what fetches
share), `addresses` (where a request may go), `manners` (when), `robots` (whether at all), `request` and `answer`.

Promises, whatever the server does:
- One fetch costs at most DEADLINE seconds, MOST_BYTES decoded bytes and MOST_REDIRECTS redirects. The deadline is one
  for all, as a timeout per read lets a trickled body run for ever.
- No request reaches an address that the operator did not allow. A name is resolved once per hop, the addresses are
  checked, and the connection goes to the very address that was checked: there is no second look-up to turn it.
- One request at a time per host, and a gap between two; a pause that a host asks for, or earns by 403, holds for all of
  its listings. Both are kept in `Client.hosts` before the request they follow from or the next one, so a restart
  forgets neither. An address of our own network that the operator allowed needs no gap and is not asked for robots.txt.
- A User-Agent that names a contact, `gzip` as the only content coding.
- Nothing of the environment is used: no proxy, no cookies, no .netrc. No connection is used for a second request, as
  connections are by address here, and two names may share one.

Fails with `FetchError` alone, whose reason is one printable line, and with what `Client.hosts` raises. Cancelled, it
closes its connection.
"""

from __future__ import annotations

from notifier.fetch import slim  # noqa: F401  # isort: skip  before anything imports the library whole

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import httpx

from notifier.errors import FetchError
from notifier.fetch.addresses import IPAddress, addresses, is_private, refusal
from notifier.fetch.announce import announce
from notifier.fetch.answer import Answer, answer
from notifier.fetch.manners import SHORT_WAIT, asked, paused, rest
from notifier.fetch.request import authority, checked, host_name, port, request
from notifier.fetch.robots import forbidding, robots
from notifier.fetch.session import Client, Hosts, client
from notifier.fetch.trouble import trouble, words
from notifier.model import HostState, Listing, Page, Validators

__all__ = ["Client", "Hosts", "IPAddress", "announce", "client", "fetch", "host_of", "refusal"]

MOST_REDIRECTS = 5
PRODUCT = "notifier"  # what a robots.txt calls us
ROBOTS_DEADLINE = 15.0  # seconds; a site that does not answer for its robots.txt may still have a page
ROBOTS_FOR = timedelta(hours=24)  # a robots.txt is believed for a day (RFC 9309 2.4)
ROBOTS_RETRY = timedelta(hours=1)  # when it could not be read


async def fetch(client: Client, listing: Listing, known: Validators) -> Page | None:
    """Return the page of `listing`, or None when it is still what `known` stands for (304).

    Waits for its turn at the host, at most a minute after those before it. Raises FetchError; with `retry_after` the
    host rests for so long, and `status` 403 means that this site does not want us: a person should look at it.
    """
    return await _follow(client, listing, known, _Deadline(listing, client.deadline))


def host_of(listing: Listing) -> str:
    """Return the host whose turns a listing waits for, as `HostState.host`; its whole URL when that cannot be asked."""
    try:
        return authority(checked(listing, listing.url))
    except FetchError:
        return listing.url


class _Deadline:
    """The seconds of one fetch; only what is done while it runs counts."""

    def __init__(self, listing: Listing, seconds: float) -> None:
        self._listing, self._seconds, self._left = listing, seconds, seconds

    @asynccontextmanager
    async def running(self, host: str) -> AsyncIterator[None]:
        """Let the time run; whatever the network does becomes a FetchError."""
        now = asyncio.get_running_loop().time
        started = now()
        try:
            async with asyncio.timeout(self._left):
                yield
        except TimeoutError:
            raise trouble(self._listing, f"no complete answer within {self._seconds:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise trouble(self._listing, f"{host}: {words(error)}") from error
        finally:
            self._left -= now() - started


async def _follow(
    client: Client, listing: Listing, known: Validators, deadline: _Deadline, *, for_robots: bool = False
) -> Page | None:
    """Ask hop by hop until there is a page."""
    url = checked(listing, listing.url)
    trail = [str(url)]
    while len(trail) <= MOST_REDIRECTS + 1:
        async with deadline.running(host_name(url)):
            found = await addresses(listing, host_name(url), port(url), client.resolve, client.refusal)
        is_own = listing.allow_private and all(is_private(address) for address in found)
        if listing.obey_robots and not is_own and not for_robots:
            await _obey_robots(client, listing, url)
        async with client.turn(authority(url)):
            state = await _turn(client, listing, authority(url), is_own=is_own)
            try:
                async with deadline.running(host_name(url)):
                    got = await _visit(client, listing, url, known, found)
            except FetchError as fault:
                # A robots.txt that is forbidden forbids nothing (RFC 9309 2.3.1.3).
                if fault.retry_after and not (for_robots and fault.status == 403):
                    await client.hosts.keep_host(paused(state, client.clock(), fault.retry_after, fault.reason))
                raise
            if got.rest:
                await client.hosts.keep_host(paused(state, client.clock(), got.rest, "its rate limit is used up"))
        if got.moved_to is None:
            return got.page
        url = got.moved_to
        trail.append(str(url))
    raise trouble(listing, f"more than {MOST_REDIRECTS} redirects: " + " -> ".join(trail))


async def _turn(client: Client, listing: Listing, host: str, *, is_own: bool) -> HostState:
    """Wait until `host` may be asked, and note that it is; raises FetchError when that takes too long."""
    state = await client.hosts.host_state(host) or HostState(host=host)
    now = client.clock()
    wait = rest(state, now)
    if wait > SHORT_WAIT:
        until = f"{now + wait:%Y-%m-%d %H:%M} UTC"
        raise FetchError(listing.url, f"{host} is left alone until {until}: {state.reason}", retry_after=wait)
    if wait:
        await client.sleep(wait.total_seconds())
    if not is_own:
        state = asked(state, client.clock())
        await client.hosts.keep_host(state)
    return state


async def _visit(
    client: Client, listing: Listing, url: httpx.URL, known: Validators, found: Sequence[IPAddress]
) -> Answer:
    response = await request(client, listing, url, known, found)
    try:
        return await answer(client, listing, url, known, response)
    finally:
        await response.aclose()


# --- robots.txt -------------------------------------------------------------------------------------------------------


async def _obey_robots(client: Client, listing: Listing, url: httpx.URL) -> None:
    """Raise FetchError when the host's robots.txt forbids `url` to us."""
    host = authority(url)
    async with client.gate(f"{host}/robots.txt"):  # those who come meanwhile find it read
        state = await client.hosts.host_state(host) or HostState(host=host)
        now = client.clock()
        is_read = state.robots_until is not None and now < state.robots_until <= now + ROBOTS_FOR
        if not is_read and rest(state, now) <= SHORT_WAIT:
            state = await _read_robots(client, listing, url)
    rule = forbidding(state.robots, url.raw_path.decode("ascii"))
    if rule is not None:
        raise trouble(
            listing, f"the robots.txt of {host} forbids it to programs ({rule}): "
            'with leave of the site, set robots = "ignore" on the listing',
        )  # fmt: skip


async def _read_robots(client: Client, listing: Listing, url: httpx.URL) -> HostState:
    """Fetch the robots.txt beside `url` and keep what it says to us.

    There is none (4xx): everything is allowed. It cannot be read (5xx, no answer): what was known holds, at first
    everything allowed, and it is asked for again soon. RFC 9309 2.3.1.4 would have a crawler that wanders assume the
    opposite; here an operator named this one page, and a broken robots.txt must not silence it.
    """
    asked_for = replace(listing, url=str(url.copy_with(raw_path=b"/robots.txt")))
    rules, crawl_delay, keep_for = None, timedelta(), ROBOTS_FOR
    try:
        page = await _follow(
            client, asked_for, Validators(), _Deadline(asked_for, min(client.deadline, ROBOTS_DEADLINE)),
            for_robots=True,
        )  # fmt: skip
        rules, crawl_delay = robots(page.content if page else b"", PRODUCT)
    except FetchError as fault:
        if fault.status is not None and 400 <= fault.status < 500:
            rules = ""
        else:
            keep_for = ROBOTS_RETRY
    host = authority(url)
    async with client.turn(host):
        state = await client.hosts.host_state(host) or HostState(host=host)
        if rules is not None:
            state = replace(state, robots=rules, crawl_delay=crawl_delay)
        state = replace(state, robots_until=client.clock() + keep_for)
        await client.hosts.keep_host(state)
    return state
