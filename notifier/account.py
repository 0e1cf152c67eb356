"""Account: why did a paper reach a subscriber, or not? The store's trace and the matcher's reasons, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from notifier import present
from notifier.errors import QueryError
from notifier.match import explain
from notifier.model import (
    AnnounceType,
    Cadence,
    Paper,
    Sending,
    StoredPaper,
    SubscriberState,
    Subscription,
    Trace,
    Versions,
)
from notifier.query import Query, parse

NO_CLOCK = {
    Cadence.IMMEDIATE: "with the next batch",
    Cadence.FEED: "never by mail, only as a feed",
    Cadence.PAUSED: "not while it is paused",
}


def account(stored: StoredPaper, trace: Trace, query: Query | None, email: str | None) -> Iterator[str]:
    """Yield the lines of the account: where the paper was seen, then why a query matches or what a reader got."""
    for sighting in trace.sightings:
        only = ", by its first poll, which only records" if sighting.first_poll and not trace.was_news else ""
        yield f"seen {_when(sighting.polled_at)} on {sighting.listing}{only}"
    if query is not None:
        yield from explain(query, stored.paper).lines()
    if email is not None:
        yield from _for_reader(stored.paper, trace, email)


def next_digest(subscription: Subscription) -> str:
    """Say when the next digest of a subscription is sent, by its reader's clock: "Mon 2 Mar 2026, 08:00 CET"."""
    if subscription.next_due_at is None:
        return NO_CLOCK[subscription.clock.cadence]
    local = subscription.next_due_at.astimezone(present.timezone(subscription.clock.timezone))
    return f"{local:%a} {present.short_day(local.date())}, {local:%H:%M %Z}"


def _for_reader(paper: Paper, trace: Trace, email: str) -> Iterator[str]:
    reader = trace.subscriber
    if reader is None:
        yield f"{email} is not subscribed"
        return
    if reader.state is not SubscriberState.CONFIRMED:
        yield f"{email} is {reader.state} since {_when(reader.since)}: no mail is sent" + (
            f" ({reader.health})" if reader.health else ""
        )
    hit_at = dict(trace.hits)
    for subscription in trace.subscriptions:
        name = f"subscription {subscription.label!r}" + ("" if subscription.active else " (ended)")
        if subscription.canonical in hit_at:
            yield f"{name} matched it {_when(hit_at[subscription.canonical])}"
            continue
        yield f"{name} was not owed it: {_why_not(paper, trace, subscription)}"
    if not trace.subscriptions:
        yield f"{email} has no subscription"
    if trace.sending is not None:
        yield from _sending(trace.sending)
    elif trace.given_up:
        yield "its message was given up; it is owed again and goes with the next digest"
    elif hit_at:
        waiting = [s for s in trace.subscriptions if s.canonical in hit_at and s.active]
        waiting.sort(key=lambda s: (s.next_due_at is None, s.next_due_at))
        yield "no message carries it yet" + (f"; next digest: {next_digest(waiting[0])}" if waiting else "")


def _why_not(paper: Paper, trace: Trace, subscription: Subscription) -> str:
    try:
        explanation = explain(parse(subscription.canonical), paper)
    except QueryError as fault:
        return f"its query cannot be read any more ({fault})"
    if not explanation.matched:
        return "; ".join(" ".join(line.split()) for line in explanation.lines()).removeprefix("no ")
    if paper.announce_type is AnnounceType.CROSS and subscription.versions is Versions.NEW:
        return "it matches, but it is a cross-list here and the subscription takes new papers only"
    if not trace.was_news:
        return "it matches, but the paper never was news here: a first poll recorded it, or it came as a replacement"
    return "it matches, but the paper was seen before the subscription began"


def _sending(sending: Sending) -> Iterator[str]:
    digest = "immediate digest" if sending.period.startswith("immediate ") else f"digest {sending.period!r}"
    yield f"in the {digest}, queued {_when(sending.queued_at)}, {sending.message_id}"
    settled = f" {_when(sending.settled_at)}" if sending.settled_at else ""
    yield f"{sending.state}{settled}" + (f": {sending.reply}" if sending.reply else "")


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
