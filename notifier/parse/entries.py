"""The entries of one page on their way into a `Batch`: what was read, what could not be, and what was odd.

Owns the rules that hold for every format: an entry that cannot be read is skipped and counted, alone; an entry listed
twice counts once; a page of which most entries are bad, or that has more than any listing has, is not the page
(`PageError`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date

from notifier.errors import PageError
from notifier.model import Batch, Paper
from notifier.parse.text import line

ENTRIES_LIMIT = 10_000
ODDITIES_LIMIT = 50  # different ones; the rest is counted
UNKNOWN_KEYS_LIMIT = 100


class BadEntry(Exception):
    """An entry that cannot be read; the message says why."""


class Entries:
    """Collects the entries of one page, in page order."""

    def __init__(self, oddities: Iterable[str] = ()) -> None:
        self.papers: list[Paper] = []
        self._keys: set[str] = set()
        self._oddities: Counter[str] = Counter(oddities)
        self._unknown: Counter[str] = Counter()
        self._bad = 0
        self._repeated = 0
        self._left_out = 0

    def add(self, paper: Paper) -> None:
        if paper.source_key in self._keys:
            self._repeated += 1
            self.note(f"listed twice: {paper.source_key}")
            return
        if len(self.papers) >= ENTRIES_LIMIT:
            raise PageError(f"more than {ENTRIES_LIMIT} entries")
        self._keys.add(paper.source_key)
        self.papers.append(paper)

    def skip(self, reason: object) -> None:
        self._bad += 1
        self.note(f"skipped: {reason}")

    def leave_out(self, reason: object) -> None:
        """Count an entry that is right but holds no paper, such as a deleted record."""
        self._left_out += 1
        self.note(f"left out: {reason}")

    def note(self, oddity: str) -> None:
        self._oddities[line(oddity, 200)] += 1

    def unknown(self, keys: Iterable[str]) -> None:
        for key in keys:
            name = line(key, 80)
            if name in self._unknown or len(self._unknown) < UNKNOWN_KEYS_LIMIT:
                self._unknown[name] += 1

    def batch(
        self,
        *,
        listed_on: date | None = None,
        day_text: str = "",
        stated: int | None = None,
        truncated: bool = False,
        next_url: str | None = None,
        newest_first: bool = False,
    ) -> Batch:
        """Close the page; raises `PageError` when most of its entries could not be read."""
        if self._bad > len(self.papers):
            reason = next((text for text in self._oddities if text.startswith("skipped: ")), "")
            raise PageError(f"{self._bad} of {self._bad + len(self.papers)} entries cannot be read; first {reason}")
        common = self._oddities.most_common(ODDITIES_LIMIT)
        oddities = [text if count == 1 else f"{text} ({count} times)" for text, count in common]
        if len(self._oddities) > ODDITIES_LIMIT:
            oddities.append(f"and {len(self._oddities) - ODDITIES_LIMIT} other oddities")
        return Batch(
            papers=tuple(self.papers),
            listed_on=listed_on,
            day_text=day_text,
            stated=stated,
            truncated=truncated,
            skipped=self._bad + self._repeated + self._left_out,
            oddities=tuple(oddities),
            unknown_keys=dict(self._unknown),
            next_url=next_url,
            newest_first=newest_first,
        )
