"""XML to a tree, within bounds, whatever is wrong around it: the bytes before `<?xml`, the encoding, an ampersand.

Owns lxml (libxml2, XML 1.0) and its settings: no entity is declared or resolved, no DTD loaded, no file or network
reached, no limit of libxml2 lifted. What would cost libxml2 minutes is refused before it sees it. A document must be
well-formed, because that is how a page cut off in transfer is told from a short one; only what cannot hide a cut is
repaired and reported: characters that XML forbids, ampersands that begin no entity, HTML's entities without a DTD.
Everything else is a `PageError`.

The encoding is found as RFC 7303 says: byte order mark, the header's charset, the XML declaration, then as `charset`
does; but bytes that are the UTF-8 their declaration says are UTF-8, whatever a web server's default header claims.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from html.entities import html5
from typing import Protocol, cast

from lxml import etree  # type: ignore[import-untyped]

from notifier.errors import PageError
from notifier.model import Page
from notifier.parse.charset import Decoded, decode, encoding_named
from notifier.parse.markup import what_it_is
from notifier.parse.text import line

ATTRIBUTES_LIMIT = 500  # in one tag; libxml2 takes 6 s for 40,000, and four times that for twice as many
TAGS_LIMIT = 1_000_000  # of one document, some 60 MB of tree; a day of arXiv has 20,000
# The depth limit of 256 and the text limit of 10 MB are libxml2's own, in force as long as huge_tree is off.

_SHORT_TAG = 5 * ATTRIBUTES_LIMIT  # an attribute and the space before it take five characters
_DECLARED = re.compile(rb"<\?xml\s[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
_PROLOG = re.compile(
    r"(?>(?:\s++|<\?.*?\?>|<!--.*?-->)*)(?:<!DOCTYPE(?>(?:[^\[>\"']++|\"[^\"]*+\"|'[^']*+')*)(?P<end>\[|>)|)", re.DOTALL
)
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LONG_TAG = re.compile(rf"<[^<!?/][^<]{{{_SHORT_TAG},}}")
_TAG = re.compile(r"<(?>(?:[^\"'>]++|\"[^\"]*+\"|'[^']*+')*)")
_ATTRIBUTE = re.compile(r"=\s*[\"']")
_AMPERSAND = re.compile(
    r"<!\[CDATA\[.*?(?:\]\]>|\Z)"
    r"|&(?:#(?P<decimal>\d{1,9});|#x(?P<hex>[0-9A-Fa-f]{1,8});|(?P<name>[A-Za-z][A-Za-z0-9]{1,31});)?",
    re.DOTALL,
)
_XML_ENTITIES = frozenset({"amp", "lt", "gt", "quot", "apos"})


class Element(Protocol):
    """An element of the tree; `tag` is `{namespace}name`, `text` what stands before its first child."""

    tag: str
    text: str | None
    prefix: str | None

    def get(self, key: str) -> str | None: ...
    def items(self) -> Sequence[tuple[str, str]]: ...
    def iter(self, *tags: str) -> Iterator[Element]: ...
    def __getitem__(self, place: int) -> Element: ...
    def itertext(self) -> Iterator[str]: ...
    def __iter__(self) -> Iterator[Element]: ...
    def __len__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Document:
    """A well-formed document; `oddities` says what had to be repaired to make it one."""

    root: Element
    oddities: tuple[str, ...] = ()


def document(page: Page) -> Document:
    """Parse a page as XML; raises `PageError` for what is not well-formed, not XML or an attack."""
    read = source(page)
    text, oddities = read.text, read.oddities
    try:
        return Document(_tree(text), oddities)
    except (etree.XMLSyntaxError, UnicodeEncodeError):
        repaired = _FORBIDDEN.sub("\ufffd", _AMPERSAND.sub(_repaired, text))
    if repaired != text:
        oddities += ("characters or entities that XML does not know were replaced",)
    try:
        return Document(_tree(repaired), oddities)
    except etree.XMLSyntaxError as error:
        raise PageError(f"not well-formed XML: {line(error.msg, 200)}") from None


def well_formed(text: str) -> Element | None:
    """Parse the text that `source` returned; None for what is not well-formed as it is."""
    try:
        return _tree(text)
    except (etree.XMLSyntaxError, UnicodeEncodeError):
        return None


def source(page: Page) -> Decoded:
    """Return the text of an XML page behind its prolog; raises `PageError` for what is not XML or an attack."""
    decoded = decode(_with_declared_charset(page))
    text, oddities = decoded.text.lstrip("\ufeff \t\r\n"), decoded.oddities
    if not text.startswith("<") or text[:20].lower().startswith(("<!doctype html", "<html")):
        raise PageError(f"not XML; found {what_it_is(text)}")
    text = _without_prolog(text)
    _refuse_attacks(text)
    return Decoded(text, oddities)


def local(element: Element) -> str:
    """Return the name of an element without its namespace."""
    tag = element.tag
    return tag[tag.rfind("}") + 1 :]


Parts = Mapping[str, Sequence[Element]]


def parts(element: Element) -> Parts:
    """Sort the children of an element by name; whoever declares which namespace, a name means one thing in a feed."""
    found: dict[str, list[Element]] = {}
    for child in element:
        tag = child.tag
        name = tag[tag.rfind("}") + 1 :]
        if name in found:
            found[name].append(child)
        else:
            found[name] = [child]
    return found


def text_of(element: Element | None) -> str:
    """Return the text of an element and all below it, as written; "" for None."""
    if element is None:
        return ""
    return "".join(element.itertext()) if len(element) else element.text or ""


def attribute(element: Element, name: str) -> str:
    """Return an attribute's value, "" for none; `name` is `{namespace}name` where it has a prefix."""
    return element.get(name) or ""


