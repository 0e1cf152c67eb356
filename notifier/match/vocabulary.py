"""The distinct terms of many queries, and which papers of a batch each occurs in.

A term is a leaf of a query, known by its canonical text and numbered. `table` indexes the batch, not the terms: every
word of the texts is looked up among the terms, so its time is linear in the texts and does not depend on how many
terms there are, but for `upvotes`, `trending` and `"..."~n`, which are few.
What a term means is `reading`, which is asked whenever the index alone cannot tell.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from operator import add

import numpy as np

from notifier.match.bits import Bits, Numbers, complement, packed, unpacked
from notifier.match.heads import HEADS, Heads
from notifier.match.reading import Words, exactly, facts, same_person, texts_of
from notifier.match.stream import Row, Stream, runs, spelled_out
from notifier.model import Paper
from notifier.query import canonical, parse
from notifier.query.nodes import (
    EVERYTHING_WORD,
    Author,
    Everything,
    Exact,
    Fact,
    Leaf,
    Near,
    Phrase,
    Prefix,
    Query,
    Scope,
    Trending,
    Upvotes,
    Word,
)
from notifier.query.terms import PREFIX_LETTERS, name_parts
from notifier.query.words import unspaced, verbatim


class Table:
    """The papers of every term: a row of bits for each term that occurs, found by the term's number.

    Row 0 is empty and stands for all terms that do not occur. An excluded term t is numbered ~t, which as an index from
    the end finds the complement, among the numbers of rows and among the rows alike.
    """

    def __init__(self, terms: int, found: Found, papers: int) -> None:
        numbers, places = found.pairs()
        occurring = np.zeros(terms, np.bool_)
        occurring[numbers] = True
        rows = np.where(occurring, np.cumsum(occurring), 0)
        self.rows: Numbers = np.concatenate((rows, ~rows[::-1]))  # by term
        bits = packed(rows[numbers], places, int(occurring.sum()) + 1, papers)
        self.bits: Bits = np.concatenate((bits, complement(bits, papers)[::-1]))  # by row

    def __getitem__(self, term: int) -> Bits:
        row: Bits = self.bits[self.rows[term]]
        return row


class Found:
    """Which term occurs in which paper, gathered in any order; the same may be found many times."""

    def __init__(self) -> None:
        self._terms: list[int] = []
        self._places: list[int] = []
        self._many: list[tuple[Numbers, Numbers]] = []

    def add(self, term: int, place: int) -> None:
        """Note that a term occurs in the paper at a place."""
        self._terms.append(term)
        self._places.append(place)

    def add_many(self, terms: Numbers, places: Numbers) -> None:
        """Note that each term occurs in the paper beside it."""
        self._many.append((terms, places))

    def pairs(self) -> tuple[Numbers, Numbers]:
        """Return all that was noted."""
        few = np.array(self._terms, np.intp), np.array(self._places, np.intp)
        terms, places = zip(few, *self._many, strict=True)
        return np.concatenate(terms), np.concatenate(places)


class Vocabulary:
    """Terms by canonical text; a term's number never changes."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._scopes: set[Scope] = set()
        self._prefixes: dict[str, set[int]] = {}  # first letters -> lengths of the prefixes that begin so
        self._heads = Heads()  # of words and phrases
        self._phrases: dict[tuple[Scope, int], dict[bytes, str | list[str]]] = {}  # first letters -> canonical texts
        self._facts: dict[str, int] = {}  # as `reading.facts` gives them
        self._exact: dict[str, list[tuple[int, Exact]]] = defaultdict(list)  # a run of letters -> terms that need it
        self._near: list[tuple[int, Near, list[int]]] = []
        self._authors: dict[str, list[tuple[int, Author]]] = defaultdict(list)  # family name -> terms
        self._ranked: list[tuple[int, Upvotes | Trending]] = []

    def number(self, text: str) -> int:
        """Return the number of a term given by its canonical text, a new one for a new term."""
        text = EVERYTHING_WORD if text == f'"{EVERYTHING_WORD}"' else text  # the one word that is written in quotes
        known = self._numbers.get(text)
        if known is not None:
            return known
        number = self._numbers[text] = len(self._numbers)
        self._prepare(number, _leaf(text), text)
        return number

    def _prepare(self, number: int, term: Query, text: str) -> None:
        """Note what a new term needs of a batch."""
        match term:
            case Word(word):
                self._scopes.add(term.scope)
                self._heads.add(word.encode())
            case Prefix(key):
                self._scopes.add(term.scope)
                self._prefixes.setdefault(key[:PREFIX_LETTERS], set()).add(len(key))
            case Phrase(phrase):
                self._scopes.add(term.scope)
                self._note_phrase(phrase, term.scope, text)
            case Near(words):
                self._near.append((number, term, [self.number(canonical(Word(word, term.scope))) for word in words]))
            case Exact(exact):
                runs = [""] if any(map(unspaced, exact)) else re.findall(r"[^\W_]+", exact)
                self._exact[max(runs, key=len)].append((number, term))
            case Fact(field, value):
                self._facts[f"{field}:{value}"] = number
            case Author(names):
                self._authors[names[-1]].append((number, term))
            case Upvotes() | Trending():
                self._ranked.append((number, term))

    def _note_phrase(self, phrase: str, scope: Scope, text: str) -> None:
        letters = "".join(spelled_out(phrase)).encode()
        size = next(size for size in HEADS if len(letters) >= size)
        head = letters[:size]
        self._heads.add(head)
        heads = self._phrases.setdefault((scope, size), {})
        known = heads.setdefault(head, text)
        if isinstance(known, list):
            known.append(text)
        elif known is not text:
            heads[head] = [known, text]

    def table(self, papers: Sequence[Paper]) -> Table:
        """Return the papers of every term."""
        found = Found()
        if (everything := self._numbers.get(canonical(Everything()))) is not None:
            found.add_many(np.full(len(papers), everything), np.arange(len(papers)))
        stream = Stream(papers if self._scopes else ())
        rows = {scope: Row(stream, scope) for scope in sorted(self._scopes)}
        for scope, row in rows.items():
            self._find_words(stream, scope, found)
            self._find_pairs(row, scope, found)
            self._find_phrases(row, scope, found)
        self._find_facts(papers, found)
        self._find_authors(papers, found)
        self._find_votes(papers, found)
        self._find_exact(papers, found)
        if self._near:
            self._find_near(rows, found, len(papers))
        return Table(len(self._numbers), found, len(papers))

    def _find_words(self, stream: Stream, scope: Scope, found: Found) -> None:
        """Look up the words, hyphenated compounds and prefixes that each distinct chunk offers."""
        number_of = self._numbers.get
        mark = _mark(scope)
        sizes: list[int] = []  # how many terms each chunk answers to
        terms: list[int] = []
        for chunk in stream.chunks:
            before = len(terms)
            for label in chunk.labels:
                term = number_of(mark + label)
                if term is not None:
                    terms.append(term)
            for surface in chunk.surfaces if self._prefixes else ():
                for size in self._prefixes.get(surface[:PREFIX_LETTERS], ()):
                    term = number_of(f"{mark}{surface[:size]}*") if len(surface) >= size else None
                    if term is not None:
                        terms.append(term)
            sizes.append(len(terms) - before)
        at, place = stream.of(scope)
        owners, index = runs(np.array(sizes, np.intp), at)
        found.add_many(np.array(terms, np.intp)[index], place[owners])

    def _find_pairs(self, row: Row, scope: Scope, found: Found) -> None:
        """Look up two words that the text parts and the query may not."""
        mark = _mark(scope)
        sizes = row.lengths[:-1] + row.lengths[1:]
        may = np.flatnonzero(row.joinable & self._heads.among(row.windows[:-1], sizes))
        terms = np.array(
            [self._numbers.get(mark + row.words[at] + row.words[at + 1], -1) for at in may.tolist()], np.intp
        )
        found.add_many(terms[terms >= 0], row.place[may[terms >= 0]])

    def _find_phrases(self, row: Row, scope: Scope, found: Found) -> None:
        """Look up the first letters from every word on, and compare what begins so with the whole phrase."""
        terms: list[int] = []
        words: list[int] = []
        for size in HEADS:
            heads = self._phrases.get((scope, size), {})
            may = np.flatnonzero(self._heads.among(row.windows, size)) if heads else np.empty(0, np.intp)
            for at, start in zip(may.tolist(), row.starts[may].tolist(), strict=True):
                texts = heads.get(row.letters[start : start + size], ())
                for text in (texts,) if isinstance(texts, str) else texts:
                    if row.holds(at, text.partition('"')[2][:-1]):
                        terms.append(self._numbers[text])
                        words.append(at)
        found.add_many(np.array(terms, np.intp), row.place[words])

    def _find_facts(self, papers: Sequence[Paper], found: Found) -> None:
        for place, paper in enumerate(papers if self._facts else ()):
            for fact in self._facts.keys() & facts(paper):
                found.add(self._facts[fact], place)

    def _find_authors(self, papers: Sequence[Paper], found: Found) -> None:
        people = ((place, author) for place, paper in enumerate(papers) for author in paper.authors if self._authors)
        for place, author in people:
            names = name_parts(author)
            for family in self._authors.keys() & {*names, *map(add, names, names[1:])}:
                for number, term in self._authors[family]:
                    if same_person(term.names, names):
                        found.add(number, place)

    def _find_votes(self, papers: Sequence[Paper], found: Found) -> None:
        votes = [(paper.upvotes, place) for place, paper in enumerate(papers) if paper.upvotes is not None]
        ranking = sorted((-count, place) for count, place in votes if count)
        for number, term in self._ranked:
            if isinstance(term, Trending):
                places = [place for _, place in ranking[: term.count]]
            else:
                places = [place for count, place in votes if (count >= term.count) != term.below]
            found.add_many(np.full(len(places), number), np.array(places, np.intp))

    def _find_exact(self, papers: Sequence[Paper], found: Found) -> None:
        for place, paper in enumerate(papers if self._exact else ()):
            texts = {scope: [verbatim(text) for text in texts_of(paper, scope)] for scope in Scope}
            runs = {run for text in texts[Scope.ANY] for run in re.findall(r"[^\W_]+", text)}
            for run in self._exact.keys() & {"", *runs}:
                for number, term in self._exact[run]:
                    if any(exactly(term.text, text) for text in texts[term.scope]):
                        found.add(number, place)

    def _find_near(self, rows: Mapping[Scope, Row], found: Found, papers: int) -> None:
        """Look at the order of words in the papers that hold them all."""
        table = Table(len(self._numbers), found, papers)
        read: dict[tuple[Scope, int], list[Words]] = {}
        for number, term, words in self._near:
            _, places = unpacked(np.bitwise_and.reduce(table.bits[table.rows[words]], axis=0, keepdims=True))
            for place in places.tolist():
                texts = read.get((term.scope, place))
                if texts is None:
                    texts = read[term.scope, place] = rows[term.scope].texts(place)
                if any(text.near(term.words, term.distance) for text in texts):
                    found.add(number, place)


def _mark(scope: Scope) -> str:
    """Return what the canonical text of a scope's terms begins with."""
    return f"{scope}:" if scope else ""


def _leaf(text: str) -> Leaf:
    """Read the canonical text of one term; plain words and phrases without the parser, which is much slower."""
    if text.isascii() and text.isalnum():
        return Word(text)
    if text[0] == text[-1] == '"':
        return Phrase(text[1:-1])
    leaf = parse(text)
    assert isinstance(leaf, Leaf), f"{text} is not one term"
    return leaf
