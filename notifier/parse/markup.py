"""HTML to a tree, within bounds, and a name for what a page is when it is not what it should be.

Owns selectolax's Lexbor parser (HTML standard, never fails on any input). It is linear on pages and quadratic on very
many attributes in a tag, elements inside each other, and options to select: a linear scan refuses such pages first.
The scan is no second HTML parser: a page can be written so that it counts too few elements. The worker's limits on
time and memory are what holds then (`notifier.confine`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from html import unescape
from itertools import accumulate
from operator import sub

from selectolax.lexbor import LexborHTMLParser, LexborNode

from notifier.errors import PageError
from notifier.parse.text import line

ATTRIBUTES_LIMIT = 500  # in one tag; 40,000 cost Lexbor 3 s, 200,000 cost 85 s
DEPTH_LIMIT = 500  # open elements; 100,000 cost Lexbor 14 s. Listing pages are some 30 deep
OPTIONS_LIMIT = 5_000  # 200,000 in one select cost Lexbor 92 s
HEAD = 4_000  # characters in which a page says that it is HTML
BROKEN_TAGS_LIMIT = 20  # each costs the scan a look at all that follows
_SHORT_TAG = 2 * ATTRIBUTES_LIMIT  # a tag of fewer characters cannot hold that many attributes


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


# No other white space is one in a tag (HTML standard 13.2.5.8), and no letter beyond ASCII is one of a known name: the
# long s (U+017F) is no s there and the sign of the kelvin (U+212A) no k, as they are to Python.
_SPACE = r" \t\n\f\r"
_ENDS_NAME = rf"{_SPACE}/>"
_END = rf"(?=[{_ENDS_NAME}])"
_TAG = re.compile(
    rf"<(/?)([A-Za-z][^{_ENDS_NAME}]{{0,40}}+)"
    rf"((?>(?:[^\"'>=]++|=[{_SPACE}]*+\"[^\"]*+\"|=[{_SPACE}]*+'[^']*+'|[\"'=])*))>",
)
_END_OF_COMMENT = re.compile(r"--!?>")
_QUOTED = re.compile(rf"=[{_SPACE}]*+(?:\"[^\"]*+\"|'[^']*+')")
_CHILDLESS = _words("area base br col embed hr img input link meta source track wbr")
_CLOSED_BY_NEXT = _words("p li dt dd tr td th option thead tbody tfoot colgroup rp rt")
_FOREIGN = frozenset({"svg", "math"})
_MATTERS_IN_FOREIGN = _FOREIGN | {"script", "style"}
_LEAVES_FOREIGN = _words(  # HTML standard 13.2.6.5: these end SVG and MathML, where "/>" closes a tag
    "b big blockquote center code div dl em font h1 h2 h3 h4 h5 h6 i menu ol pre s small span strong sub sup table u ul"
)
_RAW_TEXT = {
    name: re.compile(rf"</{name}{_END}", re.ASCII | re.IGNORECASE) for name in ("script", "style", "textarea", "title")
}


# The common tag, read at the speed of the regular expression engine: too short for ATTRIBUTES_LIMIT of them.
# Group 1 is what a tag begins with, "" for one that must be looked at more closely.
_PLAIN_ATTRIBUTES = r"(?>[^\"'>=]{0,30}+(?:=(?:\"[^\"]*+\"|'[^']*+'|)[^\"'>=]{0,30}+){0,24})>"
_PLAIN_TAG = re.compile(
    rf"<(?:(/?[A-Za-z][^{_ENDS_NAME}<]{{0,40}}+{_END}|!--)"
    rf"(?:(?<!pt|le|ea|--){_PLAIN_ATTRIBUTES}"  # none of the next five, and most tags
    rf"|(?<=<!--)(?!-?>).*?--!?>"
    rf"|(?<=<script){_PLAIN_ATTRIBUTES}.*?(?=</script{_END})|(?<=<style){_PLAIN_ATTRIBUTES}.*?(?=</style{_END})"
    rf"|(?<=<title){_PLAIN_ATTRIBUTES}[^<]*(?=</title{_END})|(?<=<textarea){_PLAIN_ATTRIBUTES}[^<]*(?=</textarea{_END})"
    rf"|(?<!<!--)(?<!<script)(?<!<style)(?<!<title)(?<!<textarea){_PLAIN_ATTRIBUTES})"
    rf"|(?:[A-Za-z]|!--).*)",  # one such tag is enough, and looking on could take long
    re.ASCII | re.IGNORECASE | re.DOTALL,
)


def tree(text: str, *, whole: bool = True) -> LexborHTMLParser:
    """Parse HTML; with `whole`, a page without `</html>` near its end was cut off in transfer and is refused."""
    if whole and "</html" not in text[-2_000:].lower():
        found = what_it_is(text)
        if not found.startswith("an HTML page") and "<html" not in text[:HEAD].lower():
            raise PageError(f"not HTML; found {found}")
        raise PageError(f"cut off: no </html> at the end of {len(text)} characters ({found})")
    if not _is_plain(text):
        _refuse_attacks(text)
    return LexborHTMLParser(text)


def _is_plain(text: str) -> bool:
    """Tell whether every tag is a common one and few are open at once; False means that a closer look must tell.

    Never more lenient than `_refuse_attacks`, and ten times as fast: it takes SVG's "/>" for an element left open.
    """
    heads: list[str] = _PLAIN_TAG.findall(text)
    kinds = set(heads)
    if "" in kinds or sum(heads.count(kind) for kind in kinds if kind.lower() == "option") > OPTIONS_LIMIT:
        return False
    if not _FOREIGN.isdisjoint([kind.lower() for kind in kinds]) and _has_raw_text_in_foreign(heads, kinds):
        return False  # what is text elsewhere is markup there
    steps = {kind: _step(kind) for kind in kinds}
    open_elements = list(accumulate(map(steps.__getitem__, heads), initial=0))
    if max(open_elements) - min(open_elements) <= DEPTH_LIMIT:
        return True  # as nearly always, and told at once
    fewest = accumulate(open_elements, min)
    most: int = max(map(sub, open_elements, fewest))
    return most <= DEPTH_LIMIT


def _step(head: str) -> int:
    """Tell by how much a tag changes the number of open elements, by what it begins with."""
    name = _lower(head.lstrip("/"))
    return 0 if name == "!--" or name in _CHILDLESS or name in _CLOSED_BY_NEXT else -1 if head[0] == "/" else 1


def _lower(name: str) -> str:
    return name.lower() if name.isascii() else name


def _has_raw_text_in_foreign(heads: Sequence[str], kinds: Set[str]) -> bool:
    """Tell whether a script or style is within SVG or MathML; `kinds` are the different ones of `heads`."""
    foreign = 0
    matter = {kind for kind in kinds if kind.lstrip("/").lower() in _MATTERS_IN_FOREIGN}
    for head in [head.lower() for head in heads if head in matter]:
        if head.lstrip("/") in _FOREIGN:
            foreign = max(0, foreign + (-1 if head[0] == "/" else 1))
        elif foreign:
            return True
    return False


def _refuse_attacks(text: str) -> None:
    """Scan tags once: raise `PageError` for more attributes, open elements or broken tags than any page needs."""
    depth = position = foreign = broken = options = 0
    while (position := text.find("<", position)) >= 0:
        if text.startswith("<!--", position):
            comment_end = _END_OF_COMMENT.search(text, position + 2)
            if not comment_end:
                return  # the rest is comment
            position = comment_end.end()
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
        closing, name, attributes = tag.group(1), _lower(tag.group(2)), tag.group(3)
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
    return node.text_lexbor() or ""


def what_it_is(text: str) -> str:
    """Say in a few words what a page that is not the expected one seems to be, for the reason of a `PageError`."""
    start = text[:200_000].lstrip("\ufeff \t\r\n")
    head = start[:500].lower()
    if "<html" not in head and (
        head.startswith(("<?xml", "<rss", "<feed", "<rdf")) or (head.startswith("<") and "xmlns" in head)
    ):
        return "an XML document"
    if head.startswith(("{", "[")):
        return "JSON"
    title = re.search(r"<title[^>]{0,200}>([^<]{0,300})", start, re.IGNORECASE)
    if title:
        return f"an HTML page titled {line(unescape(title.group(1)), 80)!r}"
    if head.startswith(("<!doctype", "<html", "<head", "<body")):
        return "an HTML page without title"
    return f"text that begins {line(start[:400], 60)!r}"
