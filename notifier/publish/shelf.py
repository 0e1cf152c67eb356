"""The shelf: ready-made copies of feeds, so that most requests are answered without a query or a rendering.

A copy is good as long as no poll was recorded since it was made; which poll is the newest is looked up once in
LOOK_AGAIN at most. After a new poll the papers are gathered again, and only if they differ is the feed rendered anew,
in a thread; what that takes is charged to those who give way to mail (`courtesy`). Copies of public feeds stay; the
others are dropped, least recently asked for first, beyond MOST_BYTES.

A search is bounded: the newest SEARCHED papers, the limits of the query language, and RENDERING renderings at a time,
with at most QUEUE requests that wait for one (Busy beyond); programs and people have a line each. Raises NoSuchFeed,
RevokedFeed, QueryError, CostlyQuery.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from notifier import match
from notifier.courtesy import Courtesy
from notifier.errors import Busy
from notifier.feed import MEDIA_TYPES, feed
from notifier.model import Channel, FeedFormat, FeedPaper, PrivateFeed
from notifier.publish.gather import ITEMS, Address, Kind, Newsstand, gather, gather_private, gather_search
from notifier.query import parse

LOOK_AGAIN = timedelta(seconds=5)  # for a newer poll
WRITE_AGAIN = timedelta(minutes=1)  # after a file could not be written
MOST_BYTES = 64 * 1024 * 1024  # of copies that nobody need keep
SEARCHED = 3_000  # newest papers
RENDERING = 2  # at a time
QUEUE = 64  # requests that wait for a rendering


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """The bytes of the feed at a URL, plain and compressed, with validators; `etag` is without its quotation marks.

    `source` is the hash of what it was made from, `poll` the newest poll when that was last looked at, `owner` whose
    it is.
    """

    address: Address
    format: FeedFormat
    url: str
    body: bytes
    gzipped: bytes
    etag: str
    modified: datetime
    media_type: str
    links: str
    source: bytes
    poll: int
    owner: PrivateFeed | None

    @property
    def private(self) -> bool:
        """Whether only its owner may read it."""
        return self.address.kind is Kind.PRIVATE


Key = tuple[Address, FeedFormat]
Aside = Callable[..., Awaitable[Any]]


class Shelf:
    """Copies of feeds. `public` holds the ready ones by the path of their URL; `publish` keeps them up to date."""

    def __init__(self, stand: Newsstand, clock: Callable[[], datetime], courtesy: Courtesy | None = None) -> None:
        self.stand = stand
        self.courtesy = courtesy or Courtesy()
        self.public: dict[str, Copy] = {}
        self._clock = clock
        self._unwritten: dict[str, Copy] = {}
        self._write_again: datetime | None = None
        self._poll = -1
        self._brought_up = -1  # the newest poll when the public copies were made
        self._looked_at: datetime | None = None
        self._copies: OrderedDict[Key, Copy] = OrderedDict()
        self._bytes = 0
        self._making: dict[Key, asyncio.Task[Copy]] = {}
        self._programs, self._people = _Line(), _Line()
        self._corpus: _Searched | None = None
        self._loading = asyncio.Lock()

    async def refresh(self) -> list[Copy]:
        """Bring the public feeds up to date; return the copies that are new."""
        poll = await self.stand.store.newest_poll()
        if poll == self._brought_up and self.public:
            return []
        polled = await self.stand.store.polled_since(self._brought_up)
        self._poll, self._looked_at = poll, self._clock()
        changed = []
        for address in self.stand.public:
            if self.public and address.kind is Kind.LISTING and address.of not in polled:
                continue
            channel = await gather(self.stand, address)
            for format in FeedFormat:
                path = f"{address.path}.{format}"
                old = self.public.get(path)
                copy = await _made(channel, address, format, poll, old)
                self.public[path] = copy
                if old is None or old.source != copy.source:
                    changed.append(copy)
                    self._unwritten[copy.url] = copy
        self._brought_up = poll
        return changed

    def to_write(self) -> list[Copy]:
        """Return the public copies that are not on disk yet; none for a while after the disk took one not."""
        now = self._clock()
        waits = self._write_again is not None and timedelta() < self._write_again - now <= WRITE_AGAIN
        return [] if waits else list(self._unwritten.values())

    def written(self, copies: Iterable[Copy]) -> None:
        """Note that copies are on disk as they are."""
        for copy in copies:
            if self._unwritten.get(copy.url) is copy:
                del self._unwritten[copy.url]
        self._write_again = None

    def not_written(self) -> None:
        """Note that the disk took none, so that it is not asked at every step."""
        self._write_again = self._clock() + WRITE_AGAIN

    async def copy(self, address: Address, format: FeedFormat) -> Copy:
        """Return a copy of a feed that is up to date, for a program; of a public one the copy that is ready.

        Whoever calls it while mail is being sent has waited for its turn (`courtesy`).
        """
        waited = self.courtesy.wanted
        ready = self.public.get(f"{address.path}.{format}") if address.page is None and not address.query else None
        if ready:
            return ready
        owner = await self._owner(address)
        poll = await self._newest_poll()
        kept = self._kept(address, format)
        if kept and kept.poll == poll and kept.owner == owner:
            return kept
        key = address, format
        making = self._making.get(key)
        if making is None:
            make = self._make(key, owner, poll, kept, waited=waited)
            making = self._making[key] = asyncio.create_task(self.courtesy.counted(make))
            making.add_done_callback(lambda _: self._making.pop(key, None))
        return await asyncio.shield(making)

    async def channel(self, address: Address) -> Channel:
        """Return what a feed holds, for a page that shows it."""
        owner = await self._owner(address)
        async with self._people.place():
            return await self._gather(address, owner, await self._newest_poll())

    async def _owner(self, address: Address) -> PrivateFeed | None:
        return await self.stand.store.private_feed(address.of) if address.kind is Kind.PRIVATE else None

    async def _newest_poll(self) -> int:
        now = self._clock()
        if self._looked_at is None or not timedelta() <= now - self._looked_at < LOOK_AGAIN:
            self._poll, self._looked_at = await self.stand.store.newest_poll(), now
        return self._poll

    def _kept(self, address: Address, format: FeedFormat) -> Copy | None:
        kept = self._copies.get((address, format))
        if kept:
            self._copies.move_to_end((address, format))
        return kept

    async def _make(self, key: Key, owner: PrivateFeed | None, poll: int, kept: Copy | None, *, waited: bool) -> Copy:
        """Make a copy when there is a place. `waited`: its turn beside mail has come; else, with mail, it waits for it.

        Mail may begin while many stand in line. Who waits for a turn keeps no place.
        """
        address, format = key
        while True:
            async with self._programs.place():
                if waited or not self.courtesy.wanted:
                    channel = await self._gather(address, owner, poll)
                    made = await _made(channel, address, format, poll, kept, self.courtesy.aside)
                    break
            await self.courtesy.turn()
            waited = True
        copy = replace(made, owner=owner)
        self._keep(key, copy)
        return copy

    async def _gather(self, address: Address, owner: PrivateFeed | None, poll: int) -> Channel:
        if owner is not None:
            return await gather_private(self.stand, address, owner)
        if address.kind is not Kind.SEARCH:
            return await gather(self.stand, address)
        query = parse(address.of)
        searched = await self._searched(poll)
        found = await self.courtesy.aside(searched.corpus.match, query)
        papers = [searched.papers[place] for place in found[:ITEMS]]
        return await self.courtesy.aside(gather_search, self.stand, address, query, papers)

    async def _searched(self, poll: int) -> _Searched:
        """Return the papers that a search looks through, newest first."""
        async with self._loading:
            if self._corpus is None or self._corpus.poll != poll:
                papers = await self.stand.store.news(None, SEARCHED)
                corpus = await self.courtesy.aside(match.Corpus, [each.stored.paper for each in papers])
                self._corpus = _Searched(poll, papers, corpus)
            return self._corpus

    def _keep(self, key: Key, copy: Copy) -> None:
        old = self._copies.pop(key, None)
        self._copies[key] = copy
        self._bytes += _size(copy) - (_size(old) if old else 0)
        while self._bytes > MOST_BYTES:
            _, dropped = self._copies.popitem(last=False)
            self._bytes -= _size(dropped)


@dataclass(slots=True)
class _Line:
    """Those who wait for a rendering, and those who have one."""

    _waiting: int = 0
    _rendering: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(RENDERING))

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place to render in; raises Busy when too many wait already."""
        if self._waiting >= QUEUE:
            raise Busy("too many feeds are being made")
        self._waiting += 1
        try:
            async with self._rendering:
                yield
        finally:
            self._waiting -= 1


