"""httpx without its command line, which brings a terminal's libraries with it."""

from __future__ import annotations

from notifier.slim import import_slim

import_slim("httpx", "httpx._main")
