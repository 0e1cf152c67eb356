"""What a running program does without: libraries that only its parser process, a migration or a terminal needs."""

from __future__ import annotations

import subprocess
import sys

from alembic.config import Config
from alembic.script import ScriptDirectory

from notifier.store.migrate import MIGRATIONS, known
from tests.world import World

PARSING = ("feedparser", "selectolax")


def imported_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh process has after running some code."""
    report = f"{code}\nimport sys; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


async def test_an_open_installation_holds_no_library_for_parsing_or_migrating(installation: World) -> None:
    async with installation.opened():
        pass  # the database is made here, and is up to date in the process below
    assert installation.config
    code = f"""
import asyncio
from pathlib import Path
from notifier.config import load
from notifier.daemon import opened
async def work():
    async with opened(load(Path({str(installation.folder / "config.toml")!r}), environment={{}})):
        pass
asyncio.run(work())
"""
    held = imported_by(code)
    assert {"sqlalchemy", "httpx"} <= held
    assert held.isdisjoint({*PARSING, "alembic", "mako", "typer", "procrastinate", "psycopg"})


def test_the_files_of_the_migrations_are_named_after_their_revisions() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [known()[-1]]
    assert sorted(each.revision for each in scripts.walk_revisions()) == known()
