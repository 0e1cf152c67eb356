"""The bytes of a message in whole lines: what many messages share is checked, dot-stuffed and named once.

RFC 5321 2.3.8, 4.5.2, 4.5.3.1.6; RFC 5322 2.1.1. A message is checked again right before use, because a bare LF or an
8-bit byte that slipped in would be read differently by different servers, and one message could become two. Looking at
40 kB costs more than sending them; so shared lines are looked at when they are made, and a message's own lines each
time. Whole lines can be joined without looking at them again: what is true of each part is true of the message.

What is stored of a message are its own lines and the names of the shared ones, by what they are: the bytes of every
attempt are joined from these alone.

Pure. Raises ValueError for shared lines that must not be sent, and for packed bytes that are none.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

LONGEST_LINE = 998  # octets without CRLF
KEY = 16  # octets of the name of shared lines, by what they are
WORTH_SHARING = 64  # octets; fewer are repeated
SIZE = 4  # octets of a length in the packed form; a length of 0 announces a key ..
GAP = 1 << 31  # .. and this, with the number of an own piece, a gap
FORM = b"\x01"  # of packed messages: another one, of another version, is not taken for this one
APART, HERE = b"=", b":"  # a packed message names its blank by a key, or holds it
CUT_SHORT, DAMAGED = "a packed message is cut short", "a packed message is damaged"


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Whole lines that messages share: as they are, and as they are written after DATA.

    `key` names them by what they are, b"" when they are too short to be worth it. `packed` is how a message that is
    stored refers to them.
    """

    octets: bytes
    wire: bytes
    key: bytes
    packed: bytes


def lines(octets: bytes) -> Lines:
    """Return octets as lines to be shared; raises ValueError for what must not be sent."""
    if octets and (fault := unfit(octets)):
        raise ValueError(f"cannot be shared: {fault}")
    key = hashlib.blake2b(octets, digest_size=KEY).digest() if len(octets) >= WORTH_SHARING else b""
    return Lines(octets, stuffed(octets), key, bytes(SIZE) + key if key else _literal(octets))


@dataclass(frozen=True, slots=True, eq=False)
class Blank:
    """What readers share of a message, with gaps for what is each one's own; looked at once for all of them.

    `parts` are lines and the numbers of own pieces; `wire` is them after DATA, empty at the `gaps`: (place, number).
    `size` counts the octets of the lines. `key` names the `packed` form, which names the lines by theirs.
    """

    parts: tuple[Lines | int, ...]
    wire: tuple[bytes, ...]
    gaps: tuple[tuple[int, int], ...]
    size: int
    packed: bytes
    key: bytes

    @staticmethod
    def of(parts: Sequence[Lines | int]) -> Blank:
        """Return lines and gaps in their order as a blank."""
        given = tuple([part for part in parts if isinstance(part, int) or part.octets])
        lines = [part for part in given if isinstance(part, Lines)]
        packed = b"".join([_gap(part) if isinstance(part, int) else part.packed for part in given])
        return Blank(
            given,
            tuple([b"" if isinstance(part, int) else part.wire for part in given]),
            tuple([(place, part) for place, part in enumerate(given) if isinstance(part, int)]),
            sum([len(each.octets) for each in lines]),
            packed,
            hashlib.blake2b(packed, digest_size=KEY).digest(),
        )

    def shared(self) -> list[Lines]:
        """Return the lines that `packed` only names."""
        return [part for part in self.parts if isinstance(part, Lines) and part.key]


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """One message: a blank, and its own pieces by number, each of whole lines. The first stands above all else."""

    blank: Blank
    own: tuple[bytes, ...]

    def __bytes__(self) -> bytes:
        return b"".join([self.own[part] if isinstance(part, int) else part.octets for part in self.blank.parts])

    def __len__(self) -> int:
        own = self.own
        return self.blank.size + sum([len(own[number]) for _, number in self.blank.gaps])

    def wire(self) -> bytes:
        """Return the message as it is written after DATA, without the final dot."""
        own, joined = self.own, b"".join(self.own)
        if b"\r\n." in joined or joined.startswith(b"."):
            own = tuple([stuffed(each) for each in own])
        found = [*self.blank.wire]
        for place, number in self.blank.gaps:
            found[place] = own[number]
        return b"".join(found)

    def packed(self, *, apart: bool = False) -> bytes:
        """Return the message with its shared lines replaced by their keys; `unpacked` makes it whole again.

        With `apart` it names its blank as well, which is stored once for all that have the same.
        """
        top = struct.pack(f">{len(self.own) + 1}I", len(self.own), *map(len, self.own))
        return b"".join((FORM, top, *self.own, APART + self.blank.key if apart else HERE + self.blank.packed))

    def below(self, top: bytes) -> Written:
        """Return the message with lines above it."""
        return Written(self.blank, (top + self.own[0], *self.own[1:]))


