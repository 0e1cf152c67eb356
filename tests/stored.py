"""A store with something in it: readers, a poll of new papers, a message that waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from notifier.diff import batch_keys, diff
from notifier.model import Batch, Cadence, DigestClock, Hits, Paper, Poll, QueryId, Seen, Track, Validators, Wish
from notifier.store import Store

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
LEASE = timedelta(minutes=5)


def batch(*numbers: int) -> Batch:
    """Return a page of fictional papers."""
    return Batch(
        papers=tuple(
            Paper(source="test", source_key=str(n), title=f"Fictional paper number {n} of many", url="")
            for n in numbers
        )
    )


async def record(store: Store, papers: Batch, *, seen: Seen | None = None, queries_up_to: int = 1) -> None:
    """Record a poll of the listing `page`; query 1 hits everything in it."""
    seen = seen or await store.seen(batch_keys(papers), "page")
    result = diff(papers, seen, Track(), NOW)
    poll = Poll(listing="page", polled_at=NOW, outcome=result.outcome, reason=result.reason, new=len(result.changes))
    hits = [Hits(QueryId(1), list(range(len(result.changes))))] if result.changes else []
    await store.record_poll(
        poll, result, hits, Validators('"1"'), seen=seen, queries_up_to=QueryId(queries_up_to), next_poll_at=NOW
    )


def wish(email: str, query: str) -> Wish:
    """Return the wish for a digest of a query at once."""
    return Wish(email=email, label=query, canonical=query, clock=DigestClock(Cadence.IMMEDIATE, "UTC"))


async def subscribed(store: Store, email: str = "reader@example.org") -> None:
    """Subscribe a reader to everything."""
    await store.subscribe(wish(email, "*"), origin="cli", now=NOW)


async def queued(store: Store) -> None:
    """Queue one message: two papers for one reader."""
    await subscribed(store)
    await record(store, batch(1, 2))
    await store.queue_digests(NOW, "example.org")
