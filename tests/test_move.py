"""Moving an installation from SQLite to PostgreSQL: everything arrives, nothing is sent again, nothing is half."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import psycopg
import pytest

from notifier.daemon.steps import poll_due
from notifier.errors import DatabaseInUse, StoreError
from notifier.model import Cadence
from notifier.pipeline import queue_digests
from notifier.store.engine import Database
from notifier.store.migrate import migrate
from notifier.store.move import Moved, move
from tests.servers.postgres import Cluster
from tests.world import START, World, text_page

FIRST, SECOND = "A Fictional Paper on Moving", "A Fictional Paper on Having Moved"


@pytest.fixture
def target(request: pytest.FixtureRequest) -> str:
    """The URL of an empty PostgreSQL database; left out with --sqlite-only."""
    if request.config.getoption("--sqlite-only"):
        pytest.skip("the move ends on PostgreSQL")
    postgres: Cluster = request.getfixturevalue("postgres")
    return postgres.database(empty=True)


async def moved(file: Path, url: str) -> dict[str, Moved]:
    source, target = Database(f"sqlite:///{file}"), Database(url)
    try:
        return {each.table: each for each in await move(source, target, START)}
    finally:
        await target.close()
        await source.close()


async def lived_in(installation: World) -> None:
    """Let an installation have readers, papers, sent digests, and one that is owed."""
    installation.listing("daily", first="owe")
    installation.pages.put("/daily", text_page(FIRST))
    await installation.subscribe("immediate@example.org", "*")
    await installation.subscribe("daily@example.org", "title:fictional", Cadence.DAILY)
    await installation.run()


async def test_an_installation_goes_on_where_it_was(installation: World, target: str) -> None:
    await lived_in(installation)
    assert installation.titles("immediate@example.org", [FIRST]) == [[FIRST]]
    tables = await moved(installation.folder / "notifier.db", target)
    assert tables["subscriber"].rows == 2
    assert tables["paper"].rows == 1
    async with installation.opened() as old:
        secret = old.store.identity
        assert await old.store.mail_held() is not None
    installation.database = target
    async with installation.opened() as new:
        assert new.store.identity == secret, "links of mails that were sent lead nowhere"
    await installation.run()
    assert installation.titles("immediate@example.org", [FIRST]) == [[FIRST]], "sent again"
    installation.pages.put("/daily", text_page(SECOND, FIRST, day="Mar 3"))
    await installation.run(minutes=24 * 60)
    assert installation.titles("immediate@example.org", [FIRST, SECOND]) == [[FIRST], [SECOND]]
    assert installation.titles("daily@example.org", [FIRST, SECOND]) == [[FIRST, SECOND]]


async def test_what_may_have_arrived_is_held_and_what_was_claimed_waits(installation: World, target: str) -> None:
    installation.listing("daily", first="owe")
    installation.pages.put("/daily", text_page(FIRST))
    for name in ("one", "two"):
        await installation.subscribe(f"{name}@example.org", "*")
    async with installation.opened() as running:
        await poll_due(running)
        await queue_digests(running.store, running.desk.head, installation.now)
    with sqlite3.connect(installation.folder / "notifier.db") as database:
        database.execute("UPDATE message SET state = 'claimed', owner = 'x' WHERE recipient LIKE 'one@%'")
        database.execute("UPDATE message SET state = 'in-doubt', owner = 'x' WHERE recipient LIKE 'two@%'")
    await moved(installation.folder / "notifier.db", target)
    with psycopg.connect(target) as connection:
        rows = connection.execute("SELECT recipient, state, owner FROM message ORDER BY recipient").fetchall()
    assert rows == [("one@example.org", "queued", None), ("two@example.org", "held", None)]


async def test_ids_are_never_given_twice_even_those_of_deleted_rows(installation: World, target: str) -> None:
    await lived_in(installation)
    with sqlite3.connect(installation.folder / "notifier.db") as database:
        database.execute("UPDATE sqlite_sequence SET seq = 41 WHERE name = 'poll'")
    await moved(installation.folder / "notifier.db", target)
    with psycopg.connect(target) as connection:
        row = connection.execute("SELECT nextval(pg_get_serial_sequence('poll', 'id'))").fetchone()
    assert row == (42,)


async def test_a_target_with_rows_is_refused_and_a_source_in_use_too(installation: World, target: str) -> None:
    await lived_in(installation)
    async with installation.opened():
        with pytest.raises(DatabaseInUse):
            await moved(installation.folder / "notifier.db", target)
    await moved(installation.folder / "notifier.db", target)
    with pytest.raises(StoreError, match="is not empty"):
        await moved(installation.folder / "notifier.db", target)


async def test_a_copy_that_differs_is_undone(installation: World, target: str) -> None:
    """A trigger of the target changes what is written: reading back finds it."""
    await lived_in(installation)
    database = Database(target)
    await migrate(database)
    await database.close()
    with psycopg.connect(target) as connection:
        bend = "BEGIN NEW.title = 'x'; RETURN NEW; END"
        connection.execute(f"CREATE FUNCTION bend() RETURNS trigger AS $${bend}$$ LANGUAGE plpgsql")
        connection.execute("CREATE TRIGGER bend BEFORE INSERT ON paper FOR EACH ROW EXECUTE FUNCTION bend()")
    with pytest.raises(StoreError, match="paper: 1 rows were written"):
        await moved(installation.folder / "notifier.db", target)
    with psycopg.connect(target) as connection:
        assert connection.execute("SELECT count(*) FROM subscriber").fetchone() == (0,)
    async with installation.opened() as old:
        assert await old.store.mail_held() is None
