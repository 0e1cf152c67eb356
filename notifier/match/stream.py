"""The words of a batch in a row, as flat arrays: what every look-up of words, pairs and phrases runs over.

Words written together are found by the letters that begin at each word: the row is spelled out once as bytes, and the
first bytes from every word on are kept as one window of `WINDOW` bytes. BREAK stands between texts, so nothing is
found across them. Memory is about a hundred bytes per word of the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from notifier.match.bits import LIMB, Numbers
from notifier.match.chunks import APART, BREAK, Chunk, chunk
from notifier.match.reading import Squeezed, Words, texts_of
from notifier.model import Paper
from notifier.query.nodes import Scope
from notifier.query.words import FUNCTION_WORDS, Part, parts, unspaced

WINDOW = 16  # bytes; two limbs

Flags = NDArray[np.bool_]
Windows = NDArray[np.uint64]  # words x 2


class Stream:
    """The chunks of a batch's texts: `chunks` are the distinct ones, `at` numbers them as they follow each other."""

    def __init__(self, papers: Sequence[Paper]) -> None:
        numbers = _Numbers()
        found: list[int] = []
        sizes: list[int] = []
        for paper in papers:
            for scope in (Scope.TITLE, Scope.ABSTRACT):
                before = len(found)
                for text in texts_of(paper, scope):
                    found += map(numbers.__getitem__, text.split())
                    found.append(numbers[BREAK])
                sizes.append(len(found) - before)
        self.chunks: list[Chunk] = list(map(chunk, numbers))
        self.at: Numbers = np.array(found, np.intp)
        owners = np.repeat(np.arange(len(sizes)), sizes)
        self.place, self._abstract = owners >> 1, owners & 1 == 1

    def of(self, scope: Scope) -> tuple[Numbers, Numbers]:
        """Return the numbers and papers of the chunks of a scope."""
        if scope == Scope.ANY:
            return self.at, self.place
        chosen = self._abstract if scope == Scope.ABSTRACT else ~self._abstract
        return self.at[chosen], self.place[chosen]


class Row:
    """The words of the texts of a scope, APART and BREAK among them, one after another."""

    def __init__(self, stream: Stream, scope: Scope) -> None:
        at, place = stream.of(scope)
        numbers = _Numbers({APART: 0})
        sizes = np.fromiter((len(each.words) for each in stream.chunks), np.intp, len(stream.chunks))
        known = _array(map(numbers.__getitem__, chain.from_iterable(each.words for each in stream.chunks)))
        hyphenated = _array(chain.from_iterable(each.hyphenated for each in stream.chunks))
        owners, index = runs(sizes, at)
        words, hyphens, places = known[index], hyphenated[index] == 1, place[owners]
        script = np.fromiter((not word.isascii() and unspaced(word) for word in numbers), np.bool_, len(numbers))
        if script.any():
            joints = np.flatnonzero(script[words[1:]] & script[words[:-1]] & (owners[1:] != owners[:-1])) + 1
            words, hyphens = np.insert(words, joints, numbers[APART]), np.insert(hyphens, joints, False)
            places = np.insert(places, joints, places[joints])
        self.words: list[str] = list(map(list(numbers).__getitem__, words.tolist()))
        self.place: Numbers = places
        self._hyphens: Flags = hyphens
        self.letters = "".join(self.words).encode()
        lengths = np.fromiter(map(len, map(str.encode, numbers)), np.intp, len(numbers))[words]
        ends = np.cumsum(lengths)
        self.starts: Numbers = ends - lengths
        self.lengths: Numbers = lengths
        self.windows = _windows(self.letters, self.starts)
        first, second = _may_join(numbers, script)
        self.joinable: Flags = first[words[:-1]] & second[words[1:]]  # each word but the last with the next

    def holds(self, at: int, phrase: str) -> bool:
        """Tell whether a phrase begins at a word: its words as they are, or divided otherwise where that may be."""
        words = spelled_out(phrase)
        if self.words[at : at + len(words)] == words:
            return True
        letters = "".join(words).encode()
        start = int(self.starts[at])
        if not self.letters.startswith(letters, start):
            return False
        end = int(np.searchsorted(self.starts, start + len(letters)))
        return any(first == 0 for first, _ in Squeezed(self._parts(at, end)).occurrences(Squeezed(parts(phrase))))

    def texts(self, place: int) -> list[Words]:
        """Return the texts of a paper."""
        at, end = np.searchsorted(self.place, (place, place + 1)).tolist()
        breaks = [number for number in range(at, end) if self.words[number] == BREAK]
        return [Words(self._parts(start, stop)) for start, stop in pairwise([at, *breaks])]

    def _parts(self, at: int, end: int) -> list[Part]:
        """Return some words with what stands between them."""
        found: list[Part] = []
        for place in range(at, end):
            word, before = self.words[place], self.words[place - 1] if place > at else ""
            if word not in (APART, BREAK):
                found.append(
                    Part(word, word, 0, 0, before if before == APART else "-" if self._hyphens[place] else " ")
                )
        return found


def spelled_out(phrase: str) -> list[str]:
    """Return the words of a canonical phrase as they stand in a row."""
    if phrase.isascii():
        return phrase.replace("-", " ").split(" ")
    return [word for part in parts(phrase) for word in ((APART, part.word) if part.gap == APART else (part.word,))]


def _may_join(numbers: Mapping[str, int], script: Flags) -> tuple[Flags, Flags]:
    """Tell of each word whether it may be joined to the next, and to the one before: `words.joinable` for all words."""
    first = ~script
    first[[numbers[word] for word in numbers.keys() & {*FUNCTION_WORDS, BREAK, APART}]] = False
    letter = np.fromiter((len(word) == 1 and word.isalpha() for word in numbers), np.bool_, len(numbers))
    return first, first & ~letter


def runs(sizes: Numbers, chosen: Numbers) -> tuple[Numbers, Numbers]:
    """Return the elements of the runs that were chosen, out of runs that lie one after another.

    Of each element, in order: which choice it belongs to, and its index.
    """
    counts = sizes[chosen]
    owners = np.repeat(np.arange(len(chosen)), counts)
    shift = (np.cumsum(sizes) - sizes)[chosen] - (np.cumsum(counts) - counts)
    return owners, np.arange(len(owners)) + shift[owners]


class _Numbers(dict[str, int]):
    """Strings numbered as they come."""

    def __missing__(self, text: str) -> int:
        self[text] = number = len(self)
        return number


def _array(values: Iterable[int]) -> Numbers:
    return np.fromiter(values, np.intp)


def _windows(letters: bytes, starts: Numbers) -> Windows:
    """Return the first bytes from each start on, zeros past the end."""
    octets = np.frombuffer(letters + bytes(WINDOW), np.uint8)
    every: NDArray[Any] = np.lib.stride_tricks.sliding_window_view(octets, WINDOW)
    return every[starts].view(LIMB)
