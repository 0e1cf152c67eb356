"""Read one paper closely: where each term of a query occurs in it, and whether a query holds.

This is what a query means. The index over a batch (`vocabulary`) finds the same papers faster: a test compares them.
Everything takes time linear in the text, per term.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from notifier.model import AnnounceType, Paper, Span
from notifier.query.nodes import (
    And,
    Author,
    Everything,
    Exact,
    Fact,
    Leaf,
    Near,
    Not,
    Or,
    Phrase,
    Prefix,
    Query,
    Scope,
    Trending,
    Upvotes,
    Word,
)
from notifier.query.terms import name_parts, plain_identifier
from notifier.query.words import COMPOUND_PARTS, Part, joinable, parts, unspaced, verbatim, without_tex_commands

TextTerm = Word | Phrase | Near | Prefix | Exact
TYPES = {None: "new", AnnounceType.NEW: "new", AnnounceType.CROSS: "cross"}  # the rest is revised


class Words:
    """Words in a row, with what joins them; every answer is in ranges of words."""

    def __init__(self, found: Sequence[Part]) -> None:
        self.parts = found

    @cached_property
    def joined(self) -> dict[str, list[tuple[int, int]]]:
        """Every word, hyphenated compound and joinable pair, written together, and where each stands."""
        found: dict[str, list[tuple[int, int]]] = {}
        for i, j, together in self.written_together():
            found.setdefault(together, []).append((i, j))
        return found

    def written_together(self, *, surface: bool = False) -> Iterator[tuple[int, int, str]]:
        """Yield every word, hyphenated compound and joinable pair as `(first, end, written together)`."""
        for i, part in enumerate(self.parts):
            yield i, i + 1, part.surface if surface else part.word
            together = part.word
            for j in range(i + 1, min(i + COMPOUND_PARTS, len(self.parts))):
                other = self.parts[j]
                if other.gap != "-" or unspaced(other.word) or unspaced(part.word):
                    break
                yield i, j + 1, together + (other.surface if surface else other.word)
                together += other.word
            after = self.parts[i + 1 : i + 2]
            if after and after[0].gap == " " and not surface and joinable(part.word, after[0].word):
                yield i, i + 2, part.word + after[0].word

    def near(self, words: Iterable[str], distance: int) -> list[tuple[int, int]]:
        """Return the occurrences of the words that lie in a window holding them all."""
        found = sorted((i, j, word) for word in words for i, j in self.joined.get(word, ()))
        wanted = set(words)
        kept: set[tuple[int, int]] = set()
        for place, (start, _, _) in enumerate(found):
            window = [hit for hit in found[place : place + 4 * distance + 4] if hit[0] - start <= distance]
            if {joined for _, _, joined in window} == wanted:
                kept |= {(i, j) for i, j, _ in window}
        return sorted(kept)


class Text(Words):
    """One text, cut into words; every answer is in code points of the text as given."""

    def __init__(self, text: str) -> None:
        super().__init__(parts(text))
        self.text = text

    @cached_property
    def verbatim(self) -> str:
        """What exact terms are looked up in."""
        return verbatim(self.text)

    @cached_property
    def squeezed(self) -> Squeezed:
        """The words without what stands between them."""
        return Squeezed(self.parts)

    def spans(self, term: TextTerm) -> list[Span]:
        """Return where a term occurs, in order; spans may overlap."""
        match term:
            case Word(key):
                ranges = self.joined.get(key, [])
            case Prefix(key):
                ranges = self._beginning(key)
            case Phrase(phrase):
                ranges = self.squeezed.occurrences(Squeezed(parts(phrase)))
            case Near(words, distance):
                ranges = self.near(words, distance)
            case Exact(exact):
                ranges = self._exact(exact)
        return [(self.parts[i].start, self.parts[j - 1].end) for i, j in ranges]

    def has(self, term: TextTerm) -> bool:
        """Tell whether a term occurs."""
        if isinstance(term, Exact):
            return exactly(term.text, self.verbatim)
        return bool(self.spans(term))

    def _beginning(self, key: str) -> list[tuple[int, int]]:
        """Return the words and compounds that begin with the key, each as short as can be."""
        found: dict[int, tuple[int, int]] = {}
        for i, j, joined in self.written_together(surface=True):
            if joined.startswith(key):
                found.setdefault(i, (i, j))
        return list(found.values())

    def _exact(self, exact: str) -> list[tuple[int, int]]:
        inner = parts(exact)
        core = exact[inner[0].start : inner[-1].end]
        size = len(inner)
        windows = ((i, i + size) for i in range(len(self.parts) - size + 1))
        return [(i, j) for i, j in windows if self._verbatim_slice(i, j) == core]

    def _verbatim_slice(self, i: int, j: int) -> str:
        return verbatim(self.text[self.parts[i].start : self.parts[j - 1].end]).removesuffix("'s")


class Squeezed:
    """Words written together, remembering where each began and whether what stood there may be dropped."""

    def __init__(self, words: Sequence[Part]) -> None:
        self.starts: list[int] = []
        pieces: list[str] = []
        self.soft: dict[int, bool] = {}  # boundary -> a space or hyphen that may be missing on the other side
        offset = 0
        for place, part in enumerate(words):
            if part.gap == "\n":
                pieces.append("\n")
                offset += 1
            self.starts.append(offset)
            self.soft[offset] = place > 0 and (part.gap == "-" or joinable(words[place - 1].word, part.word))
            pieces.append(part.word)
            offset += len(part.word)
        self.soft[offset] = False
        self.text = "".join(pieces)

    def occurrences(self, phrase: Squeezed) -> list[tuple[int, int]]:
        """Return where a phrase occurs as ranges of words, each as short as can be."""
        found: list[tuple[int, int]] = []
        number = {start: place for place, start in enumerate(self.starts)}
        number[len(self.text)] = len(self.starts)
        at = self.text.find(phrase.text)
        while at >= 0:
            end = at + len(phrase.text)
            closed = end if end in number else end + 1 if self.text[end : end + 1] == "\n" else -1
            if at in number and closed in number and self.agrees(phrase, at):
                found.append((number[at], number[closed]))
            at = self.text.find(phrase.text, at + 1)
        return found

    def agrees(self, phrase: Squeezed, at: int) -> bool:
        """Tell whether the boundaries inside an occurrence at `at` agree: one that only one side has must be soft."""
        end = len(phrase.text)
        if any(not soft and 0 < bound < end and at + bound not in self.soft for bound, soft in phrase.soft.items()):
            return False
        inside = (bound for bound in range(1, end) if at + bound in self.soft)
        return all(bound in phrase.soft or self.soft[at + bound] for bound in inside)


class Reading:
    """One paper, ready to answer what holds of it."""

    def __init__(self, paper: Paper) -> None:
        self.paper = paper
        self.title = Text(paper.title)
        self.abstract = Text(paper.abstract)
        self.facts = facts(paper)

    @cached_property
    def authors(self) -> list[tuple[str, list[str]]]:
        """The authors as spelled, with the folded parts of each name."""
        return [(name, name_parts(name)) for name in self.paper.authors]

    @cached_property
    def _texts(self) -> dict[str, Text]:
        return {self.paper.title: self.title, self.paper.abstract: self.abstract}

    def texts(self, scope: Scope) -> list[Text]:
        """Return the texts of a scope, each cut into words once."""
        wanted = texts_of(self.paper, scope)
        for text in wanted:
            if text not in self._texts:
                self._texts[text] = Text(text)
        return [self._texts[text] for text in wanted]

    def holds(self, query: Query) -> bool:
        """Tell whether a query matches; `trending` is taken for granted, since it depends on other papers."""
        match query:
            case And(branches):
                return all(map(self.holds, branches))
            case Or(branches):
                return any(map(self.holds, branches))
            case Not(part):
                return not self.has(part)
        return self.has(query)

    def has(self, term: Leaf) -> bool:
        """Tell whether one term matches."""
        match term:
            case Everything() | Trending():
                return True
            case Author():
                return bool(self.matching_authors(term))
            case Fact(field, value):
                return f"{field}:{value}" in self.facts
            case Upvotes(count, below):
                return self.paper.upvotes is not None and (self.paper.upvotes >= count) != below
            case _:
                return any(text.has(term) for text in self.texts(term.scope))

    def matching_authors(self, term: Author) -> list[str]:
        """Return the authors, as spelled, that a name stands for."""
        return [name for name, known in self.authors if same_person(term.names, known)]


def texts_of(paper: Paper, scope: Scope) -> list[str]:
    """Return the texts that a scope searches: readable, and TeX source where it differs."""
    title = [paper.title, *([without_tex_commands(paper.title_tex)] if paper.title_tex else [])]
    abstract = [paper.abstract, *([without_tex_commands(paper.abstract_tex)] if paper.abstract_tex else [])]
    return (title if scope != Scope.ABSTRACT else []) + (abstract if scope != Scope.TITLE else [])


def same_person(asked: tuple[str, ...], known: list[str]) -> bool:
    """Tell whether a name that was asked for may be this person: the family name in full, the others or an initial."""
    left = list(known)
    family = asked[-1]
    if family in left:
        left.remove(family)
    else:  # "Le Cun" for "LeCun"
        place = next((i for i in range(len(left) - 1) if left[i] + left[i + 1] == family), None)
        if place is None:
            return False
        del left[place : place + 2]
    for name in sorted(asked[:-1], key=len, reverse=True):
        alike = (other for other in left if name == other or initial(name, other))
        other = next(iter(sorted(alike, key=lambda other: other != name)), None)
        if other is None:
            return False
        left.remove(other)
    return True


def initial(first: str, second: str) -> bool:
    """Tell whether one of two names is the initial of the other."""
    return first[0] == second[0] and min(len(first), len(second)) == 1


def exactly(wanted: str, text: str) -> bool:
    """Tell whether an exact term stands in a verbatim text: no letter or digit touches it, but unspaced ones may."""
    open_before = not wanted[0].isalnum() or unspaced(wanted[0])
    open_after = not wanted[-1].isalnum() or unspaced(wanted[-1])
    at = text.find(wanted)
    while at >= 0:
        end = at + len(wanted)
        if (open_before or not text[at - 1 : at].isalnum()) and (open_after or not text[end : end + 1].isalnum()):
            return True
        at = text.find(wanted, at + 1)
    return False


def facts(paper: Paper) -> set[str]:
    """Return what a paper states outright, each as `field:value`."""
    stated = {f"type:{TYPES.get(paper.announce_type, 'revised')}"}
    for category in {*paper.categories, paper.primary_category} - {None}:
        assert category is not None
        names = " ".join(category.split()).casefold().split(".")
        stated |= {f"category:{'.'.join(names[:size])}" for size in range(1, len(names) + 1)}
    source = paper.source.casefold()
    stated |= {
        f"source:{source[:end]}" for end in (len(source), *(at.start() for at in re.finditer(r"[-.:/]", source)))
    }
    keys = (paper.arxiv_id, paper.doi, paper.source_key)
    stated |= {f"id:{plain_identifier(key)}" for key in keys if key}
    if paper.code_url:
        stated.add("has:code")
    return stated
