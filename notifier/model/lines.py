"""The bytes of a message in whole lines: what many messages share is checked, dot-stuffed and named once.

RFC 5321 2.3.8, 4.5.2, 4.5.3.1.6; RFC 5322 2.1.1. A message is checked again right before use, because a bare LF or an
8-bit byte that slipped in would be read differently by different servers, and one message could become two. Looking at
40 kB costs more than sending them; so shared lines are looked at when they are made, and a message's own lines each
time. Whole lines can be joined without looking at them again: what is true of each part is true of the message.

Pure. Raises ValueError for shared lines that must not be sent, and for packed bytes that are none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

LONGEST_LINE = 998  # octets without CRLF
KEY = 16  # octets of the name of shared lines, by what they are
WORTH_SHARING = 64  # octets; fewer are repeated
SIZE = 4  # octets of a length in the packed form; a length of 0 announces a key


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
class Run:
    """Shared lines that follow each other, put together once for all messages that have the same."""

    lines: tuple[Lines, ...]
    wire: tuple[bytes, ...]
    packed: bytes
    size: int

    @staticmethod
    def of(some: Sequence[Lines]) -> Run:
        """Return lines in their order as a run."""
        given = [each for each in some if each.octets]
        return Run(
            tuple(given),
            tuple([each.wire for each in given]),
            b"".join([each.packed for each in given]),
            sum([len(each.octets) for each in given]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """One message: whole lines of its own, and runs of lines that it shares."""

    parts: tuple[bytes | Run, ...]

    def __bytes__(self) -> bytes:
        return b"".join([part if isinstance(part, bytes) else b"".join(_octets(part)) for part in self.parts])

    def __len__(self) -> int:
        return sum([len(part) if isinstance(part, bytes) else part.size for part in self.parts])

    def wire(self) -> bytes:
        """Return the message as it is written after DATA, without the final dot."""
        found: list[bytes] = []
        for part in self.parts:
            if isinstance(part, bytes):
                found.append(stuffed(part))
            else:
                found += part.wire
        return b"".join(found)

    def packed(self) -> bytes:
        """Return the message with its shared lines replaced by their keys; `unpacked` makes it whole again."""
        return b"".join([_literal(part) if isinstance(part, bytes) else part.packed for part in self.parts])

    def shared(self) -> Iterator[Lines]:
        """Yield the lines that `packed` only names."""
        for part in self.parts:
            if isinstance(part, Run):
                yield from [each for each in part.lines if each.key]

    def below(self, top: bytes) -> Written:
        """Return the message with lines above it."""
        return Written((top, *self.parts))


Content = bytes | Written


def unpacked(packed: bytes, known: Mapping[bytes, Lines]) -> Written:
    """Return the message that was packed; raises KeyError for shared lines that are not `known`."""
    parts: list[bytes | Run] = []
    for key, own in _entries(packed):
        parts.append(Run.of([known[key]]) if key else own)
    return Written(tuple(parts))


def keys(packed: bytes) -> list[bytes]:
    """Return the keys of the shared lines that a packed message names."""
    return [key for key, _ in _entries(packed) if key]


def unfit(content: Content) -> str | None:
    """Return why these bytes must not be sent, None when they are CRLF lines of 7-bit text."""
    if isinstance(content, Written):
        own = [part for part in content.parts if isinstance(part, bytes) and part]
        if not all(part.endswith(b"\r\n") for part in own):
            return "a part of the message does not end with CRLF"
        return unfit(b"".join(own)) if own else None
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


def _octets(run: Run) -> list[bytes]:
    return [each.octets for each in run.lines]


def _literal(octets: bytes) -> bytes:
    return len(octets).to_bytes(SIZE, "big") + octets if octets else b""


def _entries(packed: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (key, b"") for shared lines and (b"", octets) for own ones."""
    at = 0
    while at < len(packed):
        size = int.from_bytes(packed[at : at + SIZE], "big")
        at += SIZE
        end = at + (size or KEY)
        if end > len(packed):
            raise ValueError("a packed message is cut short")
        yield (b"", packed[at:end]) if size else (packed[at:end], b"")
        at = end
