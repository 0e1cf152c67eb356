"""Sets of papers as rows of bits: bit n of a row is paper n of the batch.

A matrix holds 64 papers to the limb, little-endian throughout, so that one array operation answers for many terms or
queries at once. Memory is one bit per row and paper.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LIMB = np.dtype("<u8")
LIMB_BITS = 64

Bits = NDArray[np.uint64]  # rows x limbs
Numbers = NDArray[np.intp]


def packed(rows: Numbers, places: Numbers, height: int, papers: int) -> Bits:
    """Return the matrix of `height` rows in which bit `places[i]` of row `rows[i]` is set; pairs may repeat."""
    limbs = -(-papers // LIMB_BITS)
    bits = np.zeros(height * limbs, LIMB)
    limb, bit = np.divmod(places, LIMB_BITS)
    np.bitwise_or.at(bits, rows * limbs + limb, np.left_shift(LIMB.type(1), bit.astype(LIMB)))
    return bits.reshape(height, limbs)


def unpacked(bits: Bits) -> tuple[Numbers, Numbers]:
    """Return the rows and the places of all bits that are set, by row and then by place."""
    octets = bits.reshape(-1).view(np.uint8)
    used = np.flatnonzero(octets != 0)  # most are empty
    found = np.flatnonzero(np.unpackbits(octets[used], bitorder="little").view(np.bool_))
    at = used[found >> 3] << 3 | found & 7
    rows = at // (LIMB_BITS * bits.shape[1])
    return rows, at - rows * (LIMB_BITS * bits.shape[1])


def complement(bits: Bits, papers: int) -> Bits:
    """Return the papers that each row leaves out."""
    every = packed(np.zeros(papers, np.intp), np.arange(papers), 1, papers)
    return every ^ bits
