"""What a poll of a listing brought: its outcome, the changes of papers, and what is remembered of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from notifier.model.names import PaperId
from notifier.model.papers import Paper, Validators


class Outcome(StrEnum):
    """What a poll was (G5): decided by unseen ids, stated counts and landmarks, never by dates alone."""

    FRESH = "fresh"  # the page is right and holds unseen papers
    QUIET = "quiet"  # the page is right and says that there is nothing (weekend, holiday)
    WAITING = "waiting"  # the page is right and still shows what we have seen
    STALE = "stale"  # as waiting or quiet, for longer than this listing may
    FAILED = "failed"  # no page, not the page, or a page that contradicts itself


class ChangeKind(StrEnum):
    """What a paper on a page is to us."""

    NEW = "new"  # never seen under any of its keys, or so far only recorded or cross-listed
    CROSS = "cross"  # never seen, and here only cross-listed: it is new in another category
    REVISED = "revised"  # a higher version of a known paper, or first met as a replacement: not new to the world
    KNOWN = "known"  # known; the page taught us something (votes, an id, an abstract)


@dataclass(frozen=True, slots=True)
class Change:
    """One paper of a batch against what we have seen: `paper` is what to store, `keys` all its identity keys.

    `paper_id` and `before`, the paper as it is stored, are None for one that is not stored yet.
    """

    kind: ChangeKind
    paper: Paper
    keys: tuple[str, ...]
    paper_id: PaperId | None = None
    before: Paper | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """A stored paper: `was_news` unless it was only recorded (a first poll, a replacement); `here`: on this listing."""

    paper_id: PaperId
    paper: Paper
    was_news: bool
    here: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """What the store knows of a batch: the stored papers under each key, and `latest`, the newest paper id by then."""

    by_key: Mapping[str, tuple[Known, ...]]
    latest: PaperId


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """What polling a listing has shown so far: when its last fresh batch came, None before the first poll.

    `records_only` is true of a first poll that makes nothing news (G4). `listed_on` is the newest day that the page
    was ever dated, `fresh_on` that of a batch that brought something (a later day with old papers is a stale page),
    `stale_on` that of a stale one, `usual` the median number of papers of the last batches of this weekday; None where
    unknown. `most_new` papers at once are believed to be new; None: as many as are likely.
    """

    last_fresh_at: datetime | None = None
    stale_after: timedelta = timedelta(days=4)
    records_only: bool = False
    listed_on: date | None = None
    fresh_on: date | None = None
    stale_on: date | None = None
    usual: int | None = None
    most_new: int | None = None


@dataclass(frozen=True, slots=True)
class Diff:
    """The verdict on a batch: the changes in page order, the outcome, its reason in words for people.

    `known` are the stored papers that the page shows, changed or not. `counts` is false for a first poll that only
    records: its papers are nobody's news.
    """

    changes: tuple[Change, ...]
    outcome: Outcome
    reason: str
    known: tuple[PaperId, ...] = ()
    counts: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """One batch that a digest covers: `read` papers of `stated` (None: no count on the page), `new` of them unseen.

    `fresh_at` is when the listing last brought anything new.
    """

    listing: str
    outcome: Outcome
    polled_at: datetime
    listed_on: date | None
    read: int
    stated: int | None
    new: int
    reason: str = ""
    fresh_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingState:
    """What polling a listing has shown so far; `fresh_at` None: never fresh; `failures` polls failed in a row."""

    name: str
    url: str  # that the validators belong to
    validators: Validators
    primed: bool
    polled_at: datetime
    fresh_at: datetime | None
    next_poll_at: datetime
    failures: int
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """One poll as recorded. `read`, `stated`, `new` count papers; `day_text` is the page's own word for its day."""

    listing: str
    polled_at: datetime
    outcome: Outcome
    reason: str
    listed_on: date | None = None
    day_text: str = ""
    read: int = 0
    stated: int | None = None
    new: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPaper:
    """A paper with what the store adds: a permanent `guid`, first met at `seen_at`, text changed at `changed_at`."""

    paper_id: PaperId
    guid: str
    seen_at: datetime
    changed_at: datetime
    paper: Paper


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The news that only one of two listings of a source showed, of what either first showed in [since, until)."""

    listing: str
    other: str
    since: datetime
    until: datetime
    only_listing: tuple[StoredPaper, ...]
    only_other: tuple[StoredPaper, ...]

    @property
    def agree(self) -> bool:
        """Whether the two showed the same papers."""
        return not self.only_listing and not self.only_other


@dataclass(frozen=True, slots=True)
class Sighting:
    """A listing's first poll that showed a paper."""

    listing: str
    polled_at: datetime
    first_poll: bool  # of the listing
