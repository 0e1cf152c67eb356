"""The distinct terms of many queries, and which papers of a batch each occurs in.

A term is a leaf of a query, known by its canonical text and numbered. `occurrences` indexes the batch, not the terms:
every word of the texts is looked up among the terms, so its time is linear in the texts and does not depend on how
many terms there are, but for `upvotes`, `trending` and `"..."~n`, which are few. A set of papers is an int, bit n is
paper n.
What a term means is `reading`, which is asked whenever the index alone cannot tell.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import add
from struct import unpack

from notifier.match.compounds import Compound, compound, streams
from notifier.match.reading import Reading, exactly, facts, same_person, texts_of
from notifier.match.rows import Row, letters_of
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

HEADS = (16, 10, 5, 2)  # a phrase is looked up by so many of its first letters, the most that it has

Bits = int


class Vocabulary:
    """Terms by canonical text; a term's number never changes."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._scopes: set[Scope] = set()
        self._prefixes: dict[str, set[int]] = {}  # first letters -> lengths of the prefixes that begin so
        self._phrases: dict[tuple[Scope, int], dict[str, str | list[str]]] = {}  # first letters -> canonical texts
        self._exact: dict[str, list[tuple[int, Exact]]] = defaultdict(list)  # a run of letters -> terms that need it
        self._near: list[tuple[int, Near, list[int]]] = []
        self._authors: dict[str, list[tuple[int, Author]]] = defaultdict(list)  # family name -> terms
        self._ranked: list[tuple[int, Upvotes | Trending]] = []

    def __len__(self) -> int:
        return len(self._numbers)

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
        """Note what a new term needs of a batch; words and facts need nothing, their text is looked up."""
        match term:
            case Word():
                self._scopes.add(term.scope)
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
            case Author(names):
                self._authors[names[-1]].append((number, term))
            case Upvotes() | Trending():
                self._ranked.append((number, term))

    def _note_phrase(self, phrase: str, scope: Scope, text: str) -> None:
        letters = letters_of(phrase)
        size = next((size for size in HEADS if len(letters) >= size), 1)
        heads = self._phrases.setdefault((scope, size), {})
        known = heads.setdefault(letters[:size], text)
        if isinstance(known, list):
            known.append(text)
        elif known is not text:
            heads[letters[:size]] = [known, text]

    def occurrences(self, papers: Sequence[Paper]) -> dict[int, Bits]:
        """Return the papers of every term that occurs in the batch."""
        found: dict[int, Bits] = defaultdict(int)
        everything = self._numbers.get(canonical(Everything()))
        if everything is not None:
            found[everything] = (1 << len(papers)) - 1
        for scope in sorted(self._scopes):
            self._find_words(papers, scope, found)
        self._find_facts(papers, found)
        self._find_authors(papers, found)
        self._find_votes(papers, found)
        self._find_exact(papers, found)
        self._find_near(papers, found)
        return found

    def _find_words(self, papers: Sequence[Paper], scope: Scope, found: dict[int, Bits]) -> None:
        """Look up the words, compounds, pairs, prefixes and phrases of one scope."""
        numbers = self._numbers
        mark = f"{scope}:" if scope else ""
        phrases = {size: heads for (where, size), heads in self._phrases.items() if where == scope}
        known: dict[str, Compound] = {}
        irregular: set[str] = set()
        papers_of: dict[str, Bits] = defaultdict(int)
        for place, stream in enumerate(streams(papers, scope)):
            bit = 1 << place
            distinct = set(stream)
            for spelled in distinct:
                if spelled not in known:
                    known[spelled] = compound(spelled)
                    if known[spelled].irregular:
                        irregular.add(spelled)
                papers_of[spelled] |= bit
            compounds = [each for spelled in stream if (each := known[spelled]).words]  # invisible ones hold no word
            pairs: Iterable[str] = map(add, [each.last for each in compounds], [each.first for each in compounds[1:]])
            for pair in numbers.keys() & (map(mark.__add__, pairs) if mark else pairs):
                found[numbers[pair]] |= bit
            if phrases:
                row = Row(papers[place], scope, compounds, plain=irregular.isdisjoint(distinct))
                for text in row.phrases(phrases):
                    found[numbers[text]] |= bit
        for spelled, bits in papers_of.items():
            for label in known[spelled].labels:
                term = numbers.get(mark + label)
                if term is not None:
                    found[term] |= bits
            for surface in known[spelled].surfaces if self._prefixes else ():
                for size in self._prefixes.get(surface[:PREFIX_LETTERS], ()):
                    term = numbers.get(f"{mark}{surface[:size]}*") if len(surface) >= size else None
                    if term is not None:
                        found[term] |= bits

    def _find_facts(self, papers: Sequence[Paper], found: dict[int, Bits]) -> None:
        for place, paper in enumerate(papers):
            stated = {
                canonical(Fact(field, value)) for field, _, value in (fact.partition(":") for fact in facts(paper))
            }
            for text in self._numbers.keys() & stated:
                found[self._numbers[text]] |= 1 << place

    def _find_authors(self, papers: Sequence[Paper], found: dict[int, Bits]) -> None:
        people = ((place, author) for place, paper in enumerate(papers) for author in paper.authors if self._authors)
        for place, author in people:
            names = name_parts(author)
            for family in self._authors.keys() & {*names, *map(add, names, names[1:])}:
                for number, term in self._authors[family]:
                    if same_person(term.names, names):
                        found[number] |= 1 << place

    def _find_votes(self, papers: Sequence[Paper], found: dict[int, Bits]) -> None:
        votes = [(paper.upvotes, place) for place, paper in enumerate(papers) if paper.upvotes is not None]
        ranking = sorted((-count, place) for count, place in votes if count)
        for number, term in self._ranked:
            if isinstance(term, Trending):
                places = [place for _, place in ranking[: term.count]]
            else:
                places = [place for count, place in votes if (count >= term.count) != term.below]
            found[number] = sum(1 << place for place in places)

    def _find_exact(self, papers: Sequence[Paper], found: dict[int, Bits]) -> None:
        patterns = {number: exactly(term.text) for terms in self._exact.values() for number, term in terms}
        for place, paper in enumerate(papers if patterns else ()):
            texts = {scope: [verbatim(text) for text in texts_of(paper, scope)] for scope in Scope}
            runs = {run for text in texts[Scope.ANY] for run in re.findall(r"[^\W_]+", text)}
            for run in self._exact.keys() & {"", *runs}:
                for number, term in self._exact[run]:
                    if any(map(patterns[number].search, texts[term.scope])):
                        found[number] |= 1 << place

    def _find_near(self, papers: Sequence[Paper], found: dict[int, Bits]) -> None:
        readings: dict[int, Reading] = {}
        for number, term, words in self._near:
            candidates = found.get(words[0], 0)
            for word in words[1:]:
                candidates &= found.get(word, 0)
            for place in positions(candidates):
                if place not in readings:
                    readings[place] = Reading(papers[place])
                if readings[place].has(term):
                    found[number] |= 1 << place


def positions(bits: Bits) -> list[int]:
    """Return the numbers of the bits that are set, in order."""
    found: list[int] = []
    size = (bits.bit_length() + 63) // 64
    for number, limb in enumerate(unpack(f"<{size}Q", bits.to_bytes(8 * size, "little"))):  # small ints are faster
        left = limb
        while left:
            rest = left & (left - 1)
            found.append(64 * number + (left ^ rest).bit_length() - 1)
            left = rest
    return found


def _leaf(text: str) -> Leaf:
    """Read the canonical text of one term; plain words and phrases without the parser, which is much slower."""
    if text.isascii() and text.isalnum():
        return Word(text)
    if text[0] == text[-1] == '"':
        return Phrase(text[1:-1])
    leaf = parse(text)
    assert isinstance(leaf, Leaf), f"{text} is not one term"
    return leaf
