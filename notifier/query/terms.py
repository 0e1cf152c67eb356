"""Read one term of a query: what a word, a quoted text or a field's value means.

Every function takes the text of a term as written and returns a node in normal form, or raises `TermError`, which the
grammar turns into a `QueryError` with its column.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from notifier.query.nodes import (
    Author,
    Exact,
    Fact,
    Near,
    Period,
    Phrase,
    Prefix,
    Query,
    Scope,
    Trending,
    Upvotes,
    Word,
)
from notifier.query.words import Part, joinable, parts, unspaced, verbatim, without_tex_commands

PREFIX_LETTERS = 3  # fewest letters before a *
NEAR_LIMIT = 100  # largest distance of "..."~n
TRENDING_LIMIT = 1_000  # largest n of trending:n
COUNT_DIGITS = 9  # digits of a number of votes

_ID = re.compile(r"(?:(?:https?://)?[^/]*/(?:abs|pdf|papers)/|https?://(?:dx\.)?doi\.org/|arxiv:|doi:)", re.IGNORECASE)
_VERSION = re.compile(r"(?<=\d)v\d+(?:\.pdf)?$|\.pdf$")
_VOTES = re.compile(r"upvotes\s*([<>=]+)\s*(\d+)", re.IGNORECASE)
TYPES = ("new", "cross", "revised")


class TermError(Exception):
    """A term means nothing; `replacement` is what to write in its place ("" to leave it out), None when unknown."""

    def __init__(self, reason: str, replacement: str | None = None) -> None:
        self.reason = reason
        self.replacement = replacement
        super().__init__(reason)


def bare(text: str, scope: Scope) -> Query:
    """Read a term without quotes: a word, a compound, or the beginning of a word."""
    if text.lower().startswith("upvotes") and text[7:8] in ("<", ">", "="):
        raise TermError("expected a whole number, as in upvotes>=20", "upvotes>=20")
    if "*" not in text:
        return quoted(text, scope)
    if text.find("*") != len(text) - 1:
        raise TermError("a * may only end a word", text.replace("*", ""))
    found = _parts(text)
    key = "".join(part.word for part in found[:-1]) + found[-1].surface
    if any(part.gap != "-" for part in found[1:]) or any(unspaced(part.surface) for part in found):
        raise TermError("a * may only follow a single word", text.replace("*", ""))
    if len(found[-1].surface) < PREFIX_LETTERS:
        raise TermError(f"expected at least {PREFIX_LETTERS} letters before the *", text.replace("*", ""))
    return Prefix(key, scope)


def quoted(text: str, scope: Scope) -> Query:
    """Read the words between quotes, or a compound: a word where they can be written together, else a phrase."""
    if "*" in text:
        raise TermError("a * cannot stand inside quotes", f'"{text.replace("*", "")}"')
    found = _parts(text)
    if len(found) == 1:
        return Word(found[0].word, scope)
    if len(found) == 2 and (key := written_together(found)):
        return Word(key, scope)
    return Phrase(_spelled(found), scope)


def near(text: str, scope: Scope) -> Query:
    """Read `"words"~n`."""
    words, _, distance = text.rpartition("~")
    if len(distance) > COUNT_DIGITS or not 1 <= int(distance) <= NEAR_LIMIT:
        raise TermError(f"expected a distance from 1 to {NEAR_LIMIT}", f"{words}~{NEAR_LIMIT}")
    keys: list[str] = []
    for piece in words.strip('"').split():
        found = parts(without_tex_commands(piece))
        together = written_together(found) if len(found) == 2 and found[1].gap == "-" else ""
        keys += [together] if together else [part.word for part in found]
    if any(map(unspaced, keys)):
        raise TermError("~ counts words, which this script does not separate", words)
    if not keys:
        raise TermError("expected a letter or a digit", "")
    if len(set(keys)) == 1:
        return Word(keys[0], scope)
    return Near(tuple(sorted(set(keys))), int(distance), scope)


def exact(text: str, scope: Scope) -> Query:
    """Read `=text`: case kept, nothing folded."""
    kept = " ".join(verbatim(text).replace('"', " ").split())
    if not any(map(str.isalnum, kept)):
        raise TermError("expected a letter or a digit after =", "")
    return Exact(kept, scope)


def votes(text: str) -> Query:
    """Read `upvotes>=n` and its kin."""
    found = _VOTES.fullmatch(text)
    assert found, "the grammar lets nothing else through"
    operator, digits = found.groups()
    if operator not in (">=", ">", "<", "<=") or len(digits) > COUNT_DIGITS:
        raise TermError(f"expected >=, >, <= or < and a number of at most {COUNT_DIGITS} digits", "upvotes>=20")
    count = int(digits) + (operator in (">", "<="))
    return Upvotes(count, below="<" in operator)


def author(text: str) -> Query:
    """Read an author's name: "Y. LeCun", "LeCun, Yann", lecun."""
    family, comma, given = text.partition(",")
    names = name_parts(f"{given} {family}" if comma else text)
    while len(names) > 1 and len(names[-1]) == 1 and not comma and any(len(name) > 1 for name in names):
        names = [names[-1], *names[:-1]]  # "LeCun Y": the initial is no family name
    if "*" in text:
        raise TermError("a * cannot stand in a name", f'"{text.replace("*", "")}"')
    if not names or (len(names[-1]) == 1 and not unspaced(names[-1])):
        raise TermError("expected a family name of at least two letters")
    return Author(tuple(names))


