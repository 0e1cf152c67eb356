"""From values to what the site's templates see: plain dicts, worded for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from notifier import present
from notifier.model import Cadence, DigestClock, OutboxState, Outcome, Poll, Quiet, Sent, Subscription, Versions
from notifier.survey import Survey
from notifier.web.forms import Problem, shown

Plain = dict[str, Any]

CHART = (600, 96)  # units of the drawing; it scales with the page
GAP = 0.25  # of a bar's place
SHORTEST = 2  # units; a day with one hit is still seen
STATUS_DAYS = 14
TROUBLE = {Outcome.STALE, Outcome.FAILED}

CADENCES = (
    (Cadence.DAILY, "once a day"),
    (Cadence.IMMEDIATE, "as soon as a listing has news"),
    (Cadence.WEEKLY, "once a week"),
    (Cadence.FEED, "never by mail: I read the private feed"),
    (Cadence.PAUSED, "paused: keep for later"),
)
VERSIONS = (
    (Versions.NEW, "each paper once"),
    (Versions.CROSS, "and papers cross-listed from elsewhere"),
    (Versions.REVISED, "and every new version"),
)
QUIETS = (
    (Quiet.NOTHING, "send nothing"),
    (Quiet.NOTE, "send a short note that says why"),
    (Quiet.HEARTBEAT, "send a sign of life once a week"),
)
STATES = {
    OutboxState.SENT: "sent",
    OutboxState.FAILED: "not delivered",
    OutboxState.HELD: "held for the operator to look at",
    OutboxState.DEFERRED: "waiting: the mail server asked to try later",
}


def preview(found: Survey, days: int) -> Plain:
    """Return what a query would have caught, as the preview shows it."""
    share = found.hits / found.papers if found.papers else 0.0
    return {
        "canonical": found.canonical,
        "hits": present.counted(found.hits, "paper"),
        "papers": f"{found.papers:,}",
        "days": days,
        "per_week": present.counted(max(1, round(found.hits * 7 / days)), "paper"),
        "some": found.hits > 0,
        "share": f"{share:.0%}" if share >= 0.01 else "under 1%",
        "advice": present.clean(found.advice, 500),
        "chart": chart([(day.day, day.hits) for day in found.days], "matching paper"),
        "samples": [
            present.paper(each.paper, marks, listings=[present.short_day(each.seen_at.date())])
            for each, marks in found.samples
        ],
    }


def chart(days: Sequence[tuple[date, int]], noun: str) -> Plain:
    """Return bars for counts per day, and the same in words for whoever cannot see them."""
    width, height = CHART
    most = max((count for _, count in days), default=0)
    place = width / max(1, len(days))
    bars = []
    for number, (day, count) in enumerate(days):
        tall = max(SHORTEST, round(count / most * height)) if count else 0
        words = f"{present.short_day(day)}: {present.counted(count, noun)}"
        left, wide = round(number * place + place * GAP / 2, 1), round(place * (1 - GAP), 1)
        bars.append({"x": left, "y": height - tall, "width": wide, "height": tall, "title": words})
    total = sum(count for _, count in days)
    words = f"{present.counted(total, noun)} in {len(days)} days"
    if most:
        best = max(days, key=lambda each: each[1])
        words += f", most on {present.short_day(best[0])} ({best[1]})"
    return {
        "bars": bars, "width": width, "height": height, "words": words,
        "first": present.short_day(days[0][0]) if days else "", "last": present.short_day(days[-1][0]) if days else "",
    }  # fmt: skip


def listing(name: str, polls: Sequence[Poll], now: datetime) -> Plain:
    """Return how a listing did in the last days: what each day brought, and how its last poll ended."""
    today = now.astimezone(UTC).date()
    days = [today - timedelta(days=back) for back in range(STATUS_DAYS - 1, -1, -1)]
    new = dict.fromkeys(days, 0)
    for poll in polls:
        day = poll.polled_at.astimezone(UTC).date()
        if day in new:
            new[day] += poll.new
    return {"name": present.clean(name, 100), "chart": chart(list(new.items()), "new paper")}


def wish_form(values: Mapping[str, str], problems: Iterable[Problem] = ()) -> Plain:
    """Return the fields of a subscription's form: what they hold, what may be chosen, and what is wrong."""
    wrong = {each.field: {"text": present.clean(each.text, 300), "suggestion": each.suggestion} for each in problems}
    return {
        "values": {name: values.get(name, "") for name in ("q", "email", "at", "timezone")},
        "cadences": _options(CADENCES, values.get("cadence", "")),
        "weekdays": _options(((str(n), name) for n, name in enumerate(present.DAYS)), values.get("weekday", "0")),
        "versions": _options(VERSIONS, values.get("versions", "")),
        "quiets": _options(QUIETS, values.get("quiet", "")),
        "problems": wrong,
    }


def subscription(each: Subscription, now: datetime) -> Plain:
    """Return one subscription as its owner's page shows it."""
    return {
        "id": int(each.subscription_id),
        "label": "everything" if each.canonical == "*" else present.clean(each.label, 300),
        "rhythm": rhythm_of(each.clock),
        "due": present.instant(each.next_due_at) if each.next_due_at and each.next_due_at > now else "",
        "configured": each.origin == "config",
        "form": wish_form(shown(each)),
    }


def rhythm_of(clock: DigestClock) -> str:
    """Say when a subscription is sent."""
    return {
        Cadence.IMMEDIATE: "as soon as a listing has news",
        Cadence.DAILY: f"every day at {clock.at:%H:%M}, {clock.timezone}",
        Cadence.WEEKLY: f"every {present.DAYS[clock.weekday]} at {clock.at:%H:%M}, {clock.timezone}",
        Cadence.FEED: "in the private feed, never by mail",
        Cadence.PAUSED: "paused: what is found waits",
    }[clock.cadence]


def sent(each: Sent, url: str) -> Plain:
    """Return one line of what was sent."""
    return {
        "day": present.instant(each.settled_at or each.queued_at),
        "papers": present.counted(each.papers, "paper"),
        "state": STATES.get(each.state, "on its way"),
        "good": each.state is OutboxState.SENT,
        "url": url if each.papers else "",
    }


def _options(known: Iterable[tuple[str, str]], chosen: str) -> list[Plain]:
    return [{"value": str(value), "text": text, "chosen": str(value) == chosen} for value, text in known]
