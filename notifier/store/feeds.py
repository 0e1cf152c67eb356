"""Feeds: what each holds, and the secret addresses of private ones. Reading only, but for `rotate_feed`.

Public feeds are in the order in which papers became news; a private one in the order of its hits, so that a paper is
in it if and only if the subscription was, or would be, sent it. An archive page is a range of BLOCK paper ids: ids are
given once and only grow, so that a page keeps its papers for ever, however many come later.

The address of a private feed is derived from a random seed and the installation's secret. An address that was never
ours is told from one that was: the latter is signed, and its seed is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    CTE,
    Column,
    ColumnElement,
    Row,
    Select,
    and_,
    bindparam,
    exists,
    func,
    literal,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.errors import NoSuchFeed, RevokedFeed
from notifier.model import FeedPaper, FeedTerm, PrivateFeed, QueryId, SubscriberId
from notifier.store import schema
from notifier.store.digests import WANTED
from notifier.store.rows import STORED_COLUMNS, to_stored
from notifier.store.shards import settled_poll
from notifier.store.subscribers import Subscribers

BLOCK = 100  # paper ids of one archive page
TRENDING_DAYS = timedelta(days=7)  # before the newest paper
TERM = ("query_id", "versions", "began")
FOREVER = 2**62  # a poll that never comes
PURPOSE = "feed"

_subscription, _earlier = schema.subscription, schema.earlier
_MINE = (
    select(_subscription, schema.subscriber.c.email, schema.query.c.canonical)
    .select_from(_subscription)
    .join(schema.subscriber)
    .join(schema.query)
    .where(_subscription.c.active)
    .order_by(_subscription.c.id)
)
_BY_SEED = _MINE.where(_subscription.c.feed == bindparam("seed"))
_BY_OWNER = _MINE.where(_subscription.c.subscriber_id == bindparam("owner"))
_OWNER = select(schema.subscriber).where(schema.subscriber.c.feed == bindparam("seed"))
_BEFORE = select(_earlier, schema.query.c.canonical).select_from(_earlier).join(schema.query).order_by(_earlier.c.id)
_EARLIER_OF_ONE = _BEFORE.where(_earlier.c.subscription_id == bindparam("mine"))
_EARLIER = _BEFORE.join(_subscription, _subscription.c.id == _earlier.c.subscription_id).where(
    _earlier.c.subscriber_id == bindparam("owner"), _subscription.c.active
)


class Feeds(Subscribers):
    """The verbs of feeds."""

    async def newest_poll(self) -> int:
        """Return the newest poll that was matched against every query: while it is the same, no feed has changed."""
        async with self._database.read() as connection:
            return await connection.scalar(select(settled_poll())) or 0

    async def polled_since(self, poll: int) -> set[str]:
        """Return the listings that were polled after a poll, or show a paper that another one said more of.

        The feeds of the others have not changed.
        """
        paper, sighting = schema.paper, schema.sighting
        polled = select(schema.poll.c.listing).where(schema.poll.c.id > poll)
        told = select(sighting.c.listing).join(paper).where(paper.c.told_poll_id > poll)
        async with self._database.read() as connection:
            return set((await connection.execute(polled.union(told))).scalars())

    async def news(self, listing: str | None, limit: int) -> list[FeedPaper]:
        """Return the newest news, of one listing or of all, newest first."""
        table = schema.paper
        async with self._database.read() as connection:
            rows = await connection.execute(
                _news(listing).order_by(table.c.news_poll_id.desc(), table.c.id.desc()).limit(limit)
            )
            return [_of_news(row) for row in rows]

    async def news_page(self, listing: str | None, page: int) -> list[FeedPaper]:
        """Return the news of one archive page, newest first."""
        table = schema.paper
        async with self._database.read() as connection:
            rows = await connection.execute(
                _news(listing)
                .where(table.c.id > page * BLOCK, table.c.id <= (page + 1) * BLOCK)
                .order_by(table.c.id.desc())
            )
            return [_of_news(row) for row in rows]

    async def page_before(self, listing: str | None, page: int) -> int | None:
        """Return the nearest archive page below `page` that holds any news, None when there is none."""
        return await self._page(listing, schema.paper.c.id <= page * BLOCK, func.max)

    async def page_after(self, listing: str | None, page: int) -> int | None:
        """Return the nearest archive page above `page` that holds any news, None when there is none."""
        return await self._page(listing, schema.paper.c.id > (page + 1) * BLOCK, func.min)

    async def page_behind(self, listing: str | None, shown: Sequence[FeedPaper]) -> int | None:
        """Return the newest archive page with news that is not among those shown, None when all are shown."""
        return await self._page(listing, schema.paper.c.id.not_in([each.stored.paper_id for each in shown]), func.max)

    async def trending(self, limit: int) -> list[FeedPaper]:
        """Return the news of the last days with the most votes, most first; papers without votes are not among it."""
        table = schema.paper
        async with self._database.read() as connection:
            newest = await connection.scalar(select(func.max(table.c.seen_at)).where(table.c.news_poll_id.is_not(None)))
            if newest is None:
                return []
            rows = await connection.execute(
                _news(None)
                .where(table.c.seen_at > newest - TRENDING_DAYS, table.c.upvotes > 0)
                .order_by(table.c.upvotes.desc(), table.c.id)
                .limit(limit)
            )
            return [_of_news(row) for row in rows]

    # --- private feeds ------------------------------------------------------------------------------------------------

    async def private_feed(self, link: str) -> PrivateFeed:
        """Return the feed that an address opens.

        Raises NoSuchFeed for an address that never was one, cut short included, RevokedFeed for one that was.
        """
        seed = self.opened(PURPOSE, link)
        if seed is None:
            raise NoSuchFeed(link[:8])

        async def read(connection: AsyncConnection) -> PrivateFeed | None:
            given = {"seed": seed}
            mine = (await connection.execute(_BY_SEED, given)).all()
            if mine:
                before = (await connection.execute(_EARLIER_OF_ONE, {"mine": mine[0].id})).all()
                return _private("subscription", mine[0].id, mine[0].feed_name, seed, [*before, *mine])
            owner = (await connection.execute(_OWNER, given)).first()
            return private(owner, *await held(connection, owner.id))[0] if owner else None

        found = await self._database.transact(read, writes=False)
        if found is None:
            raise RevokedFeed(link[:8])
        return found

    async def private_feeds(self, subscriber_id: SubscriberId) -> list[PrivateFeed]:
        """Return a subscriber's private feeds: first that of all subscriptions, then that of each."""

        async def read(connection: AsyncConnection) -> list[PrivateFeed]:
            asked = select(schema.subscriber).where(schema.subscriber.c.id == subscriber_id)
            owner = (await connection.execute(asked)).first()
            return private(owner, *await held(connection, subscriber_id)) if owner else []

        return await self._database.transact(read, writes=False)

    async def rotate_feed(self, seed: str) -> str | None:
        """Give a private feed a new address; return its new seed, None when there is no such feed any more."""
        new = schema.feed_seed()
        async with self._database.write() as connection:
            for table in (schema.subscription, schema.subscriber):
                done = await connection.execute(update(table).where(table.c.feed == seed).values(feed=new))
                if done.rowcount:
                    return new
        return None

    async def private_page(self, feed: PrivateFeed, page: int | None, size: int) -> tuple[int, list[FeedPaper]]:
        """Return how many papers a private feed has had, each edition once, and those of a page, newest first.

        Pages are counted from the oldest paper on, and None is the newest `size`. What comes later is later in this
        order, so that a page keeps its papers.
        """
        poll, shown = schema.poll, _shown_by(feed)

        async def read(connection: AsyncConnection) -> tuple[int, list[FeedPaper]]:
            owed = select(shown.c.paper_id, shown.c.edition, func.min(shown.c.came).label("came"))
            owed = owed.group_by(shown.c.paper_id, shown.c.edition)
            count = await connection.scalar(select(func.count()).select_from(owed.subquery())) or 0
            first = max(0, count - size) if page is None else page * size
            chosen = owed.order_by("came", shown.c.paper_id, shown.c.edition).offset(first).limit(size).subquery()
            by = select(shown.c.paper_id, shown.c.edition, shown.c.query_id).distinct().subquery()
            asked: Select[Any] = (
                select(*STORED_COLUMNS, by.c.edition, by.c.query_id, poll.c.polled_at)
                .join_from(chosen, schema.paper, schema.paper.c.id == chosen.c.paper_id)
                .join(by, (by.c.paper_id == chosen.c.paper_id) & (by.c.edition == chosen.c.edition))
                .join(poll, poll.c.id == chosen.c.came)
                .order_by(chosen.c.came, chosen.c.paper_id, chosen.c.edition, by.c.query_id)
            )
            found: dict[tuple[int, int], FeedPaper] = {}
            for row in await connection.execute(asked):
                known = found.get((row.id, row.edition))
                queries = (*known.queries, QueryId(row.query_id)) if known else (QueryId(row.query_id),)
                found[row.id, row.edition] = FeedPaper(
                    stored=to_stored(row), at=row.polled_at, edition=row.edition, queries=queries
                )
            return count, list(found.values())[::-1]

        return await self._database.transact(read, writes=False)

    # --- below: parts of a transaction --------------------------------------------------------------------------------

    async def _page(self, listing: str | None, where: ColumnElement[bool], nearest: Any) -> int | None:
        wanted = select(nearest(schema.paper.c.id)).where(schema.paper.c.news_poll_id.is_not(None), where)
        async with self._database.read() as connection:
            number = await connection.scalar(wanted.where(_shown_on(listing)))
        return None if number is None else (number - 1) // BLOCK


