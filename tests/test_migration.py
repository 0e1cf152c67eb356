"""An upgrade: the database is backed up and brought to the new schema; what only looks changes nothing; no way back."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from pathlib import Path

import pytest

from notifier.cli.arguments import BAD_CONFIG
from notifier.errors import SchemaUnfit
from notifier.store import backup, open_store
from notifier.store.migrate import known
from tests.servers.successor import REVISION, successor
from tests.world import World, text_page

READER = "reader@example.org"
HERE = known()[-1]


@pytest.fixture
async def installed(installation: World) -> World:
    """An installation with a subscriber and a paper."""
    installation.listing("daily", first="owe")
    installation.pages.put("/daily", text_page("A Fictional Paper from before the Upgrade"))
    await installation.subscribe(READER, "*")
    await installation.run()
    return installation


async def test_p23_f081_an_upgrade_is_backed_up_first_and_not_done_by_what_only_looks(
    installed: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, url = installed.folder / "notifier.db", installed.config.database_url
    with monkeypatch.context() as later:
        later.setattr(
            sys.modules["notifier.store.migrate"],
            "MIGRATIONS",
            successor(tmp_path / "later") / "notifier/store/migrations",
        )
        with pytest.raises(SchemaUnfit, match=f"schema {HERE}, this program {REVISION}: .*`notifier migrate`"):
            async with open_store(url):
                pass
        assert backup.check(place) == HERE
        async with installed.opened() as running:
            assert await running.store.subscriber(READER) is not None
    copy = installed.folder / f"notifier.schema-{HERE}.db"
    assert (backup.check(place), backup.check(copy)) == (REVISION, HERE)
    assert copy.stat().st_mode & 0o777 == 0o600
    before = place.read_bytes()
    with pytest.raises(SchemaUnfit, match="install that version, or restore a backup"):
        async with installed.opened():
            pass
    assert place.read_bytes() == before, "an older program touches nothing"
    backup.restore(copy, place, known(), installed.now)  # the way back
    async with open_store(url) as store:
        assert await store.subscriber(READER) is not None


@pytest.mark.slow
async def test_p23_f081_a_migration_that_is_killed_leaves_the_old_schema_and_an_old_program_tells_its_exit_code(
    installed: World, tmp_path: Path
) -> None:
    later, place = successor(tmp_path / "later", work=1_000_000_000), installed.folder / "notifier.db"
    command = sys.executable, "-m", "notifier", "migrate", "--config", str(installed.folder / "config.toml")
    migrating = await asyncio.create_subprocess_exec(
        *command, cwd=installed.folder, env={**os.environ, "PYTHONPATH": str(later)}
    )
    async with asyncio.timeout(60):
        while not is_being_migrated(place):  # noqa: ASYNC110  another process's lock
            await asyncio.sleep(0.05)
    migrating.kill()
    await migrating.wait()
    assert backup.check(place) == HERE
    async with installed.opened() as running:
        assert await running.store.subscriber(READER) is not None
    with sqlite3.connect(place) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", (REVISION,))
    refused = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, said = await refused.communicate()
    assert (refused.returncode, b"it was written by a newer notifier" in said) == (BAD_CONFIG, True)


def is_being_migrated(place: Path) -> bool:
    """Tell whether the backup before the migration is there, and nobody else may write."""
    if not list(place.parent.glob("notifier.schema-*.db")):
        return False
    with sqlite3.connect(place, timeout=0, isolation_level=None) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return True
        return False
