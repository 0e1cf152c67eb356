"""Hold papers ready to be asked one query at a time, as a page that previews a query does.

`match` reads a batch once for many queries; this reads it once for all queries to come. For each term the index knows
the papers that surely have it and those that possibly have it, and the tree of a query is evaluated over both. What is
possible but not sure is read closely by `match` itself, so that the answer is the same, however coarse the index is: at
worst it is slow. A test compares the two.

Memory is about four times the text: every paper is also kept whole, compressed, to be read closely and to be shown. A
corpus can be made in one process and pickled to another: what is hashed is hashed alike in both.
`trending` means the papers of this corpus: one corpus is one batch.
"""

from __future__ import annotations

import pickle
import re
import zlib
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import accumulate, pairwise
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from notifier.errors import CostlyQuery
from notifier.match.chunks import APART, BREAK, chunk
from notifier.match.queries import QuerySet
from notifier.match.reading import facts, same_person, texts_of
from notifier.match.stream import spelled_out
from notifier.model import Paper, QueryId
from notifier.query import Query
from notifier.query.nodes import (
    And,
    Author,
    Everything,
    Exact,
    Fact,
    Leaf,
    Near,
    Not,
    Or,
    Phrase,
    Prefix,
    Scope,
    Trending,
    Upvotes,
    Word,
    leaves,
)
from notifier.query.terms import name_parts
from notifier.query.words import joinable

Papers = NDArray[np.bool_]  # one flag per paper
Bounds = tuple[Papers, Papers]  # (surely, possibly)
LONGEST_RUN = 60  # letters of an exact term that are looked up; folding cuts words that are far longer
_END = "\x1d"  # stands after every paper
_THIS = QueryId(0)


class Corpus:
    """Papers to ask queries of; they are named by their positions, in the order in which they were given."""

    def __init__(self, papers: Sequence[Paper]) -> None:
        self._kept = [zlib.compress(pickle.dumps(paper, pickle.HIGHEST_PROTOCOL), 1) for paper in papers]
        self._texts = {scope: _Texts(papers, scope) for scope in (Scope.TITLE, Scope.ABSTRACT)}
        people = [[name_parts(author) for author in paper.authors] for paper in papers]
        self._stated = _Postings([_stated(*each) for each in zip(papers, people, strict=True)])
        self._people = _Rows("\n".join(map(" ".join, names)) for names in people)
        self._upvotes = [paper.upvotes for paper in papers]

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, position: int) -> Paper:
        """Return a paper as it was given."""
        paper: Paper = pickle.loads(zlib.decompress(self._kept[position]))  # noqa: S301 - of our own memory
        return paper

    def match(self, query: Query, most: int | None = None) -> list[int]:
        """Return the positions of the papers that match, in order.

        Raises CostlyQuery when more than `most` papers would have to be read closely.
        """
        sure, possible = self._bounds(query)
        doubtful = np.flatnonzero(possible & ~sure)
        if len(doubtful) and any(isinstance(term, Trending) for term, _ in leaves(query)):
            doubtful = np.arange(len(self))  # a ranking needs them all
        if most is not None and len(doubtful) > most:
            raise CostlyQuery(len(doubtful), most)
        found = sure.copy()
        for _, places in QuerySet({_THIS: query}).match([self[position] for position in doubtful.tolist()]):
            found[doubtful[places]] = True
        caught: list[int] = np.flatnonzero(found).tolist()
        return caught

    def words(self) -> Counter[str]:
        """Count in how many titles and abstracts each word and compound stands, folded as in a query."""
        return sum((texts.labels.counts() for texts in self._texts.values()), Counter[str]())

    def _bounds(self, query: Query) -> Bounds:
        match query:
            case And(parts):
                sure, possible = zip(*map(self._bounds, parts), strict=True)
                return reduce(np.logical_and, sure), reduce(np.logical_and, possible)
            case Or(parts):
                sure, possible = zip(*map(self._bounds, parts), strict=True)
                return reduce(np.logical_or, sure), reduce(np.logical_or, possible)
            case Not(part):
                has, may_have = self._term(part)
                return ~may_have, ~has
        return self._term(query)

    def _term(self, term: Leaf) -> Bounds:
        match term:
            case Word() | Phrase() | Near() | Prefix() | Exact():
                scopes = [scope for scope in self._texts if term.scope in (Scope.ANY, scope)]
                sure, possible = zip(*(self._texts[scope].bounds(term) for scope in scopes), strict=True)
                return reduce(np.logical_or, sure), reduce(np.logical_or, possible)
            case Author(names):
                found = self._stated[f"@{names[-1]}"]
                if len(names) > 1:
                    found = self._flags(
                        [place for place in np.flatnonzero(found).tolist() if self._wrote(names, place)]
                    )
            case Everything():
                return ~self._flags([]), ~self._flags([])
            case Fact(field, value):
                found = self._stated[f"={field}:{value}"]
            case Upvotes(count, below):
                voted = ((place, votes) for place, votes in enumerate(self._upvotes) if votes is not None)
                found = self._flags([place for place, votes in voted if (votes >= count) != below])
            case Trending(count):
                ranking = sorted((-votes, place) for place, votes in enumerate(self._upvotes) if votes)
                found = self._flags([place for _, place in ranking[:count]])
        return found, found

    def _wrote(self, names: tuple[str, ...], place: int) -> bool:
        """Tell whether a name stands for an author of a paper."""
        return any(same_person(names, known.split(" ")) for known in self._people[place].split("\n"))

    def _flags(self, places: Sequence[int]) -> Papers:
        found = np.zeros(len(self), np.bool_)
        found[list(places)] = True
        return found


