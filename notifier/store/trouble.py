"""Trouble: what a database's own error means to a person, and what mends it.

PostgreSQL's words are its own language's where it was told to speak one; then the remedy is not found, the words stay.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from notifier.errors import StoreError

NEEDED = 1024 * 1024  # octets on the disk, below which SQLite may find no room for its log and its index
OLDEST = (13, 0)  # PostgreSQL that Procrastinate works on
# What the databases say when the disk takes no more: SQLite's result codes (the low byte), PostgreSQL's SQLSTATE.
SQLITE_UNWRITABLE = {8: "it is read-only", 10: "the disk fails", 13: "the disk is full", 14: "a file cannot be opened"}
POSTGRESQL_UNWRITABLE = {"53100": "the disk is full", "58030": "the disk fails", "25006": "it is read-only"}
NO_TABLES = ("no such table", "42P01")  # the words of SQLite, the SQLSTATE of PostgreSQL
UNDONE = ("40001", "40P01")  # SQLSTATE of a serialization failure and of a deadlock
FORBIDDEN = "42501"  # SQLSTATE of a privilege that is missing
DAMAGED = (11, 26)  # SQLite's result codes of a file that is damaged or no database
# What PostgreSQL and its library say, and what mends it; the first that fits, so the special stand before the general.
REMEDIES = tuple((re.compile(said), remedy) for said, remedy in (
    ("password authentication failed", "put the right password into `database`, or into ~/.pgpass"),
    ("no password supplied", "put the password into `database`, or into ~/.pgpass"),
    (r"pg_hba\.conf", "let this role come from here, in the server's pg_hba.conf"),
    ("too many connections for role", "let the role have more: ALTER ROLE ... CONNECTION LIMIT"),
    ("too many connections for database", "let the database have more: ALTER DATABASE ... CONNECTION LIMIT"),
    ("too many|connection slots", "raise the server's max_connections, or put a PgBouncer before it"),
    ("starting up|shutting down|not yet accepting|in recovery mode", "wait until the server is up"),
    ("not currently accepting", "open it: ALTER DATABASE ... ALLOW_CONNECTIONS true, or name another in `database`"),
    ("not permitted to log in", "let the role in: ALTER ROLE ... LOGIN, or name another in `database`"),
    ("permission denied for database", "let this role in: GRANT CONNECT ON DATABASE ... TO it"),
    ("permission denied", "give this role what it needs: ALTER DATABASE ... OWNER TO it"),
    ("role .* does not exist", "make the role: CREATE ROLE ... LOGIN, or name another in `database`"),
    ("database .* does not exist", "make it: createdb, or name another in `database`"),
    ("statement timeout", "let it take longer: ALTER ROLE ... SET statement_timeout"),
    ("lock timeout", "let it wait longer: ALTER ROLE ... SET lock_timeout"),
    ("certificate", "mend the server's certificate, or sslrootcert in `database`"),
    ("SSL", "let the server speak TLS, or change sslmode in `database`"),
    ("failed to resolve host|could not translate host name", "name the right host in `database`"),
    ("connection option", "leave it out of `database`"),
    ("timeout", "see that the server is up, and that no firewall is between"),
    ("connection to server", "start the server, or name the right host and port in `database`"),
    ("connection", "see that the server is up"),
))  # fmt: skip


def why_unwritable(trouble: DBAPIError) -> str:
    """Return why the database's own error means that nothing can be stored; "" when it means something else."""
    code = getattr(trouble.orig, "sqlite_errorcode", None)
    if isinstance(code, int):
        return SQLITE_UNWRITABLE.get(code & 0xFF, "")
    return POSTGRESQL_UNWRITABLE.get(str(getattr(trouble.orig, "sqlstate", "")), "")


def explained(place: str, path: Path | None, trouble: DBAPIError) -> Exception:
    """Return what is raised instead of a database's error: what it means and what mends it, where that is known.

    `path` is the file of SQLite, None for PostgreSQL. An error that speaks of our own mistake comes back as it is.
    """
    words, state = NO_TABLES
    sqlstate, code = getattr(trouble.orig, "sqlstate", None), getattr(trouble.orig, "sqlite_errorcode", None)
    if words in str(trouble.orig) or sqlstate == state:
        return StoreError(f"{place}: the database has no tables yet: run `notifier migrate`")
    if isinstance(code, int) and code & 0xFF in DAMAGED:
        return StoreError(why_unusable(place, path, trouble))
    lost = isinstance(trouble, (OperationalError, InterfaceError)) and code is None and sqlstate not in UNDONE
    if path is None and (sqlstate == FORBIDDEN or lost):
        return StoreError(why_unusable(place, path, trouble))
    return trouble


def why_unusable(place: str, path: Path | None, trouble: DBAPIError) -> str:
    """Say what is wrong with a database that could not be used, and what mends that."""
    if path is None:
        said = " ".join(str(trouble.orig).partition("\nLINE ")[0].split())
        meant = said.rpartition("FATAL:")[2]
        remedy = next((remedy for words, remedy in REMEDIES if words.search(meant)), "")
        return f"{place} cannot be used: {said}" + f"; {remedy}" * bool(remedy)
    if path.exists() and not path.is_file():
        return f"{path} is no file: set `database` to the name of one, such as {path / 'notifier.db'}"
    if not os.access(path, os.R_OK | os.W_OK):
        return f"{path} may not be read and written by this user: run this as its owner, or as root"
    if shutil.disk_usage(path.parent).free < NEEDED:
        return f"{place} cannot be used ({trouble.orig}): its disk is full; make room there, nothing is lost"
    return (
        f"{place} cannot be used ({trouble.orig}): it was left untouched; "
        "restore a backup, or set `database` to another file"
    )


def too_old(place: str, path: Path | None, version: tuple[int, ...]) -> str:
    """Return what to say of a PostgreSQL of this version; "" when it will do."""
    if path is not None or version >= OLDEST:
        return ""
    found, needed = (".".join(map(str, each[:1] if each[0] >= 10 else each[:2])) for each in (version, OLDEST))
    return f"{place} is PostgreSQL {found}: update the server to {needed} or later"


def too_narrow(place: str, encoding: str) -> str:
    """Return what to say of a PostgreSQL database in this encoding ("" for SQLite); "" when it will do."""
    if encoding in ("", "UTF8"):
        return ""
    return (
        f"{place} is encoded in {encoding}, which cannot hold the letters of every paper: make a database in UTF8 "
        "(createdb --encoding=UTF8 --template=template0 NAME) and name it in `database`"
    )
