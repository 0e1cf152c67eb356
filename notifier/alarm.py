"""Alarm: what troubles are there, and which of them is the operator told of now? Pure; the daemon looks and posts.

A trouble is known by its key. It is mailed once it has lasted its patience, again each day that it lasts, and once when
it has stayed away for the grace: what comes and goes within that is never mailed, so nothing flaps. All that is due at
one look goes into one mail. Whether the relay takes that mail or not, `notifier status` and the log say the same.

To add a kind of trouble: write a function from `Signals` to its troubles and add it to KINDS; if it needs to know more,
add a field to `Signals` and fill it in `status.signals` (from the store) or in `daemon.watch` (from the process).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from notifier.model import HostState, ListingState, Outcome

FAILED_FOR = timedelta(hours=6)  # a listing that cannot be read; sites are repaired within hours, and are asked again
AGAIN = timedelta(hours=24)  # between two mails about a trouble that lasts
LEAST_DISK = 200_000_000  # bytes free, below which the disk is nearly full
LEAST_SHARE = 0.02  # of the disk; the greater of the two, at most MOST_DISK
MOST_DISK = 2_000_000_000
WAVE = 5  # subscribers suppressed within a day, or
WAVE_SHARE = 0.05  # of all of them, whichever is more
LIVE = ("disk", "template ")  # how the keys begin of what only the running program sees
TEXT_LIMIT = 500  # code points of a trouble's text: words of a server or template are in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something a person must see to. `patience` None: the grace of the configuration; `once`: mailed one time only."""

    key: str
    text: str
    remedy: str
    patience: timedelta | None = None
    once: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """All that troubles are read from: what the store shows, then what only the running program knows.

    `listings` are (state, host); `quarantined` and `lost` name listings: (listing, reason), (listing, day, reason);
    `relays` that would not talk to us are (name, reason, permanent); `templates` are (name, reason) of replacements
    that cannot be used; `disk` is (free, size) in bytes. `held` messages are not those that the operator holds.
    """

    listings: Sequence[tuple[ListingState, str]] = ()
    hosts: Sequence[HostState] = ()
    quarantined: Sequence[tuple[str, str]] = ()
    lost: Sequence[tuple[str, date, str]] = ()
    relays: Sequence[tuple[str, str, bool]] = ()
    held: int = 0
    suppressed: int = 0
    subscribers: int = 0
    templates: Sequence[tuple[str, str]] = ()
    disk: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A trouble as the store keeps it: there `since`, last seen at `seen_at`, last mailed at `mailed_at`, if at all."""

    key: str
    text: str
    remedy: str
    since: datetime
    seen_at: datetime
    mailed_at: datetime | None = None
    once: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to keep, to forget and to mail: `begun` are due now, `over` were mailed and are no more."""

    kept: tuple[Alarm, ...] = ()
    forgotten: tuple[str, ...] = ()
    begun: tuple[Alarm, ...] = ()
    over: tuple[Alarm, ...] = ()


# --- what is wrong ----------------------------------------------------------------------------------------------------


def troubles(signals: Signals) -> tuple[Trouble, ...]:
    """Return every trouble there is now, each key once, in the order of KINDS."""
    found: dict[str, Trouble] = {}
    for kind in KINDS:
        for trouble in kind(signals):
            text = trouble.text if len(trouble.text) <= TEXT_LIMIT else trouble.text[: TEXT_LIMIT - 1] + "…"
            found.setdefault(trouble.key, replace(trouble, text=text))
    return tuple(found.values())


def _relays(signals: Signals) -> Iterator[Trouble]:
    for relay, reason, permanent in signals.relays:
        yield Trouble(
            key=f"relay {relay}"[:200],
            text=f"The relay {relay} takes no mail: {reason}",
            remedy="Correct [mail] in the configuration, or ask who runs the relay. What is due waits, this mail too.",
            patience=timedelta() if permanent else None,
        )


def _disk(signals: Signals) -> Iterator[Trouble]:
    if signals.disk is None:
        return
    free, size = signals.disk
    if free < max(LEAST_DISK, min(LEAST_SHARE * size, MOST_DISK)):
        yield Trouble(
            key="disk",
            text=f"The disk of the database is nearly full: {free / 1e6:.0f} MB are free.",
            remedy="Make room. When it is full, nothing can be recorded or sent; nothing is lost either.",
            patience=timedelta(),
        )


def _held(signals: Signals) -> Iterator[Trouble]:
    if signals.held:
        yield Trouble(
            key="held",
            text=f"{signals.held} message{'s wait' if signals.held > 1 else ' waits'} for you to decide.",
            remedy="`notifier outbox list --state held` names them; then `release` or `discard` them.",
        )


def _hosts(signals: Signals) -> Iterator[Trouble]:
    for host in signals.hosts:
        if _forbids(host):
            yield Trouble(
                key=f"host {host.host}"[:200],
                text=f"{host.host} does not want us: {host.reason}",
                remedy=f"Ask the site, or watch another page. `notifier resume {host.host}` asks it again before "
                f"{host.blocked_until:%Y-%m-%d %H:%M} UTC.",
                patience=timedelta(),
            )