class _Texts:
    """The titles, or the abstracts, of all papers: their words in a row, and in which papers each stands."""

    def __init__(self, papers: Sequence[Paper], scope: Scope) -> None:
        labels: list[set[str]] = []
        rows: list[list[str]] = []
        joined: set[int] = set()
        for paper in papers:
            row: list[str] = []
            mine: set[str] = set()
            for text in texts_of(paper, scope):
                chunks = [chunk(spelled) for spelled in text.split()]
                for each in chunks:
                    row += each.words
                    mine.update(each.labels)
                    mine.update([f"~{surface}" for surface in each.surfaces])
                row.append(BREAK)
            joined.update([_hash(first + second) for first, second in pairwise(row)])
            rows.append(row)
            labels.append(mine)
        self.labels = _Postings(labels)
        self._joined = np.sort(np.fromiter(joined, np.uint32, len(joined)))
        self._words = _Rows(f" {' '.join(row)} " for row in rows)
        self._letters = _Rows("".join(word for word in row if word not in (BREAK, APART)) for row in rows)
        self._none = np.zeros(len(papers), np.bool_)

    def bounds(self, term: Word | Phrase | Near | Prefix | Exact) -> Bounds:
        """Return the papers that surely and that possibly have a term, whatever scope it asks for."""
        match term:
            case Word(word):
                sure = self._having(word)
                return sure, sure
            case Phrase(phrase):
                return self._phrase(spelled_out(phrase))
            case Near(words):
                return self._none, reduce(np.logical_and, map(self._having, words))
            case Prefix(key):
                sure = self.labels.any(f"\n~{key}")
                return sure, sure
            case Exact(exact):
                run = max(re.findall(r"[^\W_]+", exact), key=len, default="").lower()
                if not exact.isascii() or not 0 < len(run) <= LONGEST_RUN:
                    return self._none, ~self._none
                return self._none, self.labels.any(run)

    def _having(self, word: str) -> Papers:
        """Return the papers that have a word, as one or as two in a row."""
        found = self.labels[word]
        wanted = np.uint32(_hash(word))
        at = np.searchsorted(self._joined, wanted)
        if at == len(self._joined) or self._joined[at] != wanted:
            return found
        for first, second in ((word[:end], word[end:]) for end in range(1, len(word))):
            both = self.labels[first] & self.labels[second] & ~found
            if joinable(first, second) and both.any():
                found |= self._words.holding(f" {first} {second} ", both)
        return found

    def _phrase(self, words: Sequence[str]) -> Bounds:
        """Return the papers that have these words in a row, and those that have their letters in a row."""
        letters = "".join(word for word in words if word != APART)
        possible = self._letters.holding(letters)
        if not letters.isascii():
            return self._none, possible
        sure = self._words.holding(f" {' '.join(words)} ", possible)
        # Most of what is left only begins or ends like the phrase ("language modeling"): look where its words end.
        spaced = re.compile(f" {' ?'.join(map(re.escape, letters))} ".encode())
        return sure, sure | self._words.matching(spaced, possible & ~sure)


