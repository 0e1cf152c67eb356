r"""Accents: text whose only markup is letters under accents, such as "G{\"o}del" and "Caf\'e", as most names have it.

`Reader` reads these too, at ten times the price: whatever may mean anything else is left to it.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from notifier.tex.repair import STYLE_BEGINS
from notifier.tex.symbols import ACCENTS

_SIGNS = ("\\", "$", "^", "{", "}", "~", "--", "`", "_", "  ")  # what is left to `Reader`
_OTHER = (":\\", "^circ")  # a path of Windows, a degree
# Braces around both, around the letter, or none; then "\'s" may be an apostrophe that some tool escaped.
_ACCENT = re.compile(
    r"""\{\\([`'^"~=.])([A-Za-z])\}|\\([`'^"~=.])\{([A-Za-z])\}|\\([`^"~=.](?=[A-Za-z])|'(?=[A-Za-z])(?![strlvdm]))(.)"""
)


def accented(source: str) -> str | None:
    """Put accents on their letters; None where there is other markup."""
    for other in _OTHER:
        if other in source:
            return None
    if "{" in source and any(begin in source for begin in STYLE_BEGINS):
        return None  # perhaps a macro that lost its backslash
    text = _ACCENT.sub(_composed, source)
    for sign in _SIGNS:
        if sign in text:
            return None
    return text.strip(" ")


def _composed(found: re.Match[str]) -> str:
    return _letter(*filter(None, found.groups()))


@lru_cache(maxsize=512)
def _letter(sign: str, letter: str) -> str:
    return unicodedata.normalize("NFC", letter + ACCENTS[sign])
