"""The archive: everything that only reads - what feeds, pages and `status` show."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from unicodedata import normalize

from sqlalchemy import (
    Column,
    ColumnElement,
    Integer,
    MetaData,
    Row,
    Select,
    Table,
    Text,
    and_,
    cast,
    exists,
    false,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.identity import arxiv_id, doi, title_key
from notifier.model import (
    Comparison,
    ListingState,
    Outcome,
    PaperId,
    Poll,
    Sending,
    Sighting,
    StoredPaper,
    SubscriberState,
    Trace,
)
from notifier.query.words import unspaced
from notifier.store import schema
from notifier.store.contents import subscriptions
from notifier.store.digests import WANTED
from notifier.store.engine import Database
from notifier.store.papers import listing_state
from notifier.store.rows import STORED_COLUMNS, to_stored, to_subscriber, to_subscription

MOST_WORDS = 20  # of a title that is searched for
SHORT = 2  # letters of a word that is found as it stands only: what begins with it is nearly everything
# Signs of New Tai Lue and of the Vedas: letters that SQLite's tokenizer takes for the end of a word.
_CUT = re.compile("[\u19b0-\u19c0\u19c8\u19c9\u1cf2\u1cf3]")
_MARKED = re.compile("([A-Za-z])[\u0300-\u036f]+")
_INDEX = Table("paper_text", MetaData(), Column("rowid", Integer))  # of SQLite; the migrations make it


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """Which papers of the archive are wanted; [since, until) in UTC.

    All `words` stand in the title, the abstract or the authors, or words there begin so, if longer than SHORT. Of
    scripts without spaces any part is found, in titles and authors.
    """

    words: str = ""
    listing: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Archive:
    """The verbs of reading."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest_papers(self, limit: int) -> list[StoredPaper]:
        """Return the papers that were news, newest first; what a first poll only recorded is not among them."""
        table = schema.paper
        async with self._database.read() as connection:
            rows = await connection.execute(
                select(*STORED_COLUMNS)
                .where(table.c.news_poll_id.is_not(None))
                .order_by(table.c.news_poll_id.desc(), table.c.id.desc())
                .limit(limit)
            )
            return [to_stored(row) for row in rows]

    async def papers_since(self, since: datetime, limit: int) -> list[StoredPaper]:
        """Return the newest `limit` papers first seen at or after an instant, oldest first."""
        table = schema.paper
        async with self._database.read() as connection:
            rows = await connection.execute(
                select(*STORED_COLUMNS).where(table.c.seen_at >= since).order_by(table.c.id.desc()).limit(limit)
            )
            return [to_stored(row) for row in rows][::-1]

    async def days_seen(self, first: date, last: date) -> dict[date, tuple[int, ...]]:
        """Return, for each day (UTC) on which papers were first seen, how many and numbers that change when they do."""
        table = schema.paper
        found: dict[date, tuple[int, ...]] = {}
        async with self._database.read() as connection:
            for back in range((last - first).days + 1):
                day = first + timedelta(days=back)
                numbers = (
                    func.count(), func.max(table.c.id), func.max(table.c.changed_at), func.sum(table.c.upvotes),
                    func.count(table.c.code_url),
                )  # fmt: skip
                row = (await connection.execute(select(*numbers).where(*_seen_on(day)))).one()
                if row[0]:
                    found[day] = (row[0], row[1], round(row[2].timestamp()), row[3] or 0, row[4])
        return found

    async def papers_seen(self, day: date) -> list[StoredPaper]:
        """Return all papers first seen on a day (UTC), in the order they were."""
        asked = select(*STORED_COLUMNS).where(*_seen_on(day)).order_by(schema.paper.c.id)
        async with self._database.read() as connection:
            return [to_stored(row) for row in await connection.execute(asked)]

    async def paper(self, paper_id: PaperId) -> StoredPaper | None:
        """Return one paper."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(*STORED_COLUMNS).where(schema.paper.c.id == paper_id))).first()
        return to_stored(row) if row else None

    async def search(self, sought: Sought, limit: int, offset: int) -> list[StoredPaper]:
        """Return papers of the archive, newest first."""
        table, shown = schema.paper, schema.sighting
        asked = select(*STORED_COLUMNS).order_by(table.c.id.desc()).limit(limit).offset(offset)
        words = _words(sought.words)
        for word in filter(unspaced, words):
            like = f"%{word}%"
            asked = asked.where(table.c.title.like(like) | cast(table.c.authors, Text).like(_as_json(like), escape="~"))
        if spaced := [word for word in words if not unspaced(word)]:
            asked = self._having(asked, spaced)
        elif sought.words.strip() and not words:
            asked = asked.where(false())
        if sought.listing is not None:
            here = exists().where(shown.c.paper_id == table.c.id, shown.c.listing == sought.listing)
            asked = asked.where(here)
        if sought.since is not None:
            asked = asked.where(table.c.seen_at >= sought.since)
        if sought.until is not None:
            asked = asked.where(table.c.seen_at < sought.until)
        async with self._database.read() as connection:
            return [to_stored(row) for row in await connection.execute(asked)]

    def _having(self, asked: Select[Any], words: Sequence[str]) -> Select[Any]:
        """Narrow to the papers with all words, by the index that the database keeps of them."""
        table = schema.paper
        if self._database.is_sqlite:
            pieces = [piece for word in words for piece in _CUT.split(word) if piece]
            if not pieces:
                return asked.where(false())
            wanted = " ".join(f'"{piece}"{"*" if _begins(piece) else ""}' for piece in pieces)
            index = text("paper_text MATCH :wanted").bindparams(wanted=wanted)
            found = asked.join(_INDEX, _INDEX.c.rowid == table.c.id).where(index)
            return found.order_by(None).order_by(_INDEX.c.rowid.desc())  # only the papers of the page are read
        sought = func.to_tsquery(
            literal_column("'simple'::regconfig"), " & ".join(f"{word}:*" if _begins(word) else word for word in words)
        )
        return asked.where(func.paper_words(table.c.title, table.c.abstract, table.c.authors).op("@@")(sought))

    async def polls_since(self, since: datetime) -> list[Poll]:
        """Return the polls since an instant that brought something new, oldest first."""
        table = schema.poll
        asked = select(table).where(table.c.polled_at >= since, table.c.new > 0).order_by(table.c.id)
        async with self._database.read() as connection:
            return [_poll(row) for row in await connection.execute(asked)]

    async def listing_states(self) -> list[ListingState]:
        """Return the state of every listing that was ever polled, by name."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(schema.listing).order_by(schema.listing.c.name))
            return [listing_state(row) for row in rows.mappings()]

    async def last_polls(self, listing: str, limit: int) -> list[Poll]:
        """Return the last polls of a listing, newest first."""
        table = schema.poll
        async with self._database.read() as connection:
            rows = await connection.execute(
                select(table).filter_by(listing=listing).order_by(table.c.id.desc()).limit(limit)
            )
            return [_poll(row) for row in rows]

    async def last_batch(self, listing: str) -> Poll | None:
        """Return the last fresh poll of a listing's newest day; its `new` counts all that was news on that day.

        A day that was read late is not the newest, whenever it was read.
        """
        table = schema.poll
        fresh = select(table).filter_by(listing=listing, outcome=Outcome.FRESH)
        newest = fresh.order_by(table.c.listed_on.desc().nulls_last(), table.c.id.desc()).limit(1)
        async with self._database.read() as connection:
            row = (await connection.execute(newest)).first()
            if row is None or row.listed_on is None:
                return _poll(row) if row else None
            same_day = select(func.sum(table.c.new)).filter_by(listing=listing, listed_on=row.listed_on)
            return replace(_poll(row), new=await connection.scalar(same_day) or 0)

    async def compare(self, listing: str, other: str, since: datetime, until: datetime) -> Comparison:
        """Return the news that only one of two listings has shown, of what either first showed in [since, until).

        What either showed before both had been read once says nothing; nor does a paper that was no news anywhere,
        such as a replacement, which one page of a source lists and another leaves out.
        """
        async with self._database.read() as connection:
            primed = [await _first_poll(connection, name) for name in (listing, other)]
            only: list[tuple[StoredPaper, ...]] = [(), ()]
            if None not in primed:
                after = max(poll_id or 0 for poll_id in primed)
                pairs = ((listing, other), (other, listing))
                only = [await _shown_by_one(connection, *pair, after, since, until) for pair in pairs]
        return Comparison(
            listing=listing, other=other, since=since, until=until, only_listing=only[0], only_other=only[1]
        )

    async def paper_counts(self) -> tuple[int, int]:
        """Return how many papers are stored, and how many of them were news."""
        async with self._database.read() as connection:
            total = await connection.scalar(select(func.count()).select_from(schema.paper)) or 0
            news = await connection.scalar(select(func.count()).select_from(schema.paper).where(schema.paper.c.counted))
        return total, news or 0

    async def subscriber_counts(self) -> dict[SubscriberState, int]:
        """Count the subscribers in each state."""
        async with self._database.read() as connection:
            rows = await connection.execute(
                select(schema.subscriber.c.state, func.count()).group_by(schema.subscriber.c.state)
            )
            return {SubscriberState(state): count for state, count in rows}

    async def find_papers(self, text: str, limit: int) -> list[StoredPaper]:
        """Return papers by arXiv id, DOI, a link to one, the whole title, or else words of the title; newest first."""
        found, name = arxiv_id(text), doi(text)
        keys = [f"arxiv:{found[0]}"] if found else []
        keys += [f"doi:{name}"] if name else []
        keys += [f"title:{title_key(text)}"]
        table, key = schema.paper, schema.paper_key
        named = select(key.c.paper_id).where(key.c.key.in_(keys))
        titled = [table.c.title.ilike(f"%{_plain(word)}%", escape="\\") for word in text.split()[:MOST_WORDS]]
        async with self._database.read() as connection:
            for wanted in (table.c.id.in_(named), and_(*titled)):
                rows = await connection.execute(
                    select(*STORED_COLUMNS).where(wanted).order_by(table.c.id.desc()).limit(limit)
                )
                papers = [to_stored(row) for row in rows]
                if papers:
                    return papers
        return []

    async def trace(self, paper_id: PaperId, email: str | None) -> Trace:
        """Return where a paper was seen and, for a subscriber, what matched it and which message carries it."""
        async with self._database.read() as connection:
            was_news = bool(await connection.scalar(select(schema.paper.c.counted).filter_by(id=paper_id)))
            trace = Trace(sightings=await _sightings(connection, paper_id), was_news=was_news)
            asked = select(schema.subscriber).filter_by(email=email)
            reader = (await connection.execute(asked)).first() if email else None
            if reader is None:
                return trace
            mine = await subscriptions(connection, reader.id)
            wanted = {kind for row in mine for kind in WANTED[row.versions]}
            hits = await connection.execute(
                select(schema.query.c.canonical, schema.poll.c.polled_at)
                .select_from(schema.hit)
                .join(schema.query, schema.query.c.id == schema.hit.c.query_id)
                .join(schema.poll, schema.poll.c.id == schema.hit.c.poll_id)
                .join(schema.subscription, schema.subscription.c.query_id == schema.hit.c.query_id)
                .where(schema.hit.c.paper_id == paper_id, schema.subscription.c.subscriber_id == reader.id)
                .where(schema.hit.c.poll_id > schema.subscription.c.began, schema.hit.c.kind.in_(wanted))
            )
            carried = (
                await connection.execute(
                    select(schema.delivery.c.message_id.label("carried_by"), schema.message)
                    .join_from(schema.delivery, schema.message, isouter=True)
                    .where(schema.delivery.c.paper_id == paper_id, schema.delivery.c.subscriber_id == reader.id)
                )
            ).first()
            return replace(
                trace,
                subscriber=to_subscriber(reader),
                subscriptions=tuple(to_subscription(row) for row in mine),
                hits=tuple((row.canonical, row.polled_at) for row in hits),
                sending=_sending(carried) if carried and carried.carried_by is not None else None,
                given_up=bool(carried and carried.carried_by is None),
            )


