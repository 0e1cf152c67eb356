"""Tables: bring the engine's tables to the version of the engine that is installed, under the writers' lock.

They are the engine's own, created by its script and changed by its migrations; our database remembers the version.
"""

from __future__ import annotations

import re
from pathlib import Path

from procrastinate import __version__
from procrastinate.schema import SchemaManager

from notifier.store import Store

_NAME = re.compile(r"(\d\d\.\d\d\.\d\d)_\d\d_")


async def prepare(store: Store) -> None:
    """Create or change the engine's tables where that is needed; processes that start together do it once."""
    await store.prepare_jobs(__version__, _scripts)


def _scripts(found: str | None) -> list[str]:
    """Return what to run on a database of the version `found`, None where there is none yet."""
    if found is None:
        return [SchemaManager.get_schema()]
    folder = Path(SchemaManager.get_migrations_path())
    named = [(match[1], file) for file in sorted(folder.glob("*.sql")) if (match := _NAME.match(file.name))]
    return [file.read_text(encoding="utf-8") for version, file in named if _numbers(found) < _numbers(version)]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
