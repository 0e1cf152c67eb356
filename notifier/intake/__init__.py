"""Intake: from a listing's page to commit point 1 - the parts of which `pipeline.poll` is made.

`gather` fetches and parses, `record` diffs, matches and stores. A page that kills the parser again and again is
quarantined: it fails without being parsed until it changes (P9). If power fails anywhere here, the page is read again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from notifier import __version__, log, match
from notifier.confine import Worker
from notifier.diff import NEWS, batch_keys, diff, join, shows_unseen, unchanged
from notifier.errors import FetchError, PageError, ParserFailed, ParserKilled, QueryError, SeenMeanwhile
from notifier.fetch import Client, fetch
from notifier.intake.backfill import days_to_read
from notifier.intake.reconcile import is_first_of_its_day, reconcile
from notifier.match import volatile
from notifier.model import (
    Batch,
    Change,
    ChangeKind,
    Diff,
    First,
    Hits,
    Listing,
    ListingState,
    Outcome,
    Page,
    Paper,
    Poll,
    QueryId,
    Track,
    Validators,
)
from notifier.parse import past
from notifier.query import parse as parse_query
from notifier.rhythm import next_poll, pause_after
from notifier.store import Store
from notifier.store.shards import Shard

if TYPE_CHECKING:
    from notifier.match import QuerySet

LOOKS = 5  # how often a poll looks again when another one recorded the same papers in between
KILLS_ALLOWED = 3  # of the parser by one page, before it is quarantined
MOST_PAGES = 20  # of one listing in one poll
NO_QUERY = QueryId(0)  # before the first


class Queries:
    """Every query after one that somebody asks, ready to match.

    They are kept between polls, so that one more subscription costs one more only.
    """

    def __init__(self, after: QueryId = NO_QUERY) -> None:
        self.latest, self.turned = after, 0

    @cached_property
    def every(self) -> QuerySet:
        return match.QuerySet()

    @cached_property
    def waiting(self) -> QuerySet:
        """Those that a known paper may pass later: votes, code."""
        return match.QuerySet()


async def load_queries(
    queries: Queries, store: Store, last: QueryId | None = None, first: QueryId | None = None
) -> None:
    """Add the queries, up to `last`, that are asked since the last look, drop those that are no more.

    One that cannot be read stops no other.
    """
    for each in await store.queries(queries.latest, last, queries.turned, first):
        queries.latest, queries.turned = max(queries.latest, each.query), max(queries.turned, each.turned)
        if not each.asked:
            queries.every.remove(each.query)
            queries.waiting.remove(each.query)
            continue
        try:
            query = parse_query(each.canonical)
        except QueryError as fault:
            log.query_unreadable(each.canonical, str(fault))
            continue
        queries.every.add(each.query, query)
        if volatile(query):
            queries.waiting.add(each.query, query)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What reading a listing needs: the edges, and every query. With `apart` workers match, shard by shard."""

    store: Store
    client: Client
    worker: Worker
    queries: Queries
    apart: bool = False


# --- fetch and parse --------------------------------------------------------------------------------------------------


async def gather(listing: Listing, intake: Intake, known: Validators, now: datetime) -> tuple[Batch, Validators] | None:
    """Fetch and parse a listing, all its pages, as one batch; None when it is as it was (304).

    Where pages are newest first, one that brings nothing unseen ends the reading: what follows is older still. Any
    other listing is read to its end; raises PageError for one that goes on for too long to be.
    """
    page = await fetch(intake.client, listing, known)
    if page is None:
        return None
    batches = [await _parse(page, listing, intake, now)]
    keys = batch_keys(batches[0])
    while url := batches[-1].next_url:
        if batches[-1].newest_first and not await _goes_on(batches, listing, intake):
            break
        if len(batches) == MOST_PAGES:
            raise PageError(f"it goes on after {MOST_PAGES} pages: watch a narrower listing")
        further = await fetch(intake.client, replace(listing, url=url), Validators())
        assert further is not None, "a request without validators is never answered 304"
        batch = await _parse(further, listing, intake, now)
        if batch_keys(batch) <= keys:
            break  # the site does not know this way of paging and shows the same again
        keys |= batch_keys(batch)
        batches.append(batch)
    return join(batches), page.validators


async def _goes_on(batches: list[Batch], listing: Listing, intake: Intake) -> bool:
    """Tell whether an older page may hold something unseen; a first poll needs no more than the newest one."""
    state = await intake.store.listing_state(listing.name)
    seen = await intake.store.seen(batch_keys(batches[-1]), listing.name)
    return state is not None and state.primed and len(batches) < MOST_PAGES and shows_unseen(batches[-1], seen)


