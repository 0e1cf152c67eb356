"""Queueing digests: who is owed what, once, in bounded pieces, and a reader whose digest cannot be made."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from notifier.model import Cadence, DigestClock, OutboxState, SubscriberId
from notifier.store import open_store
from notifier.store.digests import _at_once, _by_clock
from notifier.store.schema import metadata
from tests.stored import LEASE, NOW, batch, queued, record, subscribed, wish

pytestmark = [pytest.mark.both_databases, pytest.mark.pgbouncer]


async def test_g2_queueing_twice_queues_once(database: str) -> None:
    async with open_store(database) as store:
        await queued(store)
        await store.queue_digests(NOW, "example.org")
        assert await store.depth() == {OutboxState.QUEUED: 1}


async def test_g3_the_message_id_is_the_same_however_often_it_is_made(database: str) -> None:
    """A restored backup makes the same digest again: the mailbox must be able to know it."""
    ids = []
    for _ in range(2):
        async with open_store(database) as store:
            await queued(store)
            (message,) = await store.claim("me", NOW, LEASE, 10)
            ids.append(message.message_id)
            async with store._database.write() as connection:
                for table in ("delivery", "message", "hit", "sighting", "paper_key", "paper"):
                    await connection.exec_driver_sql(f"DELETE FROM {table}")
                await connection.exec_driver_sql("DELETE FROM poll")
                if store._database.is_sqlite:
                    await connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name IN ('poll', 'paper')")
                else:
                    await connection.exec_driver_sql("ALTER SEQUENCE poll_id_seq RESTART")
                    await connection.exec_driver_sql("ALTER SEQUENCE paper_id_seq RESTART")
                await connection.exec_driver_sql("UPDATE subscription SET cursor = 0")
    assert ids[0] == ids[1]


async def test_who_was_told_of_a_poll_is_not_looked_at_again(database: str) -> None:
    async with open_store(database) as store:
        await subscribed(store)
        await record(store, batch(1, 2))
        assert (await store.queue_digests(NOW, "example.org")).groups == 1
        assert (await store.queue_digests(NOW, "example.org")).groups == 0


async def test_g6_a_subscriber_whose_digest_cannot_be_queued_stops_nobody_else(database: str) -> None:
    daily = DigestClock(Cadence.DAILY, "UTC")
    async with open_store(database) as store:
        for email in ("broken@example.org", "reader@example.org"):
            await store.subscribe(replace(wish(email, "*"), clock=daily), origin="cli", now=NOW)
        await record(store, batch(1))
        async with store._database.write() as connection:
            await connection.exec_driver_sql("UPDATE subscription SET timezone = 'Mars/Olympus' WHERE id = 1")
        done = await store.queue_digests(NOW + timedelta(days=1), "example.org")
        assert [email for email, _ in done.troubles] == ["broken@example.org"]
        (message,) = await store.claim("me", NOW + timedelta(days=1), LEASE, 10)
        assert message.recipient == "reader@example.org"


async def test_what_many_readers_are_owed_is_queued_in_bounded_pieces(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than one look can hold is done in halves, and nobody gets another's papers."""
    monkeypatch.setattr("notifier.store.digests.MOST_OWED", 5)
    async with open_store(database) as store:
        for number in range(7):
            await subscribed(store, f"reader{number}@example.org")
        await record(store, batch(1, 2))
        done = await store.queue_digests(NOW, "example.org")
        messages = await store.claim("me", NOW, LEASE, 20)
    assert (done.groups, done.troubles) == (7, ())
    assert sorted(m.recipient for m in messages) == [f"reader{number}@example.org" for number in range(7)]
    assert {len(m.papers) for m in messages} == {2}


async def test_g6_a_subscriber_whose_digest_cannot_be_queued_stops_none_of_those_queued_with_it(database: str) -> None:
    async with open_store(database) as store:
        for number in range(4):
            await subscribed(store, f"reader{number}@example.org")
        await record(store, batch(1, 2))
        async with store._database.write() as connection:  # nobody's clock knows such a zone
            broken = update(metadata.tables["subscription"]).filter_by(subscriber_id=2)
            await connection.execute(broken.values(cadence="daily", timezone="Mars/Olympus", next_due_at=NOW))
        done = await store.queue_digests(NOW, "example.org")
        assert [email for email, _ in done.troubles] == ["reader1@example.org"]
        while done.last is not None:
            done = await store.queue_digests(NOW, "example.org", done.last)
        assert (await store.depth()) == {OutboxState.QUEUED: 3}


async def test_who_is_due_is_found_without_looking_at_everybody(tmp_path: Path) -> None:
    now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    async with open_store(f"sqlite:///{tmp_path}/papers.db") as store, store._database.read() as connection:
        for asked in (*_by_clock(now), _at_once(now, SubscriberId(600), 2)):
            dialect = connection.engine.dialect
            spelt = asked.limit(500).compile(dialect=dialect, compile_kwargs={"literal_binds": True})
            rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {spelt}")
            plan = "\n".join(str(row[-1]) for row in rows)
            assert "USE TEMP B-TREE FOR ORDER BY" not in plan, plan
            assert "next_due_at" in plan or "subscriber_id>?" in plan, plan
