"""Survey: what would a query have caught? Hits per day, samples with marks, advice when it is too wide or narrow.

Pure: the papers and the time are arguments. The same answer serves `notifier search` and the preview on the web.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches

from notifier.match import marks, match
from notifier.model import Marks, Paper, QueryId, StoredPaper
from notifier.query import Query, canonical
from notifier.query.nodes import (
    And,
    Exact,
    Leaf,
    Near,
    Not,
    Or,
    Phrase,
    Prefix,
    Scope,
    Word,
    conjunction,
    disjunction,
    leaves,
)
from notifier.query.words import FUNCTION_WORDS, parts

TOO_WIDE = 0.10  # of all papers: beyond it a digest is a listing again
FEWEST = 20  # papers below which a share says nothing
SAMPLES = 10
SPELLING = 0.8  # how alike a word of the papers must be to be taken for the one that was meant
_THIS = QueryId(0)


@dataclass(frozen=True, slots=True)
class Day:
    """How many of a day's papers matched; the day is UTC, by when the papers were first seen."""

    day: date
    hits: int
    papers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a query would have caught: `days` oldest first, none left out; `samples` newest first; `advice` or ""."""

    canonical: str
    days: tuple[Day, ...]
    samples: tuple[tuple[StoredPaper, Marks], ...]
    advice: str

    @property
    def hits(self) -> int:
        """Papers that matched."""
        return sum(day.hits for day in self.days)

    @property
    def papers(self) -> int:
        """Papers there were."""
        return sum(day.papers for day in self.days)


def survey(query: Query, papers: Sequence[StoredPaper], now: datetime, days: int) -> Survey:
    """Return what `query` catches of `papers`, which were seen in the last `days` days, in the order they were seen."""
    hits = _hits(query, [each.paper for each in papers])
    today = now.astimezone(UTC).date()
    per_day = Counter(each.seen_at.date() for each in papers)
    caught = Counter(papers[position].seen_at.date() for position in hits)
    span = [today - timedelta(days=back) for back in range(days - 1, -1, -1)]
    first = min([*per_day, *span[:1]])
    span = [first + timedelta(days=n) for n in range((today - first).days + 1)]
    newest = [papers[position] for position in reversed(hits[-SAMPLES:])]
    return Survey(
        canonical=canonical(query),
        days=tuple(Day(day, caught[day], per_day[day]) for day in span),
        samples=tuple((each, marks([query], each.paper)) for each in newest),
        advice=_advice(query, [each.paper for each in papers], hits, days),
    )


def _hits(query: Query, papers: Sequence[Paper]) -> list[int]:
    return [hit.paper for hit in match(papers, {_THIS: query})]


def _advice(query: Query, papers: Sequence[Paper], hits: Sequence[int], days: int) -> str:
    if not papers:
        return "no paper was seen in that time"
    if not hits:
        found = next((text for text, caught in _wider(query, papers) if caught), None)
        return f"nothing in {days} days" + (f"; try {found}" if found else "")
    share = len(hits) / len(papers)
    if share <= TOO_WIDE or len(papers) < FEWEST:
        return ""
    said = f"that is {share:.0%} of all papers: a digest of it is nearly the listing itself"
    for text, caught in _tighter(query, papers, hits):
        if 0 < caught <= TOO_WIDE * len(papers):
            return f"{said}; try {text} ({caught} papers)"
    return said


def _tighter(query: Query, papers: Sequence[Paper], hits: Sequence[int]) -> Iterator[tuple[str, int]]:
    """Narrower queries: the same in titles only, then with a word that many of the hits have in their titles."""
    titled = _rewritten(query, lambda term: _scoped(term, Scope.TITLE))
    if titled != query:
        yield canonical(titled), len(_hits(titled, papers))
    caught = [papers[position] for position in hits]
    words = Counter(word for paper in caught for word in {each.word for each in parts(paper.title)} if len(word) > 4)
    asked = {
        word for term, _ in leaves(query) if isinstance(term, Word | Phrase | Prefix) for word in term.text.split()
    }
    for word, _ in words.most_common(12):
        if word not in asked and word not in FUNCTION_WORDS:
            narrow = conjunction([query, Word(word)])
            yield canonical(narrow), len(_hits(narrow, caught))


def _wider(query: Query, papers: Sequence[Paper]) -> Iterator[tuple[str, int]]:
    """Wider queries: words as the papers spell them, anywhere instead of in a field, words apart, one part less."""
    words = Counter(each.word for paper in papers for each in (*parts(paper.title), *parts(paper.abstract)))
    tries = [
        _rewritten(query, lambda term: _respelled(term, words)),
        _rewritten(query, lambda term: _scoped(term, Scope.ANY)),
        _rewritten(query, _apart),
    ]
    if isinstance(query, And):
        tries += [conjunction(each for each in query.parts if each is not part) for part in query.parts]
    for each in tries:
        if each != query and any(asked for _, asked in leaves(each)):
            yield canonical(each), len(_hits(each, papers))


def _rewritten(query: Query, change: Callable[[Leaf], Leaf]) -> Query:
    """Return the query with every term that is asked for changed."""
    match query:
        case And(parts_of):
            return conjunction(_rewritten(part, change) for part in parts_of)
        case Or(parts_of):
            return disjunction(_rewritten(part, change) for part in parts_of)
        case Not():
            return query
    return change(query)


def _scoped(term: Leaf, scope: Scope) -> Leaf:
    return replace(term, scope=scope) if isinstance(term, Word | Phrase | Near | Prefix | Exact) else term


def _apart(term: Leaf) -> Leaf:
    if not isinstance(term, Phrase):
        return term
    words = tuple(term.text.replace("-", " ").split())
    return Near(words, len(words) + 6, term.scope) if len(words) > 1 else term


def _respelled(term: Leaf, words: Counter[str]) -> Leaf:
    """The word of the papers that looks most like a term that none of them has."""
    if not isinstance(term, Word) or term.text in words or len(term.text) < 4:
        return term
    known = [word for word in words if abs(len(word) - len(term.text)) <= 2]
    near = get_close_matches(term.text, known, 1, SPELLING)
    return replace(term, text=near[0]) if near else term