async def _parse(page: Page, listing: Listing, intake: Intake, now: datetime) -> Batch:
    """Parse a page in the worker process, unless it has killed that process too often (P9)."""
    earlier = await intake.store.kills(listing.name)
    if earlier:
        mark = fingerprint(page, listing)
        for kill in earlier:
            if kill.content_hash == mark and kill.times >= KILLS_ALLOWED:
                raise PageError(_quarantined(kill.times, kill.reason))
    try:
        return await intake.worker.parse(page, listing.format, listing.selectors)
    except ParserFailed as fault:
        log.parser_crashed(listing.name, fault.reason, fault.traceback)
        raise
    except ParserKilled as fault:
        times = await intake.store.record_kill(listing.name, fingerprint(page, listing), fault.reason, now)
        log.parser_killed(listing.name, fault.reason, times)
        if times >= KILLS_ALLOWED:
            raise PageError(_quarantined(times, fault.reason)) from fault
        raise


def fingerprint(page: Page, listing: Listing) -> str:
    """Return a hash of all that a page's parsing depends on: a new version of the program reads it again."""
    how = f"{__version__}\n{listing.format}\n{sorted(listing.selectors.items())}\n{page.media_type}\n{page.charset}\n"
    return hashlib.sha256(how.encode() + page.content).hexdigest()


def _quarantined(times: int, reason: str) -> str:
    return f"quarantined: {reason}, {times} times; `notifier` parses it again when it changes"


# --- diff, match and record -------------------------------------------------------------------------------------------


async def record(
    listing: Listing,
    intake: Intake,
    batch: Batch,
    state: ListingState | None,
    now: datetime,
    *,
    validators: Validators,
) -> Poll:
    """Record what a listing shows today, with its validators and the past days that it turned out to have missed.

    Raises PageError for a batch that contradicts itself: nothing of it is recorded.
    """
    track = await _track(listing, intake.store, state, batch)
    gaps = days_to_read(listing.url, listing.format, track.listed_on, batch.listed_on)
    done = await _record(listing, intake, batch, track, now, validators=validators, gaps=gaps)
    await _compare(listing, intake, state, now)
    return done


async def read_past_day(listing: Listing, intake: Intake, day: date, now: datetime) -> Poll:
    """Read what a listing showed on a past day and record it as late. Raises FetchError or PageError."""
    where = past(listing.url, listing.format, day)
    state = await intake.store.listing_state(listing.name)
    if where is None or state is None:
        raise PageError("the listing keeps no past days any more: its URL or format was changed")
    then = replace(listing, url=where[0], format=where[1])
    gathered = await gather(then, intake, Validators(), now)
    assert gathered is not None, "a request without validators is never answered 304"
    batch, _ = gathered
    if batch.papers and batch.listed_on != day:
        raise PageError(f"asked for {day}, got a page of {batch.listed_on or batch.day_text or 'no day'}")
    batch = replace(batch, listed_on=day)
    return await _record(then, intake, batch, Track(), now, next_poll_at=state.next_poll_at, closes=day)


async def record_unchanged(listing: Listing, intake: Intake, state: ListingState | None, now: datetime) -> Poll:
    """Record that a page is as it was."""
    track = await _track(listing, intake.store, state)
    result = unchanged(track, now)
    done = _poll(listing, result, now)
    await intake.store.record_unchanged(
        done,
        next_poll(
            listing,
            result.outcome,
            track.last_fresh_at,
            now,
            track.fresh_on if result.outcome is Outcome.STALE else track.listed_on,
        ),
    )
    log.polled(done)
    await _compare(listing, intake, state, now)
    return done


async def record_failure(
    listing: Listing, intake: Intake, state: ListingState | None, trouble: FetchError | PageError, now: datetime
) -> Poll:
    """Record why a poll failed and wait longer each time, as long as the server asks for at least."""
    done = _poll(listing, Diff((), Outcome.FAILED, trouble.reason), now)
    pause = pause_after(listing, (state.failures if state else 0) + 1)
    if isinstance(trouble, FetchError) and trouble.retry_after is not None:
        pause = max(pause, trouble.retry_after)
    await intake.store.record_failure(done, now + pause)
    log.polled(done)
    await _compare(listing, intake, state, now)
    return done


async def _compare(listing: Listing, intake: Intake, state: ListingState | None, now: datetime) -> None:
    """Once a day, warn of papers that only this listing or only the one it is compared with has shown."""
    if not is_first_of_its_day(state, now):
        return
    seen = await reconcile(intake.store, listing, now)
    if seen is not None and not seen.agree:
        log.differ(seen.listing, seen.other, len(seen.only_listing), len(seen.only_other))


