"""Evaluate queries over a batch of papers."""

from __future__ import annotations

from collections.abc import Sequence

from notifier.match.reading import Reading
from notifier.model import Paper
from notifier.query import Query
from notifier.query.nodes import And, Not, Or, Trending


def trending(term: Trending, papers: Sequence[Paper]) -> set[int]:
    """Return the positions of the papers with the most votes, the earlier of equals first."""
    voted = [place for place, paper in enumerate(papers) if paper.upvotes]
    return set(sorted(voted, key=lambda place: (-(papers[place].upvotes or 0), place))[: term.count])


def evaluate(query: Query, papers: Sequence[Paper]) -> list[int]:
    """Return the positions of the papers that a query matches."""
    readings = [Reading(paper) for paper in papers]
    every = set(range(len(papers)))

    def found(part: Query) -> set[int]:
        match part:
            case And(branches):
                return set.intersection(*map(found, branches))
            case Or(branches):
                return set.union(*map(found, branches))
            case Not(term):
                return every - found(term)
            case Trending():
                return trending(part, papers)
        return {place for place, reading in enumerate(readings) if reading.has(part)}

    return sorted(found(query))
