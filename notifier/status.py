"""Status: what an operator - or a monitor, as JSON - is told of every listing, and of what is left undone.

Reads the store and changes nothing. `Status.well` is false when a listing failed or is stale - the days on which
readers get no mail for a reason that is not the weekend - or when there is any other trouble that the operator is
mailed about (`notifier.alarm`). The keys of `as_json` are an interface: none is renamed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

from rich.cells import cell_len
from rich.markup import escape

from notifier.alarm import LIVE, Alarm, Signals, judge, troubles
from notifier.fetch import host_of
from notifier.fetch.manners import SHORT_WAIT, rest
from notifier.intake import KILLS_ALLOWED
from notifier.intake.reconcile import in_words, reconcile
from notifier.model import (
    Comparison,
    HostState,
    Listing,
    ListingState,
    Outcome,
    Poll,
    RelayRest,
    StoredPaper,
)
from notifier.rhythm import why
from notifier.store import Store
from notifier.store.quarantine import Kill

BAD = (Outcome.FAILED, Outcome.STALE)
COLOURS = {Outcome.FRESH: "green", Outcome.FAILED: "red", Outcome.STALE: "yellow"}
WAVE_WITHIN = timedelta(days=1)
NOTICED_WITHIN = timedelta(hours=1)  # by the running program, which looks every few minutes
FORGOTTEN_AFTER = timedelta(days=2)  # a relay that was not asked again, because another one is used now
WIDEST_NAME = 35  # columns; the row of a longer one is not aligned
INDENT = "    "
BOUNCES_SINCE = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One listing: its state (None: never polled), its last batch that brought something, and its missed days."""

    listing: Listing
    state: ListingState | None
    batch: Poll | None
    gaps: tuple[date, ...]
    gap_trouble: str | None = None  # why one of them could not be read so far
    why: str = ""  # the next poll is when it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """All that `notifier status` says; `lost` are days given up as (listing, day, reason)."""

    at: datetime
    listings: tuple[Watched, ...]
    comparisons: tuple[Comparison, ...]
    hosts: tuple[HostState, ...]
    quarantined: tuple[Kill, ...]
    lost: tuple[tuple[str, date, str], ...]
    papers: int
    news: int
    outbox: Mapping[str, int]
    relays: tuple[RelayRest, ...]
    mail_held: str | None  # why no mail leaves at all
    subscribers: Mapping[str, int]
    bounces: Mapping[str, int]  # what came back in BOUNCES_SINCE, by kind
    suppressed: int  # subscribers, in BOUNCES_SINCE
    troubles: tuple[Alarm, ...] = ()

    @property
    def well(self) -> bool:
        """Whether no listing failed or is stale, and nothing else needs the operator."""
        failed = any(each.state and each.state.outcome in BAD for each in self.listings)
        return not failed and not self.mail_held and all(each.once for each in self.troubles)


async def status(store: Store, listings: Sequence[Listing], now: datetime) -> Status:
    """Look at everything once, for the listings of the configuration, in its order."""
    papers, news = await store.paper_counts()
    names = {listing.name for listing in listings}
    hosts = await _resting(store, now)
    until = {host.host: host.blocked_until for host in hosts}
    return Status(
        at=now,
        listings=tuple([await _watched(store, each, until.get(host_of(each))) for each in listings]),
        comparisons=tuple(await _comparisons(store, listings, now)),
        hosts=tuple(hosts),
        quarantined=tuple(
            kill for kill in await store.kills() if kill.times >= KILLS_ALLOWED and kill.listing in names
        ),
        lost=tuple(day for day in await store.lost_days() if day[0] in names),
        papers=papers,
        news=news,
        outbox={str(state): count for state, count in (await store.depth()).items()},
        relays=tuple(await store.resting_relays()),
        mail_held=await store.mail_held(),
        subscribers={str(state): count for state, count in (await store.subscriber_counts()).items()},
        bounces={str(kind): count for kind, count in (await store.bounce_counts(now - BOUNCES_SINCE)).items()},
        suppressed=await store.suppressed_since(now - BOUNCES_SINCE),
        troubles=await _troubles(store, listings, now),
    )


async def signals(store: Store, listings: Sequence[Listing], now: datetime) -> Signals:
    """Return what the store shows of the troubles there are."""
    states = {listing: await store.listing_state(listing.name) for listing in listings}
    names = {listing.name for listing in listings}
    failed = {state.name for state in states.values() if state and state.outcome is Outcome.FAILED}
    killed = {kill.listing: kill.reason for kill in await store.kills() if kill.times >= KILLS_ALLOWED}
    return Signals(
        listings=tuple((state, host_of(listing)) for listing, state in states.items() if state),
        hosts=tuple(await _resting(store, now)),
        quarantined=tuple((name, reason) for name, reason in killed.items() if name in failed),
        lost=tuple(day for day in await store.lost_days() if day[0] in names),
        relays=tuple(
            (relay.relay, relay.reason, relay.permanent)
            for relay in await store.resting_relays()
            if relay.until > now - FORGOTTEN_AFTER
        ),
        held=await store.undecided(),
        suppressed=await store.suppressed_since(now - WAVE_WITHIN),
        subscribers=sum((await store.subscriber_counts()).values()),
    )


