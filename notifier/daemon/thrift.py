"""Thrift: tell the C library to give memory back, where it is the GNU one.

By its defaults it keeps a pool of free memory for each thread and learns from large blocks to keep ever larger ones:
after some days a process holds tens of megabytes that nobody uses. Nothing is promised where the library is another
one; no default of a person's own (`MALLOC_ARENA_MAX` and its like in the environment) is looked at.
"""

from __future__ import annotations

import ctypes

# malloc.h, mallopt(3): one pool for all threads; blocks of 256 KiB and more leave when they are freed, and so does
# free memory at the end of the pool beyond a mebibyte.
_WISHES = {-8: 1, -3: 256 * 1024, -1: 1024 * 1024}  # M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD


_C = ctypes.CDLL(None)


def spare_memory() -> None:
    """Ask for it; does nothing where there is no mallopt."""
    ask = getattr(_C, "mallopt", None)
    if ask is not None:
        for parameter, value in _WISHES.items():
            ask(parameter, value)


def give_back() -> None:
    """Give back what is free in the middle of the pool (malloc_trim(3)): after a large page or many mails."""
    trim = getattr(_C, "malloc_trim", None)
    if trim is not None:
        trim(0)
