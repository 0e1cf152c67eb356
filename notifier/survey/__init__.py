"""Survey: what would a query have caught? Hits per day, samples with marks, advice when it is too wide or narrow.

Pure: the papers and the time are arguments; the papers of a day are made ready once, by `issue`. The same answer serves
`notifier search` and the preview on the web.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from itertools import groupby

from notifier import match
from notifier.match import marks
from notifier.model import Marks, PaperId, StoredPaper
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
NEARLY_ALL = 0.5  # of the papers, which is said so
FEWEST = 20  # papers below which a share says nothing
SAMPLES = 10
SPELLING = 0.8  # how alike a word of the papers must be to be taken for the one that was meant
SPELLINGS = 10_000  # words of the papers that one may have been meant among, the most usual first
UNLIKE = 4  # letters that only one of two words has: more, and none was meant for the other
TITLES = 100  # of the newest hits, in which a word to add is looked for


@dataclass(frozen=True, slots=True)
class Issue:
    """The papers first seen on a day (UTC), ready to be asked: `stamps` are what the store says of each."""

    day: date
    corpus: match.Corpus
    stamps: Sequence[tuple[PaperId, str, datetime, datetime]]  # id, guid, seen at, changed at

    def __getitem__(self, position: int) -> StoredPaper:
        """Return a paper of the day, in the order in which they were seen."""
        paper_id, guid, seen_at, changed_at = self.stamps[position]
        return StoredPaper(
            paper_id=paper_id, guid=guid, seen_at=seen_at, changed_at=changed_at, paper=self.corpus[position]
        )


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


def issues(papers: Iterable[StoredPaper]) -> list[Issue]:
    """Sort papers that come in the order in which they were seen into their days."""
    return [issue(day, list(seen)) for day, seen in groupby(papers, lambda each: each.seen_at.astimezone(UTC).date())]


def issue(day: date, papers: Sequence[StoredPaper]) -> Issue:
    """Make the papers of a day ready to be asked; takes about half a millisecond for each."""
    stamps = [(each.paper_id, each.guid, each.seen_at, each.changed_at) for each in papers]
    return Issue(day, match.Corpus([each.paper for each in papers]), stamps)


def usual(papers: Iterable[Issue]) -> Counter[str]:
    """Count the papers of each of the most usual words, the most usual first."""
    words: Counter[str] = Counter()
    for day in papers:
        words.update(day.corpus.words())
    return Counter(dict(words.most_common(SPELLINGS)))


def survey(
    query: Query,
    papers: Sequence[Issue],
    now: datetime,
    days: int,
    most: int | None = None,
    words: Counter[str] | None = None,
) -> Survey:
    """Return what `query` catches of the papers of the last `days` days, oldest day first.

    `words` are the `usual` ones of the papers, for who has them: they take long to count. Raises CostlyQuery when that
    would mean to read more than `most` papers of a day closely.
    """
    hits = _hits(query, papers, most)
    today = now.astimezone(UTC).date()
    first = min([each.day for each in papers] + [today - timedelta(days=days - 1)])
    span = [first + timedelta(days=n) for n in range((today - first).days + 1)]
    there, matched = Counter[date](), Counter(day.day for day, _ in hits)
    for each in papers:
        there[each.day] += len(each.corpus)
    newest = [day[position] for day, position in reversed(hits[-SAMPLES:])]
    return Survey(
        canonical=canonical(query),
        days=tuple(Day(day, matched[day], there[day]) for day in span),
        samples=tuple((each, marks([query], each.paper)) for each in newest),
        advice=_advice(query, papers, hits, days, most, words),
    )


def catch(query: Query, papers: Sequence[Issue], most: int | None = None) -> list[PaperId]:
    """Return the papers that a query catches, oldest first."""
    return [day.stamps[position][0] for day, position in _hits(query, papers, most)]


def _hits(query: Query, papers: Sequence[Issue], most: int | None) -> list[tuple[Issue, int]]:
    return [(day, position) for day in papers for position in day.corpus.match(query, most)]


def _count(query: Query, papers: Sequence[Issue], most: int | None) -> int:
    return sum(len(day.corpus.match(query, most)) for day in papers)


def _advice(
    query: Query,
    papers: Sequence[Issue],
    hits: Sequence[tuple[Issue, int]],
    days: int,
    most: int | None,
    words: Counter[str] | None,
) -> str:
    total = sum(len(day.corpus) for day in papers)
    if not total:
        return "no paper was seen in that time"
    if not hits:
        found = next((text for text, caught in _wider(query, papers, most, words) if caught), None)
        return f"nothing in {days} days" + (f"; try {found}" if found else "")
    share = len(hits) / total
    if share <= TOO_WIDE or total < FEWEST:
        return ""
    much = ": a digest of it is nearly the listing itself" if share >= NEARLY_ALL else ", which is a lot to read"
    said = f"that is {share:.0%} of all papers{much}"
    for text, caught in _tighter(query, papers, hits, most):
        if 0 < caught <= TOO_WIDE * total:
            return f"{said}; try {text} ({caught} paper{'' if caught == 1 else 's'})"
    return said


def _tighter(
    query: Query, papers: Sequence[Issue], hits: Sequence[tuple[Issue, int]], most: int | None
) -> Iterator[tuple[str, int]]:
    """Narrower queries: the same in titles only, then with a word that many of the hits have in their titles."""
    titled = _rewritten(query, lambda term: _scoped(term, Scope.TITLE))
    if titled != query:
        yield canonical(titled), _count(titled, papers, most)
    titles = [day.corpus[position].title for day, position in hits[-TITLES:]]
    caught_on: dict[date, set[int]] = {day.day: set() for day in papers}
    for day, position in hits:
        caught_on[day.day].add(position)
    words = Counter(word for title in titles for word in {each.word for each in parts(title)} if len(word) > 4)
    asked = {
        word for term, _ in leaves(query) if isinstance(term, Word | Phrase | Prefix) for word in term.text.split()
    }
    for word, _ in words.most_common(12):
        if word not in asked and word not in FUNCTION_WORDS:
            caught = sum(len(caught_on[day.day].intersection(day.corpus.match(Word(word)))) for day in papers)
            yield canonical(conjunction([query, Word(word)])), caught


def _wider(
    query: Query, papers: Sequence[Issue], most: int | None, words: Counter[str] | None
) -> Iterator[tuple[str, int]]:
    """Wider queries: words as the papers spell them, anywhere instead of in a field, words apart, one part less."""
    known = usual(papers) if words is None else words
    tries = [
        _rewritten(query, lambda term: _respelled(term, known)),
        _rewritten(query, lambda term: _scoped(term, Scope.ANY)),
        _rewritten(query, _apart),
    ]
    if isinstance(query, And):
        tries += [conjunction(each for each in query.parts if each is not part) for part in query.parts]
    for each in tries:
        if each != query and any(asked for _, asked in leaves(each)):
            yield canonical(each), _count(each, papers, most)


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
    letters, length = set(term.text), len(term.text)
    known = [
        word for word in words if abs(len(word) - length) <= 2 and len(letters.symmetric_difference(word)) <= UNLIKE
    ]
    near = get_close_matches(term.text, known, 1, SPELLING)
    return replace(term, text=near[0]) if near else term
