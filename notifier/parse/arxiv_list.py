"""arXiv's listing pages, `arxiv.org/list/<category>/new` (also `recent`, `pastweek`, `catchup`), in the layout of 2024.

One `dl#articles` a section (the id repeats), its heading an `h3` inside it: "New submissions (showing 53 of 53
entries)" on `new`, "Fri, 3 Mar 2023 (showing first 50 of 57 entries )" on the others. Then `dt`/`dd` pairs: the link
titled "Abstract" and the announcement's kind in `dt`, the rest in `dd`. Landmark: `#dlpage` with a listing's heading or
section. "No updates" instead of entries is a quiet day. The numbers that the headings show add up to `Batch.stated`.

Facts from arXiv's own open-source templates (github.com/arXiv/arxiv-browse, browse/templates/list). A replaced
cross-list is listed as "(replaced)" like any other, so it is read as a replacement. No version is on the page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache

from selectolax.lexbor import LexborNode

from notifier.errors import PageError
from notifier.identity import arxiv_id
from notifier.model import AnnounceType, Batch, Page, Paper, made_paper
from notifier.parse.charset import decode
from notifier.parse.dates import day_first
from notifier.parse.entries import ENTRIES_LIMIT, BadEntry, Entries
from notifier.parse.markup import text_of, tree, what_it_is
from notifier.parse.text import ABSTRACT_LIMIT, NAME_LIMIT, NOTE_LIMIT, TITLE_LIMIT, line, link, names, reading
from notifier.parse.urls import query_number, with_query

FORMAT = "arxiv-list"
SITE = "https://arxiv.org"
HEADINGS = re.compile(r"(?:Showing new listings for|Catchup results for .{0,120} on)\s+(.{6,40})$")

_ENTRY = "dl#articles > dd"
_FIELDS = frozenset(
    ("list-title", "list-authors", "list-comments", "list-journal-ref", "list-subjects", "primary-subject", "mathjax")
)
_MEANT = (  # no more than one step to any ancestor in each: with two, a deep page costs the square of its depth a node
    "dl#articles, dl#articles > h3, dl#articles > dt, dl#articles > dt a[title='Abstract'], dl#articles > dd, "
    f"{_ENTRY} .list-title, {_ENTRY} .list-authors, {_ENTRY} > div > .list-authors a, {_ENTRY} .list-comments, "
    f"{_ENTRY} .list-journal-ref, {_ENTRY} .list-subjects, .list-subjects .primary-subject, {_ENTRY} p.mathjax"
)
_PARTS = frozenset(("a", "dl", "h3", "dt", "dd"))  # mean something without a class too
_SUBJECT_LIMIT = 4 * NAME_LIMIT  # characters as written, before white space is taken out
_SHOWN = re.compile(r"\(showing\s+(?:first\s+|last\s+)?([\d,]{1,9})\s+of\s+([\d,]{1,9})\s+entr", re.I)
_TOTAL = re.compile(r"Total of ([\d,]{1,9}) entries", re.I)
_CATEGORY = re.compile(r"\(([A-Za-z][A-Za-z0-9-]*(?:\.[A-Za-z-]+)?)\)\s*$")
_LINK_TEXT = re.compile(r"this (?:https?|ftp) URL", re.I)
_WITHDRAWN = re.compile(
    r"^(?:(?:this )?(?:paper|article|manuscript|submission) )?(?:has been |is |was )?withdrawn\b", re.I
)
_KINDS = (
    (re.compile(r"^new submissions", re.I), AnnounceType.NEW),
    (re.compile(r"^cross[ -](?:submissions|lists)", re.I), AnnounceType.CROSS),
    (re.compile(r"^replacements?", re.I), AnnounceType.REPLACE),
)


@dataclass(frozen=True, slots=True)
class _Section:
    """What a section's heading says; `shown` and `total` are None where it gives no numbers."""

    kind: AnnounceType | None = None
    day: date | None = None
    shown: int | None = None
    total: int | None = None


@dataclass(slots=True)
class _Entry:
    """One `dt` with its links to the abstract, and, `whole` with its `dd`, the first field of each class in that.

    `people` are the links of the authors where the fields are in the usual places, each once: not in an `odd` one.
    """

    term: LexborNode
    section: _Section
    whole: bool = False
    abstracts: list[LexborNode] = field(default_factory=list)
    shown: dict[str, LexborNode] = field(default_factory=dict)
    people: list[LexborNode] = field(default_factory=list)
    odd: bool = False


