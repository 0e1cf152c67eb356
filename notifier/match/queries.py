"""Hold many queries, ready to be matched against a batch of papers.

Each query is compiled once, from its canonical text, to alternatives: rows of term numbers that must all hold. Rows of
one length lie in flat arrays, a few bytes each, and are evaluated together, column by column, by bit operations on the
papers of the terms. A query whose alternatives would be too many keeps its tree. Adding a query appends its rows;
removing one leaves them until a quarter of all rows is dead.

Ids are row numbers, from 0 to `LARGEST_ID`; an id stands for the same query for as long as it is in the set.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import compress, product
from operator import mul
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from notifier.match.bits import Bits, Numbers, unpacked
from notifier.match.vocabulary import Table, Vocabulary
from notifier.model import Paper, QueryId
from notifier.query import Query, canonical, parse
from notifier.query.nodes import And, Not, Or

ALTERNATIVES = 16  # at most so many rows for one query
DEAD_SHARE = 4  # rows are swept when one in so many is dead,
DEAD_ROWS = 1_000  # and at least so many are
LARGEST_ID = 2**31 - 1
BLOCK = 1 << 14  # limbs of papers evaluated at once: what stays in a processor's cache

Positions = NDArray[np.int32]
Columns: TypeAlias = "list[array[int]]"  # of rows of one length: the ids, then each term

_TERM = re.compile(r'(-?)((?:[a-z]+:)?(?:"[^"]*"(?:~\d+)?|[^\s"]+))')
_NEEDS_PARSER = re.compile(r'[()]|="')


class QuerySet:
    """Queries by id. Adding and removing one costs that one only."""

    def __init__(self, queries: Mapping[QueryId, Query] | Iterable[tuple[QueryId, str]] = ()) -> None:
        self._vocabulary = Vocabulary()
        self._single: dict[int, Columns] = {}  # by length, rows that are all of their query
        self._several: dict[int, Columns] = {}  # by length, rows of queries that have more than one
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
        kept = self._single if len(rows) == 1 else self._several
        for row in rows:
            columns = kept.setdefault(len(row), [array("i") for _ in range(len(row) + 1)])
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

    def match(self, papers: Sequence[Paper]) -> Iterator[tuple[QueryId, Positions]]:
        """Yield every query that matches, with the positions of its papers in order."""
        for ids, places in self._hits(papers):
            ends = np.flatnonzero(np.diff(ids, append=-1)) + 1
            start = 0
            for query_id, end in zip(cast(list[QueryId], ids[ends - 1].tolist()), ends.tolist(), strict=True):
                yield query_id, places[start:end]
                start = end

    def _hits(self, papers: Sequence[Paper]) -> Iterator[tuple[Numbers, Positions]]:
        """Yield pairs of a query and a paper, a block at a time: those of one query stand together, papers in order."""
        if not papers:
            return
        for ids, bits in self._evaluate(self._vocabulary.table(papers)):
            rows, places = unpacked(bits)
            yield ids[rows], places.astype(np.int32)

    def _evaluate(self, table: Table) -> Iterator[tuple[Numbers, Bits]]:
        """Yield the papers of queries, a block of queries at a time and each query once."""
        single = [self._possible(columns, table) for columns in self._single.values()]
        several = [self._possible(columns, table) for columns in self._several.values()]
        for ids, columns in single:
            yield from _conjunctions(ids, columns, table)
        alternatives = [block for ids, columns in several for block in _conjunctions(ids, columns, table)]
        if alternatives:
            yield from _disjunctions(*map(np.concatenate, zip(*alternatives, strict=True)))
        for query_id, tree in self._trees.items():
            yield np.array([query_id]), self._evaluate_tree(tree, table).reshape(1, -1)

    def _possible(self, columns: Columns, table: Table) -> tuple[Numbers, list[Numbers]]:
        """Return the ids and terms, as rows of the table, of what can match: every term that is asked for occurs."""
        ids, *terms = (np.frombuffer(column, np.intc) for column in columns)
        rows = [table.rows[numbers] for numbers in terms]
        alive = np.logical_and.reduce(rows)  # row 0 is that of the terms that do not occur
        if self._removed:
            alive &= np.frombuffer(bytes(self._present), np.bool_)[ids]
        return ids[alive].astype(np.intp), [numbers[alive] for numbers in rows]

    def _evaluate_tree(self, query: Query, table: Table) -> Bits:
        match query:
            case And(parts):
                return reduce(np.bitwise_and, (self._evaluate_tree(part, table) for part in parts))
            case Or(parts):
                return reduce(np.bitwise_or, (self._evaluate_tree(part, table) for part in parts))
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
                size = reduce(mul, map(len, factors))
                return [sum(rows, ()) for rows in product(*factors)] if size <= ALTERNATIVES else []
            case Not(part):
                return [(~self._vocabulary.number(canonical(part)),)]
        return [(self._vocabulary.number(canonical(query)),)]

    def _sweep(self) -> None:
        """Drop the rows of removed queries."""
        for columns in (*self._single.values(), *self._several.values()):
            alive = [query_id not in self._removed for query_id in columns[0]]
            columns[:] = [array("i", compress(column, alive)) for column in columns]
        self._removed.clear()


def _conjunctions(ids: Numbers, columns: Sequence[Numbers], table: Table) -> Iterator[tuple[Numbers, Bits]]:
    """Yield the papers that hold all terms of a row, a block of rows at a time."""
    size = max(1, BLOCK // table.bits.shape[1])
    for start in range(0, len(ids), size):
        block = slice(start, start + size)
        bits = table.bits[columns[0][block]]
        for column in columns[1:]:
            bits &= table.bits[column[block]]
        yield ids[block], bits


def _disjunctions(ids: Numbers, bits: Bits) -> Iterator[tuple[Numbers, Bits]]:
    """Yield the papers of all rows that have the same id, a block of ids at a time."""
    order = np.argsort(ids, kind="stable")
    bounds = np.flatnonzero(np.diff(ids[order], prepend=-1, append=-1))
    size = max(1, BLOCK // bits.shape[1])
    for start in range(0, len(bounds) - 1, size):
        block = bounds[start : start + size + 1]
        rows, firsts = order[block[0] : block[-1]], block[:-1] - block[0]
        yield ids[rows[firsts]], np.bitwise_or.reduceat(bits[rows], firsts, axis=0)