class _Postings:
    """In which papers each label stands."""

    def __init__(self, papers: Sequence[Iterable[str]]) -> None:
        places: dict[str, list[int]] = {}
        for place, labels in enumerate(papers):
            for label in labels:
                places.setdefault(label, []).append(place)
        order = sorted(places)
        self._papers = len(papers)
        self._names = "".join(["\n", *(f"{label}\n" for label in order)]).encode()
        sizes = (len(label.encode()) + 1 for label in order)
        self._starts = array("I", accumulate(sizes, initial=0))  # of each name, at the newline before it
        self._ends = array("I", accumulate((len(places[label]) for label in order), initial=0))
        narrow = np.uint16 if len(papers) < 2**16 else np.uint32
        self._places = np.fromiter((place for label in order for place in places[label]), narrow)
        hashes = np.fromiter(map(_hash, order), np.uint32, len(order))
        self._by_hash = np.argsort(hashes).astype(np.int32)
        self._hashes = hashes[self._by_hash]

    def __getitem__(self, label: str) -> Papers:
        """Return the papers that have a label."""
        wanted = np.uint32(_hash(label))
        at = int(np.searchsorted(self._hashes, wanted))
        found = np.zeros(self._papers, np.bool_)
        for place in range(at, len(self._hashes)):
            if self._hashes[place] != wanted:
                break
            number = int(self._by_hash[place])
            if self._names[self._starts[number] + 1 : self._starts[number + 1]] == label.encode():
                found[self._places[self._ends[number] : self._ends[number + 1]]] = True
        return found

    def any(self, part: str) -> Papers:
        """Return the papers that have a label with these letters in it; a newline stands at either end of a label."""
        found = np.zeros(self._papers, np.bool_)
        sought = part.encode()
        at = self._names.find(sought)
        while at >= 0:
            number = bisect_right(self._starts, at) - 1
            found[self._places[self._ends[number] : self._ends[number + 1]]] = True
            at = self._names.find(sought, self._starts[number + 1])
        return found

    def counts(self) -> Counter[str]:
        """Count the papers of each label that is a folded word."""
        names = self._names.decode().split("\n")[1:-1]
        sizes = (end - start for start, end in pairwise(self._ends))
        return Counter({name: size for name, size in zip(names, sizes, strict=True) if name[0] not in "~=@"})


class _Rows:
    """A text for each paper, one after another in one run of bytes."""

    def __init__(self, texts: Iterable[str]) -> None:
        rows = [f"{text}{_END}".encode() for text in texts]
        self._bytes = b"".join(rows)
        self._starts = array("I", accumulate(map(len, rows), initial=0))

    def __getitem__(self, place: int) -> str:
        """Return the text of a paper."""
        return self._bytes[self._starts[place] : self._starts[place + 1] - len(_END)].decode()

    def holding(self, sought: str, among: Papers | None = None) -> Papers:
        """Return the papers whose text holds some letters."""
        found, letters = np.zeros(len(self._starts) - 1, np.bool_), sought.encode()
        if among is not None and among.sum() * 4 < len(among):
            for place in np.flatnonzero(among).tolist():
                found[place] = self._bytes.find(letters, self._starts[place], self._starts[place + 1]) >= 0
            return found
        at = self._bytes.find(letters)
        while at >= 0:
            place = bisect_right(self._starts, at) - 1
            found[place] = True
            at = self._bytes.find(letters, self._starts[place + 1])
        return found

    def matching(self, pattern: re.Pattern[bytes], among: Papers) -> Papers:
        """Return those of some papers whose text matches."""
        found = np.zeros(len(among), np.bool_)
        for place in np.flatnonzero(among).tolist():
            found[place] = pattern.search(self._bytes, self._starts[place], self._starts[place + 1]) is not None
        return found


def _stated(paper: Paper, people: Iterable[Sequence[str]]) -> set[str]:
    """Return what a paper states, and every name that may be the family name of an author."""
    found = {f"={fact}" for fact in facts(paper)}
    for names in people:
        found.update(f"@{name}" for name in (*names, *map(str.__add__, names, names[1:])))
    return found


def _hash(text: str) -> int:
    """Number a text alike in every process; two may have one number."""
    return crc32(text.encode())
