"""Made-up papers and queries for the benchmark of matching: deterministic, plain words by Zipf's law."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from itertools import accumulate

VOCABULARY = 30_000  # distinct words of the papers
ABSTRACT_WORDS = 160
TITLE_WORDS = 10
COMMON = 60  # most frequent words, which nobody subscribes to

# A query is alternatives; an alternative is (words wanted, words excluded, phrases wanted).
Alternative = tuple[list[str], list[str], list[list[str]]]
Made = list[Alternative]


def make_words(chance: random.Random) -> list[str]:
    """Return distinct words of five to eight letters, none of them a plural."""
    words: dict[str, None] = {}
    while len(words) < VOCABULARY:
        word = "".join(chance.choice("bcdfglmnprtvz") + chance.choice("aeiou") for _ in range(chance.choice((3, 3, 4))))
        words[word[: chance.choice((5, 6, 8))]] = None
    return list(words)


def make_papers(words: list[str], count: int, seed: int) -> list[tuple[str, str]]:
    """Return `(title, abstract)` of papers whose words follow Zipf's law."""
    chance = random.Random(seed)
    weights = list(accumulate(1 / (rank + 2.7) for rank in range(len(words))))
    found = []
    for _ in range(count):
        drawn = chance.choices(words, cum_weights=weights, k=TITLE_WORDS + ABSTRACT_WORDS)
        sentences = [" ".join(drawn[at : at + 20]) for at in range(TITLE_WORDS, len(drawn), 20)]
        found.append((" ".join(drawn[:TITLE_WORDS]), ". ".join(sentences) + "."))
    return found


def make_queries(words: list[str], count: int) -> list[Made]:
    """Return distinct queries: words, pairs, phrases from older papers, alternatives and exclusions."""
    chance = random.Random(7)
    weights = list(accumulate(1 / (rank + 2.7) for rank in range(COMMON, len(words))))
    older = [text.split() for text, _ in make_papers(words, 4_000, seed=11)]
    wanted = words[COMMON:]
    found: dict[str, Made] = {}
    while len(found) < count:
        one, two, three = chance.choices(wanted, cum_weights=weights, k=3)
        kind = chance.random()
        if kind < 0.25:
            made: Made = [([one], [], [])]
        elif kind < 0.60:
            made = [([one, two], [], [])] if one != two else [([one], [], [])]
        elif kind < 0.70:
            made = [([one, two, three], [], [])]
        elif kind < 0.85:
            at, size, text = chance.randrange(7), chance.choice((2, 2, 3)), chance.choice(older)
            made = (
                [([], [], [text[at : at + size]])] if chance.random() < 0.5 else [([one], [], [text[at : at + size]])]
            )
        elif kind < 0.95:
            made = [([one], [], []), ([two, three], [], [])]
        else:
            made = [([one], [two], [])] if one != two else [([one], [], [])]
        found.setdefault(written(made), made)
    return list(found.values())


def written(query: Made) -> str:
    """Write a query in the subscription language."""
    return " OR ".join(
        " ".join([*wanted, *(f'"{" ".join(phrase)}"' for phrase in phrases), *(f"-{word}" for word in excluded)])
        for wanted, excluded, phrases in query
    )


def texts(papers: list[tuple[str, str]]) -> list[str]:
    """Return one text per paper for the peers; a word of its own keeps phrases from running over the title's end."""
    return [f"{title} zzbreakzz {abstract}" for title, abstract in papers]


def fingerprint(pairs: Iterable[tuple[int, int]]) -> tuple[int, str]:
    """Return the number of distinct pairs and a digest of them all."""
    distinct = sorted(set(pairs))
    return len(distinct), hashlib.sha256(repr(distinct).encode()).hexdigest()[:16]
