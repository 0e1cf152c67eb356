"""Reconcile: do two listings of one source show the same papers?

A page and the feed of one category are made from the same announcement; when only one of them shows a paper, a source
or a parser of ours has a hole that no single page can show. Nothing is stored for it: the comparison is derived from
which poll first showed what, so `status` and the log say the same at any time.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from notifier.model import Comparison, Listing, ListingState
from notifier.store import Store

LOOKED_BACK = timedelta(hours=48)
GRACE = timedelta(hours=12)  # for the slower of the two: arXiv's feeds follow its pages after four hours


async def reconcile(store: Store, listing: Listing, now: datetime) -> Comparison | None:
    """Compare a listing with the one it names, by what either first showed 48 to 12 hours ago; None without one."""
    if listing.compare_with is None:
        return None
    return await store.compare(listing.name, listing.compare_with, now - LOOKED_BACK, now - GRACE)


def is_first_of_its_day(state: ListingState | None, now: datetime) -> bool:
    """Tell whether a poll at `now` is a listing's first of its UTC day: when differences are logged."""
    return state is None or state.polled_at.date() != now.date()


def in_words(comparison: Comparison) -> str:
    """Say on one line how two listings differ."""
    one, other = len(comparison.only_listing), len(comparison.only_other)
    if comparison.agree:
        return f"{comparison.listing} and {comparison.other} agree"
    counts = [f"{n} only on {name}" for n, name in ((one, comparison.listing), (other, comparison.other)) if n]
    return f"{comparison.listing} and {comparison.other} differ: {', '.join(counts)}"