def first(found: Parts, *names: str) -> str:
    """Return the text of the first child that has one of these names and is not blank."""
    for name in names:
        for child in found.get(name, ()):
            text = text_of(child).strip()
            if text:
                return text
    return ""


def _with_declared_charset(page: Page) -> Page:
    """Let the XML declaration name the encoding where the header does not, or names one that the bytes are not."""
    declared = _DECLARED.match(page.content[:500].lstrip(b"\xef\xbb\xbf \t\r\n"))
    label = declared[1].decode("ascii") if declared else None
    if not label or encoding_named(label) is None:
        return page
    if encoding_named(page.charset) is None:
        return replace(page, charset=label)
    if encoding_named(label) == "utf-8" and encoding_named(page.charset) != "utf-8":
        try:
            page.content.decode("utf-8")
            return replace(page, charset=label)
        except UnicodeDecodeError:
            return page
    return page


def _without_prolog(text: str) -> str:
    """Cut off the XML declaration and the document type, and refuse one that declares anything by itself."""
    prolog = _PROLOG.match(text)
    assert prolog, "the pattern matches the empty string"
    if prolog["end"] == "[":
        raise PageError("the document declares entities or elements of its own (a DTD subset)")
    return text[prolog.end() :]


def _refuse_attacks(text: str) -> None:
    if text.count("<") > TAGS_LIMIT:
        raise PageError(f"more than {TAGS_LIMIT} tags")
    for found in _LONG_TAG.finditer(text):
        tag = _TAG.match(found[0])
        number = len(_ATTRIBUTE.findall(tag[0])) if tag else 0
        if number > ATTRIBUTES_LIMIT:
            raise PageError(f"a tag with {number} attributes")


def _tree(text: str) -> Element:
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        recover=False,
        remove_comments=True,
        remove_pis=True,
        collect_ids=False,
    )
    return cast(Element, etree.fromstring(text.encode(), parser))


def _repaired(found: re.Match[str]) -> str:
    """Write a reference that XML does not know as the character it means, or as plain text."""
    written = found[0]
    if written.startswith("<") or found["name"] in _XML_ENTITIES:
        return written
    if found["decimal"] or found["hex"]:
        number = int(found["decimal"]) if found["decimal"] else int(found["hex"], 16)
        allowed = number <= 0x10FFFF and not _FORBIDDEN.match(chr(number))
        return written if allowed else "\ufffd"
    character = html5.get(f"{found['name']};") if found["name"] else None
    return escape(character) if character else f"&amp;{written[1:]}"
