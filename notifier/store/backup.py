"""Back up and restore the SQLite database, while the program runs or in its place.

A backup is a consistent copy, verified before it gets its name: a crash leaves the old file or the new one. `restore`
puts one back, keeps what was there beside it, and carries over what the newer database proves: a message that left
after the backup and the papers in it, who signed up, changed their wishes, left or was erased since, and what came
back. The restored database holds its mail until `release`, because what a damaged database knew is not known.
PostgreSQL has tools of its own (pg_dump, point-in-time recovery).

Fails with StoreError, leaving everything as it was.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from notifier.errors import StoreError
from notifier.files import own_as_folder

NAME = "notifier-{:%Y%m%dT%H%M%SZ}.db"
PATTERN = "notifier-????????T??????Z.db"
# What the newer database proves, in the order that foreign keys want. Ids are never reused, so the same id is the same
# row; of a paper, who subscribed since the backup does not matter.
WENT = "(state IN ('sent', 'in-doubt') OR doubts > 0)"  # or may have gone: it is offered again as it was
CARRIED = f"SELECT paper_id FROM newer.delivery WHERE message_id IN (SELECT id FROM newer.message WHERE {WENT})"


# What a subscriber decides of a subscription; what it is owed is not theirs to say.
WISHED = (
    "label", "cadence", "at", "weekday", "timezone", "versions", "quiet", "next_due_at", "active", "origin", "feed",
    "feed_name",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: where the database is that was there before, and what it proved.

    `people` are subscribers who came since the backup, `erased` those who were erased since.
    """

    kept: Path | None
    compared: bool
    sent: int
    waiting: int
    people: int = 0
    erased: int = 0


def back_up(source: Path, target: Path, now: datetime, keep: int | None = None) -> Path:
    """Copy a database that may be in use; `target` is a file, or a folder that gets a file named by the time.

    `keep` is how many files of a folder remain. Returns the file. Raises StoreError and OSError.
    """
    if not source.exists():
        raise StoreError(f"{source}: there is no database to back up")
    if target.is_dir() or not target.suffix:
        if not target.exists():
            target.mkdir(parents=True, mode=0o700)
            own_as_folder(target)
        target = target / NAME.format(now)
    if target.exists() and (target.samefile(source) or not _is_sqlite(target)):
        raise StoreError(f"{target} is not a backup: it is not overwritten")
    copy(source, target)
    if keep is not None:
        for old_file in sorted(target.parent.glob(PATTERN))[:-keep]:
            old_file.unlink()
    return target


def copy(source: Path, target: Path) -> None:
    """Copy a database that may be in use, and read the copy through. Raises StoreError and OSError."""
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as old, closing(sqlite3.connect(part)) as new:
            old.backup(new)
            new.execute("PRAGMA journal_mode=DELETE")
        check(part)
        _put(part, target)
    except sqlite3.Error as trouble:
        raise StoreError(f"{source} could not be backed up: {trouble}") from None
    finally:
        part.unlink(missing_ok=True)


def check(file: Path) -> str:
    """Read a database through; return its schema's revision. Raises StoreError with what is wrong."""
    if not file.is_file():
        raise StoreError(f"{file} is a folder: name a file in it" if file.is_dir() else f"{file} is not there")
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            said = [row[0] for row in database.execute("PRAGMA integrity_check(5)")]
            if said != ["ok"]:
                raise StoreError(f"{file} is damaged: {'; '.join(said)[:300]}")
            return str(database.execute("SELECT version_num FROM alembic_version").fetchone()[0])
    except (sqlite3.Error, TypeError) as trouble:
        raise StoreError(f"{file} is not a database of this program: {trouble}") from None


