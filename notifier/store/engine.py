"""The engine: opens the database (sqlite.py, postgresql.py) and hands out transactions.

SQLite has one writer at a time within the process. The lock that lets one pipeline run per database is the kernel's
(flock): it cannot go stale.

A disk that is full, failing or read-only raises Unwritable: the transaction is rolled back, reading goes on, and the
next one is tried as if nothing had been; `unwritable` says why until `Store.ensure_writable` could store something.

A transaction that many wait for runs from its first statement to its commit in the database's own thread (`transact`):
handing each statement over by itself costs more than the sync of the disk.

PostgreSQL: a writing transaction that decides from what it read is alone among all processes,
as on SQLite, by an advisory lock that ends with it; those that touch only rows they hold locks on run side by side.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import wraps
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ParamSpec, TypeVar, cast
from urllib.parse import quote_plus

from sqlalchemy import (
    ARRAY,
    JSON,
    Column,
    ColumnElement,
    Executable,
    Insert,
    Row,
    Table,
    Text,
    any_,
    func,
    literal,
    select,
    text,
    true,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.errors import DatabaseInUse, StoreError, Unwritable
from notifier.files import own_as_folder
from notifier.store.postgresql import LONGEST_PAUSE, open_postgresql
from notifier.store.sqlite import Thread, open_sqlite
from notifier.store.trouble import UNDONE, explained, why_unwritable

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

PARAMETERS = 900  # values bound in one statement; SQLite's oldest limit is 999
WRITER_LOCK = 0x6E6F7469  # PostgreSQL: so polls commit in the order of their ids, too, and a cursor skips none
UNREADABLE = (
    "the URL of the database cannot be read: write postgresql://user:password@host:5432/name, and in the password "
    "%40 for @, %3A for :, %2F for / and %25 for %"
)
SECRET = ("password", "sslpassword", "passfile")  # what libpq takes from the query of a URL, and nobody is shown
HIDDEN = "***"
LONGEST_READ = 300.0  # seconds that one view of the database may be held
TRIES = 4  # of a transaction that waits for another which waits for it
_ALONE = select(
    func.set_config("idle_in_transaction_session_timeout", LONGEST_PAUSE, true()),
    func.pg_advisory_xact_lock(WRITER_LOCK),
)

T = TypeVar("T")
P = ParamSpec("P")


def again(verb: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Do a verb anew, whose transaction PostgreSQL undid because it and another waited for each other; TRIES times."""

    @wraps(verb)
    async def tried(*args: P.args, **kwargs: P.kwargs) -> T:
        for _ in range(TRIES - 1):
            try:
                return await verb(*args, **kwargs)
            except DBAPIError as trouble:
                if getattr(trouble.orig, "sqlstate", None) not in UNDONE:
                    raise
        return await verb(*args, **kwargs)

    return tried


