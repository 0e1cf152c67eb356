"""Bylines: "Ada One, Bo Two (Quay Institute) and C. Three, Jr." to the names in it.

The one string that arXiv's announcements give for all authors (https://info.arxiv.org/help/prep.html#author): names
before family names, separated by commas or "and", affiliations in parentheses, accents in TeX, a colon after the name
of a collaboration. Nothing here raises.
"""

from __future__ import annotations

import re
from itertools import product
from operator import itemgetter

from notifier.parse.text import AUTHORS_LIMIT, NAME_LIMIT, is_clean, names
from notifier.tex import readable

LENGTH_LIMIT = 1_000_000  # code points; three thousand authors take 60,000
NESTED = 3  # parentheses inside parentheses
LONGEST_ODD = 11  # code points of a piece that is no name: "and et al."

_PARENTHESES = re.compile(r"\([^()]*\)")
_SUFFIX = re.compile(r"(?:Jr|Sr)\.?|II|III|IV")
_FIRST = itemgetter(0)
_LETTER = re.compile(r"[^\W\d_]")
_REST = re.compile(r"(?:and )?et al\.?|and|the", re.IGNORECASE)
_UNCOMMON = ("(", ";", ":", "&", " ,", "and and")
# All that the two patterns match, and nothing.
_ODD = frozenset(
    "".join(letters)
    for rest in ("and", "the", *(f"{before}et al{dot}" for before in ("", "and ") for dot in ("", ".")))
    for letters in product(*({letter, letter.upper()} for letter in rest))
) | {"Jr", "Jr.", "Sr", "Sr.", "II", "III", "IV", ""}


def byline(text: str) -> tuple[str, ...]:
    """Split a byline into names, in order, without affiliations."""
    return _common(text) or _any(text)


def _common(text: str) -> tuple[str, ...]:
    """Split "Ada One, Bo Two and C. Three", as most are, in half the time; () for a byline with anything odd in it."""
    text = text.strip().replace("\n  ", " ")  # arXiv wraps its lines like this
    if len(text) > LENGTH_LIMIT or "  " in text or not text.isprintable():
        return ()
    shown = readable(text)
    if not is_clean(shown) or (shown is not text and ("  " in shown or not shown.isprintable())):
        return ()
    if any(map(shown.__contains__, _UNCOMMON)) or shown.startswith("and ") or shown.endswith(" and"):
        return ()
    if " and " in shown:
        shown = shown.replace(", and ", ", ").replace(" and ", ", ")
    pieces = shown.split(", ")
    if shown.count(",") >= len(pieces) or len(pieces) > AUTHORS_LIMIT or not _ODD.isdisjoint(pieces):
        return ()
    if not "".join(map(_FIRST, pieces)).isalpha() or (len(shown) > NAME_LIMIT and max(map(len, pieces)) > NAME_LIMIT):
        return ()
    return tuple(pieces)


def _any(text: str) -> tuple[str, ...]:
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
