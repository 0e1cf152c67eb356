"""Exit codes, those of sysexits.h where it has one."""

from __future__ import annotations

OK, FAILED, USAGE, IN_USE, BAD_CONFIG = 0, 1, 2, 75, 78