def restore(file: Path, database: Path, known: list[str], now: datetime, *, people: bool = True) -> Restored:
    """Put a backup in the place of a database that nobody uses. `known` are the revisions this program can bring up.

    With `people` subscribers and subscriptions are those of the database that was there; without, those of the backup,
    of whom nobody is subscribed who left or was erased since. The caller holds the database's lock.
    """
    revision = check(file)
    if revision not in known:
        raise StoreError(f"{file} has schema {revision}, which this program does not know: install a newer notifier")
    part = database.with_name(f".{database.name}.restored")
    part.unlink(missing_ok=True)
    try:
        shutil.copyfile(file, part)
        part.chmod(0o600)
        carried = _carry_over(part, database, people) if database.exists() else None
        with _writing(part) as new:
            reason = f"restored {now:%Y-%m-%d %H:%M} UTC"
            new.execute("INSERT OR REPLACE INTO setting (key, value) VALUES ('hold', ?)", (reason,))
            waits = "SELECT count(*) FROM message WHERE state IN ('queued', 'claimed', 'deferred', 'in-doubt')"
            waiting = new.execute(waits).fetchone()[0]
        kept = _set_aside(database, now)
        _put(part, database)
    except sqlite3.Error as trouble:
        raise StoreError(f"{file} could not be restored: {trouble}") from None
    finally:
        part.unlink(missing_ok=True)
    sent, came, erased = carried or (0, 0, 0)
    return Restored(kept=kept, compared=carried is not None, sent=sent, waiting=waiting, people=came, erased=erased)


def _carry_over(restored: Path, newer: Path, people: bool) -> tuple[int, int, int] | None:
    """Copy what the newer database proves into the restored one; None where it cannot be read or is another one's.

    Returns how many messages left, how many people came and how many were erased since.
    """
    try:
        same = check(newer) == check(restored)
    except StoreError:
        return None
    if not same:
        return None
    with _writing(restored) as database:
        database.execute("COMMIT")
        database.execute("ATTACH ? AS newer", (str(newer),))
        database.execute("BEGIN IMMEDIATE")
        secrets = "SELECT (SELECT value FROM {}.setting WHERE key = 'secret')"
        ours, theirs = (database.execute(secrets.format(name)).fetchone()[0] for name in ("main", "newer"))
        if ours is None or ours != theirs:
            return None
        for table, which in (
            ("poll", f"id IN (SELECT poll_id FROM newer.paper WHERE id IN ({CARRIED}))"),
            ("paper", f"id IN ({CARRIED})"),
            ("paper_key", f"paper_id IN ({CARRIED}) AND paper_id IN (SELECT id FROM main.paper)"),
            ("query", "id IN (SELECT query_id FROM newer.hit)"),
            ("hit", f"paper_id IN ({CARRIED})"),
        ):
            database.execute(f"INSERT OR IGNORE INTO main.{table} SELECT * FROM newer.{table} WHERE {which}")
        erased = _forget_erased(database)
        came = _carry_people(database) if people else 0
        database.execute("INSERT OR IGNORE INTO main.bounce SELECT * FROM newer.bounce")
        of_somebody = "(subscriber_id IN (SELECT id FROM main.subscriber) OR kind != 'digest')"
        mine = f"{WENT} AND {of_somebody}"
        since = f"{mine} AND state = 'sent' AND id NOT IN (SELECT id FROM main.message WHERE state = 'sent')"
        left = database.execute(f"SELECT count(*) FROM newer.message WHERE {since}").fetchone()[0]
        database.execute(f"INSERT OR REPLACE INTO main.message SELECT * FROM newer.message WHERE {mine}")
        carried = f"message_id IN (SELECT id FROM newer.message WHERE {mine})"
        database.execute(f"DELETE FROM main.content WHERE {carried}")
        # What is in doubt is offered once more: with the same bytes, of which it may share lines with others.
        database.execute(
            "INSERT INTO main.lines SELECT * FROM newer.lines WHERE true "
            "ON CONFLICT(key) DO UPDATE SET kept_at = max(kept_at, excluded.kept_at)"
        )
        database.execute(f"INSERT INTO main.content SELECT * FROM newer.content WHERE {carried}")
        database.execute(
            "INSERT OR REPLACE INTO main.delivery SELECT * FROM newer.delivery "
            f"WHERE message_id IN (SELECT id FROM main.message WHERE {WENT})"
        )
        database.execute(  # what was refused after all is owed again
            "UPDATE main.delivery SET message_id = NULL "
            "WHERE message_id IN (SELECT id FROM main.message WHERE state = 'failed')"
        )
        database.execute(  # who left or was suppressed since stays so
            "UPDATE main.subscriber SET state = theirs.state, since = theirs.since FROM newer.subscriber AS theirs "
            "WHERE theirs.id = main.subscriber.id AND theirs.state IN ('unsubscribed', 'suppressed')"
        )
    return left, came, erased