@dataclass(frozen=True, slots=True)
class _Searched:
    """What searches look through, as of a poll."""

    poll: int
    papers: list[FeedPaper]
    corpus: match.Corpus


async def _made(
    channel: Channel,
    address: Address,
    format: FeedFormat,
    poll: int,
    old: Copy | None,
    aside: Aside = asyncio.to_thread,
) -> Copy:
    """Make a copy of a channel, or confirm the old one when it was made from the same; `aside` runs it in a thread."""
    source = await aside(_hash, channel)
    if old is not None and old.source == source:
        return old if old.poll == poll else replace(old, poll=poll)
    made: Copy = await aside(_rendered, channel, address, format, poll, source, old)
    return made


def _rendered(
    channel: Channel, address: Address, format: FeedFormat, poll: int, source: bytes, old: Copy | None
) -> Copy:
    body = feed(channel, format)
    modified = channel.updated.replace(microsecond=0)
    if modified < channel.updated:
        modified += timedelta(seconds=1)
    if old is not None and modified <= old.modified:  # it changed: who knows only the date must see that it did
        modified = old.modified + timedelta(seconds=1)
    links = f'<{channel.hub}>; rel="hub", <{channel.address(format)}>; rel="self"' if channel.hub else ""
    return Copy(
        address=address,
        format=format,
        url=channel.address(format, channel.page),
        body=body,
        gzipped=gzip.compress(body, 6, mtime=0),
        etag=hashlib.sha256(body).hexdigest()[:32],
        modified=modified,
        media_type=f"{MEDIA_TYPES[format]}; charset=utf-8",
        links=links,
        source=source,
        poll=poll,
        owner=None,
    )


def _hash(channel: Channel) -> bytes:
    return hashlib.sha256(repr(channel).encode("utf-8", "backslashreplace")).digest()


def _size(copy: Copy) -> int:
    return len(copy.body) + len(copy.gzipped)