def _news(listing: str | None) -> Select[Any]:
    table = schema.paper
    return select(*STORED_COLUMNS).where(table.c.news_poll_id.is_not(None), _shown_on(listing))


def _shown_on(listing: str | None) -> ColumnElement[bool]:
    if listing is None:
        return true()
    shown = schema.sighting
    return exists().where(shown.c.paper_id == schema.paper.c.id, shown.c.listing == listing)


def _of_news(row: Row[Any]) -> FeedPaper:
    stored = to_stored(row)
    return FeedPaper(stored=stored, at=stored.seen_at)


async def held(connection: AsyncConnection, owner: int) -> tuple[Sequence[Row[Any]], Sequence[Row[Any]]]:
    """Return the active subscriptions of a subscriber with their query's text, and what each was earlier."""
    mine = (await connection.execute(_BY_OWNER, {"owner": owner})).all()
    return mine, (await connection.execute(_EARLIER, {"owner": owner})).all() if mine else ()


def private(owner: Row[Any], mine: Sequence[Row[Any]], before: Sequence[Row[Any]]) -> list[PrivateFeed]:
    """Return a subscriber's private feeds: first that of all subscriptions, then that of each."""
    each = []
    for row in mine:
        earlier = [term for term in before if term.subscription_id == row.id]
        each.append(_private("subscription", row.id, row.feed_name, row.feed, [*earlier, row]))
    return [_private("subscriber", owner.id, str(owner.id), owner.feed, [*before, *mine]), *each]


