"""Bylines: "Ada One, Bo Two (Quay Institute) and C. Three, Jr." to the names in it.

The one string that arXiv's announcements give for all authors (https://info.arxiv.org/help/prep.html#author): names
before family names, separated by commas or "and", affiliations in parentheses, accents in TeX, a colon after the name
of a collaboration. Nothing here raises.
"""

from __future__ import annotations

import re

from notifier.parse.text import AUTHORS_LIMIT, NAME_LIMIT, names
from notifier.tex import readable

LENGTH_LIMIT = 1_000_000  # code points; three thousand authors take 60,000
NESTED = 3  # parentheses inside parentheses
LONGEST_ODD = 11  # code points of a piece that is no name: "and et al."

_PARENTHESES = re.compile(r"\([^()]*\)")
_SUFFIX = re.compile(r"(?:Jr|Sr)\.?|II|III|IV")
_LETTER = re.compile(r"[^\W\d_]")
_REST = re.compile(r"(?:and )?et al\.?|and|the", re.IGNORECASE)


def byline(text: str) -> tuple[str, ...]:
    """Split a byline into names, in order, without affiliations."""
    text = readable(" ".join(text[:LENGTH_LIMIT].split()))
    for _ in range(NESTED if "(" in text else 0):
        text = _PARENTHESES.sub(" ", text)
    found: list[str] = []
    text = f"{text} ".replace(" and ", ",").replace(" & ", ",").replace(";", ",").replace(": ", ",")
    for piece in map(str.strip, text.split(",")):
        if len(piece) <= LONGEST_ODD:  # most are longer
            if found and len(found[-1]) < NAME_LIMIT and _SUFFIX.fullmatch(piece):
                found[-1] = f"{found[-1]} {piece}"
                continue
            if _REST.fullmatch(piece):
                continue
        if len(found) < AUTHORS_LIMIT and (piece[:1].isalpha() or _LETTER.search(piece)):
            found.append(piece.removeprefix("and "))
    return names(found)


def person(*given_first: str) -> str:
    """Join the parts of one name, given names first, and read its TeX accents."""
    return readable(" ".join(" ".join(given_first).split())[: 4 * NAME_LIMIT])
