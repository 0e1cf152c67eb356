"""The Daily Papers page rendered as plain text: a preamble, a day without a year, then titles and abstracts in turn.

Paragraphs are separated by blank lines. Landmarks: a line of the preamble that names the page, and the day ("Aug 6").
There is no id, link, author or count, so a paper is known by its title, and a page that was cut off can only be seen
when its last title has no abstract: such a page is an error, so that the next poll reads it whole.

When the turns are broken, a paragraph is judged by its form: an abstract is long or ends like a sentence. A second
abstract in a row belongs to the one before it; a title that another title and its abstract follow has no abstract.
"""

from __future__ import annotations

import re
from datetime import date

from notifier.errors import PageError
from notifier.identity import title_key
from notifier.model import Batch, Page, Paper
from notifier.parse.charset import decode
from notifier.parse.dates import month_first
from notifier.parse.entries import Entries
from notifier.parse.markup import what_it_is
from notifier.parse.text import ABSTRACT_LIMIT, TITLE_LIMIT, reading

FORMAT = "daily-papers-text"
PREAMBLE_LIMIT = 30  # paragraphs before the day
LONGEST_TITLE = 300  # code points; longer is an abstract whatever it ends in
SHORTEST_SENTENCE = 60  # code points; a paragraph this long that ends in a full stop is an abstract

_LANDMARK = re.compile(
    r"daily papers|get trending papers in your email inbox!?|by.{1,40}and the research community", re.I
)
_SENTENCE_END = re.compile(r"[.…][\"'”’)\]]?$")


def daily_papers_text(page: Page) -> Batch:
    """Read a plain-text Daily Papers page."""
    decoded = decode(page)
    paragraphs = [p.strip() for p in re.split(r"\n[^\S\n]*\n", decoded.text.replace("\r\n", "\n").replace("\r", "\n"))]
    paragraphs = [p for p in paragraphs if p]
    start, day_text, listed_on = _day(paragraphs, decoded.text)
    entries = Entries(decoded.oddities)
    _pair(paragraphs[start:], entries)
    return entries.batch(day_text=day_text, listed_on=listed_on)


def _day(paragraphs: list[str], text: str) -> tuple[int, str, date | None]:
    """Find the day that ends the preamble: where the papers start, the day's text, and its date if it has a year."""
    named = False
    for at, paragraph in enumerate(paragraphs[:PREAMBLE_LIMIT]):
        named = named or bool(_LANDMARK.fullmatch(paragraph))
        is_day, listed_on = month_first(paragraph)
        if is_day:
            if not named:
                raise PageError(f"no Daily Papers heading before the day {paragraph!r}")
            return at + 1, paragraph, listed_on
    missing = "no day after the Daily Papers heading" if named else "no Daily Papers heading"
    raise PageError(f"{missing}; found {what_it_is(text)}")


def _pair(paragraphs: list[str], entries: Entries) -> None:
    """Pair titles with abstracts; raises PageError for a page that was cut off after a title."""
    title, parts = "", list[str]()
    for at, paragraph in enumerate(paragraphs):
        following = paragraphs[at + 1] if at + 1 < len(paragraphs) else ""
        if not title:
            if _is_abstract(paragraph):
                entries.skip("an abstract before the first title")
            else:
                title = paragraph
        elif _is_abstract(paragraph):
            if parts:
                entries.note("an abstract in several paragraphs")
            parts.append(paragraph)
        elif parts or _is_abstract(following):
            if not parts:
                entries.note("a title without abstract")
            entries.add(_paper(title, parts))
            title, parts = paragraph, []
        else:  # short, but in the place of an abstract, and no abstract follows it
            parts.append(paragraph)
    if title and not parts:
        raise PageError(f"the page was cut off: its last title, {title[:60]!r}, has no abstract")
    if title:
        entries.add(_paper(title, parts))


def _is_abstract(paragraph: str) -> bool:
    length = len(paragraph)
    return length > LONGEST_TITLE or (length >= SHORTEST_SENTENCE and bool(_SENTENCE_END.search(paragraph)))


def _paper(title: str, parts: list[str]) -> Paper:
    shown, source = reading(title, TITLE_LIMIT)
    abstract, abstract_source = reading(" ".join(parts), ABSTRACT_LIMIT)
    return Paper(
        source=FORMAT,
        source_key=title_key(source or shown) or shown,
        title=shown,
        url="",
        title_tex=source,
        abstract=abstract,
        abstract_tex=abstract_source,
    )
