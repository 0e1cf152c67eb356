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
# Braces around both, around the letter, or none; then "\'s" may be an apostrophe that some tool escaped. The accents
# that are called by a letter have braces around theirs, and so has an i without its dot.
_ACCENT = re.compile(
    r"""\{\\[`'^"~=.][A-Za-z]\}|\\[`'^"~=.uvHckrdb]\{[A-Za-z]\}|\\(?:[`^"~=.](?=[A-Za-z])|'(?=[A-Za-z])(?![strlvdm])).
    |\\[`'^"~]\{\\[ij]\}""",
    re.VERBOSE,
)


def accented(source: str) -> str | None:
    """Put accents on their letters; None where there is other markup."""
    if any(map(source.__contains__, _OTHER)):
        return None
    if "{" in source and any(map(source.__contains__, STYLE_BEGINS)):
        return None  # perhaps a macro that lost its backslash
    text = _ACCENT.sub(_composed, source)
    return None if any(map(text.__contains__, _SIGNS)) else text.strip(" ")


def _composed(found: re.Match[str]) -> str:
    return _letter(found[0])


@lru_cache(maxsize=512)
def _letter(written: str) -> str:
    """Put the accent behind the backslash on the last letter."""
    return unicodedata.normalize("NFC", written.rstrip("}")[-1] + ACCENTS[written.lstrip("{")[1]])
