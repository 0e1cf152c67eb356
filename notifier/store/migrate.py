"""Migrate: bring the database to this program's schema, in one transaction; forward only.

An SQLite database is backed up first, beside itself and named after the schema it had. A schema newer
than the program is refused before anything is touched (a downgrade would not know what it breaks).

Alembic is imported when there is something to migrate: to see that there is not, which is every start but the first
after an update, takes one row and the names of the files, and spares the daemon 11 MB.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DatabaseError, DBAPIError

from notifier.errors import SchemaUnfit, StoreError
from notifier.store import backup
from notifier.store.engine import Database
from notifier.store.trouble import too_narrow, too_old, why_unusable

MIGRATIONS = Path(__file__).parent / "migrations"


async def migrate(database: Database, *, keep: bool = True) -> tuple[str | None, str]:
    """Apply every missing migration; return (revision before, revision after). None: the database was empty.

    Whoever calls it on SQLite holds the database; `keep` leaves a copy of what it was. Raises SchemaUnfit
    for a newer schema, StoreError and OSError.
    """
    before, head = await revision(database)
    check_known(before)
    if keep and database.path and before not in (None, head):
        copy = database.path.with_name(f"{database.path.stem}.schema-{before}.db")
        await asyncio.to_thread(backup.copy, database.path, copy)
    try:
        async with database.write() as connection:
            return await connection.run_sync(_upgrade)
    except DatabaseError as trouble:
        raise StoreError(f"{database.place} cannot be used: {trouble.orig}") from None


async def revision(database: Database) -> tuple[str | None, str]:
    """Return (the database's revision, this program's); None for a database without tables.

    Raises StoreError for a database that cannot be read, or that no schema of this program would work on.
    """
    try:
        async with database.read() as connection:
            found = await connection.run_sync(_current)
    except DBAPIError as trouble:
        raise StoreError(why_unusable(database.place, database.path, trouble)) from None
    if unfit := too_old(database.place, database.path, database.server_version):
        raise StoreError(unfit)
    if unfit := too_narrow(database.place, await database.encoding()):
        raise StoreError(unfit)
    return found, _head()


def known() -> list[str]:
    """Return every revision that this program knows, the oldest first: the file m0001_... holds revision 0001."""
    return sorted(file.name[1:5] for file in (MIGRATIONS / "versions").glob("m[0-9][0-9][0-9][0-9]_*.py"))


def check_known(before: str | None) -> None:
    """Raise SchemaUnfit for a schema that this program does not know."""
    if before is not None and before not in known():
        raise SchemaUnfit(
            f"the database has schema {before}, which this program ({_head()}) does not know: "
            "it was written by a newer notifier; install that version, or restore a backup"
        )


def _upgrade(connection: Connection) -> tuple[str | None, str]:
    before, head = _current(connection), _head()
    check_known(before)
    if before != head:
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return before, head


def _current(connection: Connection) -> str | None:
    """Return the revision that Alembic noted in the database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    noted: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return noted


def _head() -> str:
    return known()[-1]
