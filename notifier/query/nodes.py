"""The syntax tree of a query, its normal form and its canonical text.

Nodes are frozen and hashable. `conjunction`, `disjunction` and `negation` build normal forms: flat, sorted, without
duplicates, NOT on terms only (De Morgan), absorption applied. Two queries of one meaning that differ in order, case,
spelling or parentheses are therefore equal, and `canonical` writes them alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

EVERYTHING_WORD = "everything"  # alone, it is the word form of `*`


class Scope(StrEnum):
    """Which text a term is looked for in."""

    ANY = ""
    TITLE = "title"
    ABSTRACT = "abstract"


class Period(StrEnum):
    """Over which papers `trending` ranks."""

    DAY = "day"
    WEEK = "week"


@dataclass(frozen=True, slots=True)
class Everything:
    """Every paper."""


@dataclass(frozen=True, slots=True)
class Word:
    """One folded word, however the text joins it: together, hyphenated, or as two words."""

    text: str
    scope: Scope = Scope.ANY


@dataclass(frozen=True, slots=True)
class Phrase:
    """Folded words in a row; " " stands where a space or hyphen may be dropped, "-" where only the hyphen may."""

    text: str
    scope: Scope = Scope.ANY


@dataclass(frozen=True, slots=True)
class Near:
    """Folded words whose first letters lie at most `distance` words apart, in any order."""

    words: tuple[str, ...]
    distance: int
    scope: Scope = Scope.ANY


@dataclass(frozen=True, slots=True)
class Prefix:
    """The beginning of a word, folded but for plurals."""

    text: str
    scope: Scope = Scope.ANY


@dataclass(frozen=True, slots=True)
class Exact:
    """Text exactly as written between word boundaries."""

    text: str
    scope: Scope = Scope.ANY


@dataclass(frozen=True, slots=True)
class Author:
    """Folded parts of one author's name, the last one is the family name."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """Something a paper states outright: `field` is category, source, id, type or has; `value` is case-folded."""

    field: str
    value: str


@dataclass(frozen=True, slots=True)
class Upvotes:
    """At least `count` votes; fewer than `count` when `below`. A paper without votes matches neither."""

    count: int
    below: bool = False


@dataclass(frozen=True, slots=True)
class Trending:
    """One of the `count` papers with the most votes of the day or week."""

    count: int
    period: Period = Period.DAY


Leaf = Everything | Word | Phrase | Near | Prefix | Exact | Author | Fact | Upvotes | Trending


@dataclass(frozen=True, slots=True)
class Not:
    """A term that must not match."""

    part: Leaf


@dataclass(frozen=True, slots=True)
class And:
    """All parts match; sorted by canonical text."""

    parts: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one part matches; sorted by canonical text."""

    parts: tuple[Query, ...]


Query = Leaf | Not | And | Or

NOTHING = Not(Everything())


def canonical(query: Query) -> str:
    """Return the one text of a query's meaning, itself a query."""
    match query:
        case And(parts):
            return " ".join(f"({canonical(part)})" if isinstance(part, Or) else canonical(part) for part in parts)
        case Or(parts):
            return " OR ".join(map(canonical, parts))
        case Not(part):
            return f"-{canonical(part)}"
        case Everything():
            return "*"
        case Author(names):
            return f"author:{_quoted(' '.join(names))}"
        case Fact(field, value):
            return f"{field}:{_quoted(value)}"
        case Upvotes(count, below):
            return f"upvotes{'<' if below else '>='}{count}"
        case Trending(count, period):
            return f"trending:{count}/{period}"
        case Word(text):
            term = f'"{text}"' if text == EVERYTHING_WORD else text
        case Phrase(text):
            term = f'"{text}"'
        case Near(words, distance):
            term = f'"{" ".join(words)}"~{distance}'
        case Prefix(text):
            term = f"{text}*"
        case Exact(text):
            term = f'="{text}"'
    return f"{query.scope}:{term}" if query.scope else term


def conjunction(parts: Iterable[Query]) -> Query:
    """Return the normal form of all parts together."""
    flat = {part for given in parts for part in (given.parts if isinstance(given, And) else (given,))}
    if NOTHING in flat or any(isinstance(part, Not) and part.part in flat for part in flat):
        return NOTHING
    needed = {part for part in flat if not (isinstance(part, Or) and any(choice in flat for choice in part.parts))}
    if any(asked for part in needed - {Everything()} for _, asked in leaves(part)):
        needed.discard(Everything())  # `*` says something beside excluded terms only
    if not needed:
        return Everything()
    return needed.pop() if len(needed) == 1 else And(_sorted(needed))


def disjunction(parts: Iterable[Query]) -> Query:
    """Return the normal form of any of the parts."""
    flat = {part for given in parts for part in (given.parts if isinstance(given, Or) else (given,))}
    flat.discard(NOTHING)
    if Everything() in flat or any(isinstance(part, Not) and part.part in flat for part in flat):
        return Everything()
    needed = {part for part in flat if not (isinstance(part, And) and any(need in flat for need in part.parts))}
    if not needed:
        return NOTHING
    return needed.pop() if len(needed) == 1 else Or(_sorted(needed))


def negation(query: Query) -> Query:
    """Return the normal form of a query's opposite."""
    match query:
        case And(parts):
            return disjunction(map(negation, parts))
        case Or(parts):
            return conjunction(map(negation, parts))
        case Not(part):
            return part
    return Not(query)


def leaves(query: Query) -> Iterator[tuple[Leaf, bool]]:
    """Yield every term of a query, and whether it is asked for (True) or excluded (False)."""
    match query:
        case And(parts) | Or(parts):
            for part in parts:
                yield from leaves(part)
        case Not(part):
            yield part, False
        case _:
            yield query, True


def _sorted(parts: Iterable[Query]) -> tuple[Query, ...]:
    return tuple(sorted(parts, key=canonical))


def _quoted(value: str) -> str:
    return value if all(letter.isalnum() or letter in "._-/:" for letter in value) else f'"{value}"'
