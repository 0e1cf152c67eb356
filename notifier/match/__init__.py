"""Match papers against queries, and say why.

`match` answers for a batch of papers and any number of queries, `explain` and `marks` for one paper. Pure: no clock, no
storage. What a query means is defined in docs/queries.md; `reading` is that definition in code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from notifier.match.explain import Explanation, explain, forget_readings, marks, united
from notifier.model import Hit, Paper, QueryId
from notifier.query import Query
from notifier.query.nodes import Fact, Trending, Upvotes, leaves

if TYPE_CHECKING:
    from notifier.match.corpus import Corpus
    from notifier.match.queries import QuerySet

__all__ = ["Corpus", "Explanation", "QuerySet", "explain", "forget_readings", "marks", "match", "united", "volatile"]


def __getattr__(name: str) -> Any:
    """Import what needs numpy when it is first asked for: a program that starts answers before it matches."""
    if name == "Corpus":
        from notifier.match.corpus import Corpus

        return Corpus
    if name == "QuerySet":
        from notifier.match.queries import QuerySet

        return QuerySet
    raise AttributeError(name)


def match(papers: Sequence[Paper], queries: QuerySet | Mapping[QueryId, Query]) -> list[Hit]:
    """Return every hit, by query and then in the order of the papers."""
    from notifier.match.queries import QuerySet

    known = queries if isinstance(queries, QuerySet) else QuerySet(queries)
    return [Hit(query, paper) for query, found in known.match(papers) for paper in found.tolist()]


def volatile(query: Query) -> bool:
    """Tell whether a query depends on what may change after a paper was first seen: votes, code, the day's ranking."""
    return any(
        isinstance(term, Upvotes | Trending) or (isinstance(term, Fact) and term.field == "has")
        for term, _ in leaves(query)
    )
