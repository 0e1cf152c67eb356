"""SQLite: what is cut off in the middle of a statement holds nothing back, and the log is cut short."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.store.engine import Database
from notifier.store.keeping import Keeping


@dataclass(slots=True)
class Gate:
    """Stands in the middle of a statement: its SQL function `gate()` says that it is called, and waits to be let on."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: threading.Event = field(default_factory=threading.Event)

    async def into(self, connection: AsyncConnection) -> None:
        loop = asyncio.get_running_loop()

        def gate() -> int:
            loop.call_soon_threadsafe(self.reached.set)
            self.opened.wait(20)
            return 1

        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.create_function("gate", 0, gate)


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Let no garbage be collected: what a cut off task leaves behind may live for long."""
    gc.disable()
    yield
    gc.enable()


async def database_with_rows(folder: Path) -> Database:
    database = Database(f"sqlite:///{folder / 'notifier.db'}")
    async with database.write() as connection:
        await connection.exec_driver_sql("CREATE TABLE number (n)")
        await connection.exec_driver_sql("INSERT INTO number VALUES (1), (2), (3)")
    return database


async def cut_off(database: Database, verb: Callable[[Gate], Awaitable[None]]) -> BaseException:
    """Cancel a verb while the database works on its statement; return what it ended with."""
    gate = Gate()
    task = asyncio.ensure_future(verb(gate))
    await gate.reached.wait()
    task.cancel()
    asyncio.get_running_loop().call_soon(gate.opened.set)
    (ended,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError)
    return ended


async def test_a_read_that_is_cut_off_holds_no_snapshot(tmp_path: Path, uncollected: None) -> None:
    database = await database_with_rows(tmp_path)

    async def read(gate: Gate) -> None:
        async with database.read() as connection:
            await gate.into(connection)
            await connection.exec_driver_sql("SELECT gate(), n FROM number")

    kept = await cut_off(database, read)
    assert await Keeping(database).shorten_log()
    assert (tmp_path / "notifier.db-wal").stat().st_size == 0
    await database.close()
    del kept


async def test_a_write_that_is_cut_off_holds_no_lock_and_stores_nothing(tmp_path: Path, uncollected: None) -> None:
    database = await database_with_rows(tmp_path)

    async def write(gate: Gate) -> None:
        async with database.write() as connection:
            await gate.into(connection)
            await connection.exec_driver_sql("UPDATE number SET n = 10 RETURNING gate(), n")

    kept = await cut_off(database, write)
    async with database.write() as connection:
        await connection.exec_driver_sql("INSERT INTO number VALUES (4)")
    async with database.read() as connection:
        found = (await connection.exec_driver_sql("SELECT n FROM number ORDER BY n")).scalars().all()
    assert found == [1, 2, 3, 4]
    await database.close()
    del kept


async def test_a_reader_keeps_the_log_as_it_is_and_is_not_waited_for_long(tmp_path: Path) -> None:
    database = await database_with_rows(tmp_path)
    async with database.read() as connection:
        assert (await connection.exec_driver_sql("SELECT n FROM number")).all()
        async with database.write() as writer:
            await writer.exec_driver_sql("INSERT INTO number VALUES (4)")
        assert not await Keeping(database).shorten_log()
    assert await Keeping(database).shorten_log()
    await database.close()
