"""The store: its schema and its file, what it refuses, polls, subscriptions, hosts, and the clock it goes by."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from notifier.daemon.opening import shared
from notifier.diff import batch_keys
from notifier.errors import SeenMeanwhile, StoreError
from notifier.model import HostState
from notifier.store import open_store
from notifier.store.engine import Database
from notifier.store.migrate import migrate
from notifier.store.schema import metadata
from tests.stored import NOW, batch, record, subscribed, wish

pytestmark = [pytest.mark.both_databases, pytest.mark.pgbouncer]


def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/notifier.db"


async def test_the_migrations_make_exactly_the_schema(database: str) -> None:
    opened = Database(database)
    await migrate(opened)

    def differences(connection: Connection) -> list[object]:
        # The index that archives are searched by is the database's own business.
        ours = {"include_name": lambda name, _kind, _parents: not re.match("paper_text|ix_paper_words", name or "")}
        return compare_metadata(MigrationContext.configure(connection, opts=ours), metadata)

    async with opened.read() as connection:
        assert await connection.run_sync(differences) == []
        if not opened.is_sqlite:
            await opened.close()
            return
        rows = await connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        made = {row.name: row.sql for row in rows}
    await opened.close()
    for table in metadata.tables.values():
        options = table.dialect_options["sqlite"]
        assert ("WITHOUT ROWID" in made[table.name]) is not options["with_rowid"], table.name
        assert ("AUTOINCREMENT" in made[table.name]) is options["autoincrement"], table.name


async def test_g3_commits_survive_a_power_cut_because_sqlite_syncs_each_one(tmp_path: Path) -> None:
    async with open_store(url(tmp_path)) as store, store._database.read() as connection:
        assert (await connection.exec_driver_sql("PRAGMA synchronous")).scalar() == 2  # FULL
        assert (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar() == "wal"


async def test_f081_a_newer_schema_is_refused_untouched(tmp_path: Path) -> None:
    async with open_store(url(tmp_path)):
        pass
    with sqlite3.connect(tmp_path / "notifier.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match=r"schema 9999.*newer notifier"):
        async with open_store(url(tmp_path)):
            pass


async def test_f075_what_is_no_database_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "notifier.db"
    file.write_bytes(b"my thesis, not a database " * 100)
    with pytest.raises(StoreError, match="left untouched"):
        async with open_store(url(tmp_path)):
            pass
    assert file.read_bytes() == b"my thesis, not a database " * 100


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nowhere is not a directory: make it"):
        async with open_store(f"sqlite:///{tmp_path}/nowhere/notifier.db"):
            pass


async def test_g1_a_poll_that_looked_too_early_stores_nothing(database: str) -> None:
    """Papers, hits and validators appear together or not at all."""
    async with open_store(database) as store:
        await subscribed(store)
        early = await store.seen(batch_keys(batch(1)), "page")
        await record(store, batch(1))
        with pytest.raises(SeenMeanwhile):
            await record(store, batch(1, 2), seen=early)
        assert await store.paper_counts() == (1, 1)
        with pytest.raises(SeenMeanwhile):
            await record(store, batch(3), queries_up_to=0)
        assert await store.paper_counts() == (1, 1)


async def test_g2_f074_concurrent_writers_wait_for_each_other(database: str) -> None:
    async with open_store(database) as one, open_store(database) as other:
        await asyncio.gather(*(subscribed(store, f"r{n}@example.org") for n in range(20) for store in (one, other)))
        assert len(await one.subscriptions()) == 20


async def test_g7_a_link_opens_one_thing_of_one_reader_and_a_cut_or_forged_one_nothing(database: str) -> None:
    async with open_store(database) as store:
        await subscribed(store)
        reader = await store.subscriber("reader@example.org")
        link = store.link("unsubscribe", reader.token)
        assert await store.by_link("unsubscribe", link) == reader
        for wrong in (
            link[:-1],
            link + "0",
            link.upper(),
            link[::-1],
            "",
            "é" * 72,
            store.link("digest", reader.token),
        ):
            assert await store.by_link("unsubscribe", wrong) is None


async def test_a_reader_who_left_stays_left_whatever_the_configuration_says(database: str) -> None:
    wanted = [wish("reader@example.org", "*")]
    async with open_store(database) as store:
        assert await store.keep_configured(wanted, NOW) == []
        await store.unsubscribe("reader@example.org", NOW)
        assert await store.keep_configured(wanted, NOW) == ["reader@example.org"]
        assert (await store.subscriber("reader@example.org")).state == "unsubscribed"


async def test_a_subscription_taken_out_of_the_configuration_ends_and_others_stay(database: str) -> None:
    async with open_store(database) as store:
        await store.subscribe(wish("reader@example.org", "by hand"), origin="cli", now=NOW)
        await store.keep_configured([wish("reader@example.org", "a")], NOW)
        await store.keep_configured([], NOW)
        active = {each.canonical: each.active for each in await store.subscriptions()}
        assert active == {"by hand": True, "a": False}


async def test_a_reader_who_left_and_comes_back_finds_the_configured_subscriptions_active(database: str) -> None:
    async with open_store(database) as store:
        wanted = [wish("reader@example.org", "*")]
        await store.keep_configured(wanted, NOW)
        reader = await store.subscriber("reader@example.org")
        await store.unsubscribe("reader@example.org", NOW)
        await store.keep_configured(wanted, NOW)
        await store.come_back(reader.subscriber_id, NOW)
        assert [each.active for each in await store.subscriptions()] == [True]


async def test_a_host_that_no_listing_led_to_for_months_is_forgotten(database: str) -> None:
    month = timedelta(days=30)
    asked = HostState(host="", next_request_at=NOW, robots_until=NOW + timedelta(days=1))
    async with open_store(database) as store:
        for name, blocked in (("gone.example", None), ("resting.example", NOW + 5 * month)):
            await store.keep_host(replace(asked, host=name, blocked_until=blocked))
        assert await store.forget_hosts(NOW + 2 * month) == 0
        assert await store.forget_hosts(NOW + 4 * month) == 1
        assert await store.host_state("gone.example") is None
        assert await store.host_state("resting.example") is not None


async def test_f083_a_process_whose_clock_is_wrong_goes_by_the_clock_of_the_database(database: str) -> None:
    def slow() -> datetime:
        return datetime.now(UTC) - timedelta(hours=3)

    async with open_store(database) as store:
        clock = await shared(store, slow)
        is_sqlite = database.startswith("sqlite")
        assert (abs(clock() - datetime.now(UTC)) < timedelta(hours=1)) is not is_sqlite
        right = await shared(store)
        assert abs(right() - datetime.now(UTC)) < timedelta(hours=1)


async def test_f083_a_clock_that_is_set_while_the_program_runs_is_measured_anew(
    database: str,
) -> None:
    wrong = timedelta()
    async with open_store(database) as store:
        clock = await shared(store, lambda: datetime.now(UTC) + wrong)
        for wrong in (timedelta(hours=3), timedelta(hours=-3), timedelta()):
            await clock.measure()
            near = abs(clock() - datetime.now(UTC)) < timedelta(hours=1)
            assert near is (not database.startswith("sqlite") or not wrong)
