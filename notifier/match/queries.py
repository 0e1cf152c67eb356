"""Hold many queries, ready to be matched against a batch of papers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from notifier.match.batch import evaluate
from notifier.model import Paper, QueryId
from notifier.query import Query, parse


class QuerySet:
    """Queries by id. Adding and removing one costs that one only."""

    def __init__(self, queries: Mapping[QueryId, Query] | None = None) -> None:
        self._queries: dict[QueryId, Query] = {}
        for query_id, query in (queries or {}).items():
            self.add(query_id, query)

    def __len__(self) -> int:
        return len(self._queries)

    def add(self, query_id: QueryId, query: Query | str) -> None:
        """Add a query, or the canonical text of one."""
        self._queries[query_id] = parse(query) if isinstance(query, str) else query

    def remove(self, query_id: QueryId) -> None:
        """Remove a query; nothing happens when it is not there."""
        self._queries.pop(query_id, None)

    def match(self, papers: Sequence[Paper]) -> Iterator[tuple[QueryId, list[int]]]:
        """Yield every query that matches, with the positions of its papers in order."""
        for query_id in sorted(self._queries):
            found = evaluate(self._queries[query_id], papers)
            if found:
                yield query_id, found
