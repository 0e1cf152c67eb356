"""PostgreSQL (the extra `postgres`): opens the database so that a cut network is noticed, and PgBouncer can be between.

A writer that is cut off in the middle holds its locks for LONGEST_PAUSE; a connection that rested is asked whether it
is alive before it is used, so that a server that was started anew is not an error of the next transaction.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from notifier.errors import StoreError

CONNECTIONS = 10  # and as many again in a rush
PREPARED = "prepare_threshold"  # in the URL: times after which a statement is prepared
# How it is connected to: without prepared statements unless the URL asks for them, for old PgBouncers lose them, and so
# that a network that was cut is noticed within half a minute, in seconds and milliseconds; in an encoding that the
# driver can read, whatever the server's is.
CONNECT: Mapping[str, str | int | None] = {
    "prepare_threshold": None, "connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5,
    "keepalives_count": 3, "tcp_user_timeout": 25_000, "client_encoding": "utf8",
}  # fmt: skip
RESTED = 1.0  # seconds after which a connection is asked whether it is alive before it is used
# A writer that is cut off in the middle holds its locks for this long and no longer. The session is
# told so at its start; a transaction beside which nobody may write says it again, as PgBouncer may give it another.
LONGEST_PAUSE = "20s"


def open_postgresql(url: URL) -> AsyncEngine:
    """Return the engine of a server's database; StoreError when its driver is not installed, or for a wrong URL."""
    try:
        engine = create_async_engine(
            url.difference_update_query([PREPARED]).set(drivername="postgresql+psycopg"),
            hide_parameters=True,  # they hold addresses
            pool_size=CONNECTIONS,
            max_overflow=CONNECTIONS,
            connect_args=dict(CONNECT) | {PREPARED: _times(url)},
        )
    except ModuleNotFoundError as missing:
        raise StoreError(f"PostgreSQL needs {missing.name}: install paper-notifier[postgres]") from None

    from psycopg.types.array import ListBinaryDumper

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: DBAPIConnection, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{LONGEST_PAUSE}'")
        cursor.close()
        connection.commit()
        # What is given as an array is sent in binary: as text, each octet of a mail would be four.
        connection.driver_connection.adapters.register_dumper(list, ListBinaryDumper)

    @event.listens_for(engine.sync_engine, "checkin")
    def rest(_connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info["rested"] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def awake(connection: DBAPIConnection, record: ConnectionPoolEntry, _fairy: Any) -> None:
        """See that a connection that rested is alive: a restarted server is not an error of the next transaction."""
        if time.monotonic() - record.info.get("rested", time.monotonic()) < RESTED:
            return
        try:
            alive = engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error:
            alive = False
        if not alive:
            raise DisconnectionError

    return engine


def _times(url: URL) -> int | None:
    """Return after how many times a statement is prepared; None is never."""
    asked = url.query.get(PREPARED, "")
    if not asked:
        return None
    if not (isinstance(asked, str) and asked.isascii() and asked.isdigit()):
        raise StoreError(f"{PREPARED} in the URL of the database must be a number: {asked}")
    return int(asked)