async def _record(
    listing: Listing,
    intake: Intake,
    batch: Batch,
    track: Track,
    now: datetime,
    *,
    next_poll_at: datetime | None = None,
    validators: Validators | None = None,
    gaps: Sequence[date] = (),
    closes: date | None = None,
) -> Poll:
    """Diff, match and record a batch: commit point 1. Looks again when another poll recorded the same papers.

    The listing is polled again at `next_poll_at`, by default when its rhythm says. Raises PageError for a batch that
    contradicts itself: nothing of it is recorded.
    """
    for _ in range(LOOKS):
        seen = await intake.store.seen(batch_keys(batch), listing.name)
        result = diff(batch, seen, track, now)
        if result.outcome is Outcome.FAILED:
            raise PageError(result.reason)
        if closes:
            result = replace(result, reason=f"late, for {closes}: {result.reason}")
        hits: list[Hits] | None = None
        if not result.counts:
            hits = []
        elif not intake.apart:
            await load_queries(intake.queries, intake.store)
            hits = find_hits(result.changes, intake.queries)
        # Under a stale page's date the batch is still to come.
        stale = result.outcome is Outcome.STALE
        days = [day for day in ([track.fresh_on] if stale else [track.listed_on, batch.listed_on]) if day is not None]
        done = _poll(listing, result, now, batch)
        try:
            await intake.store.record_poll(
                done, result, hits, validators,
                seen=seen, queries_up_to=intake.queries.latest, turned_up_to=intake.queries.turned,
                url=listing.url, gaps=gaps, closes=closes,
                next_poll_at=next_poll_at
                or next_poll(listing, result.outcome, track.last_fresh_at, now, max(days, default=None)),
            )  # fmt: skip
        except SeenMeanwhile:
            continue
        log.polled(done)
        return done
    raise PageError("its papers keep being recorded elsewhere")


async def _track(listing: Listing, store: Store, state: ListingState | None, batch: Batch | None = None) -> Track:
    weekday = batch.listed_on.weekday() if batch and batch.listed_on else None
    history = await store.history(listing.name, weekday)
    return Track(
        last_fresh_at=state.fresh_at or history.began if state else None,
        stale_after=listing.stale_after,
        records_only=listing.first is First.RECORD and not (state and state.primed),
        listed_on=history.listed_on,
        fresh_on=history.fresh_on,
        stale_on=history.stale_on,
        usual=history.usual,
        most_new=listing.most_new,
    )


async def match_shard(shard: Shard, queries: Queries, store: Store) -> bool:
    """Match a shard and store its hits; False when somebody else did. `queries` hold those of its run, or fewer."""
    await load_queries(queries, store, shard.last, shard.first)
    hits = [each for each in find_hits(shard.changes, queries) if each.query <= shard.last]
    return await store.record_hits(shard, hits)


async def match_left(store: Store) -> None:
    """Match the shards that are left, oldest first: of workers that are no more, when one process goes on alone."""
    for poll_id, first in await store.unmatched():
        shard = await store.shard(poll_id, first)
        if shard is not None:
            await match_shard(shard, Queries(QueryId(first - 1)), store)


def find_hits(changes: tuple[Change, ...], queries: Queries) -> list[Hits]:
    """Match what is news against every query; what we knew only where votes or code make it pass a query just now."""
    news = [position for position, change in enumerate(changes) if change.kind is not ChangeKind.KNOWN]
    found = _matched([changes[i].paper for i in news], news, queries.every)
    known = [position for position, change in enumerate(changes) if change.kind is ChangeKind.KNOWN and change.before]
    before = [changes[i].before or changes[i].paper for i in known]
    passed = {hits.query: set(hits.papers) for hits in _matched(before, known, queries.waiting)}
    for hits in _matched([changes[i].paper for i in known], known, queries.waiting):
        just_now = [position for position in hits.papers if position not in passed.get(hits.query, ())]
        found += [Hits(hits.query, just_now)] if just_now else []
    return found


def _matched(papers: list[Paper], positions: list[int], queries: QuerySet) -> list[Hits]:
    return [Hits(query, [positions[i] for i in places.tolist()]) for query, places in queries.match(papers)]


def _poll(listing: Listing, result: Diff, now: datetime, batch: Batch | None = None) -> Poll:
    return Poll(
        listing=listing.name,
        polled_at=now,
        outcome=result.outcome,
        reason=result.reason,
        listed_on=batch.listed_on if batch else None,
        day_text=batch.day_text if batch else "",
        read=len(batch.papers) if batch else 0,
        stated=batch.stated if batch else None,
        new=sum(change.kind in NEWS for change in result.changes) if result.counts else 0,
    )
