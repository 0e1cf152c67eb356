"""The store: everything that must survive. A method of `Store` is one transaction; none does network work inside.

`Store` is composed of its rooms: `papers` (polling; the commit point of G1), `subscribers`, `wishes` (sign-ups that
nobody confirmed yet), `readers` (what a subscriber does with what is theirs), `enrolment` (many people at once),
`digests` (what is owed becomes a message), `outbox` (the commit points of sending), `bounces` (what comes back),
`quarantine` (pages that kill the parser), `hosts` (when each may be asked again), `alarms` (what the operator is told),
`feeds` (what each holds), `holdings` (all that is a subscriber's), `archive` (reading only). Open it with `open_store`.
"""

from __future__ import annotations

from notifier.store import slim  # noqa: F401  # isort: skip  before anything imports the library whole

import hmac
import secrets
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import select

from notifier.errors import SchemaUnfit
from notifier.store import schema
from notifier.store.alarms import Alarms
from notifier.store.archive import Archive
from notifier.store.bounces import Bounces
from notifier.store.digests import Digests
from notifier.store.engine import Database
from notifier.store.enrolment import Enrolment
from notifier.store.holdings import Held
from notifier.store.hosts import Hosts
from notifier.store.jobs import Jobs
from notifier.store.keeping import Keeping
from notifier.store.letters import Letters
from notifier.store.migrate import check_known, migrate, revision
from notifier.store.outbox import Outbox
from notifier.store.papers import Papers
from notifier.store.postgresql import PREPARED
from notifier.store.quarantine import Quarantine
from notifier.store.relays import Relays
from notifier.store.review import Review
from notifier.store.shards import Shards
from notifier.store.together import Together
from notifier.store.turns import Turns
from notifier.store.workers import Workers

__all__ = ["Store", "open_store"]


class Store(
    Papers,
    Shards,
    Hosts,
    Alarms,
    Enrolment,
    Digests,
    Letters,
    Outbox,
    Review,
    Relays,
    Bounces,
    Quarantine,
    Held,
    Archive,
    Keeping,
    Workers,
):
    """All domain verbs over one open database."""

    def __init__(self, database: Database, secret: bytes) -> None:
        self._database = database
        self._secret = secret
        self._keyed = hmac.new(secret, digestmod="sha256")
        self._turns = Turns(database)
        self._jobs = Jobs(database)
        self._together = Together(self._commit)

    @property
    def identity(self) -> str:
        """A UUID that names this installation for ever, wherever it moves."""
        return str(uuid.UUID(bytes=hmac.digest(self._secret, b"identity", "sha256")[:16]))

    @property
    def is_shared(self) -> bool:
        """Whether other processes may work on it too."""
        return not self._database.is_sqlite

    @property
    def address(self) -> str:
        """The URL of the database with all that is secret in it, as PostgreSQL's own library takes it."""
        plain = self._database.url.difference_update_query([PREPARED]).set(drivername="postgresql")
        return plain.render_as_string(hide_password=False)

    @property
    def place(self) -> str:
        """Where the database is, for people; a password in its URL is hidden."""
        return self._database.place

    @property
    def unwritable(self) -> str:
        """Why nothing can be stored now; "" when all is well."""
        return self._database.unwritable


@asynccontextmanager
async def open_store(url: str, *, hold: bool = False) -> AsyncIterator[Store]:
    """Open the database at a SQLAlchemy URL, and close it at the end; one that is not there yet is made.

    With `hold` this process is the only one to run the pipeline on it (DatabaseInUse otherwise), and brings it to this
    program's schema; without, an older schema is left as it is (SchemaUnfit). Raises
    StoreError for a database that is damaged, newer than this program, or not a database; it is never overwritten.
    """
    database = Database(url)
    try:
        if hold:
            database.hold()
        before, head = await revision(database)
        if before != head:
            check_known(before)
            if before is not None and not hold:
                raise SchemaUnfit(
                    f"{database.place} has schema {before}, this program {head}: stop the service, then "
                    "`notifier migrate` (or start the service) brings it there, after a backup"
                )
            await migrate(database)
        yield Store(database, await _secret(database))
    finally:
        await database.close()


async def _secret(database: Database) -> bytes:
    """The installation's secret, made on first use; links and Message-IDs are derived from it."""
    async with database.read() as connection:
        found = await connection.scalar(select(schema.setting.c.value).filter_by(key="secret"))
    if found is None:
        async with database.write() as connection:
            added = database.insert(schema.setting).values(key="secret", value=secrets.token_hex(32))
            await connection.execute(added.on_conflict_do_nothing())
            found = await connection.scalar(select(schema.setting.c.value).filter_by(key="secret"))
    return bytes.fromhex(str(found))