def _seen_on(day: date) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    start = datetime.combine(day, time(), UTC)
    return schema.paper.c.seen_at >= start, schema.paper.c.seen_at < start + timedelta(days=1)


def _poll(row: Row[Any]) -> Poll:
    return Poll(
        listing=row.listing, polled_at=row.polled_at, outcome=Outcome(row.outcome), reason=row.reason,
        listed_on=row.listed_on, day_text=row.day_text, read=row.read, stated=row.stated, new=row.new,
    )  # fmt: skip


def _words(text: str) -> list[str]:
    """Return the words that are looked for, in the form in which texts are indexed: small, Latin without marks.

    SQLite's tokenizer and the function `paper_words` of PostgreSQL take the marks from the same letters.
    """
    bare = _MARKED.sub(r"\1", normalize("NFD", text.lower()))
    return re.findall(r"[^\W_]+", normalize("NFC", bare))[:MOST_WORDS]


def _begins(word: str) -> bool:
    return len(normalize("NFD", word)) > SHORT  # a Korean syllable is two letters or three


async def _first_poll(connection: AsyncConnection, listing: str) -> int | None:
    """The poll that read a listing first: what it showed is older than our watch."""
    number: int | None = await connection.scalar(
        select(func.min(schema.poll.c.id)).where(
            schema.poll.c.listing == listing, schema.poll.c.outcome != Outcome.FAILED
        )
    )
    return number


