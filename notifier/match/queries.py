"""Hold many queries, ready to be matched against a batch of papers.

Each query is compiled once, from its canonical text, to alternatives: rows of term numbers that must all hold. Rows
of one length lie in flat arrays, a few bytes each, and are evaluated column by column; an excluded term t is ~t, which
as an index from the end of the table of papers finds the complement. A query whose alternatives would be too many keeps
its tree. Adding a query appends its rows; removing one leaves them until a quarter of all rows is dead.

Ids are row numbers, from 0 to `LARGEST_ID`; an id stands for the same query for as long as it is in the set.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import compress, product
from operator import and_

from notifier.match.vocabulary import Bits, Vocabulary, positions
from notifier.model import Paper, QueryId
from notifier.query import Query, canonical, parse
from notifier.query.nodes import And, Not, Or

ALTERNATIVES = 16  # at most so many rows for one query
DEAD_SHARE = 4  # rows are swept when one in so many is dead,
DEAD_ROWS = 1_000  # and at least so many are
LARGEST_ID = 2**31 - 1

_TERM = re.compile(r'(-?)((?:[a-z]+:)?(?:"[^"]*"(?:~\d+)?|[^\s"]+))')
_NEEDS_PARSER = re.compile(r'[()]|="')


class QuerySet:
    """Queries by id. Adding and removing one costs that one only."""

    def __init__(self, queries: Mapping[QueryId, Query] | Iterable[tuple[QueryId, str]] = ()) -> None:
        self._vocabulary = Vocabulary()
        self._rows: dict[int, list[array[int]]] = {}  # terms in a row -> columns: the ids, then each term
        self._trees: dict[int, Query] = {}
        self._present = bytearray()  # by id
        self._removed: set[int] = set()
        self._count = 0
        for query_id, query in queries.items() if isinstance(queries, Mapping) else queries:
            self.add(query_id, query)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, query_id: QueryId) -> bool:
        return 0 <= query_id < len(self._present) and self._present[query_id] == 1

    def add(self, query_id: QueryId, query: Query | str) -> None:
        """Add a query or the canonical text of one; an id that is there already is left alone."""
        if not 0 <= query_id <= LARGEST_ID:
            raise ValueError(f"the id of a query is from 0 to {LARGEST_ID}, not {query_id}")
        if query_id in self:
            return
        if query_id in self._removed:
            self._sweep()
        text = query if isinstance(query, str) else canonical(query)
        rows = self._rows_of_text(text) if not _NEEDS_PARSER.search(text) else self._rows_of_tree(parse(text))
        for row in rows:
            columns = self._rows.setdefault(len(row), [array("i") for _ in range(len(row) + 1)])
            for column, number in zip(columns, (query_id, *row), strict=True):
                column.append(number)
        if not rows:
            self._trees[query_id] = parse(text)
        if query_id >= len(self._present):
            self._present.extend(bytes(query_id + 1 - len(self._present)))
        self._present[query_id] = 1
        self._count += 1

    def remove(self, query_id: QueryId) -> None:
        """Remove a query; nothing happens when it is not there."""
        if query_id not in self:
            return
        self._present[query_id] = 0
        self._count -= 1
        if self._trees.pop(query_id, None) is None:
            self._removed.add(query_id)
        if len(self._removed) > max(DEAD_ROWS, self._count // DEAD_SHARE):
            self._sweep()

    def match(self, papers: Sequence[Paper]) -> Iterator[tuple[QueryId, list[int]]]:
        """Yield every query that matches, with the positions of its papers in order (a list that is shared)."""
        known: dict[Bits, list[int]] = {}  # many queries find the same papers
        for query_id, bits in self.evaluate(papers).items():
            places = known.get(bits)
            if places is None:
                places = known[bits] = positions(bits)
            yield QueryId(query_id), places

    def evaluate(self, papers: Sequence[Paper]) -> dict[int, Bits]:
        """Return the papers of every query that matches, as bits: bit n is paper n."""
        every = (1 << len(papers)) - 1
        if not papers:
            return {}
        table = self._table(papers, every)
        found: dict[int, Bits] = {}
        for ids, *columns in self._rows.values():
            results = list(
                reduce(lambda left, right: map(and_, left, right), (map(table.__getitem__, c) for c in columns))
            )
            for query_id, bits in compress(zip(ids, results, strict=True), results):
                found[query_id] = found[query_id] | bits if query_id in found else bits
        for query_id, tree in self._trees.items():
            if bits := self._evaluate_tree(tree, table):
                found[query_id] = bits
        for query_id in self._removed & found.keys():
            del found[query_id]
        return found

    def _table(self, papers: Sequence[Paper], every: Bits) -> list[Bits]:
        """Return the papers of term t at t, and those without it at ~t."""
        size = len(self._vocabulary)
        table = [0] * size + [every] * size
        for term, bits in self._vocabulary.occurrences(papers).items():
            table[term] = bits
            table[~term] = every ^ bits
        return table

    def _evaluate_tree(self, query: Query, table: Sequence[Bits]) -> Bits:
        match query:
            case And(parts):
                return reduce(and_, (self._evaluate_tree(part, table) for part in parts))
            case Or(parts):
                return reduce(int.__or__, (self._evaluate_tree(part, table) for part in parts))
            case Not(part):
                return table[~self._vocabulary.number(canonical(part))]
        return table[self._vocabulary.number(canonical(query))]

    def _rows_of_text(self, text: str) -> list[tuple[int, ...]]:
        """Compile a canonical text without parentheses: terms side by side, OR between the alternatives."""
        number = self._vocabulary.number
        return [
            tuple([~number(term) if minus else number(term) for minus, term in _TERM.findall(alternative)])
            for alternative in text.split(" OR ")
        ]

    def _rows_of_tree(self, query: Query) -> list[tuple[int, ...]]:
        """Compile a tree to alternatives; none when they would be too many, with all its terms numbered."""
        match query:
            case Or(parts):
                choices = [self._rows_of_tree(part) for part in parts]
                rows = [row for choice in choices for row in choice]
                return rows if all(choices) and len(rows) <= ALTERNATIVES else []
            case And(parts):
                factors = [self._rows_of_tree(part) for part in parts]
                size = reduce(int.__mul__, map(len, factors))
                return [sum(rows, ()) for rows in product(*factors)] if size <= ALTERNATIVES else []
            case Not(part):
                return [(~self._vocabulary.number(canonical(part)),)]
        return [(self._vocabulary.number(canonical(query)),)]

    def _sweep(self) -> None:
        """Drop the rows of removed queries."""
        for columns in self._rows.values():
            alive = [query_id not in self._removed for query_id in columns[0]]
            columns[:] = [array("i", compress(column, alive)) for column in columns]
        self._removed.clear()
