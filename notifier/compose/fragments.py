"""Fragments: every piece of a digest mail, rendered and encoded once and kept for the next reader.

A paper's piece is the same for all readers whose queries mark the same words in it; the frame around the papers is the
same for all digests of one day with as many papers. What is different for each reader stands in slots (see
`templates`), so that a message is put together without rendering or encoding anything but its own links.

Owns the memory that this takes: at most MOST_OCTETS of pieces, those used longest ago forgotten first.
Fails with TemplateError when not even the built-in template can be rendered.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import date
from html import escape
from typing import Any, Generic, TypeVar

from notifier import present
from notifier.compose.quoted import Form, form, quoted
from notifier.model import Digest, DigestEntry, Lines, lines
from notifier.templates import Templates, wrap

MOST_OCTETS = 4_000_000
PAPER_OCTETS, NAME_OCTETS = 1_500, 70  # of memory for a paper without its texts, and for each name
SEEN_OCTETS = 500  # of memory for what finds a piece again by identity
PREVIEWED = 3  # titles in the line that a mail program shows beside the subject
LABELS_COLUMNS = 58  # of a line of labels in the text part, which a template may indent and introduce
READER = ("address", "about", "preview", "papers", "titles", "unsubscribe_url", "web_url", "feed_url",
          "manage_url")  # fmt: skip

SEPARATOR = lines(quoted(" · "))

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pair:
    """The same piece for the HTML and for the text part, quoted-printable; it has slots where it is a form."""

    html: Form
    text: Form


@dataclass(frozen=True, slots=True)
class Phrase:
    """The same words for the HTML and for the text part."""

    html: Lines
    text: Lines


@dataclass(frozen=True, slots=True)
class Piece:
    """A paper: its two forms with the slot `labels`, and its title for the preview line."""

    html: Form
    text: Form
    title: Lines


@dataclass(frozen=True, slots=True)
class Shown:
    """A paper with the labels that it was found by; `size` is that of its HTML in octets."""

    html: list[Lines]
    text: list[Lines]
    size: int


@dataclass(slots=True)
class Fragments:
    """The pieces that the templates make, by what they show, and the sheets that messages were written on."""

    templates: Templates
    papers: Memory[Piece] = field(default_factory=lambda: Memory(MOST_OCTETS * 3 // 4))
    seen: Memory[tuple[DigestEntry, Piece]] = field(default_factory=lambda: Memory(MOST_OCTETS // 8))
    frames: Memory[Pair] = field(default_factory=lambda: Memory(MOST_OCTETS // 8))
    phrases: Memory[Phrase] = field(default_factory=lambda: Memory(MOST_OCTETS // 8))
    sheets: Memory[Any] = field(default_factory=lambda: Memory(MOST_OCTETS // 2))  # those of `compose`

    def forget(self) -> None:
        """Forget every piece: the mails of tomorrow are made of others."""
        for memory in (self.papers, self.seen, self.frames, self.phrases, self.sheets):
            memory.clear()

    def shown(self, entry: DigestEntry, form: str, digest: Digest, day: date) -> Shown:
        """Return a paper of a digest of `day` in both parts; `form` is "paper" (in full) or "title"."""
        piece = self._piece(entry, form, digest, day)
        found_by = self.phrase(entry.labels)
        html = _filled(piece.html, found_by.html)
        return Shown(html, _filled(piece.text, found_by.text), sum([len(each.octets) for each in html]))

    def preview(self, digest: Digest, day: date) -> list[Lines]:
        """Return the titles that a mail program shows beside the subject."""
        titles = [self._piece(entry, "paper", digest, day).title for entry in digest.entries[:PREVIEWED]]
        return [each for title in titles for each in (SEPARATOR, title)][1:]

    def _piece(self, entry: DigestEntry, form: str, digest: Digest, day: date) -> Piece:
        paper, marks = entry.paper, entry.marks
        labelled, late = bool(entry.labels), present.late(paper, day)
        rest = (entry.listings, form, labelled, late, digest.thumbnails)
        # By identity first: to look at all that a paper says takes long, and those of a drain are shared.
        near = (id(paper), id(marks), *rest)
        if (known := self.seen.get(near)) is not None and known[0].paper is paper and known[0].marks is marks:
            return known[1]
        key = (paper, marks, *rest)
        found = self.papers.get(key)
        if found is None:
            found = self._paper(entry, form, labelled=labelled, late=late, thumbnails=digest.thumbnails)
            octets = sum([len(each.octets) for each in (*found.html, *found.text) if isinstance(each, Lines)])
            self.papers.put(key, found, octets + len(found.title.octets) + _weight(entry))
        self.seen.put(near, (entry, found), SEEN_OCTETS)
        return found

    def _paper(self, entry: DigestEntry, shown: str, *, labelled: bool, late: bool, thumbnails: bool) -> Piece:
        paper = present.paper(entry.paper, entry.marks, (), entry.listings, late=late, thumbnails=thumbnails)
        slots = {"labels": labelled}
        html, text = (
            form(self.templates.cut(kind, f"email/{shown}.{kind}", {"paper": paper}, slots)) for kind in ("html", "txt")
        )
        return Piece(html, text, lines(quoted(escape(paper["title_text"]))))

    def frame(self, digest: Digest, slots: tuple[bool, ...], more: int, day: date) -> tuple[Pair, bool]:
        """Return what stands around the papers, and whether it was made just now.

        `slots` says which of READER the digest has; `more` counts the papers that are not shown.
        """
        key = (
            len(digest.entries), more, slots, day, digest.cadence, digest.timezone, digest.coverage,
            digest.sender, digest.help_url, digest.thumbnails,
        )  # fmt: skip
        found = self.frames.get(key)
        if found is not None:
            return found, False
        values = {"digest": present.frame(digest, more)}
        given = dict(zip(READER, slots, strict=True))
        html, text = (
            form(self.templates.cut(kind, f"email/digest.{kind}", values, given, required=_required(given)))
            for kind in ("html", "txt")
        )
        made = Pair(html, text)
        self.frames.put(key, made, sum([len(each.octets) for each in (*html, *text) if isinstance(each, Lines)]))
        return made, True

    def phrase(self, labels: tuple[str, ...]) -> Phrase:
        """Return labels as a piece, " · " between them, then how many there are beyond them."""
        found = self.phrases.get(labels)
        if found is None:
            left = len(labels) - present.LABELS_SHOWN
            more = f" and {left} more" if left > 0 else ""
            said = " · ".join(present.phrases(labels, present.LABELS_SHOWN)) + more
            html, text = lines(quoted(escape(said))), lines(quoted(wrap(said, 8, 0, LABELS_COLUMNS)))
            found = Phrase(html, text)
            self.phrases.put(labels, found, len(html.octets) + len(text.octets))
        return found


def _filled(piece: Form, found_by: Lines) -> list[Lines]:
    """Return a paper's piece with its only slot filled."""
    return [found_by if isinstance(part, str) else part for part in piece]


