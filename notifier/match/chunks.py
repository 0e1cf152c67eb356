"""Cut texts at white space into chunks and analyse each distinct chunk once.

The same words as `query.words.parts`, arranged for speed: no compound holds white space, and a batch repeats its
chunks, so cutting, folding and joining are paid per distinct chunk and the rest is dictionary look-ups.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from notifier.query.words import COMPOUND_PARTS, WORD_LIMIT, Part, parts, unspaced, word_of

BREAK = "\x1e"  # stands between texts, counts as white space and so is in no chunk
APART = "\n"  # stands between words of unspaced scripts that are apart


class Chunk(NamedTuple):
    """What a run of text without white space offers to a query.

    `words` are its words in a row, APART among them. `hyphenated` tells of each whether a hyphen joins it to the one
    before. `labels` are the words and what hyphens make of them, `surfaces` the same before plural folding.
    """

    words: tuple[str, ...]
    hyphenated: tuple[bool, ...]
    labels: tuple[str, ...]
    surfaces: tuple[str, ...]


_ALONE = (False,)


@lru_cache(maxsize=8_192)
def chunk(spelled: str) -> Chunk:
    """Analyse one chunk, or BREAK."""
    bare = spelled.strip(string.punctuation)
    if bare.isascii() and bare.isalnum():  # most of them: one plain word
        surface = bare.lower()[:WORD_LIMIT]
        alone = (word_of(bare, surface),)
        return Chunk(alone, _ALONE, alone, alone if surface == alone[0] else (surface,))
    if spelled == BREAK:
        return Chunk((BREAK,), _ALONE, (), ())
    return _analysed(parts(spelled))


def _analysed(found: Sequence[Part]) -> Chunk:
    words: list[str] = []
    hyphenated: list[bool] = []
    labels = dict.fromkeys(part.word for part in found)
    surfaces = dict.fromkeys(part.surface for part in found)
    for i, part in enumerate(found):
        if part.gap == APART:
            words.append(APART)
            hyphenated.append(False)
        words.append(part.word)
        hyphenated.append(part.gap == "-")
        together = part.word
        for other in found[i + 1 : i + COMPOUND_PARTS]:
            if other.gap != "-" or unspaced(part.word) or unspaced(other.word):
                break
            surfaces[together + other.surface] = None
            together += other.word
            labels[together] = None
    return Chunk(tuple(words), tuple(hyphenated), tuple(labels), tuple(surfaces))
