"""Workers as processes on one PostgreSQL: what they share, and what the death of one does to the work."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from notifier import pipeline
from notifier.daemon.steps import once, poll_due
from notifier.drain import drain_outbox, leave
from notifier.model import OutboxState, Reply, Verdict
from notifier.pipeline import queue_digests
from notifier.store.jobs import Call
from notifier.worker.tables import prepare
from tests.servers.postgres import Cluster
from tests.servers.smtp import post
from tests.working import subscribe_all, workers
from tests.world import World, text_page, world


@pytest.fixture
def postgresql(request: pytest.FixtureRequest) -> str:
    """The URL of a PostgreSQL database that nobody used before; left out with --sqlite-only."""
    if request.config.getoption("--sqlite-only"):
        pytest.skip("workers share a PostgreSQL")
    postgres: Cluster = request.getfixturevalue("postgres")
    return postgres.database()


@pytest.fixture
async def shared(postgresql: str, tmp_path: Path) -> AsyncIterator[World]:
    """An installation on PostgreSQL."""
    async with world(tmp_path, postgresql) as opened:
        opened.extra = '[web]\nlisten = "127.0.0.1:0"\n'
        yield opened


async def test_f089_two_workers_read_match_and_send_everything_once(shared: World) -> None:
    async with post() as server:
        shared.relay = f"smtp://127.0.0.1:{server.port}"
        shared.listing("daily", first="owe")
        shared.pages.put("/daily", text_page("A Fictional Paper on Sharing", "A Fictional Paper on Turns"))
        people = [f"reader{n}@example{n % 7}.org" for n in range(300)]
        await subscribe_all(shared, people)
        async with workers(shared, "poll,match,send", "poll,match,send") as started:
            async with asyncio.timeout(80):
                await server.until(lambda: len(server.accepted) == len(people))
            for each in started:
                each.send_signal(signal.SIGTERM)
            assert [await asyncio.wait_for(each.wait(), 15) for each in started] == [0, 0]
        assert sorted(each.recipients[0] for each in server.accepted) == sorted(people)
        assert len([each for each in shared.pages.requests if each.target == "/daily"]) == 1


async def test_f080_a_transaction_that_waits_in_a_circle_is_done_again(shared: World) -> None:
    """Somebody holds the reader and wants the message; settling holds the message and wants the reader."""
    await subscribe_all(shared, ["reader@example.org"])
    shared.listing("daily", first="owe")
    shared.pages.put("/daily", text_page("A Fictional Paper on Circles"))
    async with shared.opened() as running:
        await poll_due(running)
        store, now = running.store, shared.now
        await queue_digests(store, running.desk.head, now)
        [message] = await store.claim("me:1", now, timedelta(minutes=5), 10)
        assert await store.mark_in_doubt(message.outbox_id, "me:1")
        async with await psycopg.AsyncConnection.connect(store.address) as other:
            await other.execute("SET LOCAL deadlock_timeout = '1min'")  # so that it is ours that is undone
            await other.execute("UPDATE subscriber SET health = 'it came back'")
            await other.commit()
            await other.execute("SET LOCAL deadlock_timeout = '1min'")
            await other.execute("SELECT * FROM subscriber FOR UPDATE")
            reply = Reply(Verdict.SENT, 250, "accepted")
            settling = asyncio.create_task(store.settle(message.outbox_id, reply, now, resend=True))
            async with await psycopg.AsyncConnection.connect(store.address, autocommit=True) as watch:
                waits = "SELECT 1 FROM pg_locks WHERE NOT granted"
                while not await (await watch.execute(waits)).fetchone():  # noqa: ASYNC110  only the database knows
                    await asyncio.sleep(0.01)
            await other.execute("SELECT * FROM message FOR UPDATE")
            await other.commit()
        assert await settling is OutboxState.SENT


async def test_g9_a_host_is_asked_by_one_process_at_a_time(shared: World) -> None:
    async with shared.opened() as one, shared.opened() as two:
        first, second = one.store, two.store
        assert await first.enter_host("papers.example", "first")
        assert not await second.enter_host("papers.example", "second")
        await second.leave_host("papers.example", "second")
        assert not await second.enter_host("papers.example", "second")
        await first.leave_host("papers.example", "first")
        assert await second.enter_host("papers.example", "second")


async def test_the_places_at_the_relay_are_shared_by_all_processes(shared: World) -> None:
    async with shared.opened() as one, shared.opened() as two:
        assert await one.store.take_places("one", "smtp://relay", 40) == 40
        assert await two.store.take_places("two", "smtp://relay", 40) == 0
        assert await one.store.take_places("one", "smtp://relay", 40) == 20
        assert await two.store.take_places("two", "smtp://relay", 40) == 20
        assert await two.store.take_places("two", "smtp://another", 40) == 40
        await two.store.give_places("two")
        assert await one.store.take_places("one", "smtp://relay", 40) == 40


async def test_a_process_is_given_ten_places_or_none_where_there_are_so_many(shared: World) -> None:
    async with shared.opened() as running:
        store = running.store
        for name in ("one", "two", "three"):
            await store.take_places(name, "smtp://relay", 25)
        shares = [await store.take_places(name, "smtp://relay", 25) for name in ("one", "two", "three")]
        assert shares == [13, 12, 0]
        await store.sign_off("one")
        assert await store.take_places("three", "smtp://relay", 25) == 13
        for name in ("four", "five"):
            await store.take_places(name, "smtp://small", 4)
        assert [await store.take_places(name, "smtp://small", 4) for name in ("four", "five")] == [4, 0]


async def test_what_a_process_gives_back_it_has_no_connection_for_any_more(shared: World) -> None:
    async with post() as server:
        shared.relay, shared.mail = f"smtp://127.0.0.1:{server.port}", 'starttls = "never"\nconnections = 20\n'
        shared.listing("daily", first="owe")
        shared.pages.put("/daily", text_page("A Fictional Paper on Politeness"))
        await subscribe_all(shared, [f"reader{n}@domain{n}.example.org" for n in range(100)])
        async with shared.opened() as one, shared.opened() as two:
            await pipeline.poll(shared.config.listings[0], one.intake, one.clock())
            await queue_digests(one.store, one.desk.head, one.clock())
            first, second = replace(one.desk, owner="one"), replace(two.desk, owner="two")

            def open_() -> int:
                return server.connections - server.count("QUIT")

            assert (await drain_outbox(first, most=60)).more
            assert open_() > 10
            assert (await drain_outbox(second)).states == {}
            assert (await drain_outbox(first, most=20)).more
            assert open_() <= 10
            assert not (await drain_outbox(second)).more
            assert open_() <= 10
            await leave(first)
            assert open_() == 0
            assert len(server.accepted) == 100


async def test_the_rate_of_a_domain_holds_over_two_claims_at_the_same_time(shared: World) -> None:
    shared.listing("daily", first="owe")
    shared.pages.put("/daily", text_page("A Fictional Paper on Rates"))
    await subscribe_all(shared, [f"reader{n}@example.org" for n in range(40)])
    async with shared.opened() as one, shared.opened() as two:
        await poll_due(one)
        await queue_digests(one.store, one.desk.head, shared.now)
        pace = {"example.org": 60}  # a minute: ten at once, for ten seconds
        claims = [
            running.store.claim(name, shared.now, timedelta(minutes=5), 30, pace=pace)
            for running, name in ((one, "one:1"), (two, "two:2"))
        ]
        assert sorted(map(len, await asyncio.gather(*claims))) == [0, 10]


async def test_a_silent_worker_gives_back_what_it_claimed_and_keeps_what_is_in_doubt(shared: World) -> None:
    shared.listing("daily", first="owe")
    shared.pages.put("/daily", text_page("A Fictional Paper on Silence"))
    await subscribe_all(shared, ["a@example.org", "b@example.org"])
    async with shared.opened() as running:
        await poll_due(running)
        store, now = running.store, shared.now
        await queue_digests(store, running.desk.head, now)
        await store.beat("far/1-2:3:x", "send")
        claimed = await store.claim("far/1-2:3:x", now, timedelta(minutes=20), 10)
        assert await store.mark_in_doubt(claimed[0].outbox_id, "far/1-2:3:x", now + timedelta(minutes=20))
        assert await store.free_lapsed(now, resend=True) == (0, 0)
        async with await psycopg.AsyncConnection.connect(store.address) as connection:
            await connection.execute(
                "UPDATE worker SET seen_at = seen_at - interval '1 minute' WHERE owner LIKE 'far%'"
            )
        assert await store.free_lapsed(now, resend=True) == (1, 0)
        assert not await store.mark_in_doubt(claimed[1].outbox_id, "far/1-2:3:x")


async def test_the_job_of_a_dead_worker_ends_and_the_next_tick_calls_again(shared: World) -> None:
    async with shared.opened() as running:
        await prepare(running.store)
        call = Call(queue="send", task="send", key="send 0")
        await running.store.call_workers([call, call])  # one of a key waits
        async with await psycopg.AsyncConnection.connect(running.store.address, autocommit=True) as connection:
            await connection.execute(
                "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1h')"
            )
            fetched = "SELECT task_name FROM procrastinate_fetch_job_v2(NULL, (SELECT id FROM procrastinate_workers))"
            assert await (await connection.execute(fetched)).fetchall() == [("send",)]
            assert await running.store.end_stalled_jobs() == ["send"]
            await running.store.call_workers([call])
            waiting = await connection.execute("SELECT task_name, status::text FROM procrastinate_jobs")
            assert await waiting.fetchall() == [("send", "todo")]


async def test_a_call_waits_only_if_the_rows_were_stored(shared: World) -> None:
    """Deferred in the transaction of the rows: what is rolled back calls nobody."""
    shared.listing("daily", first="owe")
    shared.pages.put("/daily", text_page("A Fictional Paper on Rollbacks"))
    await subscribe_all(shared, ["a@example.org"])
    async with shared.opened() as running:
        await prepare(running.store)
        await poll_due(running)
        calls = "SELECT queue_name, task_name FROM procrastinate_jobs ORDER BY id"
        async with await psycopg.AsyncConnection.connect(running.store.address, autocommit=True) as connection:
            assert await (await connection.execute(calls)).fetchall() == [("keep", "queue")]
            await connection.execute("ALTER TABLE delivery ADD CONSTRAINT shut CHECK (false)")
            await queue_digests(running.store, running.desk.head, shared.now)
            assert await (await connection.execute(calls)).fetchall() == [("keep", "queue")]
            await connection.execute("ALTER TABLE delivery DROP CONSTRAINT shut")
            shared.now += timedelta(hours=2)
            await queue_digests(running.store, running.desk.head, shared.now)
            assert await (await connection.execute(calls)).fetchall() == [("keep", "queue"), ("send", "send")]


async def test_a_worker_on_sqlite_is_told_what_it_needs(installation: World) -> None:
    assert installation.config
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "notifier", "worker", "--config", str(installation.folder / "config.toml"),
        stderr=subprocess.PIPE,
    )  # fmt: skip
    _, errors = await done.communicate()
    assert done.returncode == 78
    assert b"workers share a PostgreSQL; on one machine with SQLite there is `notifier run`" in b" ".join(
        errors.split()
    )


async def test_a_second_daemon_without_a_place_at_the_relay_sends_nothing_and_asks_again_later(shared: World) -> None:
    shared.listing("daily", first="owe")
    shared.pages.put("/daily", text_page("A Fictional Paper on Places"))
    await subscribe_all(shared, ["reader@example.org"])
    async with shared.opened() as running:
        await running.store.take_places("another", running.desk.relay_name, running.desk.relay.places)
        async with asyncio.timeout(60):
            _, drained = await once(running)
        assert (drained.more, drained.states) == (True, {})
        await running.store.sign_off("another")
        _, drained = await once(running)
        assert drained.states == {OutboxState.SENT: 1}


async def test_p19_a_worker_whose_relay_hangs_before_the_dot_gives_its_messages_back_at_a_stop(shared: World) -> None:
    async with post() as server:
        shared.relay = f"smtp://127.0.0.1:{server.port}"
        shared.listing("daily", first="owe")
        shared.pages.put("/daily", text_page("A Fictional Paper on Patience"))
        await subscribe_all(shared, ["reader@example.org", "second@example.org"])
        server.fault("rcpt", "wait:60", "ok")
        async with workers(shared, "poll,match,send") as (started,):
            async with asyncio.timeout(60):
                await server.until(lambda: server.count("RCPT") == 1)
            started.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(started.wait(), 15) == 0
        assert server.accepted == []
    async with await psycopg.AsyncConnection.connect(shared.config.database_url.replace("+psycopg", "")) as database:
        states = await (await database.execute("SELECT state, crashes, owner FROM message")).fetchall()
    assert states == [("queued", 0, None)] * 2
