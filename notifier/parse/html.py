"""Any HTML page, by CSS selectors from the configuration.

`item` selects one element for each paper; the other selectors are read inside it: `title`, `link`, `abstract`,
`authors`, `date`, `id`. A selector may end in `@attribute`: `a.title@href`, `time@datetime`, and `@data-id` alone is an
attribute of the item. `link` reads `href` unless told otherwise. `list` is optional: it selects the element that holds
the items and stands on the page also when there is none, which makes such a page a quiet day.

Landmarks are the selectors themselves: `item` (unless `list` is there), and each of `title`, `link`, `id`, `abstract`
in at least one item, for a page whose layout has changed must not be taken for one with nothing new, and a paper
recorded without its abstract would never be matched by its words. `selector_problems` finds what is wrong with
selectors before any page is read. CSS Selectors 4 as far as Lexbor (selectolax) knows it.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from notifier.errors import PageError
from notifier.model import Batch, Page, Paper
from notifier.parse.charset import decode
from notifier.parse.creators import creators
from notifier.parse.dates import day_first, instant, month_first, stamp, utc
from notifier.parse.entries import BadEntry, Entries
from notifier.parse.fragment import text_in
from notifier.parse.identifiers import identifiers
from notifier.parse.markup import tree, what_it_is
from notifier.parse.text import ABSTRACT_LIMIT, TITLE_LIMIT, line, link, names, reading

FORMAT = "html"
REQUIRED = ("item", "title")
FIELDS = ("list", "item", "title", "link", "abstract", "authors", "date", "id")
SELECTOR_LIMIT = 300  # characters
KEY_LIMIT = 300

_LANDMARKS = ("link", "id", "abstract")
_DEFAULTS = {"link": "a@href"}
_WITH_ATTRIBUTE = re.compile(r"(.*?)(?:@([A-Za-z_][\w:.-]{0,60}))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Selector:
    """What to look for in an item: `css` "" is the item itself, `attribute` "" its text."""

    css: str
    attribute: str = ""


def html(page: Page, selectors: Mapping[str, str] | None = None) -> Batch:
    """Read a page by selectors; raises `PageError` that names the selector which matched nothing."""
    wrong = selector_problems(selectors or {})
    if wrong:
        raise PageError("; ".join(wrong))
    chosen = {field: _split(field, written) for field, written in (_DEFAULTS | dict(selectors or {})).items()}
    decoded = decode(page)
    parsed = tree(decoded.text)
    place = _place(parsed, chosen, decoded.text)
    items = place.css(chosen["item"].css)
    if not items and "list" not in chosen:
        raise PageError(f"item {chosen['item'].css!r} matches nothing; found {what_it_is(decoded.text)}")
    base = parsed.css_first("base[href]")
    at = (link(base.attributes.get("href"), page.url) if base else None) or page.url
    entries = Entries(decoded.oddities)
    matched: Counter[str] = Counter()
    for item in items:
        try:
            entries.add(_paper(item, chosen, at, matched))
        except BadEntry as bad:
            entries.skip(bad)
    if items:
        _check_landmarks(selectors or {}, matched, len(items), entries)
    return entries.batch()


def selector_problems(selectors: Mapping[str, str]) -> list[str]:
    """Say what is wrong with selectors, each in a sentence that names its key; an empty list if they can be used."""
    found = [f"the html format wants a selector for {field!r}" for field in REQUIRED if field not in selectors]
    for field, written in selectors.items():
        if field not in FIELDS:
            near = difflib.get_close_matches(field, FIELDS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            found.append(f"selector {field!r} is unknown{hint} (there are {', '.join(FIELDS)})")
            continue
        if not written.strip() or len(written) > SELECTOR_LIMIT:
            found.append(f"selector {field!r} is empty or longer than {SELECTOR_LIMIT} characters")
            continue
        selector = _split(field, written)
        if field in ("item", "list") and (selector.attribute or not selector.css):
            found.append(f"selector {field!r} wants an element, not an attribute: {written!r}")
        elif selector.css and not _is_css(selector.css):
            found.append(f"selector {field!r} is not CSS: {written!r}")
    return found


def _split(field: str, written: str) -> _Selector:
    """Split `selector@attribute`; an @ inside a string or brackets of CSS is not at its end."""
    found = _WITH_ATTRIBUTE.fullmatch(written.strip())
    assert found, "the pattern matches any text"
    return _Selector(found[1].strip(), found[2] or ("href" if field == "link" else ""))


def _is_css(css: str) -> bool:
    if css.count("[") != css.count("]") or css.count("(") != css.count(")"):
        return False  # Lexbor closes what is left open, and then matches what nobody meant
    try:
        LexborHTMLParser("<p></p>").css(css)
    except SelectolaxError:
        return False
    return True


def _place(parsed: LexborHTMLParser, chosen: Mapping[str, _Selector], text: str) -> LexborHTMLParser | LexborNode:
    """Return where to look for items: the `list`, if one is configured, else the page."""
    if "list" not in chosen:
        return parsed
    place = parsed.css_first(chosen["list"].css)
    if place is None:
        raise PageError(f"list {chosen['list'].css!r} matches nothing; found {what_it_is(text)}")
    return place


def _paper(item: LexborNode, chosen: Mapping[str, _Selector], at: str, matched: Counter[str]) -> Paper:
    """Read one item; raises `BadEntry` without a title."""
    found = {field: _values(item, field, chosen[field]) for field in FIELDS[2:] if field in chosen}
    matched.update(field for field, values in found.items() if values)
    title, title_tex = reading(next(iter(found["title"]), ""), TITLE_LIMIT)
    if not title:
        raise BadEntry(f"title {chosen['title'].css or '@' + chosen['title'].attribute!r} matches nothing in an item")
    url = next((url for one in found["link"] if (url := link(one, at))), "")
    written = line(next(iter(found.get("id", ())), ""), KEY_LIMIT)
    known = identifiers([written, url])
    abstract, abstract_tex = reading(" ".join(found.get("abstract", ())), ABSTRACT_LIMIT)
    authors = found.get("authors", [])
    return Paper(
        source=FORMAT,
        source_key=written or line(url, KEY_LIMIT) or line(title, KEY_LIMIT),
        title=title,
        url=url,
        title_tex=title_tex,
        abstract=abstract,
        abstract_tex=abstract_tex,
        arxiv_id=known.arxiv,
        version=known.version,
        doi=known.doi,
        authors=creators(authors[0]) if len(authors) == 1 else names([one.strip(" ,;") for one in authors]),
        published_at=_instant(next(iter(found.get("date", ())), "")),
    )


def _values(item: LexborNode, field: str, selector: _Selector) -> list[str]:
    """Return what a selector finds in an item, without what is blank; a `time` says its instant in `datetime`."""
    nodes = item.css(selector.css) if selector.css else [item]
    if selector.attribute:
        values = [node.attributes.get(selector.attribute) or "" for node in nodes]
    elif field == "date":
        values = [node.attributes.get("datetime") or text_in(node) for node in nodes]
    else:
        values = [text_in(node) for node in nodes]
    return [value for value in values if value.strip()]


def _instant(written: str) -> datetime | None:
    """Read a day or an instant in any form that has its year."""
    text = line(written, 60)
    if moment := instant(text) or utc(stamp(text)):
        return moment
    day = day_first(text) or month_first(text)[1]
    return datetime(day.year, day.month, day.day, tzinfo=UTC) if day else None


def _check_landmarks(selectors: Mapping[str, str], matched: Counter[str], number: int, entries: Entries) -> None:
    for field in selectors:
        if field in ("list", "item", "title") or matched[field]:
            continue
        said = f"{field} {selectors[field]!r} matches nothing in any of {number} items"
        if field in _LANDMARKS:
            raise PageError(said)
        entries.note(said)
