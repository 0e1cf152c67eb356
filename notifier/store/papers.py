"""Papers and polls: what was seen, and the first commit point.

`record_poll` is G1: a paper becomes seen in the transaction that stores the hits it causes and the validators of the
page it came from. If power fails before its commit the page is simply read again; after it nothing can be lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date, datetime
from statistics import median
from typing import Any, NamedTuple

from sqlalchemy import RowMapping, Table, bindparam, delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.errors import SeenMeanwhile
from notifier.model import (
    Change,
    ChangeKind,
    Diff,
    Hits,
    Known,
    ListingState,
    Outcome,
    PaperId,
    Poll,
    PollId,
    QueryId,
    Seen,
    Validators,
)
from notifier.store import schema
from notifier.store.engine import Database, again, chunks
from notifier.store.hits import add_hits
from notifier.store.jobs import QUEUE, Jobs
from notifier.store.rows import PAPER_COLUMNS, guid, paper_values, to_paper
from notifier.store.shards import cut

DAYS_LOOKED_BACK, FEWEST_WEEKS = 60, 3  # for the usual size of a weekday's batch


PAPERS_AT_ONCE = 100  # inserted by one statement: each row is held several times over until it is stored


class History(NamedTuple):
    """What the polls of a listing showed, each None where there is none.

    The newest day that it named, the newest that brought something, the newest that was stale, the median size of its
    last batches of a weekday, and when it was first polled without failing.
    """

    listed_on: date | None
    fresh_on: date | None
    stale_on: date | None
    usual: int | None
    began: datetime | None


class Papers:
    """The verbs of polling."""

    _jobs: Jobs

    def __init__(self, database: Database) -> None:
        self._database = database

    async def listing_state(self, name: str) -> ListingState | None:
        """Return what polling this listing has shown so far, None before its first poll."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(schema.listing).filter_by(name=name))).mappings().first()
        return listing_state(row) if row else None

    async def history(self, name: str, weekday: int | None) -> History:
        """Return what all polls of a listing together show; `weekday` is that of the usual size."""
        table = schema.poll
        dated = table.c.listing == name, table.c.outcome != Outcome.FAILED
        async with self._database.read() as connection:
            day = func.max(table.c.listed_on)
            newest: date | None = await connection.scalar(select(day).where(*dated))
            fresh = await connection.scalar(select(day).where(*dated, table.c.outcome == Outcome.FRESH))
            stale = await connection.scalar(select(day).where(*dated, table.c.outcome == Outcome.STALE))
            began: datetime | None = await connection.scalar(select(func.min(table.c.polled_at)).where(*dated))
            sizes = await connection.execute(
                select(table.c.listed_on, func.max(table.c.read))
                .where(*dated, table.c.listed_on.is_not(None))
                .group_by(table.c.listed_on)
                .order_by(table.c.listed_on.desc())
                .limit(DAYS_LOOKED_BACK)
            )
            usual = [size for day, size in sizes if day.weekday() == weekday and day != newest]
        return History(newest, fresh, stale, int(median(usual)) if len(usual) >= FEWEST_WEEKS else None, began)

    async def gaps(self, name: str) -> list[date]:
        """Return the past days of a listing that are still to be read, oldest first."""
        table = schema.gap
        async with self._database.read() as connection:
            rows = await connection.execute(
                select(table.c.day).filter_by(listing=name, given_up=False).order_by(table.c.day)
            )
            return list(rows.scalars())

    async def gap_trouble(self, name: str) -> str | None:
        """Return why one of these days could not be read so far, the newest that was tried; None for none."""
        table = schema.gap
        tried = select(table.c.reason).filter_by(listing=name, given_up=False).where(table.c.tries > 0)
        async with self._database.read() as connection:
            reason: str | None = await connection.scalar(tried.order_by(table.c.day.desc()).limit(1))
            return reason

    async def gap_failed(self, name: str, day: date, reason: str, most_tries: int) -> None:
        """Record that a past day could not be read; after `most_tries` it is given up."""
        table = schema.gap
        this = table.c.listing == name, table.c.day == day
        async with self._database.write() as connection:
            tries = (await connection.scalar(select(table.c.tries).where(*this)) or 0) + 1
            change = update(table).where(*this).values(tries=tries, given_up=tries >= most_tries, reason=reason)
            await connection.execute(change)

    async def lost_days(self) -> list[tuple[str, date, str]]:
        """Return the past days that were given up, (listing, day, reason) each."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(schema.gap).filter_by(given_up=True).order_by(schema.gap.c.day))
            return [(row.listing, row.day, row.reason) for row in rows]

    async def seen(self, keys: Iterable[str], listing: str) -> Seen:
        """Return every stored paper that has one of these identity keys, under each of the keys they have."""
        paper, sighting = schema.paper, schema.sighting
        here = exists().where(sighting.c.paper_id == paper.c.id, sighting.c.listing == listing)
        async with self._database.read() as connection:
            latest = await connection.scalar(select(func.max(paper.c.id))) or 0
            by_key: dict[str, list[Known]] = {}
            met: dict[int, Known] = {}
            for some in self._database.among(schema.paper_key.c.key, sorted(keys)):
                rows = await connection.execute(
                    select(schema.paper_key.c.key, paper.c.id, paper.c.counted, here.label("here"), *PAPER_COLUMNS)
                    .join_from(schema.paper_key, paper)
                    .where(some)
                    .order_by(paper.c.id)
                )
                for row in rows:
                    if row.id not in met:
                        met[row.id] = Known(PaperId(row.id), to_paper(row), row.counted, row.here)
                    by_key.setdefault(row.key, []).append(met[row.id])
        return Seen({key: tuple(found) for key, found in by_key.items()}, PaperId(latest))

    @again
    async def record_poll(
        self,
        poll: Poll,
        result: Diff,
        hits: Sequence[Hits] | None,
        validators: Validators | None,
        *,
        seen: Seen,
        queries_up_to: QueryId,
        turned_up_to: int = 0,
        next_poll_at: datetime,
        url: str = "",
        gaps: Sequence[date] = (),
        closes: date | None = None,
    ) -> PollId:
        """Store in one transaction: the poll, its papers, the hits they cause, the page's validators.

        `hits` name changes by their position in `result.changes`, and are None where workers find them;
        `validators` belong to `url` and are None for a page that is not the listing's own; `gaps` are past days found
        missing, `closes` is the one that this poll read. Raises SeenMeanwhile, having stored nothing, when a paper or
        a query was added after the caller looked.
        """
        async with self._database.write() as connection:
            looked = hits is not None and result.counts  # else nobody looked at a query
            matched = (queries_up_to, turned_up_to) if looked else None
            await _check_nothing_came_between(connection, result, seen, matched)
            poll_id = await _add_poll(connection, poll)
            papers = await self._store(connection, result.changes, poll_id, poll.polled_at, result.counts)
            await self._add_sightings(connection, {*papers, *result.known}, poll.listing, poll_id)
            if hits is None:
                await cut(connection, self._jobs, result.changes, papers, poll_id)
            else:
                await add_hits(self._database, connection, hits, result.changes, papers, poll_id)
            await self._keep_gaps(connection, poll.listing, gaps, closes)
            page = (
                {"url": url, "etag": validators.etag, "last_modified": validators.last_modified} if validators else {}
            )
            if closes is None:  # what a past day brought says nothing of how the listing is now
                await self._update_listing(connection, poll, next_poll_at, primed=True, **page)
            if hits:
                await self._jobs.call(connection, [QUEUE])
        return poll_id

    async def record_unchanged(self, poll: Poll, next_poll_at: datetime) -> PollId:
        """Store a poll that brought no page (304): validators and papers stay as they are."""
        async with self._database.write() as connection:
            poll_id = await _add_poll(connection, poll)
            await self._update_listing(connection, poll, next_poll_at)
        return poll_id

    async def record_failure(self, poll: Poll, next_poll_at: datetime) -> PollId:
        """Store a poll that failed, with its reason: nothing of the page is recorded, its validators neither."""
        async with self._database.write() as connection:
            poll_id = await _add_poll(connection, poll)
            await self._update_listing(connection, poll, next_poll_at)
        return poll_id

    async def _store(
        self, connection: AsyncConnection, changes: Sequence[Change], poll_id: PollId, now: datetime, counts: bool
    ) -> list[PaperId]:
        """Insert or update the papers of a batch, add the keys that they have not yet; return their numbers in order.

        A batch has hundreds of papers, so every statement is for all of them.
        """
        numbers = {n: change.paper_id for n, change in enumerate(changes) if change.paper_id is not None}
        added = {n: change for n, change in enumerate(changes) if change.paper_id is None}
        news = {n for n, change in enumerate(changes) if counts and change.kind in (ChangeKind.NEW, ChangeKind.CROSS)}
        if added:
            guids = await _guids(connection, added)
            table = schema.paper
            for some in chunks(list(added.items()), PAPERS_AT_ONCE):
                rows = [
                    paper_values(change.paper)
                    | {"poll_id": poll_id, "seen_at": now, "changed_at": now, "counted": n in news, "guid": guids[n]}
                    | {"news_poll_id": poll_id if n in news else None, "told_poll_id": poll_id}
                    for n, change in some
                ]
                stored = await connection.execute(insert(table).returning(table.c.id, table.c.guid), rows)
                by_guid = {row.guid: PaperId(row.id) for row in stored}
                numbers |= {n: by_guid[guids[n]] for n, _ in some}
        updates: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for n, change in enumerate(changes):
            if n in added:
                continue
            values = {"of": change.paper_id} | paper_values(change.paper)
            if change.kind is ChangeKind.REVISED:
                values["changed_at"] = now
            if _shows_anew(change):
                values["told_poll_id"] = poll_id
            if n in news:
                values |= {"counted": True, "seen_at": now, "news_poll_id": poll_id}
            updates.setdefault(tuple(values), []).append(values)
        for rows in updates.values():
            await connection.execute(update(schema.paper).where(schema.paper.c.id == bindparam("of")), rows)
        keys = [{"key": key, "paper_id": numbers[n]} for n, change in enumerate(changes) for key in change.keys]
        if keys:  # a DOI that another paper holds already stays there: two preprints of one article are two papers
            await connection.execute(self._database.insert(schema.paper_key).on_conflict_do_nothing(), keys)
        return [numbers[n] for n in range(len(changes))]

    async def _add_sightings(
        self, connection: AsyncConnection, papers: Iterable[PaperId], listing: str, poll_id: PollId
    ) -> None:
        rows = [{"paper_id": paper_id, "listing": listing, "poll_id": poll_id} for paper_id in sorted(papers)]
        if rows:
            await connection.execute(self._database.insert(schema.sighting).on_conflict_do_nothing(), rows)

    async def _keep_gaps(
        self, connection: AsyncConnection, name: str, gaps: Sequence[date], closes: date | None
    ) -> None:
        if gaps:
            rows = [{"listing": name, "day": day, "tries": 0, "given_up": False, "reason": ""} for day in gaps]
            await connection.execute(self._database.insert(schema.gap).on_conflict_do_nothing(), rows)
        if closes:
            closed = delete(schema.gap).where(schema.gap.c.listing == name, schema.gap.c.day == closes)
            await connection.execute(closed)

    async def _update_listing(
        self, connection: AsyncConnection, poll: Poll, next_poll_at: datetime, **page: Any
    ) -> None:
        failed = poll.outcome is Outcome.FAILED
        change: dict[str, Any] = {
            "polled_at": poll.polled_at,
            "next_poll_at": next_poll_at,
            "outcome": poll.outcome,
            "reason": poll.reason,
            **page,
        }
        if poll.outcome is Outcome.FRESH:
            change["fresh_at"] = poll.polled_at
        table = schema.listing
        new = {"primed": False, "url": "", **change, "name": poll.listing, "failures": int(failed)}
        await connection.execute(
            self._database.insert(table)
            .values(new)
            .on_conflict_do_update(
                index_elements=[table.c.name],
                set_={**change, "failures": table.c.failures + 1 if failed else 0},
            )
        )


def _shows_anew(change: Change) -> bool:
    """Tell whether feeds show the paper otherwise than before: they leave out votes, except for the trending one."""
    before = change.before and replace(
        change.before, upvotes=change.paper.upvotes, comments_count=change.paper.comments_count
    )
    return change.kind is not ChangeKind.KNOWN or before != change.paper


async def _check_nothing_came_between(
    connection: AsyncConnection, result: Diff, seen: Seen, matched: tuple[QueryId, int] | None
) -> None:
    keys = sorted({key for change in result.changes for key in change.keys})
    for some in chunks(keys):
        newer = select(schema.paper_key.c.key).where(
            schema.paper_key.c.key.in_(some), schema.paper_key.c.paper_id > seen.latest
        )
        if (await connection.execute(newer.limit(1))).first():
            raise SeenMeanwhile("another poll recorded a paper of this batch")
    if matched is None:
        return
    query = schema.query.c
    newest, turned = (await connection.execute(select(func.max(query.id), func.max(query.turned)))).one()
    if (newest or 0) > matched[0] or (turned or 0) > matched[1]:
        raise SeenMeanwhile("a query was added, or is asked again")


async def _guids(connection: AsyncConnection, added: Mapping[int, Change]) -> dict[int, str]:
    """Name each new paper by its strongest key; papers that share only a title are told apart by their number."""
    held: Counter[str] = Counter()
    key = schema.paper_key.c.key
    for some in chunks(sorted({change.keys[0] for change in added.values()})):
        rows = await connection.execute(select(key, func.count()).where(key.in_(some)).group_by(key))
        held.update({row[0]: row[1] for row in rows})
    guids: dict[int, str] = {}
    for n, change in added.items():
        name = change.keys[0]
        guids[n] = guid(f"{name} {held[name] + 1}" if held[name] else name)
        held.update(change.keys)
    return guids


async def _add_poll(connection: AsyncConnection, poll: Poll) -> PollId:
    return PollId(await _insert(connection, schema.poll, asdict(poll)))


async def _insert(connection: AsyncConnection, table: Table, values: dict[str, Any]) -> int:
    """Insert one row and return its number."""
    number: int = (await connection.execute(insert(table).values(values).returning(table.c.id))).scalar_one()
    return number


def listing_state(row: RowMapping) -> ListingState:
    return ListingState(
        name=row["name"], url=row["url"], validators=Validators(row["etag"], row["last_modified"]),
        primed=row["primed"], polled_at=row["polled_at"], fresh_at=row["fresh_at"], next_poll_at=row["next_poll_at"],
        failures=row["failures"], outcome=Outcome(row["outcome"]), reason=row["reason"],
    )  # fmt: skip