async def _troubles(store: Store, listings: Sequence[Listing], now: datetime) -> tuple[Alarm, ...]:
    """Return what is wrong now, and what the running program noticed that nobody else can see."""
    known = await store.alarms()
    here = judge(known, troubles(await signals(store, listings, now)), now, timedelta())
    noticed = [each for each in known if each.key.startswith(LIVE) and now - each.seen_at < NOTICED_WITHIN]
    return (*noticed, *here.kept)


async def _resting(store: Store, now: datetime) -> list[HostState]:
    return [host for host in await store.resting_hosts(now) if rest(host, now) > SHORT_WAIT]


async def _watched(store: Store, listing: Listing, rests_until: datetime | None) -> Watched:
    state = await store.listing_state(listing.name)
    return Watched(
        listing=listing,
        state=state,
        why=why(listing, state, rests_until) if state else "",
        batch=await store.last_batch(listing.name),
        gaps=tuple(await store.gaps(listing.name)),
        gap_trouble=await store.gap_trouble(listing.name),
    )


async def _comparisons(store: Store, listings: Sequence[Listing], now: datetime) -> list[Comparison]:
    """Compare each pair once, also when both name each other."""
    pairs: dict[frozenset[str], Comparison] = {}
    for listing in listings:
        seen = await reconcile(store, listing, now)
        if seen is not None:
            pairs.setdefault(frozenset((seen.listing, seen.other)), seen)
    return list(pairs.values())


# --- for people -------------------------------------------------------------------------------------------------------


def lines(seen: Status) -> Iterator[str]:
    """Say it in lines of rich markup for 80 columns; leading spaces are the indent of a line's continuation too."""
    names = [each.listing.name for each in seen.listings]
    width = min(max(map(cell_len, ["listing", *names])), WIDEST_NAME)
    yield f"[bold]{_padded('listing', width)}  outcome  last poll (UTC)   next poll[/bold]"
    for each in seen.listings:
        yield from _listing_lines(each, width)
    told = {f"listing {each.listing.name}" for each in seen.listings} | {f"host {each.host}" for each in seen.hosts}
    for trouble in seen.troubles:
        if trouble.key not in told and not trouble.key.startswith(
            ("quarantine ", "lost ", "relay ")
        ):  # each has its own line
            yield f"[red]{escape(trouble.text)}[/red] {escape(trouble.remedy)}"
    for comparison in seen.comparisons:
        if not comparison.agree:
            yield f"[yellow]{escape(in_words(comparison))}[/yellow] (--json names them)"
    for host in seen.hosts:
        until = f"{escape(host.host)} is left alone until {_when(host.blocked_until)} UTC"
        yield f"[yellow]{until}:[/yellow] {escape(host.reason)} (`notifier resume {escape(host.host)}` asks it again)"
    failed = {each.listing.name for each in seen.listings if each.state and each.state.outcome is Outcome.FAILED}
    for kill in seen.quarantined:
        if kill.listing in failed:  # the others show another page by now
            since = f"a page of {escape(kill.listing)} is quarantined since {_when(kill.last_at)} UTC"
            yield f"[yellow]{since}:[/yellow] {escape(kill.reason)}; it is parsed again when it changes"
    for name, day, reason in seen.lost:
        yield f"[yellow]{escape(name)}: {day} was given up:[/yellow] {escape(reason)}"
    if seen.mail_held:
        yield f"[red]no mail leaves:[/red] {escape(seen.mail_held)}; `notifier release` lets it"
    for resting in seen.relays:
        times = f"{resting.failures} times since {_when(resting.since)} UTC"
        yield f"[red]{escape(resting.relay)} would not talk to us, {times}:[/red] {escape(resting.reason)}"
        yield f"{INDENT}it is asked again at {_when(resting.until)} UTC" + (
            "; a person must mend this" if resting.permanent else ""
        )
    if held := seen.outbox.get("held"):
        yield f"[red]{held} held for you to decide:[/red] `notifier outbox list --state held`"
    yield f"papers: {seen.papers} seen, {seen.news} of them news"
    for what, counts in (("outbox", seen.outbox), ("subscribers", seen.subscribers)):
        yield f"{what}: " + (", ".join(f"{n} {state}" for state, n in sorted(counts.items())) or "none")
    if seen.bounces or seen.suppressed:
        came = ", ".join(f"{n} {kind}" for kind, n in sorted(seen.bounces.items())) or "nothing"
        yield f"came back in {BOUNCES_SINCE.days} days: {came}; {seen.suppressed} suppressed (`notifier bounces list`)"