def arxiv_list(page: Page) -> Batch:
    """Read an arXiv listing page."""
    decoded = decode(page)
    root = tree(decoded.text).css_first("#dlpage")
    if root is None:
        raise PageError(f"no #dlpage; found {what_it_is(decoded.text)}")
    sections, found = _entries(root)
    headings = (HEADINGS.search(line(text_of(node), 300)) for node in root.css("h1, h3"))
    day_text = next((heading[1] for heading in headings if heading), "")
    if not day_text and not sections:
        raise PageError("no listing heading and no dl#articles in #dlpage: the layout has changed")
    listed_on = day_first(day_text)
    entries = Entries(decoded.oddities)
    for entry in found:
        try:
            entries.add(_paper(entry, listed_on))
        except BadEntry as bad:
            entries.skip(bad)
    if not entries.papers and "No updates" not in text_of(root):
        raise PageError("no entry can be read, and the page does not say that it has no updates")
    shown = [section.shown for section in sections if section.shown is not None]
    stated = _TOTAL.search(text_of(root.css_first(".paging"))) or _TOTAL.search(text_of(root))
    total = max(sum(section.total or 0 for section in sections), _number(stated[1]) if stated else 0)
    truncated = bool(shown) and total > sum(shown)
    return entries.batch(
        listed_on=listed_on or max((section.day for section in sections if section.day), default=None),
        day_text=day_text,
        stated=sum(shown) if shown else None if entries.papers else 0,
        truncated=truncated,
        next_url=_next(page.url, sum(shown), total) if truncated else None,
    )


def _next(url: str, shown: int, total: int) -> str | None:
    """The page after this one: catch-up pages are numbered, listings skip entries."""
    if not shown:
        return None
    if "/catchup/" in url:
        number = query_number(url, "page", 1)
        return with_query(url, {"page": number + 1})
    skipped = query_number(url, "skip", 0) + shown
    return with_query(url, {"skip": skipped, "show": query_number(url, "show", shown)}) if skipped < total else None


def _entries(root: LexborNode) -> tuple[list[_Section], list[_Entry]]:
    """Find the sections and their entries by one search, which finds in page order, for all that means something."""
    sections: list[_Section] = []
    found: list[_Entry] = []
    entry: _Entry | None = None
    numbers: dict[int, int] = {}  # of the section that each dl is: an unclosed one holds all that follow
    for node in root.css(_MEANT):  # a node comes once for each selector that it matches
        tag = node.tag
        classes = node.attributes.get("class")
        if classes and (tag not in _PARTS or _is_field(node, classes)):
            if entry and entry.whole:
                if tag == "a":
                    entry.odd = True
                for name in classes.split():
                    if name in entry.shown:
                        entry.odd = True
                    elif name != "mathjax" or tag == "p":  # else it is a title, marked so too
                        entry.shown[name] = node
        elif tag == "a":
            if entry:
                (entry.people if entry.whole else entry.abstracts).append(node)
        elif tag == "dl":
            numbers[node.mem_id] = len(sections)
            sections.append(_Section())
            entry = entry if entry and entry.whole else None  # one that this stands in may go on after it
        elif tag == "dd":
            entry = entry if entry and not entry.whole else None
            if entry:
                entry.whole = True
        elif (number := numbers.get(node.parent.mem_id if node.parent else 0)) is None:
            continue  # of a section that #dlpage is in
        elif tag == "dt":
            entry = _Entry(node, sections[number])
            found.append(entry)
            if len(found) > 2 * ENTRIES_LIMIT:  # before each costs more than its tag
                raise PageError(f"more than {2 * ENTRIES_LIMIT} entries")
        else:
            sections[number] = _section(line(text_of(node), 200))
    return sections, found


def _is_field(node: LexborNode, classes: str) -> bool:
    """Tell whether a node is a field by its class, rather than a part of a section or a link by its tag."""
    if _FIELDS.isdisjoint(classes.split()):
        return False
    parent = node if node.tag == "dl" else node.parent
    return node.tag == "a" or parent is None or parent.id != "articles"


def _section(heading: str) -> _Section:
    kind = next((kind for pattern, kind in _KINDS if pattern.search(heading)), None)
    counts = _SHOWN.search(heading)
    return _Section(
        kind=kind,
        day=None if kind else day_first(heading),
        shown=_number(counts[1]) if counts else None,
        total=_number(counts[2]) if counts else None,
    )


