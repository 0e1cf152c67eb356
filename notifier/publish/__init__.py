"""Feeds as they are served: what each holds (`gather`), ready-made copies in memory (`shelf`), files on disk
(`written`), and the WebSub hub that is told (`hub`).

`pipeline.publish` keeps the public ones up to date; the site asks the shelf for all the others.
"""

from __future__ import annotations

from notifier.publish.gather import Address, Kind, Newsstand
from notifier.publish.shelf import Copy, Shelf
from notifier.publish.written import write

__all__ = ["Address", "Copy", "Kind", "Newsstand", "Shelf", "write"]
