"""Quoted-printable (RFC 2045 6.7) in pieces that can be joined: each ends at the start of a line.

A text is encoded once and stands in many messages, so its encoding may not depend on what comes before or after. A
piece that does not end with a line break therefore ends with a soft one, "=" and CRLF, which a decoder drops. So
decoding a join gives the join of what was encoded (a property test says so), and no octet is looked at twice.

A form is such a text with slots: the pieces between them, and the names of the slots where they stand.
"""

from __future__ import annotations

from binascii import b2a_qp
from collections.abc import Sequence

from notifier.model import Lines, lines

SOFT_BREAK = b"=\r\n"

Form = tuple[Lines | str, ...]


def quoted(text: str) -> bytes:
    """Return the text in quoted-printable, CRLF, no line beyond 76 octets; what follows it starts a line."""
    octets = text.replace("\n", "\r\n").encode()
    if not octets or octets.endswith(b"\n"):
        return b2a_qp(octets)
    return b2a_qp(octets + b"\r\n")[:-2] + SOFT_BREAK  # which line break it writes, it takes from its input


def form(cut: Sequence[str]) -> Form:
    """Return text that was cut at its slots (text, slot, text, slot, text) as pieces, a slot by its name."""
    return tuple([name if place % 2 else lines(quoted(name)) for place, name in enumerate(cut)])