def _forget_erased(database: sqlite3.Connection) -> int:
    """Delete who is in the restored database and not in the newer one, with all that refers to them."""
    gone = "SELECT id FROM main.subscriber WHERE id NOT IN (SELECT id FROM newer.subscriber)"
    names = [row[0] for row in database.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")]
    for name in names:
        for _, _, to, column, *_ in database.execute(f"PRAGMA main.foreign_key_list({name})").fetchall():
            if to == "subscriber":
                database.execute(f"DELETE FROM main.{name} WHERE {column} IN ({gone})")
    emails = f"SELECT email FROM main.subscriber WHERE id IN ({gone})"
    database.execute(f"DELETE FROM main.message WHERE recipient IN ({emails})")
    database.execute("DELETE FROM main.content WHERE message_id NOT IN (SELECT id FROM main.message)")
    database.execute("DELETE FROM main.asking")  # some may be theirs, and nobody waits for what was asked so long ago
    return database.execute(f"DELETE FROM main.subscriber WHERE id IN ({gone})").rowcount


def _carry_people(database: sqlite3.Connection) -> int:
    """Make subscribers, their subscriptions and what waits to be confirmed those of the newer database.

    A subscription keeps what the restored database owes to it; one that is new there is owed what comes from now on.
    Returns how many subscribers came.
    """
    came = database.execute(
        "SELECT count(*) FROM newer.subscriber WHERE id NOT IN (SELECT id FROM main.subscriber)"
    ).fetchone()[0]
    database.execute("INSERT OR REPLACE INTO main.subscriber SELECT * FROM newer.subscriber")
    database.execute("INSERT OR IGNORE INTO main.query SELECT * FROM newer.query")
    changed = ", ".join(f"{column} = theirs.{column}" for column in WISHED)
    database.execute(  # a feed may have gone from one to another since
        "UPDATE main.subscription SET feed = lower(hex(randomblob(20))), feed_name = lower(hex(randomblob(20))) "
        "WHERE id IN (SELECT id FROM newer.subscription)"
    )
    database.execute(
        f"UPDATE main.subscription SET {changed} FROM newer.subscription AS theirs "
        "WHERE theirs.id = main.subscription.id"
    )
    last = database.execute("SELECT coalesce(max(id), 0) FROM main.subscription").fetchone()[0]
    database.execute("INSERT OR IGNORE INTO main.subscription SELECT * FROM newer.subscription WHERE id > ?", (last,))
    newest = "(SELECT coalesce(max(id), 0) FROM main.poll)"
    database.execute(f"UPDATE main.subscription SET began = {newest}, cursor = {newest} WHERE id > ?", (last,))
    terms = f"SELECT id, subscription_id, subscriber_id, query_id, label, versions, began, min(until, {newest})"
    database.execute("DELETE FROM main.earlier")
    database.execute(f"INSERT INTO main.earlier {terms} FROM newer.earlier WHERE began < {newest}")
    for table in ("wish", "asking"):
        database.execute(f"DELETE FROM main.{table}")
        database.execute(f"INSERT INTO main.{table} SELECT * FROM newer.{table}")
    return int(came)


@contextmanager
def _writing(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("PRAGMA foreign_keys=OFF")  # `message` is replaced row by row
        database.execute("BEGIN IMMEDIATE")
        yield database
        if database.in_transaction:
            database.execute("COMMIT")


def _set_aside(database: Path, now: datetime) -> Path | None:
    """Keep the database that was there, with its write-ahead log."""
    if not database.exists():
        return None
    kept = database.with_name(f"{database.name}.before-{now:%Y%m%dT%H%M%SZ}")
    for ending in ("-wal", "-shm", ""):
        old = database.with_name(database.name + ending)
        if old.exists():
            old.rename(kept.with_name(kept.name + ending))
    return kept


def _is_sqlite(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(16) == b"SQLite format 3\0"


def _put(part: Path, target: Path) -> None:
    """Give a finished file its name, durably."""
    own_as_folder(part)
    for path, flags in ((part, os.O_RDONLY), (target.parent, os.O_RDONLY | os.O_DIRECTORY)):
        if path is not part:
            part.replace(target)
        opened = os.open(path, flags)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
