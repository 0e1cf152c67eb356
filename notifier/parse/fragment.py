"""A fragment of HTML or JATS - the body of a feed's item, an abstract with tags - to the plain text a reader sees.

Only elements that HTML and JATS (https://jats.nlm.nih.gov/) know are markup; "<think>", "a<b" and "p <0.05" are text
that somebody forgot to escape, and stay. Blocks are set apart by a space, scripts and styles vanish. Never raises;
its time is proportional to the length, which is bounded first.
"""

from __future__ import annotations

import re
from html import unescape

from selectolax.lexbor import LexborNode

from notifier.errors import PageError
from notifier.parse.markup import tree

FRAGMENT_LIMIT = 100_000  # characters that are looked at


def plain(html: object) -> str:
    """Reduce a fragment to text, not yet cleaned by `text.line` or `text.reading`; not a string is ""."""
    if not isinstance(html, str):
        return ""
    source = html[:FRAGMENT_LIMIT]
    if "<" not in source and "&" not in source:
        return source
    if "jats:" in source or "mml:" in source:
        source = _without_prefixes(source)
    text = without_tree(source)
    return with_tree(source) if text is None else text


def with_tree(source: str) -> str:
    """Read any fragment."""
    try:
        parsed = tree(_TAG.sub(_kept, source), whole=False)
    except PageError:
        return _ANY_TAG.sub(" ", source)
    # What is still escaped was escaped twice on its way: no title means to show an entity.
    return _ESCAPED.sub(lambda entity: unescape(entity[0]), text_in(parsed.body))


def without_tree(source: str) -> str | None:
    """Read a fragment of common tags and references, as most are, at a fifth of the price; None for any other."""
    if _UNCOMMON_REFERENCE.search(source) or "\x00" in source:
        return None
    text, blocks = _COMMON_BLOCK.subn(" ", source)
    text, others = _COMMON_INLINE.subn("", text)
    if source.count("<") != blocks + others + (len(_BARE_BRACKET.findall(source)) if "< " in source else 0):
        return None
    if "&" in text:
        text = unescape(text)
        return _ESCAPED.sub(lambda entity: unescape(entity[0]), text) if "&" in text else text
    return text


def text_in(node: LexborNode | None) -> str:
    """Return the text of a node as a reader sees it: blocks set apart, scripts left out."""
    if node is None:
        return ""
    found: list[str] = []
    for one in node.traverse(include_text=True):
        if one.tag == "-text":
            parent = one.parent
            if parent is None or parent.tag not in _UNREAD:
                found.append(one.text_content or "")
        elif one.tag in _BLOCKS:
            found.append(" ")
    return "".join(found)


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_BLOCKS = _words(
    "address article aside blockquote br caption center dd details div dl dt figcaption figure footer form h1 h2 h3 h4 "
    "h5 h6 header hr li main nav ol p pre section summary table tbody td tfoot th thead tr ul"
)
_KNOWN = _BLOCKS | _words(
    "a abbr acronym b bdi bdo big cite code del dfn em font i iframe img ins kbd label mark math mi mn mo mrow msub "
    "msup mtext noscript object picture q ruby rp rt s samp script small source span strike strong style sub sup svg "
    "tt u var video audio wbr msubsup mfrac mover munder mstyle mspace msqrt semantics annotation"
)
_UNREAD = _words("script style iframe annotation")
# A tag ends at once or goes on with an attribute: "a <b and c" is no bold text.
_TAG = re.compile(
    r"<(/?)(?:([A-Za-z][A-Za-z0-9]{0,20})(?=(\s{0,20}/?>|\s{1,20}[A-Za-z][\w:.-]{0,60}(?:\s{0,20}=|\s{0,20}/?>))?))?"
)
_ESCAPED = re.compile(r"&(?:amp|lt|gt|quot|apos|#39|nbsp);")
_ANY_TAG = re.compile(r"<[^<>]{0,2000}>")


def _kept(tag: re.Match[str]) -> str:
    """Keep a tag that HTML knows, set apart what follows a block; escape any other angle bracket."""
    name = (tag[2] or "").lower()
    if name not in _KNOWN or not tag[3]:
        if tag.string.startswith("<!--", tag.start()):
            return tag[0]
        return f"&lt;{tag[0][1:]}"
    return f" {tag[0]}" if tag[1] and name in _BLOCKS else tag[0]  # `text_in` sets apart where a block begins


# Tags that mean the same wherever they stand, and references that end: what is made of them alone needs no tree.
_PLAIN_ATTRIBUTES = r"(?:\s+[a-z][a-z-]{0,20}=(?:\"[^\"<>&]{0,500}\"|'[^'<>&]{0,500}')){0,20}\s{0,20}/?>"
_COMMON_BLOCK = re.compile(rf"</?(?:p|br|div|h[1-6]|li|ol|ul|blockquote){_PLAIN_ATTRIBUTES}")
_COMMON_INLINE = re.compile(rf"</?(?:a|b|code|em|i|img|small|span|strong|sub|sup|u){_PLAIN_ATTRIBUTES}")
_BARE_BRACKET = re.compile(r"<(?=\s)")
_UNCOMMON_REFERENCE = re.compile(r"&(?=[#A-Za-z])(?!(?:amp|lt|gt|quot|apos|nbsp|#39);)")


# JATS: a heading such as "Abstract" says nothing; a formula that is given as TeX and as MathML is read once.
_LABEL = re.compile(r"<(jats:)?title>\s*(?:Abstract|Summary)\s*[.:]?\s*</(?:jats:)?title>", re.IGNORECASE)
_MATHML_TOO = re.compile(r"</jats:tex-math>\s*<mml:math\b(?>(?:(?!</mml:math>).)*)</mml:math>", re.DOTALL)
_PREFIXED = re.compile(r"<(/?)(?:jats|mml):([a-z-]{1,30})\b[^<>]{0,1000}>")
_JATS_NAMES = {"title": "h4", "sec": "section", "p": "p", "sup": "sup", "sub": "sub", "list-item": "li", "label": "b"}


def _without_prefixes(source: str) -> str:
    source = _MATHML_TOO.sub("", _LABEL.sub("", source))
    return _PREFIXED.sub(lambda tag: f"<{tag[1]}{_JATS_NAMES.get(tag[2], 'span')}>", source)
