"""Mojibake: UTF-8 that somebody on its way took for Windows-1252, undone where nothing is lost, told where it is not.

What is undone is the whole of a text or nothing: every character of it that is not ASCII must be part of a UTF-8
sequence that was read byte by byte, as the Encoding Standard reads windows-1252 (which is also what pages call
ISO 8859-1). A right text hardly ever is that: "«CAFÉ»" has a pair that could be, but not both guillemets. Pure.
"""

from __future__ import annotations

import re

TIMES = 2  # some sites do it to themselves

# What the bytes 80 to 9F are in windows-1252; five of them are nothing, and stay the controls that they are.
_BYTES = {ord(bytes([byte]).decode("cp1252", "ignore") or chr(byte)): byte for byte in range(0x80, 0xA0)}
_FOLLOWING = "\x80-\xbf" + "".join(chr(code) for code in _BYTES if code > 0xFF)
_PAIR = re.compile(f"[\xc2-\xf4][{_FOLLOWING}]")


def mended(text: str) -> str:
    """Return the text that was meant; text that is no mojibake, or is past mending, is returned as it is."""
    for _ in range(TIMES):
        if text.isascii() or not _PAIR.search(text):
            return text
        try:
            text = text.translate(_BYTES).encode("latin-1").decode("utf-8")
        except UnicodeError:
            return text
    return text


def damaged(text: str) -> bool:
    """Tell whether letters of a text are lost, or are not the ones that were meant."""
    return not text.isascii() and ("\ufffd" in text or _PAIR.search(text) is not None)