def _private(kind: str, number: int, name: str, seed: str, rows: Sequence[Row[Any]]) -> PrivateFeed:
    return PrivateFeed(
        kind=kind,
        number=number,
        name=name,
        seed=seed,
        terms=tuple(FeedTerm(query_id=QueryId(row.query_id), until=getattr(row, "until", None)) for row in rows),
        queries={QueryId(row.query_id): (row.label, row.canonical) for row in rows},
    )


def _shown_by(feed: PrivateFeed) -> CTE:
    """Return the hits that a private feed shows: query_id, paper_id, edition, and the poll with which each `came`.

    A cross-list that it showed stays where it was when it becomes a new paper; then a hit is there twice.
    """
    hit, term = schema.hit, _terms(feed)
    picked = hit.c.query_id, hit.c.paper_id, hit.c.edition
    kinds = [and_(term.c.versions == versions, hit.c.kind.in_(kinds)) for versions, kinds in WANTED.items()]
    crossing = [versions for versions, kinds in WANTED.items() if "cross" in kinds]
    news = _by(term, hit.c.poll_id, picked).where(or_(*kinds))
    crosses = _by(term, hit.c.cross_poll_id, picked).where(term.c.versions.in_(crossing))
    return news.union(crosses).cte("shown")


def _terms(feed: PrivateFeed) -> CTE:
    """Return what a private feed looks for and looked for: the hits of a query, of the polls in (began, until].

    They are read where they are: a feed may have been a thousand things.
    """
    of = _subscription.c.id if feed.kind == "subscription" else _subscription.c.subscriber_id
    mine, forever = (_subscription.c.active & (of == feed.number)), literal(FOREVER, schema.Id).label("until")
    now = select(*(_subscription.c[name] for name in TERM), forever).where(mine)
    before = select(*(_earlier.c[name] for name in TERM), _earlier.c.until)
    before = before.join(_subscription, _subscription.c.id == _earlier.c.subscription_id).where(mine)
    return now.union(before).cte("term")


def _by(term: CTE, poll: Column[Any], picked: Sequence[Column[Any]]) -> Select[Any]:
    its = (schema.hit.c.query_id == term.c.query_id) & (poll > term.c.began) & (poll <= term.c.until)
    return select(*picked, poll.label("came")).select_from(term).join(schema.hit, its)