Content = bytes | Written


def unpacked(packed: bytes, blanks: Mapping[bytes, Blank]) -> Written:
    """Return the message that was packed, its blank by what names it there; raises KeyError for one that is missing."""
    own, named = _split(packed)
    if any(number >= len(own) for _, number in blanks[named].gaps):
        raise ValueError(DAMAGED)
    return Written(blanks[named], own)


def blank_name(packed: bytes) -> bytes:
    """Return what names the blank of a packed message: APART and its key, or HERE and all of it."""
    return _split(packed)[1]


def blank(packed: bytes, known: Mapping[bytes, Lines]) -> Blank:
    """Return the blank that was packed; raises KeyError for shared lines that are not `known`."""
    return Blank.of([each if isinstance(each, int) else known[each] if key else lines(each)
                     for each, key in _entries(packed)])  # fmt: skip


def keys(packed: bytes) -> list[bytes]:
    """Return the keys of the shared lines that a packed blank names."""
    return [each for each, key in _entries(packed) if key and isinstance(each, bytes)]


def unfit(content: Content) -> str | None:
    """Return why these bytes must not be sent, None when they are CRLF lines of 7-bit text."""
    if isinstance(content, Written):
        if [None for piece in content.own if piece and not piece.endswith(b"\r\n")]:
            return "a part of the message does not end with CRLF"
        own = b"".join(content.own)
        return unfit(own) if own else None
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


def _literal(octets: bytes) -> bytes:
    return len(octets).to_bytes(SIZE, "big") + octets if octets else b""


def _gap(number: int) -> bytes:
    return (GAP | number).to_bytes(SIZE, "big")


def _split(packed: bytes) -> tuple[tuple[bytes, ...], bytes]:
    """Return the own pieces of a packed message, and what names its blank; raises ValueError where it is cut short."""
    if packed[:1] != FORM:
        raise ValueError("a packed message is of another form")
    first = 1 + SIZE
    at = first + SIZE * int.from_bytes(packed[1:first], "big")
    if at >= len(packed):
        raise ValueError(CUT_SHORT)
    own: list[bytes] = []
    for place in range(first, at, SIZE):
        size = int.from_bytes(packed[place : place + SIZE], "big")
        own.append(packed[at : at + size])
        at += size
    if at >= len(packed) or packed[at : at + 1] not in (APART, HERE):
        raise ValueError(CUT_SHORT)
    return tuple(own), packed[at:]


def _entries(packed: bytes) -> Iterator[tuple[bytes | int, bool]]:
    """Yield the parts of a blank: (key, True) for shared lines, (octets, False) for literal ones, (number, False)."""
    at = 0
    while at < len(packed):
        size = int.from_bytes(packed[at : at + SIZE], "big")
        at += SIZE
        if size & GAP:
            yield size ^ GAP, False
            continue
        end = at + (size or KEY)
        if end > len(packed):
            raise ValueError(CUT_SHORT)
        yield packed[at:end], not size
        at = end
