"""Say why a query matches a paper or does not, and which words of the paper to mark.

Marks are spans of the readable title and abstract only; a term found in the TeX source alone, or a condition such as
upvotes, marks nothing. Only the terms that made the query match are marked, never what NOT excludes.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from notifier.match.reading import Reading, Text, TextTerm
from notifier.model import Marks, Paper, Span
from notifier.query import canonical
from notifier.query.nodes import And, Author, Everything, Fact, Leaf, Not, Or, Query, Scope, Trending, Upvotes

AUTHORS_SHOWN = 5  # names of a long author list that a reason repeats
READINGS = 48  # papers kept cut into words: about 100 kB each


@dataclass(frozen=True, slots=True)
class Explanation:
    """Whether one part of a query holds, and `reason`, for people; `parts` explain an AND or OR."""

    query: str
    matched: bool
    reason: str
    parts: tuple[Explanation, ...] = ()

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self, depth: int = 0) -> Iterator[str]:
        """Yield one line for this part and each of its parts, indented."""
        yield f"{'  ' * depth}{'yes' if self.matched else 'no '}  {self.query}: {self.reason}"
        for part in self.parts:
            yield from part.lines(depth + 1)


def explain(query: Query, paper: Paper) -> Explanation:
    """Return which part of a query matched where in a paper, or which part failed."""
    return _explain(query, Reading(paper))


def marks(queries: Iterable[Query], paper: Paper) -> Marks:
    """Return where the queries match a paper; a query that does not match marks nothing."""
    reading = _reading(paper)
    found = [term for query in queries if reading.holds(query) for term in _contributing(query, reading)]
    people = {name for term in found if isinstance(term, Author) for name in reading.matching_authors(term)}
    wanted = [term.value for term in found if isinstance(term, Fact) and term.field == "category"]
    return _marked(
        paper,
        _spans(found, reading.title, Scope.ABSTRACT),
        _spans(found, reading.abstract, Scope.TITLE),
        people,
        {name for name in _categories(paper) if any(_within(name, archive) for archive in wanted)},
    )


def united(each: Iterable[Marks], paper: Paper) -> Marks:
    """Return the marks of several queries in one paper: the same as `marks` of these queries."""
    known = list(each)
    return _marked(
        paper,
        sorted(span for marks in known for span in marks.title),
        sorted(span for marks in known for span in marks.abstract),
        {name for marks in known for name in marks.authors},
        {name for marks in known for name in marks.categories},
    )


def forget_readings() -> None:
    """Give back what is kept of the papers that were explained or marked last."""
    _reading.cache_clear()


@lru_cache(READINGS)
def _reading(paper: Paper) -> Reading:
    return Reading(paper)


def _marked(
    paper: Paper, title: Iterable[Span], abstract: Iterable[Span], people: Container[str], categories: Container[str]
) -> Marks:
    """Return marks with overlapping spans made one; names in the order of the paper."""
    of_title, of_abstract = _merged(title), _merged(abstract)
    spelled = [paper.title[start:end] for start, end in of_title]
    spelled += [paper.abstract[start:end] for start, end in of_abstract]
    return Marks(
        title=of_title,
        abstract=of_abstract,
        authors=tuple(dict.fromkeys(name for name in paper.authors if name in people)),
        categories=tuple(name for name in _categories(paper) if name in categories),
        words=tuple(dict.fromkeys(spelled)),
    )


def _categories(paper: Paper) -> dict[str, None]:
    return dict.fromkeys([*paper.categories, *([paper.primary_category] if paper.primary_category else [])])


def _explain(query: Query, reading: Reading) -> Explanation:
    match query:
        case And(branches) | Or(branches):
            parts = tuple(_explain(part, reading) for part in branches)
            held = [part.matched for part in parts]
            together = isinstance(query, And)
            matched = all(held) if together else any(held)
            wanted = "all" if together else "any"
            reason = f"{held.count(True)} of {len(held)} parts match, {wanted} must"
            return Explanation(canonical(query), matched, reason, parts)
        case Not(part):
            inner = _explain(part, reading)
            return Explanation(canonical(query), not inner.matched, inner.reason)
    matched = reading.has(query)
    return Explanation(canonical(query), matched, _reason(query, reading, matched))


def _reason(term: Leaf, reading: Reading, matched: bool) -> str:
    """Say in words what was or was not found for one term."""
    paper = reading.paper
    match term:
        case Everything():
            return "every paper"
        case Trending(count, period):
            return f"depends on the other papers: the {count} with most votes of the {period}"
        case Author():
            names = reading.matching_authors(term) or list(paper.authors[:AUTHORS_SHOWN])
            more = (
                "" if matched or len(paper.authors) <= AUTHORS_SHOWN else f" and {len(paper.authors) - len(names)} more"
            )
            return ("author " if matched else "the authors are ") + (", ".join(names) or "not stated") + more
        case Upvotes():
            return "no votes are stated" if paper.upvotes is None else f"the paper has {paper.upvotes} upvotes"
        case Fact(field):
            stated = sorted(fact.partition(":")[2] for fact in reading.facts if fact.startswith(f"{field}:"))
            shown = {"category": list(paper.categories), "source": [paper.source]}.get(field, stated)
            return f"{field} is {', '.join(shown) or 'not stated'}"
        case _:
            return _where(term, reading, matched)


def _where(term: TextTerm, reading: Reading, matched: bool) -> str:
    """Say where a text term occurs, each place with the paper's own spelling."""
    places = []
    for name, text, other in (("title", reading.title, Scope.ABSTRACT), ("abstract", reading.abstract, Scope.TITLE)):
        spelled = dict.fromkeys(text.text[start:end] for start, end in _spans([term], text, other))
        if spelled:
            places.append(f"{name} has " + ", ".join(f'"{word}"' for word in spelled))
    if places:
        return "; ".join(places)
    if matched:
        return "found in the TeX source"
    empty = "" if reading.paper.abstract or term.scope == Scope.TITLE else " (there is no abstract)"
    return f"not in the {term.scope or 'title or abstract'}{empty}"


def _contributing(query: Query, reading: Reading) -> Iterator[Leaf]:
    """Yield the terms that made a matching query match."""
    match query:
        case And(branches):
            for part in branches:
                yield from _contributing(part, reading)
        case Or(branches):
            for part in branches:
                if reading.holds(part):
                    yield from _contributing(part, reading)
        case Not():
            return
        case _:
            yield query


def _spans(found: Iterable[Leaf], text: Text, other: Scope) -> list[Span]:
    """Return the spans of the text terms that are not looked for in the other scope."""
    terms = {term for term in found if isinstance(term, TextTerm) and term.scope != other}
    return sorted(span for term in terms for span in text.spans(term))


def _merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return the spans with overlapping ones made one."""
    merged: list[Span] = []
    for start, end in spans:
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def _within(category: str, archive: str) -> bool:
    name = " ".join(category.split()).casefold()
    return name == archive or name.startswith(f"{archive}.")