def _forbids(host: HostState) -> bool:
    return host.blocked_until is not None and host.reason.startswith("403")


def _listings(signals: Signals) -> Iterator[Trouble]:
    explained = {name for name, _ in signals.quarantined}
    forbidding = {host.host for host in signals.hosts if _forbids(host)}
    for state, host in signals.listings:
        if state.outcome is Outcome.STALE:
            yield Trouble(
                key=f"listing {state.name}"[:200],
                text=f"{state.name} is stale: {state.reason}",
                remedy="Look at the page: does it still show new papers? If it is only slow, raise its `stale_after`.",
            )
        elif state.outcome is Outcome.FAILED and state.name not in explained and host not in forbidding:
            yield Trouble(
                key=f"listing {state.name}"[:200],
                text=f"{state.name} cannot be read: {state.reason}",
                remedy=f"`notifier check-listing {state.url or 'URL'}` shows what is read there.",
                patience=FAILED_FOR,
            )


def _quarantined(signals: Signals) -> Iterator[Trouble]:
    for name, reason in signals.quarantined:
        yield Trouble(
            key=f"quarantine {name}"[:200],
            text=f"A page of {name} is quarantined: {reason}",
            remedy="It is parsed again when it changes. Please report the page if it is an honest one.",
        )


def _lost(signals: Signals) -> Iterator[Trouble]:
    for name, day, reason in signals.lost:
        yield Trouble(
            key=f"lost {name} {day}"[:200],
            text=f"{name}: the missed day {day} could not be read and was given up: {reason}",
            remedy="Look at that day yourself, if its papers matter.",
            once=True,
        )


def _templates(signals: Signals) -> Iterator[Trouble]:
    for name, reason in signals.templates:
        yield Trouble(
            key=f"template {name}"[:200],
            text=f"Your template {name} cannot be used, the built-in one takes its place: {reason}",
            remedy="Correct the file, or remove it.",
        )


def _suppressed(signals: Signals) -> Iterator[Trouble]:
    if signals.suppressed >= max(WAVE, WAVE_SHARE * signals.subscribers):
        yield Trouble(
            key="suppressed",
            text=f"{signals.suppressed} subscribers were suppressed within a day, of {signals.subscribers} in all.",
            remedy="So many at once is rarely their fault: is our sender or relay on a block list?",
            patience=timedelta(),
        )


KINDS: tuple[Callable[[Signals], Iterator[Trouble]], ...] = (
    _relays, _disk, _held, _suppressed, _hosts, _listings, _quarantined, _templates, _lost,
)  # fmt: skip


# --- whom it is told to, and when -------------------------------------------------------------------------------------


def judge(known: Sequence[Alarm], found: Sequence[Trouble], now: datetime, grace: timedelta) -> Verdict:
    """Compare what is wrong now with what was; an instant that is still to come was noted under a wrong clock."""
    before = {alarm.key: alarm for alarm in known}
    kept, begun, forgotten, over = [], [], [], []
    for trouble in found:
        alarm = _seen(trouble, before.pop(trouble.key, None), now)
        patience = grace if trouble.patience is None else trouble.patience
        if now - alarm.since >= patience and _is_due(alarm, now):
            alarm = replace(alarm, mailed_at=now)
            begun.append(alarm)
        kept.append(alarm)
    for alarm in before.values():
        if now - min(alarm.seen_at, now) < grace:
            kept.append(alarm)
            continue
        forgotten.append(alarm.key)
        if alarm.mailed_at is not None and not alarm.once:
            over.append(alarm)
    return Verdict(kept=tuple(kept), forgotten=tuple(forgotten), begun=tuple(begun), over=tuple(over))


def _seen(trouble: Trouble, before: Alarm | None, now: datetime) -> Alarm:
    return Alarm(
        key=trouble.key,
        text=trouble.text,
        remedy=trouble.remedy,
        since=min(before.since, now) if before else now,
        seen_at=now,
        mailed_at=before.mailed_at if before else None,
        once=trouble.once,
    )


def _is_due(alarm: Alarm, now: datetime) -> bool:
    if alarm.mailed_at is None or alarm.mailed_at > now:
        return True
    return not alarm.once and now - alarm.mailed_at >= AGAIN


# --- what the mails say -----------------------------------------------------------------------------------------------


def words(alarms: Sequence[Alarm], *, over: bool = False) -> Mapping[str, object]:
    """Return what the template `alarm` is filled with."""
    if over:
        heading = "It is over" if len(alarms) == 1 else f"{len(alarms)} troubles are over"
        said = [f"Since {alarm.since:%Y-%m-%d %H:%M} UTC it was so, and is no more: {alarm.text}" for alarm in alarms]
        return {"heading": heading, "paragraphs": said, "remedy": ""}
    if len(alarms) == 1:
        (alarm,) = alarms
        said = [alarm.text, f"This is so since {alarm.since:%Y-%m-%d %H:%M} UTC."]
        return {"heading": "Something needs you", "paragraphs": said, "remedy": alarm.remedy}
    said = [f"{a.text} (since {a.since:%Y-%m-%d %H:%M} UTC) What to do: {a.remedy}" for a in alarms]
    return {"heading": f"{len(alarms)} things need you", "paragraphs": said, "remedy": ""}
