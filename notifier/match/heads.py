"""Tell at once for many places of a text whether any of many words or phrases may begin there.

A head is up to `WINDOW` bytes. All heads that were added are marked in one table of slots by a multiplicative hash
(Knuth, TAOCP 6.4), so asking costs one look-up per place however many heads there are. The answer "may" is wrong for
as large a share of the places as slots are taken, a few per cent with 100,000 heads: who asks compares the letters.
"""

from __future__ import annotations

import numpy as np

from notifier.match.bits import LIMB, Numbers
from notifier.match.stream import WINDOW, Flags, Windows

HEADS = (16, 10, 5, 2)  # a phrase is looked up by so many of its first bytes, the most that it has

_SLOT_BITS = 22  # of a slot's number: 4 MB
_SPREAD = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)  # odd, for the two limbs and the length
_WRAP = 2**64 - 1
_LENGTHS = np.arange(WINDOW + 1, dtype=LIMB) * LIMB.type(_SPREAD[2])
_MASKS = np.frombuffer(b"".join(b"\xff" * n + b"\0" * (WINDOW - n) for n in range(WINDOW + 1)), LIMB).reshape(-1, 2)


class Heads:
    """A set of heads that is asked for many at once; adding one costs that one only."""

    def __init__(self) -> None:
        self._slots = np.zeros(1 << _SLOT_BITS, np.bool_)

    def add(self, letters: bytes) -> None:
        """Add the first bytes of some letters, and how many they are."""
        head = letters[:WINDOW].ljust(WINDOW, b"\0")
        first, second, third = _SPREAD
        spread = int.from_bytes(head[:8], "little") * first + int.from_bytes(head[8:], "little") * second
        self._slots[(spread + min(len(letters), WINDOW) * third & _WRAP) >> 64 - _SLOT_BITS] = True

    def among(self, windows: Windows, sizes: Numbers | int) -> Flags:
        """Tell of each window whether its first bytes, `sizes` of them, may be a head."""
        lengths = np.minimum(sizes, WINDOW)
        first, second, _ = map(LIMB.type, _SPREAD)
        masks = _MASKS[lengths]
        spread = (windows[:, 0] & masks[..., 0]) * first + (windows[:, 1] & masks[..., 1]) * second
        may: Flags = self._slots[spread + _LENGTHS[lengths] >> LIMB.type(64 - _SLOT_BITS)]
        return may