def _number(digits: str) -> int:
    return int(digits.replace(",", "") or 0)


def _paper(entry: _Entry, listed_on: date | None) -> Paper:
    """Read one entry; raises `BadEntry` without an arXiv id, or without details."""
    if not entry.whole:
        raise BadEntry("an entry without details")
    section, shown = entry.section, entry.shown
    anchor = entry.abstracts[0] if entry.abstracts else entry.term.css_first('a[href*="/abs/"]')
    href = (anchor.attributes.get("href") or "") if anchor else ""
    found = arxiv_id(href[:200])
    if not found:
        raise BadEntry(f"an entry without arXiv id ({line(text_of(entry.term), 40)})")
    key, version = found
    title, title_tex = reading(_said(shown.get("list-title"), "Title:"), TITLE_LIMIT)
    abstract, abstract_tex = reading(_with_links(shown.get("mathjax")), ABSTRACT_LIMIT)
    categories, primary = _categories(shown.get("list-subjects"), shown.get("primary-subject"))
    comments, _ = reading(_with_links(shown.get("list-comments"), "Comments:"), NOTE_LIMIT)
    journal, _ = reading(_said(shown.get("list-journal-ref"), "Journal-ref:"), NOTE_LIMIT)
    authors, people = entry.people, shown.get("list-authors")
    if people and (entry.odd or not authors):
        authors = people.css("a")
    return made_paper(
        source=FORMAT,
        source_key=key,
        title=title or f"arXiv:{key}",
        url=f"{SITE}/abs/{key}",
        title_tex=title_tex,
        abstract=abstract,
        abstract_tex=abstract_tex,
        arxiv_id=key,
        version=version,
        authors=names([author.text_lexbor() or "" for author in authors]),
        categories=categories,
        primary_category=primary,
        announce_type=_kind(text_of(entry.term), section),
        announced_on=section.day or listed_on,
        pdf_url=f"{SITE}/pdf/{key}",
        journal_ref=journal or None,
        comments=comments or None,
        withdrawn=bool(_WITHDRAWN.match(comments) or _WITHDRAWN.match(abstract)),
    )


def _kind(term: str, section: _Section) -> AnnounceType | None:
    """Read how the entry is announced: its own remark, else its section."""
    cross, replaced = "(cross-list" in term, "(replaced" in term
    if replaced or section.kind is AnnounceType.REPLACE:
        return AnnounceType.REPLACE_CROSS if cross else AnnounceType.REPLACE
    return AnnounceType.CROSS if cross else section.kind


def _said(node: LexborNode | None, usual: str) -> str:
    """Return the text of a field without its descriptor, which is the usual one or the element of that class."""
    text = text_of(node).strip()
    if node is None or text.startswith(usual):
        return text.removeprefix(usual)
    return text.removeprefix(text_of(node.css_first("span.descriptor")).strip())


def _with_links(node: LexborNode | None, descriptor: str = "") -> str:
    """Return text in which arXiv has replaced addresses by "this https URL", with the addresses put back."""
    if node is None:
        return ""
    parts = []
    for child in node.iter(include_text=True):
        tag = child.tag
        if tag == "-text":
            parts.append(child.text_content or "")
        elif tag == "br":
            parts.append(" ")
        elif child.is_element_node:
            text = text_of(child)
            hidden = tag == "a" and _LINK_TEXT.fullmatch(text.strip())
            parts.append((link(child.attributes.get("href")) or text) if hidden else text)
    return "".join(parts).strip().removeprefix(descriptor)


def _categories(node: LexborNode | None, primary: LexborNode | None) -> tuple[tuple[str, ...], str | None]:
    """Read the category codes of "Name (code); Name (code)", in order, and the primary one."""
    subjects = _said(node, "Subjects:")[: 4 * NOTE_LIMIT].split(";")
    codes = [code for subject in subjects if (code := _code(subject[:_SUBJECT_LIMIT]))]
    first = _code(text_of(primary)[:_SUBJECT_LIMIT])
    return tuple(dict.fromkeys(codes)), first if first in codes else codes[0] if codes else None


@lru_cache(maxsize=1_000)
def _code(subject: str) -> str | None:
    """Read the category code at the end of "Name (code)"."""
    text = line(subject, NAME_LIMIT)
    found = _CATEGORY.search(text, max(0, text.rfind("(")))
    return found[1] if found else None