def _weight(entry: DigestEntry) -> int:
    """Return about how much memory the key of a piece takes, which is most of all: it holds the paper."""
    paper = entry.paper
    return PAPER_OCTETS + len(paper.title) + len(paper.abstract) + NAME_OCTETS * len(paper.authors)


def _required(given: dict[str, bool]) -> tuple[str, ...]:
    """A mail without its papers or without the way out is none, whatever a template says."""
    return tuple(name for name in ("papers", "titles", "unsubscribe_url") if given[name])


class Memory(Generic[T]):
    """A dictionary of bounded size. Two generations: what is asked for moves to the young one, the old one is dropped.

    That keeps at most what it was bounded to, in the order of use to within half of it, at the price of a lookup.
    """

    def __init__(self, most: int) -> None:
        self._half = most // 2
        self._young: dict[Hashable, tuple[T, int]] = {}
        self._old: dict[Hashable, tuple[T, int]] = {}
        self._octets = 0  # of the young one

    def get(self, key: Hashable) -> T | None:
        found = self._young.get(key)
        if found is None:
            found = self._old.get(key)
            if found is None:
                return None
            self.put(key, *found)
        return found[0]

    def clear(self) -> None:
        self._young, self._old, self._octets = {}, {}, 0

    def put(self, key: Hashable, value: T, octets: int) -> None:
        if self._octets + octets > self._half:
            self._old, self._young, self._octets = self._young, {}, 0
        self._young[key] = (value, octets)
        self._octets += octets