def _listing_lines(each: Watched, width: int) -> Iterator[str]:
    """The row of a listing, then what it showed last, then why its last poll ended as it did."""
    name, state = _padded(each.listing.name, width), each.state
    if state is None:
        yield f"{escape(name)}  not yet  never polled"
        return
    colour = COLOURS.get(state.outcome, "default")
    polled, following = _when(state.polled_at), _when(state.next_poll_at)
    yield f"{escape(name)}  [{colour}]{state.outcome:7}[/{colour}]  {polled}  {following}"
    batch = _batch_words(state, each.batch)
    yield INDENT + batch
    again = f"failed {state.failures} times in a row: " if state.failures > 1 else ""
    if again or not batch.endswith(f": {state.reason}"):
        yield f"{INDENT}[{colour}]{again}{escape(state.reason)}[/{colour}]"
    if each.why:
        yield f"{INDENT}next poll: {each.why}"
    if each.gaps:
        yield f"{INDENT}past days still to be read: " + ", ".join(map(str, each.gaps))
        if each.gap_trouble:
            yield f"{INDENT}  not read so far: {escape(each.gap_trouble)}"


def _batch_words(state: ListingState, batch: Poll | None) -> str:
    if state.fresh_at is None or batch is None:
        return "never fresh"
    day = str(batch.listed_on or "") or escape(batch.day_text)
    stated = f" of {batch.stated}" if batch.stated is not None else ""
    counts = f"{batch.read}{stated} read, {batch.new} new{_remarks(batch)}"
    return f"fresh {_when(state.fresh_at)}, batch{f' of {day}' if day else ''}: {counts}"


def _remarks(batch: Poll) -> str:
    """Return what its poll said behind the counts, such as ", far below the usual 50"."""
    _, comma, remarks = batch.reason.partition(" read, ")[2].partition(", ")
    return f"{comma}{escape(remarks)}"


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def _when(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "never"


# --- for machines -----------------------------------------------------------------------------------------------------


def as_json(seen: Status) -> dict[str, Any]:
    """Return all of it for JSON: instants and days as ISO 8601, None where there is nothing yet."""
    return {
        "at": seen.at.isoformat(),
        "well": seen.well,
        "listings": [_listing_json(each) for each in seen.listings],
        "differences": [_comparison_json(each) for each in seen.comparisons],
        "hosts": [{"host": each.host, "until": _iso(each.blocked_until), "reason": each.reason} for each in seen.hosts],
        "quarantined": [asdict(kill) | {"last_at": kill.last_at.isoformat()} for kill in seen.quarantined],
        "lost_days": [{"listing": name, "day": day.isoformat(), "reason": reason} for name, day, reason in seen.lost],
        "papers": seen.papers,
        "news": seen.news,
        "outbox": dict(seen.outbox),
        "mail_held": seen.mail_held,
        "relays": [
            asdict(each) | {"until": each.until.isoformat(), "since": each.since.isoformat()} for each in seen.relays
        ],
        "subscribers": dict(seen.subscribers),
        "bounces": dict(seen.bounces),
        "suppressed": seen.suppressed,
        "troubles": [_trouble_json(each) for each in seen.troubles],
    }


def _listing_json(each: Watched) -> dict[str, Any]:
    state, batch = each.state, each.batch
    return {
        "name": each.listing.name,
        "url": each.listing.url,
        "format": each.listing.format,
        "outcome": str(state.outcome) if state else None,
        "reason": state.reason if state else None,
        "failures": state.failures if state else 0,
        "primed": bool(state and state.primed),
        "polled_at": _iso(state.polled_at if state else None),
        "fresh_at": _iso(state.fresh_at if state else None),
        "next_poll_at": _iso(state.next_poll_at if state else None),
        "next_poll_why": each.why,
        "batch": _batch_json(batch) if batch else None,
        "missed_days": [day.isoformat() for day in each.gaps],
        "missed_days_trouble": each.gap_trouble,
    }


def _trouble_json(each: Alarm) -> dict[str, Any]:
    return {"key": each.key, "text": each.text, "remedy": each.remedy, "since": each.since.isoformat()}


def _batch_json(batch: Poll) -> dict[str, Any]:
    return {
        "listed_on": _iso(batch.listed_on),
        "day_text": batch.day_text,
        "polled_at": _iso(batch.polled_at),
        "read": batch.read,
        "stated": batch.stated,
        "new": batch.new,
        "remarks": _remarks(batch).removeprefix(", "),
    }


def _comparison_json(seen: Comparison) -> dict[str, Any]:
    return {
        "listing": seen.listing,
        "other": seen.other,
        "since": _iso(seen.since),
        "until": _iso(seen.until),
        "only_listing": [_paper_json(stored) for stored in seen.only_listing],
        "only_other": [_paper_json(stored) for stored in seen.only_other],
    }


def _paper_json(stored: StoredPaper) -> dict[str, Any]:
    paper = stored.paper
    return {
        "title": paper.title,
        "url": paper.url,
        "arxiv_id": paper.arxiv_id,
        "doi": paper.doi,
        "seen_at": _iso(stored.seen_at),
    }


def _iso(moment: date | None) -> str | None:
    return moment.isoformat() if moment else None
