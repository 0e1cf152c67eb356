"""Migrate: bring the database to this program's schema, in one transaction; forward only.

A schema newer than the program is refused before anything is touched (a downgrade would not know what it breaks).
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

from notifier.errors import StoreError
from notifier.store.engine import Database


async def migrate(database: Database) -> tuple[str | None, str]:
    """Apply every missing migration; return (revision before, revision after). None: the database was empty."""
    try:
        async with database.write() as connection:
            return await connection.run_sync(_upgrade)
    except DatabaseError as trouble:
        raise StoreError(f"{database.place} cannot be used: {trouble.orig}") from None


async def revision(database: Database) -> tuple[str | None, str]:
    """Return (the database's revision, this program's); None for a database without tables."""
    async with database.read() as connection:
        return await connection.run_sync(_current), _head()


def _upgrade(connection: Connection) -> tuple[str | None, str]:
    before = _current(connection)
    config = _config()
    config.attributes["connection"] = connection
    try:
        if before is not None:
            ScriptDirectory.from_config(config).get_revision(before)
    except CommandError:
        raise StoreError(
            f"the database has schema {before}, which this program ({_head()}) does not know: "
            "it was written by a newer notifier; install that version, or restore a backup"
        ) from None
    if before != _head():
        command.upgrade(config, "head")
    return before, _head()


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _head() -> str:
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config