async def _shown_by_one(
    connection: AsyncConnection, here: str, there: str, after: int, since: datetime, until: datetime
) -> tuple[StoredPaper, ...]:
    """The news that `here` first showed in [since, until), by a poll after number `after`, and `there` never did."""
    shown, poll = schema.sighting, schema.poll
    elsewhere = shown.alias()
    rows = await connection.execute(
        select(*STORED_COLUMNS)
        .join_from(shown, poll, poll.c.id == shown.c.poll_id)
        .join(schema.paper, schema.paper.c.id == shown.c.paper_id)
        .where(shown.c.listing == here, shown.c.poll_id > after, schema.paper.c.counted)
        .where(poll.c.polled_at >= since, poll.c.polled_at < until)
        .where(~exists().where(elsewhere.c.paper_id == shown.c.paper_id, elsewhere.c.listing == there))
        .order_by(schema.paper.c.id)
    )
    return tuple(to_stored(row) for row in rows)


async def _sightings(connection: AsyncConnection, paper_id: PaperId) -> tuple[Sighting, ...]:
    sighting, poll = schema.sighting, schema.poll
    other = poll.alias()
    earlier = exists().where(
        other.c.listing == sighting.c.listing, other.c.id < poll.c.id, other.c.outcome != Outcome.FAILED
    )
    rows = await connection.execute(
        select(sighting.c.listing, poll.c.polled_at, earlier.label("earlier"))
        .join(poll, poll.c.id == sighting.c.poll_id)
        .where(sighting.c.paper_id == paper_id)
        .order_by(poll.c.id)
    )
    return tuple(Sighting(row.listing, row.polled_at, first_poll=not row.earlier) for row in rows)


def _sending(row: Row[Any]) -> Sending:
    return Sending(
        message_id=row.message_id, period=row.period, state=row.state, reply=row.reply, queued_at=row.queued_at,
        settled_at=row.settled_at,
    )  # fmt: skip


def _as_json(like: str) -> str:
    """A pattern as it stands in a column of JSON, which escapes what is not ASCII."""
    return json.dumps(like)[1:-1]


def _plain(word: str) -> str:
    """A word without the wildcards of LIKE."""
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
