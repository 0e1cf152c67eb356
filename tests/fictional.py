"""Papers and digests that never were: what the tests of mails, feeds and pages show."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from notifier.model import Cadence, Channel, Coverage, Digest, DigestEntry, FeedItem, Marks, Outcome, Paper

NOW = datetime(2026, 11, 21, 7, 0, tzinfo=UTC)

TITLES = (
    "Walking the Lattice: Graph Reasoning Without a Map",
    "Tiny Tutors, Long Memories",
    "A Tale of Two Tokenizers & <b>One</b> Detokenizer",
    "Why Does the Pendulum Ask? Questions as Actions in Curious Control",
    "Beyond the Seventh Digit: Arithmetic in Sparse Mixtures of Experts with Very Long, Very Patient, "
    "and Occasionally Quite Surprising Chains of Intermediate Calculation",
    "∇-Free Descent on ℝⁿ: Σ-Sketches for α-Smooth Objectives",
)
ABSTRACT = (
    "Most planners draw a map before they take a step. We ask how far graph reasoning can go when nothing is drawn: an "
    "agent walks a lattice of facts, keeps three of them in mind, and forgets the rest. On five invented benchmarks "
    'the walker answers as well as planners ten times its size, and it says "I do not know" when a path is missing. We '
    "release the lattices, the walks, and a small museum of wrong turns."
)


def paper(number: int = 0, **changes: object) -> Paper:
    """Return fictional paper `number`, with the changes asked for."""
    made = Paper(
        source="example",
        source_key=f"2611.{10000 + number}",
        title=TITLES[number % len(TITLES)],
        url=f"https://arxiv.org/abs/2611.{10000 + number}",
        arxiv_id=f"2611.{10000 + number}",
        version=1,
        abstract=ABSTRACT,
        authors=("Ilse Quandt", "Tomé Ferrão", "Wen Baihe", "Oda Nygård", "P. Lindqvist", "Ruth Amsel", "B. Okoro")[
            : 2 + number % 6
        ],
        categories=("cs.CL", "cs.AI"),
        pdf_url=f"https://arxiv.org/pdf/2611.{10000 + number}",
        upvotes=(31 - number) % 32,
        code_url="https://code.example.org/lattice" if number % 2 == 0 else None,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def marks(shown: Paper, *words: str) -> Marks:
    """Return marks where the words stand in the paper, each occurrence."""

    def spans(text: str) -> tuple[tuple[int, int], ...]:
        folded = text.lower()
        starts = {(at, at + len(w)) for w in words for at in range(len(text)) if folded.startswith(w, at)}
        return tuple(sorted(starts))

    return Marks(title=spans(shown.title), abstract=spans(shown.abstract), words=words)


def entry(shown: Paper, *labels: str, listings: tuple[str, ...] = ("Daily papers",)) -> DigestEntry:
    return DigestEntry(
        paper=shown,
        marks=marks(shown, "graph", "reasoning"),
        labels=labels or ("graph AND reasoning",),
        listings=listings,
    )


def coverage(listing: str, outcome: Outcome = Outcome.FRESH, **changes: object) -> Coverage:
    made = Coverage(
        listing=listing, outcome=outcome, polled_at=NOW, listed_on=date(2026, 11, 20), read=90, stated=90, new=73
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def digest(count: int = 3, **changes: object) -> Digest:
    """Return a digest of `count` fictional papers, with the changes asked for."""
    made = Digest(
        message_id="<42.7.walk@alerts.example.org>",
        date=NOW,
        sender=("Paper alerts", "alerts@example.org"),
        recipient="ada@reader.example",
        timezone="Europe/Berlin",
        cadence=Cadence.DAILY,
        entries=tuple(entry(paper(number)) for number in range(count)),
        labels=("graph AND reasoning", "LLM"),
        coverage=(
            coverage("Daily papers"),
            coverage("cs.CL", Outcome.QUIET, read=0, stated=0, new=0, listed_on=None),
        ),
        list_id="digest.alerts.example.org",
        unsubscribe_url="https://alerts.example.org/u/" + "k3Jx9" * 14,
        unsubscribe_mailto="unsubscribe+k3Jx9@example.org",
        web_url="https://alerts.example.org/d/7f2c",
        feed_url="https://alerts.example.org/f/7f2c.xml",
        manage_url="https://alerts.example.org/manage/7f2c",
        help_url="https://alerts.example.org/help",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def channel(count: int = 3, **changes: object) -> Channel:
    """Return a channel of `count` items, newest first, a day apart."""
    items = tuple(
        FeedItem(
            guid=f"urn:uuid:00000000-0000-4000-8000-{number:012}",
            paper=paper(number),
            marks=marks(paper(number), "graph"),
            labels=("graph AND reasoning",),
            published=NOW - timedelta(days=number),
            updated=NOW - timedelta(days=number),
            link=f"https://alerts.example.org/p/{number}",
        )
        for number in range(count)
    )
    made = Channel(
        title="Graph papers",
        description="New papers on graphs",
        link="https://alerts.example.org/",
        feed_id="urn:uuid:00000000-0000-4000-8000-feedfeedfeed",
        place="https://alerts.example.org/feeds/all",
        updated=NOW,
        items=items,
    )
    return replace(made, **changes)  # type: ignore[arg-type]
