"""Bylines: "Ada One, Bo Two (Quay Institute) and C. Three, Jr." to the names in it.

The one string that arXiv's announcements give for all authors (https://info.arxiv.org/help/prep.html#author): names
before family names, separated by commas or "and", affiliations in parentheses, accents in TeX, a colon after the name
of a collaboration. Nothing here raises.
"""

from __future__ import annotations

import re
from itertools import product
from operator import itemgetter

from notifier.parse.text import AUTHORS_LIMIT, NAME_LIMIT, names
from notifier.tex import readable

LENGTH_LIMIT = 1_000_000  # code points; three thousand authors take 60,000
NESTED = 3  # parentheses inside parentheses
LONGEST_ODD = 11  # code points of a piece that is no name: "and et al."

_PARENTHESES = re.compile(r"\([^()]*\)")
_SUFFIX = re.compile(r"(?:Jr|Sr)\.?|II|III|IV")
_FIRST = itemgetter(0)
_LETTER = re.compile(r"[^\W\d_]")
_REST = re.compile(r"(?:and )?et al\.?|and|the", re.IGNORECASE)
# All that the two patterns match.
_ODD = frozenset(
    "".join(letters)
    for rest in ("and", "the", *(f"{before}et al{dot}" for before in ("", "and ") for dot in ("", ".")))
    for letters in product(*({letter, letter.upper()} for letter in rest))
) | {"Jr", "Jr.", "Sr", "Sr.", "II", "III", "IV"}


def byline(text: str) -> tuple[str, ...]:
    """Split a byline into names, in order, without affiliations."""
    text = readable(" ".join(text[:LENGTH_LIMIT].split()))
    for _ in range(NESTED if "(" in text else 0):
        text = _PARENTHESES.sub(" ", text)
    text = f"{text} ".replace(" and ", ",").replace(" & ", ",").replace(";", ",").replace(": ", ",")
    pieces = [piece for part in text.split(",") if (piece := part.strip())]
    if len(pieces) > AUTHORS_LIMIT or not (_ODD.isdisjoint(pieces) and all(map(str.isalpha, map(_FIRST, pieces)))):
        pieces = _without_odd(pieces)
    elif "and " in text:
        pieces = [one.removeprefix("and ") for one in pieces]
    return names(pieces)


def _without_odd(pieces: list[str]) -> list[str]:
    """Put suffixes behind the names that they belong to, and leave out what is no name."""
    found: list[str] = []
    for piece in pieces:
        if len(piece) <= LONGEST_ODD:  # most are longer
            if found and len(found[-1]) < NAME_LIMIT and _SUFFIX.fullmatch(piece):
                found[-1] = f"{found[-1]} {piece}"
                continue
            if _REST.fullmatch(piece):
                continue
        if len(found) < AUTHORS_LIMIT and _LETTER.search(piece):
            found.append(piece.removeprefix("and "))
    return found


def person(*given_first: str) -> str:
    """Join the parts of one name, given names first, and read its TeX accents."""
    return readable(" ".join(" ".join(given_first).split())[: 4 * NAME_LIMIT])
