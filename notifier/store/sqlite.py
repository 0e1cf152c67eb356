"""SQLite: opens the database, keeps it durable, and runs whole transactions in a thread of the database's own.

WAL with `synchronous=FULL`, so that what is committed survives a power cut; every writing transaction begins
IMMEDIATE, because one that reads first and then writes fails at once when another wrote in between; `busy_timeout`
against other processes.

A connection whose statement is cut off in the middle lets go of everything when it is closed: SQLite keeps a closed
connection, and what it has locked, for as long as somebody holds one of its cursors.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast
from weakref import WeakSet

from sqlalchemy import Engine, PoolProxiedConnection, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from notifier.errors import StoreError
from notifier.files import own_as_folder

BUSY_TIMEOUT = 30  # seconds to wait for another process's transaction
CACHE = 1_000  # KiB of pages for each connection; the kernel keeps them too

T = TypeVar("T")


def open_sqlite(url: URL, path: Path | None) -> AsyncEngine:
    """Return the engine of a file, which is made if it is not there; None is a database in memory.

    Raises StoreError when its directory is missing.
    """
    if path and not path.parent.is_dir():
        raise StoreError(f"{path.parent} is not a directory: make it, or set `database` to another place")
    if path and str(path) != ":memory:" and not path.exists():
        # SQLite would give it what the umask leaves; its log and index get the mode of the database.
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            own_as_folder(path)
    engine = create_async_engine(url.set(drivername="sqlite+aiosqlite"), connect_args=_CONNECT, hide_parameters=True)
    _prepare(engine.sync_engine)
    return engine


class _Connection(sqlite3.Connection):
    """A connection that ends its statements before it is closed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._cursors: WeakSet[sqlite3.Cursor] = WeakSet()

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        made = super().cursor(*args, **kwargs)
        self._cursors.add(made)
        return made

    def close(self) -> None:
        for each in self._cursors:
            each.close()
        super().close()


_CONNECT = {"timeout": BUSY_TIMEOUT, "factory": _Connection}


class Thread:
    """A thread with a connection to SQLite of its own, in which whole transactions run, one after the other."""

    def __init__(self, url: URL) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="database")
        self._engine = create_engine(url.set(drivername="sqlite+pysqlite"), connect_args=_CONNECT, hide_parameters=True)
        _prepare(self._engine)
        self._plain: PoolProxiedConnection | None = None

    async def transact(
        self, outside: AsyncEngine, work: Callable[[AsyncConnection], Coroutine[Any, Any, T]], *, writes: bool
    ) -> T:
        """Do `work` to its end, even if who waits for it is cut off."""

        def whole() -> T:
            with self._engine.connect() as plain:
                connection = plain.execution_options(writes=writes)
                with connection.begin():
                    return _at_once(work(_Direct(outside, sync_connection=connection)))

        return await self._run(whole)

    async def change(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` with the driver's own connection, in one transaction; raising in it undoes all of it.

        The short way to what is done for every message that is sent: the library's own takes several times as long.
        """

        def whole() -> T:
            with _explained():
                if self._plain is None:
                    self._plain = self._engine.raw_connection()
                database = self._plain.driver_connection
                assert isinstance(database, sqlite3.Connection)
                database.execute("BEGIN IMMEDIATE")
                try:
                    done = work(database)
                    database.commit()
                except BaseException:
                    database.rollback()
                    raise
                return done

        return await self._run(whole)

    async def _run(self, whole: Callable[[], T]) -> T:
        running = asyncio.get_running_loop().run_in_executor(self._executor, whole)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._executor, self._dispose)
        self._executor.shutdown()

    def _dispose(self) -> None:
        if self._plain is not None:
            self._plain.close()
        self._engine.dispose()


class _Direct(AsyncConnection):
    """A connection that is used in its own thread: each statement is done when its call returns."""

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        return self._proxied.execute(*args, **kwargs)

    async def scalar(self, *args: Any, **kwargs: Any) -> Any:
        return self._proxied.scalar(*args, **kwargs)

    async def exec_driver_sql(self, *args: Any, **kwargs: Any) -> Any:
        return self._proxied.exec_driver_sql(*args, **kwargs)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Raise what the library would raise for an error of the driver."""
    try:
        yield
    except sqlite3.Error as fault:
        raise DBAPIError(None, None, fault, hide_parameters=True) from fault


def instant(value: datetime) -> str:
    """Return an instant as SQLite stores it: in UTC, without saying so."""
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def _at_once(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never has to wait: what it awaits, a connection of this thread, is done when it answers."""
    try:
        work.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    work.close()
    raise RuntimeError("a transaction waited for something beside the database")


def _prepare(engine: Engine) -> None:
    """Have each connection to SQLite durable, and each transaction of a writer begun as one."""

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself: `begin` below does
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY",
                       f"cache_size=-{CACHE}"):  # fmt: skip
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        options = connection.get_execution_options()
        if not options.get("outside"):
            connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes") else "BEGIN")
