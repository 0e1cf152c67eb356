"""Rows <-> values: the one place that knows how a `Paper` lies in its table."""

from __future__ import annotations

import uuid
from dataclasses import fields
from typing import Any

from sqlalchemy import Row

from notifier.model import (
    AnnounceType,
    Cadence,
    DigestClock,
    Paper,
    PaperId,
    Quiet,
    StoredPaper,
    Subscriber,
    SubscriberId,
    SubscriberState,
    Subscription,
    SubscriptionId,
    Versions,
)
from notifier.store.schema import paper as paper_table

# Namespace of paper guids. Never change it: every reader of every feed would see every paper again.
GUIDS = uuid.UUID("6f0c7a52-6a4e-5d0b-9a3c-51f0e5b7d8a1")

PAPER_FIELDS = tuple(f.name for f in fields(Paper))
PAPER_COLUMNS = tuple(paper_table.c[name] for name in PAPER_FIELDS)
STORED_COLUMNS = (paper_table.c.id, paper_table.c.guid, paper_table.c.seen_at, paper_table.c.changed_at, *PAPER_COLUMNS)


def guid(strongest_key: str) -> str:
    """Name a paper for ever, alike in every installation, from the strongest key it was first met under."""
    return uuid.uuid5(GUIDS, strongest_key).urn


def domain_of(address: str) -> str:
    """Return the domain of a mail address as messages are sorted by."""
    return address.rpartition("@")[2].lower()[:255]


def paper_values(paper: Paper) -> dict[str, Any]:
    """The columns of `paper` that hold the value itself."""
    values = {name: getattr(paper, name) for name in PAPER_FIELDS}
    values["authors"], values["categories"] = list(paper.authors), list(paper.categories)
    return values


def to_paper(row: Row[Any]) -> Paper:
    """Read a row that holds PAPER_COLUMNS under their own names."""
    values = {name: getattr(row, name) for name in PAPER_FIELDS}
    values["authors"], values["categories"] = tuple(row.authors), tuple(row.categories)
    if row.announce_type is not None:
        values["announce_type"] = AnnounceType(row.announce_type)
    return Paper(**values)


def to_stored(row: Row[Any]) -> StoredPaper:
    """Read a row that holds STORED_COLUMNS."""
    return StoredPaper(
        paper_id=PaperId(row.id), guid=row.guid, seen_at=row.seen_at, changed_at=row.changed_at, paper=to_paper(row)
    )


def to_clock(row: Row[Any]) -> DigestClock:
    """Read the clock of a subscription's row."""
    return DigestClock(Cadence(row.cadence), row.timezone, row.at, row.weekday)


def to_subscription(row: Row[Any]) -> Subscription:
    """Read a row of `subscription` with the `email` of its subscriber and its query's `canonical` text."""
    return Subscription(
        subscription_id=SubscriptionId(row.id),
        subscriber_id=SubscriberId(row.subscriber_id),
        email=row.email,
        label=row.label,
        canonical=row.canonical,
        clock=to_clock(row),
        versions=Versions(row.versions),
        quiet=Quiet(row.quiet),
        next_due_at=row.next_due_at,
        active=row.active,
        origin=row.origin,
    )


def to_subscriber(row: Row[Any]) -> Subscriber:
    """Read a row of `subscriber`."""
    return Subscriber(
        subscriber_id=SubscriberId(row.id),
        email=row.email,
        state=SubscriberState(row.state),
        since=row.since,
        token=row.token,
        health=row.health,
    )
