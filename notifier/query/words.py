"""Cut text into words and fold them: the one place that decides which spellings are the same word.

Text is cut where it stands and every word is folded alone, so a position is always one of the text as given, whatever
folding does to lengths. Folding is NFKC (UAX 15), full case folding (Unicode 3.13), accents and the letters that carry
a stroke, Greek letters to their names, apostrophes, then English plurals. Time is linear in the text; a word counts
with its first `WORD_LIMIT` characters. Nothing here fails.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from notifier.query.plurals import singular

WORD_LIMIT = 100  # characters of a folded word that count; bounds what NFKC makes of U+FDFA
COMPOUND_PARTS = 4  # parts of a hyphenated compound that are also looked up written together
# A space beside one of these words is never dropped: "in formation" is not "information".
FUNCTION_WORDS = frozenset(
    """
    a an and are as at be but by can do for from had has have her his how i if in into is it its may me my no nor not
    of on one or our out over per she so such than that the their then there they this to too up us was we were what
    when where which who will with you your
    """.split()  # noqa: SIM905 - a table to read
)

_INVISIBLE = "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
_COMBINING = "\u0300-\u036f"  # the accents; marks of other scripts belong to their letters
_MARKS = (
    "\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0fbc\u1000-\u109f\u1780-\u17dd"
)
_UNSPACED = (  # scripts written without spaces, or with particles glued to the word: every character is a word
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003fffd"
)
_LETTER = rf"(?:[^\W_]|[{_INVISIBLE}{_COMBINING}{_MARKS}])"
_HYPHEN = "[-_\u2010-\u2013\u2212\ufe63\uff0d]"
_WORD = rf"{_LETTER}+(?:['\u2019\u02bc]{_LETTER}+|(?<=\d)\.(?=\d){_LETTER}+)*"
_GAP = rf"[$}}]*{_HYPHEN}{{1,3}}[$\\{{]*"  # TeX's braces and dollars may stand around a hyphen

_ASCII_WORD = r"[A-Za-z0-9]+(?:'[A-Za-z0-9]+|(?<=[0-9])\.(?=[0-9])[A-Za-z0-9]+)*"
_ASCII_COMPOUND = re.compile(rf"{_ASCII_WORD}(?:[$}}]*[-_]{{1,3}}[$\\{{]*{_ASCII_WORD})*")
_COMPOUND = re.compile(rf"{_WORD}(?:{_GAP}{_WORD})*")
_PART = re.compile(_WORD)
_UNSPACED_OR_NOT = re.compile(rf"[{_UNSPACED}]|[^{_UNSPACED}]+")
_IS_UNSPACED = re.compile(rf"[{_UNSPACED}]").match
_ACRONYMS = re.compile("[A-Z][A-Z0-9]+s").fullmatch
_ACCENTS = re.compile(rf"[{_INVISIBLE}{_COMBINING}]+")
_LONE_GREEK = re.compile("(?<![\u0370-\u03ff\u1f00-\u1fff])[\u03b1-\u03c9](?![\u0370-\u03ff\u1f00-\u1fff])")
_NOT_IN_WORD = re.compile(rf"(?!{_LETTER}|(?<=\d)\.(?=\d)).", re.DOTALL)
_STROKES = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ħ": "h", "ı": "i", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe"})
_NAMES = """alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma sigma tau
    upsilon phi chi psi omega""".split()  # noqa: SIM905
GREEK = {chr(0x3B1 + place): name for place, name in enumerate(_NAMES)}
_TEX_COMMAND = re.compile(r"\\(?:var)?([A-Za-z]+)")
_GREEK_NAMES = frozenset(_NAMES)


@dataclass(frozen=True, slots=True)
class Part:
    """One word of a text: [start, end) in code points of the text, `gap` is what joins it to the word before.

    `surface` is folded but for the plural, `word` is the plural folded as well. `gap` is " " (apart), "-" (hyphenated
    or glued) or "" (the first word); "\\n" where words of an unspaced script are apart.
    """

    surface: str
    word: str
    start: int
    end: int
    gap: str


def parts(text: str) -> list[Part]:
    """Cut a text into its words, in order."""
    found: list[Part] = []
    for compound in compounds_in(text).finditer(text):
        gap = " " if found else ""
        for piece in _PART.finditer(compound[0]):
            for run in _UNSPACED_OR_NOT.finditer(piece[0]):
                surface = fold(run[0])
                if not surface:
                    continue
                start = compound.start() + piece.start() + run.start()
                if gap == " " and unspaced(surface) and unspaced(found[-1].surface):
                    gap = "\n"
                found.append(Part(surface, word_of(run[0], surface), start, start + len(run[0]), gap))
                gap = "-"
    return found


def compounds_in(text: str) -> re.Pattern[str]:
    """Return the pattern that finds the hyphenated compounds (single words included) of a text."""
    return _ASCII_COMPOUND if text.isascii() else _COMPOUND


def word_of(spelled: str, surface: str) -> str:
    """Return a folded word without its plural; capitals before a small s are one whatever the tables say ("GPs")."""
    return singular(surface[:-1] if spelled[-1] == "s" and _ACRONYMS(spelled) else surface)


@lru_cache(maxsize=8_192)
def fold(word: str) -> str:
    """Fold one word but for its plural; "" when nothing of it is a letter or a digit."""
    if word.isascii():
        folded = word.lower()
    else:
        folded = unicodedata.normalize("NFKD", _ACCENTS.sub("", word))
        folded = unicodedata.normalize("NFKC", _ACCENTS.sub("", folded).casefold()).translate(_STROKES)
        folded = _LONE_GREEK.sub(lambda letter: GREEK[letter[0]], folded).replace("\u2019", "'").replace("\u02bc", "'")
    folded = folded.removesuffix("'s").replace("'", "")
    if not folded.isalnum():
        folded = _NOT_IN_WORD.sub("", folded)
    return folded[:WORD_LIMIT].strip(".")


def joinable(first: str, second: str) -> bool:
    """Tell whether two words that stand apart may be one: "fine tuning", not "in formation" or "plan e"."""
    return (
        first not in FUNCTION_WORDS
        and second not in FUNCTION_WORDS
        and not (len(second) == 1 and second.isalpha())
        and not unspaced(first)
        and not unspaced(second)
    )


def unspaced(word: str) -> bool:
    """Tell whether a word belongs to a script that is written without spaces."""
    return not word.isascii() and _IS_UNSPACED(word) is not None


def without_tex_commands(text: str) -> str:
    """Blank the names of TeX commands, which are no words of the text; Greek letters stay, as their names."""
    if "\\" not in text:
        return text
    return _TEX_COMMAND.sub(lambda name: name[1] if name[1] in _GREEK_NAMES else " ", text)


def verbatim(text: str) -> str:
    """Return the text that exact terms are looked up in: NFKC and one kind of hyphen, apostrophe and space."""
    if not text.isascii():
        text = re.sub(rf"[{_INVISIBLE}]", "", text)
        text = re.sub(rf"[{_COMBINING}]{{5,}}", "", text)  # reordering long runs of marks takes quadratic time
        text = unicodedata.normalize("NFKC", text).replace("\u2019", "'").replace("\u02bc", "'")
        text = re.sub("[\u2010-\u2013\u2212]", "-", text)
    return " ".join(text.split())
