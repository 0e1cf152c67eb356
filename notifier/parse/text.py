"""Text and links of a page, made safe to store, show and match.

Owns what a page's own words may hold once they are in a `Paper`: one line of Unicode in normal form C (UAX #15), with
single spaces, without control characters (line separators included), lone surrogates, noncharacters, bidirectional
overrides (UAX #9) and invisible characters (which would hide a word from a query), and no longer than its limit.
A link is an absolute http or https URL or it is dropped. Nothing here raises on any string.

Lengths are bounded *before* normalising, because normalising costs time and may grow text, and again after.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import urljoin, urlsplit

from notifier.tex import readable

# Lengths in code points; a page may hold more, a paper may not.
TITLE_LIMIT = 1_000
ABSTRACT_LIMIT = 20_000
NOTE_LIMIT = 2_000  # comments, journal reference
NAME_LIMIT = 200  # a person, an organisation, a category
LINK_LIMIT = 2_000
AUTHORS_LIMIT = 10_000
MARKS_LIMIT = 4  # combining marks on one letter; Vietnamese and Hebrew need three

_RAW_FACTOR = 4  # raw text may be this much longer than its limit before it is cut: indentation, TeX markup

# Invisible or direction-changing: general category Cf where it is not needed to write a title, and blank "letters".
_DROPPED = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")  # those that str.split does not take for white space
_NOT_TEXT = re.compile(
    "[\ud800-\udfff\ufdd0-\ufdef" + "".join(f"{chr(p << 16 | 0xFFFE)}{chr(p << 16 | 0xFFFF)}" for p in range(17)) + "]"
)
_MARK = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
)
_MARKS = re.compile(f"([{_MARK}]{{{MARKS_LIMIT}}})[{_MARK}]+")
_ANY_MARK = re.compile(f"[{_MARK}]")
# What is dropped although `str.isprintable` takes it for printable.
_HIDDEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\U000e0100-\U000e01ef]")
_ASCII = bytes(range(128))
# The common link: `urlsplit` has nothing to say about it.
_COMMON_LINK = re.compile(
    r"https?://[a-z0-9][a-z0-9.-]{0,250}/[A-Za-z0-9._~/-]{0,500}+(?:\?[A-Za-z0-9._~/=&%-]{1,500}+)?(?:#[A-Za-z0-9._~-]{1,100}+)?"
)
_UNSAFE_IN_LINK = re.compile("[\x00-\x20\x7f-\xa0\"'<>\\\\^`{|}\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def line(raw: object, limit: int) -> str:
    """Clean text to one line of at most `limit` code points; cut text ends in an ellipsis; not a string is ""."""
    if not isinstance(raw, str):
        return ""
    text = raw[: limit * _RAW_FACTOR]
    cut = len(raw) > len(text)
    if not cut:
        plain = raw.strip().replace("\n  ", " ").replace("\n", " ")  # arXiv wraps its lines like this
        printable = plain.isprintable()
        if not printable:
            plain = " ".join(plain.split())
            printable = plain.isprintable()
        while "  " in plain:
            plain = plain.replace("  ", " ")
        if printable and len(plain) <= limit and (plain.isascii() or is_clean(plain)):
            return plain  # as nearly all are
    text = _visible(text)
    if not text.isascii():
        text = _bounded(unicodedata.normalize("NFC", _bounded(text)))
    if "  " in text or not text.isprintable():
        text = " ".join(text.split())
        if not text.isprintable():
            text = " ".join(_CONTROL.sub(" ", text).split())
    text = text.strip(" ")
    if len(text) > limit or (cut and text):
        return text[: limit - 1].rstrip(" ") + "…"
    return text


def is_clean(text: str) -> bool:
    """Tell whether printable text holds nothing that is dropped, bounded or normalised."""
    if text.isascii():
        return True
    other = _beyond_ascii(text)
    if _HIDDEN.search(other):
        return False
    if _ANY_MARK.search(other):
        return not _MARKS.search(other) and unicodedata.is_normalized("NFC", text)
    return unicodedata.is_normalized("NFC", other)  # ASCII's letters are composed with marks alone


def _beyond_ascii(text: str) -> str:
    """Return the letters that are not ASCII: few, and so searched in a fraction of the time."""
    return text.encode("utf-8", "surrogatepass").translate(None, _ASCII).decode("utf-8", "surrogatepass")


def _bounded(text: str) -> str:
    """Take the marks away that are too many for one letter."""
    return _MARKS.sub(r"\1", text) if _MARKS.search(_beyond_ascii(text)) else text


def _visible(text: str) -> str:
    if text.isascii():
        return text
    other = _beyond_ascii(text)
    if _DROPPED.search(other):
        text = _DROPPED.sub("", text)
    return _NOT_TEXT.sub("\ufffd", text) if _NOT_TEXT.search(other) else text


def reading(raw: object, limit: int) -> tuple[str, str]:
    """Clean text that may hold TeX: (readable text, its source where that differs, else "")."""
    if not raw:
        return "", ""
    source = line(raw, limit)
    shown = readable(source)
    if shown is source:
        return source, ""
    if len(shown) > limit or not shown.isprintable() or not (shown.isascii() or is_clean(shown)):
        shown = line(shown, limit)
    text = shown or source  # all markup: the source is the only thing there is to read
    return text, source if source != text else ""


def link(raw: object, at: str = "") -> str | None:
    """Return an absolute http(s) URL, resolved against the page's URL `at`; anything else is None.

    Characters that no URL holds (RFC 3986) are refused rather than escaped: the link would not be the page's any more.
    """
    if not isinstance(raw, str):
        return None
    if _COMMON_LINK.fullmatch(raw):
        return raw
    url = raw[: LINK_LIMIT + 100].strip()
    if not url or len(url) > LINK_LIMIT or _UNSAFE_IN_LINK.search(url) or _DROPPED.search(url):
        return None
    try:
        parts = urlsplit(urljoin(at, url) if at and not url.startswith(("https://", "http://")) else url)
        named = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
        _ = parts.port
    except ValueError:
        return None
    return parts.geturl() if named else None


def names(raw: list[str]) -> tuple[str, ...]:
    """Clean a list of names, without empty ones, in the page's order, at most `AUTHORS_LIMIT`."""
    if len(raw) <= AUTHORS_LIMIT and max(map(len, raw), default=0) <= NAME_LIMIT:
        together = f"|{'|'.join(raw)}|"
        if together.isprintable() and "  " not in together and is_clean(together):
            if "| " in together or " |" in together or "||" in together:
                return tuple(filter(None, [one.strip(" ") for one in raw]))
            return tuple(raw)  # as nearly all are
    return tuple(name for one in raw[:AUTHORS_LIMIT] if (name := line(one, NAME_LIMIT)))
