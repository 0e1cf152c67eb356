"""Diff: a batch against what we have seen -> what changed, and what kind of poll this was (G2, G5).

Pure and total: no clock, no database; `Seen` holds every stored paper that shares a key with the batch. A page is
judged before its papers are: a batch that contradicts itself is FAILED and changes nothing. Absence is not removal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import date, datetime

from notifier.identity import keys, same
from notifier.model import (
    AnnounceType,
    Batch,
    Change,
    ChangeKind,
    Diff,
    Known,
    Outcome,
    Paper,
    Seen,
    Track,
)

NEWS = (ChangeKind.NEW, ChangeKind.CROSS)
REPLACEMENTS = (AnnounceType.REPLACE, AnnounceType.REPLACE_CROSS)
CROSS_LISTED = (AnnounceType.CROSS, AnnounceType.REPLACE_CROSS)
# A page may refresh these on every poll; all other fields are learnt once, or anew with a revision.
VOLATILE = ("upvotes", "comments_count", "withdrawn")

FAR_BELOW = 0.25  # of the usual number of papers of this weekday: flagged
MOST_NEW = 3_000  # papers at once that are believed to be new while nobody knows what is usual; then
LIKELY, LIKELY_TIMES = 500, 20  # so many, or so many times the usual number if that is more
FEWEST_USUAL = 8  # below this a small batch says nothing

Verdict = tuple[Outcome, str]
Announced = AnnounceType | None  # None: the page lists the paper, and says no more; it is as good as new
BEST_FIRST: tuple[Announced, ...] = (None, *AnnounceType)
# The stored paper, if any, the paper with all that this page says of it, and how this page announces it at best.
Met = tuple[Known | None, Paper, Announced]


def diff(batch: Batch, seen: Seen, track: Track, now: datetime) -> Diff:
    """Compare a batch with the stored papers that share its keys and judge the poll.

    A paper that stands twice in the batch counts once, with what both entries say.
    """
    contradiction = _contradiction(batch)
    if contradiction:
        return Diff((), Outcome.FAILED, contradiction)
    merged = _merged(batch, seen)
    found = (_change(known, paper, announced, seen) for known, paper, announced in merged)
    changes = tuple(change for change in found if change is not None)
    flood = _flood(changes, track)
    if flood:
        return Diff((), Outcome.FAILED, flood)
    outcome, reason = _judge(batch, merged, changes, track, now)
    known = tuple(stored.paper_id for stored, _, _ in merged if stored)
    return Diff(changes, outcome, reason, known, counts=not track.records_only)


def shows_unseen(batch: Batch, seen: Seen) -> bool:
    """Tell whether a page shows a paper that its listing has not shown before."""
    stored = (_stored(paper, seen) for paper in batch.papers)
    return any(known is None or not known.here for known in stored)


def join(batches: Sequence[Batch]) -> Batch:
    """Return the pages of one listing as one batch; what the first page says of the day counts."""
    first, *rest = batches
    if not rest:
        return first
    counts = [batch.stated for batch in batches]
    return replace(
        first,
        papers=tuple(paper for batch in batches for paper in batch.papers),
        stated=None if None in counts else sum(count or 0 for count in counts),
        truncated=batches[-1].truncated,
        skipped=sum(batch.skipped for batch in batches),
        oddities=tuple(dict.fromkeys(oddity for batch in batches for oddity in batch.oddities)),
        unknown_keys=Counter(first.unknown_keys) + sum((Counter(each.unknown_keys) for each in rest), Counter()),
        next_url=batches[-1].next_url,
    )


def unchanged(track: Track, now: datetime) -> Diff:
    """Judge a poll that was answered 304: the page is as it was."""
    if _overdue(track, now):
        return Diff((), Outcome.STALE, _nothing_since(track))
    if track.stale_on == track.listed_on and _is_dated_ahead(track.listed_on, track):
        return Diff((), Outcome.STALE, f"dated {track.listed_on}, but all of it was shown before; not modified since")
    return Diff((), Outcome.WAITING, "not modified since the last poll")


def batch_keys(batch: Batch) -> frozenset[str]:
    """Return every identity key of every paper in the batch: what to ask the store for."""
    return frozenset(key for paper in batch.papers for key in keys(paper))


def _contradiction(batch: Batch) -> str | None:
    read = len(batch.papers) + batch.skipped
    if batch.stated is not None and read != batch.stated:
        return f"the page states {batch.stated} entries, {read} were read: perhaps cut short, or its layout changed"
    return None


def _flood(changes: Sequence[Change], track: Track) -> str | None:
    """Say why so many papers are not believed to be new: a site that imports its archive again shows thousands."""
    new = sum(change.kind in NEWS for change in changes)
    likely = MOST_NEW if track.usual is None else max(LIKELY, LIKELY_TIMES * track.usual)
    if track.last_fresh_at is None or new <= (likely if track.most_new is None else track.most_new):
        return None
    usual = f", {track.usual} are usual" if track.usual is not None else ""
    return f"{new} new papers at once{usual}: if they are, set `most_new = {new}` for this listing"


def _merged(batch: Batch, seen: Seen) -> list[Met]:
    """One row per distinct paper, in page order, with all that this page says of it."""
    merged: list[Met] = []
    here: dict[str, list[int]] = {}
    for entry in batch.papers:
        position = _position(entry, here, merged)
        if position is None:
            known = _stored(entry, seen)
            merged.append((known, merge(known.paper, entry) if known else entry, entry.announce_type))
            position = len(merged) - 1
        else:
            known, paper, announced = merged[position]
            best = min(announced, entry.announce_type, key=BEST_FIRST.index)
            merged[position] = (known, merge(paper, entry), best)
        for key in keys(entry):
            here.setdefault(key, []).append(position)
    return merged


def _position(entry: Paper, here: dict[str, list[int]], merged: list[Met]) -> int | None:
    for key in keys(entry):
        for position in here.get(key, ()):
            if same(merged[position][1], entry):
                return position
    return None


def _stored(entry: Paper, seen: Seen) -> Known | None:
    for key in keys(entry):
        for known in seen.by_key.get(key, ()):
            if same(known.paper, entry):
                return known
    return None


def _change(known: Known | None, paper: Paper, announced: Announced, seen: Seen) -> Change | None:
    """Tell what a paper is to us, by how this page announces it, not by how another one did before."""
    if known is None:
        paper = replace(paper, announce_type=announced)
        return Change(_kind(announced), paper, keys(paper))
    names = tuple(dict.fromkeys(keys(paper) + keys(known.paper)))
    kind = _news(known, announced)
    if kind is None and _revises(known.paper, replace(paper, announce_type=announced)):
        kind = ChangeKind.REVISED
    paper = replace(paper, announce_type=_remembered(known.paper.announce_type, announced, kind))
    if kind is not None:
        return Change(kind, paper, names, known.paper_id, known.paper)
    unknown = any(known not in seen.by_key.get(name, ()) for name in names)
    if paper != known.paper or unknown:
        return Change(ChangeKind.KNOWN, paper, names, known.paper_id, known.paper)
    return None


def _kind(announced: Announced) -> ChangeKind:
    if announced in REPLACEMENTS:
        return ChangeKind.REVISED
    return ChangeKind.CROSS if announced is AnnounceType.CROSS else ChangeKind.NEW


def _news(known: Known, announced: Announced) -> ChangeKind | None:
    """Tell whether a known paper is news yet: one that was only recorded, or only cross-listed, and is now shown."""
    if announced in REPLACEMENTS:
        return None
    if not known.was_news and not known.here:
        return _kind(announced)
    # A listing without announcements that has shown the paper before only goes on showing it.
    shown = announced is AnnounceType.NEW or (announced is None and not known.here)
    return ChangeKind.NEW if shown and known.paper.announce_type in CROSS_LISTED else None


def _remembered(before: Announced, announced: Announced, kind: ChangeKind | None) -> Announced:
    """Return the announcement to store: `CROSS_LISTED` as long as the paper was announced in no other way."""
    if kind in NEWS:
        return announced
    if kind is ChangeKind.REVISED and announced is not None:
        return AnnounceType.REPLACE_CROSS if before in CROSS_LISTED else AnnounceType.REPLACE
    return before


def _revises(stored: Paper, entry: Paper) -> bool:
    """Tell whether an entry announces a later version: by number, or by day where the page gives no numbers."""
    if stored.version is not None and entry.version is not None and entry.version != stored.version:
        return entry.version > stored.version
    if entry.announce_type not in REPLACEMENTS or entry.announced_on is None:
        return False
    return stored.announced_on is None or entry.announced_on > stored.announced_on


def merge(stored: Paper, entry: Paper) -> Paper:
    """Add what an entry says to a stored paper: gaps are filled, votes refreshed; a revision renews its text too.

    The source and its key stay: they say where the paper was first met. The announcement is not a matter of gaps.
    """
    fresh: tuple[str, ...] = VOLATILE
    if _revises(stored, entry):
        fresh += ("title", "title_tex", "abstract", "abstract_tex", "authors", "categories", "version", "updated_at")
        fresh += ("announced_on", "comments", "journal_ref")
    news = {}
    for name in (f.name for f in fields(Paper) if f.name not in ("source", "source_key", "announce_type")):
        old, new = getattr(stored, name), getattr(entry, name)
        if new not in (None, "", ()) and (name in fresh or old in (None, "", ())):
            news[name] = new
    if _revises(stored, entry) and entry.version is None and stored.version is not None:
        news["version"] = stored.version + 1  # announced without a number: a page that gives it brings nothing new
    if "title" not in news or news["title"] == stored.title:
        news.pop("title_tex", None)  # a title and its source go together
    elif not entry.title_tex:
        news["title_tex"] = ""
    if "abstract" not in news:
        news.pop("abstract_tex", None)
    elif not entry.abstract_tex:
        news["abstract_tex"] = ""
    return replace(stored, **news)


def _judge(batch: Batch, merged: list[Met], changes: tuple[Change, ...], track: Track, now: datetime) -> Verdict:
    """Judge by what this listing has not shown before; that another listing was first makes a batch no less fresh."""
    new = sum(change.kind in NEWS for change in changes)
    unseen = sum(known is None or not known.here for known, _, _ in merged)
    read = f"{len(batch.papers)} of {batch.stated}" if batch.stated is not None else f"{len(batch.papers)}"
    notes = _notes(batch, track)
    if unseen and track.records_only:
        return Outcome.FRESH, f"{read} read, recorded by the first poll: not news{notes}"
    if unseen:
        return Outcome.FRESH, f"{read} read, {new} new{notes}"
    if _overdue(track, now):
        return Outcome.STALE, _nothing_since(track) + notes
    if not batch.papers:
        return Outcome.QUIET, "the page says that there is nothing"
    if _is_dated_ahead(batch.listed_on, track):
        revised = sum(change.kind is ChangeKind.REVISED for change in changes)
        if revised:
            return Outcome.FRESH, f"{read} read, 0 new, {revised} revised{notes}"
        return Outcome.STALE, f"dated {batch.listed_on}, but all of {read} were shown before{notes}"
    return Outcome.WAITING, f"{read} read, all seen before{notes}"


def _is_dated_ahead(day: date | None, track: Track) -> bool:
    """Tell whether a page claims a day that nothing was read for yet."""
    return day is not None and track.fresh_on is not None and day > track.fresh_on


def _notes(batch: Batch, track: Track) -> str:
    """What an operator should know besides the outcome."""
    notes = [f"{batch.skipped} unreadable"] if batch.skipped else []
    notes += ["perhaps cut"] if batch.truncated else []
    if track.usual is not None and track.usual >= FEWEST_USUAL and len(batch.papers) < track.usual * FAR_BELOW:
        notes.append(f"far below the usual {track.usual}")
    return "".join(f", {note}" for note in notes)


def _overdue(track: Track, now: datetime) -> bool:
    return track.last_fresh_at is not None and now - track.last_fresh_at > track.stale_after


def _nothing_since(track: Track) -> str:
    return f"nothing unseen since {track.last_fresh_at:%Y-%m-%d %H:%M} UTC"
