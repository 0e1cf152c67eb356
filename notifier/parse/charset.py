"""Bytes to text: which character encoding a page is in, and what is done when it is not the one it says.

The order of the Encoding and HTML standards (https://encoding.spec.whatwg.org/, https://html.spec.whatwg.org/
#determining-the-character-encoding): byte order mark, the header's charset, a `meta` in the first bytes, then UTF-8 if
the bytes are UTF-8, then windows-1252. Only encodings of the Encoding Standard count as named: a header that says
base64, utf-7 or idna says nothing. Bytes that are hopeless in the encoding they claim raise `PageError`; a few bad ones
are replaced and reported.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from notifier.errors import PageError
from notifier.model import Page

META_WINDOW = 1_024  # bytes in which a page must name its encoding (HTML standard)
HOPELESS = 0.05  # share of undecodable bytes from which the text is not worth reading

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,40}")
_META = re.compile(rb"<meta[^>]{0,300}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_ENCODINGS = frozenset(
    codecs.lookup(label).name
    for label in [
        "utf-8",
        "utf-16-le",
        "utf-16-be",
        "ibm866",
        "iso-8859-2",
        "iso-8859-3",
        "iso-8859-4",
        "iso-8859-5",
        "iso-8859-6",
        "iso-8859-7",
        "iso-8859-8",
        "iso-8859-10",
        "iso-8859-13",
        "iso-8859-14",
        "iso-8859-15",
        "iso-8859-16",
        "koi8-r",
        "koi8-u",
        "mac-roman",
        "cp874",
        "cp1250",
        "cp1251",
        "cp1252",
        "cp1253",
        "cp1254",
        "cp1255",
        "cp1256",
        "cp1257",
        "cp1258",
        "mac-cyrillic",
        "gbk",
        "gb18030",
        "big5hkscs",
        "euc-jp",
        "iso2022_jp",
        "cp932",
        "euc-kr",
    ]
)
# Labels that the Encoding Standard reads as a superset of what they name.
_SUPERSETS = {"ascii": "cp1252", "iso8859-1": "cp1252", "latin-1": "cp1252", "iso8859-9": "cp1254", "gb2312": "gbk",
              "big5": "big5hkscs", "shift_jis": "cp932", "utf-8-sig": "utf-8", "utf-16": "utf-16-le"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decoded:
    """The text of a page; `oddities` says what was wrong with its encoding."""

    text: str
    oddities: tuple[str, ...] = ()


def decode(page: Page) -> Decoded:
    """Decode a page's bytes; raises `PageError` for an empty body and for bytes that are no text."""
    content = page.content
    if not content.strip():
        raise PageError("the body is empty")
    for mark, name in _BOMS:
        if content.startswith(mark):
            return _replacing(content[len(mark) :], name)
    if b"\x00" in content[:META_WINDOW] and encoding_named(page.charset) not in ("utf-16-le", "utf-16-be"):
        raise PageError("the body is binary, not text")
    found = _META.search(content[:META_WINDOW])
    labels = (page.charset, found.group(1).decode("ascii") if found else None)
    oddities = tuple(
        f"unknown charset {label[:40]!r} ignored" for label in labels if label and not encoding_named(label)
    )
    for name in filter(None, map(encoding_named, labels)):
        if name != "utf-8":
            try:
                return Decoded(content.decode(name), oddities)
            except UnicodeDecodeError:
                oddities += (f"not the {name} it says",)
    try:
        return Decoded(content.decode("utf-8"), oddities)
    except UnicodeDecodeError:
        pass
    if "utf-8" in map(encoding_named, labels) or _has_utf8_sequence(content):
        text = _replacing(content, "utf-8")
        return Decoded(text.text, oddities + text.oddities)
    text = _replacing(content, "cp1252")
    return Decoded(text.text, (*oddities, "no charset named and not UTF-8: read as windows-1252", *text.oddities))


def encoding_named(label: str | None) -> str | None:
    """Return Python's name of an encoding of the Encoding Standard, None for any other label."""
    if not label or not _LABEL.fullmatch(label.strip()):
        return None
    try:
        name = codecs.lookup(label.strip()).name
    except (LookupError, ValueError):
        return None
    name = _SUPERSETS.get(name, name)
    return name if name in _ENCODINGS else None


def _replacing(content: bytes, name: str) -> Decoded:
    """Decode with U+FFFD for what cannot be decoded, unless that is too much to read."""
    try:
        return Decoded(content.decode(name))
    except UnicodeDecodeError:
        text = content.decode(name, errors="replace")
    bad = text.count("\ufffd")
    if bad > HOPELESS * len(text) + 1:
        raise PageError(f"the body is not {name}: {bad} of {len(text)} characters cannot be decoded")
    return Decoded(text, (f"{bad} characters are not {name} and were replaced",))


def _has_utf8_sequence(content: bytes) -> bool:
    """Tell whether any non-ASCII letter is well-formed UTF-8, which text in a single-byte encoding nearly never is."""
    return (
        re.search(rb"[\xc3-\xdf][\x80-\xbf](?![\x80-\xbf])|[\xe1-\xec][\x80-\xbf]{2}(?![\x80-\xbf])", content)
        is not None
    )
