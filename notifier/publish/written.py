"""Feeds as files, for who serves them with a web server of their own: written when they changed, never by halves."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from notifier import log
from notifier.files import replace_file
from notifier.publish.gather import Kind
from notifier.publish.shelf import Copy

LONGEST = 200  # octets of a name, which with an ending and that of a file under way stays below the 255 of NAME_MAX


async def write(folder: Path, copies: Iterable[Copy]) -> None:
    """Write copies of public feeds into a folder. Raises OSError, leaving the old file, when the disk is full."""
    for copy in copies:
        path = folder / name(copy)
        if await asyncio.to_thread(replace_file, path, copy.body):
            log.published(str(path), len(copy.body))


def name(copy: Copy) -> str:
    """Return a feed's file name: all.rss, trending.atom, or listing-<name>.json with odd characters as %XX.

    One that is too long for a file system is cut, and ends with a hash of the whole.
    """
    address = copy.address
    what = f"{address.kind}-{quote(address.of, safe=' ')}" if address.kind is Kind.LISTING else str(address.kind)
    if len(what) > LONGEST:
        what = f"{what[: LONGEST - 17]}-{hashlib.sha256(what.encode()).hexdigest()[:16]}"
    return f"{what}.{copy.format}"
