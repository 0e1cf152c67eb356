"""Cut a batch's texts into hyphenated compounds, each distinct one analysed once.

The same words as `query.words.parts`, arranged for speed: a batch repeats its words, so folding is paid per distinct
compound and the rest is dictionary look-ups.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from notifier.model import Paper
from notifier.query.nodes import Scope
from notifier.query.words import (
    COMPOUND_PARTS,
    FUNCTION_WORDS,
    WORD_LIMIT,
    Part,
    compounds_in,
    parts,
    unspaced,
    without_tex_commands,
    word_of,
)

BREAK = "\x1e"  # stands between texts, and in place of a word that joins nothing; no word holds it


class Compound(NamedTuple):
    """What one compound offers: its words, every label it answers to, and what joins it to its neighbours."""

    words: tuple[str, ...]
    labels: tuple[str, ...]  # its words, and what they are written together
    surfaces: tuple[str, ...]  # the labels before plural folding, for prefixes
    first: str  # what may be glued to the word before, BREAK when nothing may
    last: str  # what may be glued to the word after
    irregular: bool  # holds an unspaced script: take the long way


def streams(papers: Sequence[Paper], scope: Scope) -> Iterator[list[str]]:
    """Yield the compounds of each paper's texts of a scope, as spelled, texts apart by BREAK."""
    for paper in papers:
        found: list[str] = []
        if scope != Scope.ABSTRACT:
            found += _cut(paper.title)
            if paper.title_tex:
                found += [BREAK, *_cut(without_tex_commands(paper.title_tex))]
        if scope != Scope.TITLE:
            found += [BREAK, *_cut(paper.abstract)]
            if paper.abstract_tex:
                found += [BREAK, *_cut(without_tex_commands(paper.abstract_tex))]
        yield found


def _cut(text: str) -> list[str]:
    return compounds_in(text).findall(text)


@lru_cache(maxsize=131_072)
def compound(spelled: str) -> Compound:
    """Analyse one compound."""
    if spelled.isascii() and spelled.isalnum():  # most of them: one plain word
        surface = spelled.lower()[:WORD_LIMIT]
        word = word_of(spelled, surface)
        last = BREAK if word in FUNCTION_WORDS else word
        first = BREAK if len(word) == 1 and word.isalpha() else last
        alone = (word,)
        return Compound(alone, alone, alone if surface == word else (surface,), first, last, False)
    if spelled == BREAK:
        return Compound((BREAK,), (), (), BREAK, BREAK, False)
    return _analysed(parts(spelled))


def _analysed(found: Sequence[Part]) -> Compound:
    if not found:
        return Compound((), (), (), BREAK, BREAK, True)
    labels = dict.fromkeys(part.word for part in found)
    surfaces = dict.fromkeys(part.surface for part in found)
    for i, part in enumerate(found):
        together = part.word
        for other in found[i + 1 : i + COMPOUND_PARTS]:
            if unspaced(part.word) or unspaced(other.word):
                break
            surfaces[together + other.surface] = None
            together += other.word
            labels[together] = None
    first, last = found[0].word, found[-1].word
    return Compound(
        tuple(part.word for part in found),
        tuple(labels),
        tuple(surfaces),
        BREAK if first in FUNCTION_WORDS or unspaced(first) or (len(first) == 1 and first.isalpha()) else first,
        BREAK if last in FUNCTION_WORDS or unspaced(last) else last,
        any(unspaced(part.word) for part in found) or any(other.gap == "\n" for _, other in pairwise(found)),
    )
