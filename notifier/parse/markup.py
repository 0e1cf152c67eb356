"""HTML to a tree, within bounds, and a name for what a page is when it is not what it should be.

Owns selectolax's Lexbor parser (HTML standard, never fails on any input). It is linear on pages and quadratic on very
many attributes in a tag, elements inside each other, and options to select: a linear scan refuses such pages first.
"""

from __future__ import annotations

import re
from html import unescape

from selectolax.lexbor import LexborHTMLParser, LexborNode

from notifier.errors import PageError
from notifier.parse.text import line

ATTRIBUTES_LIMIT = 500  # in one tag; 40,000 cost Lexbor 3 s, 200,000 cost 85 s
DEPTH_LIMIT = 500  # open elements; 100,000 cost Lexbor 14 s. Listing pages are some 30 deep
OPTIONS_LIMIT = 5_000  # 200,000 in one select cost Lexbor 92 s
BROKEN_TAGS_LIMIT = 20  # each costs the scan a look at all that follows
_SHORT_TAG = 2 * ATTRIBUTES_LIMIT  # a tag of fewer characters cannot hold that many attributes


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_TAG = re.compile(
    r"<(/?)([A-Za-z][^\s/>]{0,40}+)((?>(?:[^\"'>=]++|=\s*+\"[^\"]*+\"|=\s*+'[^']*+'|[\"'=])*))>",
)
_QUOTED = re.compile(r"=\s*+(?:\"[^\"]*+\"|'[^']*+')")
_CHILDLESS = _words("area base br col embed hr img input link meta source track wbr")
_CLOSED_BY_NEXT = _words("p li dt dd tr td th option thead tbody tfoot colgroup rp rt")
_FOREIGN = frozenset({"svg", "math"})
_LEAVES_FOREIGN = _words(  # HTML standard 13.2.6.5: these end SVG and MathML, where "/>" closes a tag
    "b big blockquote center code div dl em font h1 h2 h3 h4 h5 h6 i menu ol pre s small span strong sub sup table u ul"
)
_RAW_TEXT = {name: re.compile(f"</{name}", re.IGNORECASE) for name in ("script", "style", "textarea", "title")}


def tree(text: str, *, whole: bool = True) -> LexborHTMLParser:
    """Parse HTML; with `whole`, a page without `</html>` near its end was cut off in transfer and is refused."""
    if whole and "</html" not in text[-2_000:].lower():
        raise PageError(f"cut off: no </html> at the end of {len(text)} characters ({what_it_is(text)})")
    _refuse_attacks(text)
    return LexborHTMLParser(text)


def _refuse_attacks(text: str) -> None:
    """Scan tags once: raise `PageError` for more attributes, open elements or broken tags than any page needs."""
    depth = position = foreign = broken = options = 0
    while (position := text.find("<", position)) >= 0:
        if text.startswith("<!--", position):
            end = text.find("-->", position + 2)
            if end < 0:
                return  # the rest is comment
            position = end + 3
            continue
        tag = _TAG.match(text, position)
        if not tag:
            if text[position + 1 : position + 2].isalpha():
                broken += 1
                end = text.find(">", position)
                _refuse_attributes(text[position : end if end >= 0 else None])
                if broken > BROKEN_TAGS_LIMIT:
                    raise PageError(f"more than {BROKEN_TAGS_LIMIT} tags that never end")
            position += 1
            continue
        closing, name, attributes = tag.group(1), tag.group(2).lower(), tag.group(3)
        _refuse_attributes(attributes)
        position = tag.end()
        if name in _RAW_TEXT and not closing and not foreign:
            ending = _RAW_TEXT[name].search(text, position)
            if not ending:
                return  # the rest is raw text
            position = ending.start()
            continue
        options += name == "option"
        if options > OPTIONS_LIMIT:
            raise PageError(f"more than {OPTIONS_LIMIT} options to select")
        if name in _CHILDLESS or name in _CLOSED_BY_NEXT:
            continue
        if foreign and attributes.endswith("/") and name not in _LEAVES_FOREIGN:
            continue
        step = -1 if closing else 1
        depth = max(0, depth + step)
        foreign = max(0, foreign + step) if name in _FOREIGN else foreign
        if depth > DEPTH_LIMIT:
            raise PageError(f"more than {DEPTH_LIMIT} elements inside each other")


def _refuse_attributes(attributes: str) -> None:
    if len(attributes) > _SHORT_TAG:
        number = len(re.split(r"[\s/]+", _QUOTED.sub("= ", attributes)))
        if number > ATTRIBUTES_LIMIT:
            raise PageError(f"a tag with {number} attributes")


def text_of(node: LexborNode | None) -> str:
    """Return the text of a node and all below it, as written; "" for None."""
    if node is None:
        return ""
    return node.text(deep=True, separator="", strip=False)


def what_it_is(text: str) -> str:
    """Say in a few words what a page that is not the expected one seems to be, for the reason of a `PageError`."""
    start = text[:200_000].lstrip("\ufeff \t\r\n")
    head = start[:500].lower()
    if head.startswith(("<?xml", "<rss", "<feed", "<rdf")):
        return "an XML document"
    if head.startswith(("{", "[")):
        return "JSON"
    title = re.search(r"<title[^>]{0,200}>([^<]{0,300})", start, re.IGNORECASE)
    if title:
        return f"an HTML page titled {line(unescape(title.group(1)), 80)!r}"
    if head.startswith(("<!doctype", "<html", "<head", "<body")):
        return "an HTML page without title"
    return f"text that begins {line(start[:400], 60)!r}"
