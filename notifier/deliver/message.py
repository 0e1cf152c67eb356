"""The bytes of a message, between the outbox and a wire (RFC 5321 2.3.8, 4.5.2, 4.5.3.1.6; RFC 5322 2.1.1).

A message is checked again right before use, because a bare LF or an 8-bit byte that slipped in would be read
differently by different servers, and one message could become two. Pure.
"""

from __future__ import annotations

LONGEST_LINE = 998  # octets without CRLF


def unfit(content: bytes) -> str | None:
    """Return why these bytes must not be sent, None when they are CRLF lines of 7-bit text."""
    if not content.endswith(b"\r\n"):
        return "the message does not end with CRLF"
    # A bare CR or LF ends a line for splitlines as well, and then there are more lines than CRs or than LFs.
    lines = content.splitlines()
    if not len(lines) == content.count(b"\r") == content.count(b"\n"):
        return "the message has a bare CR or LF"
    if not content.isascii():
        return "the message has 8-bit characters"
    if b"\0" in content:
        return "the message has a NUL"
    longest = max(map(len, lines))
    if longest > LONGEST_LINE:
        return f"the message has a line of {longest} octets, and {LONGEST_LINE} is the limit"
    return None


def stuffed(content: bytes) -> bytes:
    """Return the message as it is written after DATA, without the final dot (RFC 5321 4.5.2)."""
    doubled = content.replace(b"\r\n.", b"\r\n..")
    return b"." + doubled if doubled.startswith(b".") else doubled