class Database:
    """An open database. `read` and `write` are the only ways to a connection."""

    def __init__(self, url: str) -> None:
        try:
            self.url = make_url(url)
        except (ArgumentError, ValueError):  # its words would show the password
            raise StoreError(UNREADABLE) from None
        if not self.is_sqlite and _torn(url, self.url):
            raise StoreError(UNREADABLE)
        self.path = Path(self.url.database) if self.url.database and self.is_sqlite else None
        self._engine = open_sqlite(self.url, self.path) if self.is_sqlite else open_postgresql(self.url)
        self._writer = asyncio.Lock()
        self._threads = {writes: Thread(self.url) for writes in (True, False)} if self.is_sqlite else {}
        self._lock: IO[str] | None = None
        self.unwritable = ""  # why a transaction could not be stored; "" again when a trial could

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @asynccontextmanager
    async def read(self, *, longest: float | None = LONGEST_READ) -> AsyncIterator[AsyncConnection]:
        """One consistent view; nothing is written. Raises StoreError when it lasts longer than so many seconds.

        As long as it lasts SQLite cannot cut its log short, nor PostgreSQL clean up what was deleted.
        """
        deadline = asyncio.timeout(longest)
        try:
            async with deadline, self._view() as connection:
                yield connection
        except DBAPIError as trouble:
            raise explained(self.place, self.path, trouble) from None
        except TimeoutError:
            if not deadline.expired():
                raise
            raise StoreError(f"{self.place} was read for {longest:g} s without an end: given up") from None

    @asynccontextmanager
    async def _view(self) -> AsyncIterator[AsyncConnection]:
        async with self._engine.connect() as plain:
            # An own statement's view is PostgreSQL's default; for a writer it must be, who waited for the one before.
            level = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
            connection = await plain.execution_options(**level)
            async with connection.begin():
                yield connection

    @asynccontextmanager
    async def write(self, *, alone: bool = True) -> AsyncIterator[AsyncConnection]:
        """One transaction: committed as a whole when the block ends, or not at all.

        It is the only writer of the database while it lasts. With `alone` false, for what touches only rows that it
        locks, writers of PostgreSQL do not wait for each other; SQLite has one at a time in any case.
        """
        async with self._writer if self.is_sqlite else nullcontext():
            try:
                async with self._engine.connect() as plain:
                    connection = await plain.execution_options(writes=True)
                    async with connection.begin():
                        if alone and not self.is_sqlite:
                            await connection.execute(_ALONE)
                        yield connection
            except DBAPIError as trouble:
                raise self._explained(trouble) from None

    async def transact(
        self, work: Callable[[AsyncConnection], Coroutine[Any, Any, T]], *, writes: bool = True, alone: bool = True
    ) -> T:
        """Return what `work` does in one transaction, as `write` or `read`; it may wait for the connection alone."""
        if self.is_sqlite:
            async with self._writer if writes else nullcontext():
                try:
                    return await self._threads[writes].transact(self._engine, work, writes=writes)
                except DBAPIError as trouble:
                    raise self._explained(trouble) from None
        async with self.write(alone=alone) if writes else self.read() as connection:
            return await work(connection)

    async def once(self, statement: Executable, given: Mapping[str, Any]) -> Sequence[Row[Any]]:
        """Return the rows of one statement that is a transaction by itself: one round trip to PostgreSQL."""
        try:
            async with self._engine.connect() as plain:
                connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
                return (await connection.execute(statement, given)).all()
        except DBAPIError as trouble:
            raise self._explained(trouble) from None

    async def change(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` in one writing transaction of SQLite, with the driver's own connection; raising undoes it."""
        async with self._writer:
            try:
                return await self._threads[True].change(work)
            except DBAPIError as trouble:
                raise self._explained(trouble) from None

    def _explained(self, trouble: DBAPIError) -> Exception:
        """Return what is raised instead of a database's error: what it means, where that is known."""
        if reason := why_unwritable(trouble):
            self.unwritable = f"{self.place} cannot be written: {reason}"
            return Unwritable(self.unwritable)
        return explained(self.place, self.path, trouble)

    @asynccontextmanager
    async def outside(self) -> AsyncIterator[AsyncConnection]:
        """A connection without a transaction, for what cannot be in one."""
        async with self._writer, self._engine.connect() as plain:
            apart: dict[str, Any] = {"outside": True} if self.is_sqlite else {"isolation_level": "AUTOCOMMIT"}
            yield await plain.execution_options(**apart)

    @property
    def place(self) -> str:
        """Where the database is, for people; the passwords in its URL are hidden."""
        hidden = {name: HIDDEN for name in SECRET if name in self.url.query}
        shown = self.url.update_query_dict(hidden).render_as_string(hide_password=True)
        return str(self.path or shown.replace(quote_plus(HIDDEN), HIDDEN))

    @property
    def server_version(self) -> tuple[int, ...]:
        """The version of the server that was connected to; of SQLite, this program's."""
        return tuple(int(each) for each in self._engine.dialect.server_version_info or ())

    async def encoding(self) -> str:
        """Return the encoding that PostgreSQL holds this database's texts in; "" for SQLite, which has one alone."""
        if self.is_sqlite:
            return ""
        async with self.read() as connection:
            return str(await connection.scalar(text("SHOW server_encoding")))

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """An INSERT that knows ON CONFLICT, in the database's own dialect."""
        if self.is_sqlite:
            return sqlite.insert(table)
        from sqlalchemy.dialects import postgresql  # 4 MB that SQLite has no use for

        return postgresql.insert(table)

    def among(self, column: Column[str], texts: Sequence[str]) -> list[ColumnElement[bool]]:
        """Return the conditions, one for each statement, that a text is one of these: PostgreSQL takes an array."""
        if self.is_sqlite:
            return [column.in_(some) for some in chunks(texts)]
        return [column == any_(literal(list(texts), ARRAY(Text)))] if texts else []

    def hold(self) -> None:
        """Take the right to run the pipeline on this database, for as long as this process lives.

        Raises DatabaseInUse naming the holder. PostgreSQL needs none: leases share the work.
        """
        if self.path is None or str(self.path) == ":memory:":
            return
        file = self.path.with_name(self.path.name + ".lock")
        lock = os.fdopen(os.open(file, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600), "a+", encoding="utf-8")
        own_as_folder(file)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read(200).strip() or "another process"
            lock.close()
            raise DatabaseInUse(str(self.path), holder) from None
        lock.truncate(0)
        lock.write(f"notifier, process {os.getpid()} on {socket.gethostname()}\n")
        lock.flush()
        self._lock = lock

    async def close(self) -> None:
        for thread in self._threads.values():
            await thread.close()
        await self._engine.dispose()
        if self._lock:
            self._lock.close()
            self._lock = None


def _torn(written: str, url: URL) -> bool:
    """Return whether a password with a bare "@" in it was cut there, so that its rest passes for the host or name."""
    return "@" in (url.host or "") or (url.password is not None and written.count("@") > 1)


def chunks(values: Sequence[T], size: int = PARAMETERS) -> Iterator[Sequence[T]]:
    """Cut values into runs, by default as long as one statement can bind."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


async def execute_rows(
    connection: AsyncConnection, statement: Insert, columns: Sequence[str], rows: Sequence[tuple[object, ...]]
) -> None:
    """Execute an INSERT for many plain rows, whose values are in the order of `columns`; JSON is text already.

    PostgreSQL takes them as arrays, in which a primary key may be once only.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(_from_arrays(statement, columns, rows))
        return
    compiled = statement.compile(dialect=connection.dialect, column_keys=list(columns))
    place = {name: number for number, name in enumerate(columns)}
    if compiled.positiontup is None:
        named = [dict(zip(columns, row, strict=True)) for row in rows]
        await connection.exec_driver_sql(str(compiled), named)
    elif list(compiled.positiontup) == list(columns):
        await connection.exec_driver_sql(str(compiled), list(rows))
    else:
        order = [place[name] for name in compiled.positiontup]
        await connection.exec_driver_sql(str(compiled), [tuple(row[number] for number in order) for row in rows])


def _from_arrays(statement: Insert, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> Insert:
    table = cast("Table", statement.table)
    types = [table.c[name].type for name in columns]
    plain = [Text() if isinstance(kind, JSON) else kind for kind in types]
    values = [literal(list(column), ARRAY(kind)) for kind, column in zip(plain, zip(*rows, strict=True), strict=True)]
    given = func.unnest(*values).table_valued(*columns, name="given").render_derived()
    picked = [sql_cast(given.c[name], kind) for name, kind in zip(columns, types, strict=True)]
    return statement.from_select(list(columns), select(*picked))