def category(text: str) -> Query:
    """Read a category: cs.CL, or cs and cs.* for all of an archive."""
    value = _value(text).removesuffix("*").removesuffix(".")
    if not value or "*" in value or (text.endswith("*") and not text.endswith(".*")):
        raise TermError("expected a category such as cs.CL or cs.*", f"{value.partition('.')[0]}.*" if value else None)
    return Fact("category", value)


def source(text: str) -> Query:
    """Read the name of a source."""
    return Fact("source", _value(text))


def identifier(text: str) -> Query:
    """Read a paper's identifier: arXiv (any version), DOI or the source's own."""
    return Fact("id", plain_identifier(_value(text)))


def kind(text: str) -> Query:
    """Read an announcement type."""
    return Fact("type", _one_of(text, TYPES))


def has(text: str) -> Query:
    """Read what a paper must have."""
    return Fact("has", _one_of(text, ("code",)))


def trending(text: str) -> Query:
    """Read `n`, `n/day` or `n/week`."""
    found = re.fullmatch(r"(\d{1,9})(?:/(day|week))?", text.casefold())
    if not found or not 1 <= int(found[1]) <= TRENDING_LIMIT:
        reason = f"expected a number from 1 to {TRENDING_LIMIT}, and /day or /week"
        raise TermError(reason, "10/day")
    return Trending(int(found[1]), Period(found[2] or "day"))


# Field -> how its value is read; None for the fields that only say where to look.
FIELDS: dict[str, Callable[[str], Query] | None] = {
    "title": None,
    "abstract": None,
    "author": author,
    "category": category,
    "source": source,
    "id": identifier,
    "type": kind,
    "has": has,
    "trending": trending,
}
ALIASES = {"ti": "title", "abs": "abstract", "au": "author", "cat": "category", "arxiv": "id", "doi": "id"}


def field_named(name: str) -> str:
    """Return the field that a name or an alias stands for."""
    folded = name.casefold()
    field = ALIASES.get(folded, folded)
    if field in FIELDS:
        return field
    close = difflib.get_close_matches(folded, [*FIELDS, *ALIASES], n=1, cutoff=0.7)
    expected = ", ".join(f"{known}:" for known in FIELDS)
    raise TermError(f"there is no field {name}: (expected one of {expected})", f"{close[0]}:" if close else f"{name} ")


def name_parts(name: str) -> list[str]:
    """Return the folded parts of a person's name; a name in an unspaced script is one part."""
    names: list[str] = []
    for part in parts(without_tex_commands(name)):
        if names and part.gap == "-" and unspaced(part.surface) and unspaced(names[-1]):
            names[-1] += part.surface
        else:
            names.append(part.surface)
    return names


def plain_identifier(text: str) -> str:
    """Return an identifier without resolver, prefix and version, case-folded."""
    plain = text.casefold().strip().removeprefix("10.48550/")
    plain = _ID.sub("", plain, count=1) if (_ID.match(plain)) else plain
    return _VERSION.sub("", plain.removeprefix("10.48550/").removeprefix("arxiv.").removeprefix("arxiv:"))


def written_together(found: Sequence[Part]) -> str:
    """Return two words as one, "" when they may not be or when the whole would not read back as the same word."""
    first, second = found
    key = first.word + second.word
    if second.gap == "\n" or not joinable(first.word, second.word):
        return ""
    again = parts(key)
    return key if len(again) == 1 and again[0].word == key else ""


def _spelled(found: Sequence[Part]) -> str:
    """Spell a phrase: hyphens stay only where they matter, characters of unspaced scripts stay glued."""
    spelled = [found[0].word]
    for before, part in pairwise(found):
        if part.gap == "-" and (unspaced(before.word) or unspaced(part.word)):
            gap = ""
        else:
            gap = "-" if part.gap == "-" and not joinable(before.word, part.word) else " "
        spelled += [gap, part.word]
    return "".join(spelled)


def _parts(text: str) -> list[Part]:
    found = parts(without_tex_commands(text))
    if not found:
        raise TermError("expected a letter or a digit", "")
    return found


def _value(text: str) -> str:
    value = " ".join(text.replace('"', " ").split()).casefold()
    if not value:
        raise TermError("expected a value after the colon")
    return value


def _one_of(text: str, known: Sequence[str]) -> str:
    value = text.strip().casefold()
    if value not in known:
        close = difflib.get_close_matches(value, known, n=1, cutoff=0.0)
        raise TermError(f"expected {' or '.join(known)}", close[0] if close else known[0])
    return value
