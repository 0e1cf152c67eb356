"""Draining the outbox and being told to stop, or cut off: no message is in doubt without need, and none is kept."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from notifier import drain
from notifier.deliver import relay
from notifier.drain import claims
from notifier.model import Envelope, OutboxState, Reply, Verdict
from notifier.pipeline import drain_outbox
from notifier.store import schema
from tests.servers.smtp import post
from tests.waiting import READERS, Following, InDoubt, Plain, nothing, queue
from tests.world import World


async def test_p19_once_a_stop_is_asked_for_no_final_dot_is_written_and_nothing_is_in_doubt(
    installation: World,
) -> None:
    """The stop comes while the relay considers the recipients; the messages wait for the next start, unharmed."""
    stop = asyncio.Event()
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        await queue(installation, READERS[:3])
        server.fault("rcpt", "wait:0.3")
        async with installation.opened() as running:
            draining = asyncio.create_task(drain_outbox(running.desk, stop))
            await server.until(lambda: server.count("RCPT") == 1)
            stop.set()
            await draining
            parcels = await running.store.parcels()
    assert server.accepted == []
    assert {(each.state, each.doubts, each.attempts, each.crashes) for each in parcels} == {
        (OutboxState.QUEUED, 0, 0, 0)
    }


async def test_p19_a_stop_while_the_next_messages_are_composed_ends_the_drain_and_gives_them_back(
    installation: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last place is gone when they are ready: nobody would ever take them out of the line."""
    monkeypatch.setattr(drain, "CLAIM", 2)
    stop, offered = asyncio.Event(), 0

    class OnePlace(Plain):
        async def offer(self, _envelope: Envelope, in_doubt: InDoubt, _following: Following = nothing) -> Reply:
            nonlocal offered
            offered += 1
            if offered == 2:
                stop.set()
            await in_doubt()
            return Reply(Verdict.SENT, 250, "ok")

    await queue(installation, READERS)
    async with installation.opened() as running:
        async with asyncio.timeout(30):
            await drain_outbox(replace(running.desk, relay=OnePlace()), stop)
        assert await running.store.depth() == {OutboxState.SENT: 1, OutboxState.QUEUED: len(READERS) - 1}


async def test_what_a_place_that_closes_was_to_offer_next_is_given_back(installation: World) -> None:
    """Its envelope was said together with the final dot of the message over which we were turned away."""
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        await queue(installation, READERS)
        server.fault(f"dot {READERS[5]}", "554 5.7.1 your mail is not wanted", "ok")
        async with installation.opened() as running:
            drained = await drain_outbox(running.desk)
            assert drained.paused_until
            assert set(await running.store.depth()) == {OutboxState.SENT, OutboxState.DEFERRED}
            installation.now = drained.paused_until + timedelta(hours=1)
            await drain_outbox(running.desk)
            assert await running.store.depth() == {OutboxState.SENT: len(READERS)}
        assert Counter(each.recipients[0] for each in server.accepted) == Counter(READERS)


async def test_a_stop_closes_the_connection_over_which_the_next_message_was_begun(installation: World) -> None:
    stop = asyncio.Event()

    class OneConnection:
        places, largest = 1, 0

        def __init__(self, port: int) -> None:
            self.relay = relay(f"smtp://127.0.0.1:{port}", connections=1)

        async def offer(self, envelope: Envelope, in_doubt: InDoubt, following: Following = nothing) -> Reply:
            reply = await self.relay.offer(envelope, in_doubt, following)
            if server.count(".") == 2:  # the first went alone
                stop.set()
            return reply

        def withdraw(self, envelope: Envelope) -> None:
            self.relay.withdraw(envelope)

        async def narrow(self, places: int) -> None: ...

        async def close(self) -> None:
            await self.relay.close()

    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        await queue(installation, READERS)
        async with installation.opened() as running:
            await drain_outbox(replace(running.desk, relay=OneConnection(server.port)), stop)
            await server.until(lambda: server.open_connections == 0)
            assert await running.store.depth() == {OutboxState.SENT: 2, OutboxState.QUEUED: len(READERS) - 2}
        assert server.count("MAIL") == 3


@pytest.mark.parametrize("turns", range(6))
async def test_p19_a_drain_that_is_cut_off_while_a_message_is_marked_leaves_none_in_doubt(
    installation: World, turns: int
) -> None:
    """Whatever the database has done by then: as long as the relay was not free to write the final dot."""
    free = False

    class Cutting(Plain):
        async def offer(self, _envelope: Envelope, in_doubt: InDoubt, _following: Following = nothing) -> Reply:
            nonlocal free
            cutting = asyncio.create_task(cut())
            await in_doubt()
            free = True
            await cutting
            return Reply(Verdict.SENT, 250, "ok")

    async def cut() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        draining.cancel()

    await queue(installation, READERS[:3])
    async with installation.opened() as running:
        draining = asyncio.create_task(drain_outbox(replace(running.desk, relay=Cutting())))
        await asyncio.wait([draining])
        assert draining.cancelled()
        parcels = await running.store.parcels()
    assert {(each.doubts, each.attempts, each.crashes) for each in parcels} == {(0, 0, 0)}
    left = {OutboxState.QUEUED, OutboxState.IN_DOUBT} if free else {OutboxState.QUEUED}
    assert {each.state for each in parcels} == left


async def test_p19_a_drain_that_is_cut_off_while_it_claims_keeps_nothing(installation: World) -> None:
    """SQLite ends what it has begun; the claim waits for another program when the end comes."""
    await queue(installation, READERS[:3])
    async with installation.opened() as running:
        database = running.store._database
        other = sqlite3.connect(str(database.path), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        draining = asyncio.create_task(drain_outbox(running.desk))
        for _ in iter(database._writer.locked, True):  # until it writes
            await asyncio.sleep(0)
        draining.cancel()
        await asyncio.sleep(0)
        other.execute("ROLLBACK")
        other.close()
        await asyncio.wait([draining])
        assert draining.cancelled()
        assert running.desk.left == {}
        parcels = await running.store.parcels()
    assert {(each.state, each.crashes) for each in parcels} == {(OutboxState.QUEUED, 0)}


async def test_what_stands_in_line_at_a_slow_relay_stays_ours(
    installation: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every message takes 15 minutes, which a lease covers; the last one has its turn after hours."""
    monkeypatch.setattr(claims, "RENEWAL", 0.001)
    asked: list[tuple[int, int]] = []

    class Slow(Plain):
        async def offer(self, _envelope: Envelope, in_doubt: InDoubt, _following: Following = nothing) -> Reply:
            installation.now += timedelta(minutes=15)
            claimed = schema.message.c.state == OutboxState.CLAIMED
            lapses = select(func.min(schema.message.c.lease_until)).where(claimed)
            while True:
                async with running.store._database.read() as connection:
                    if (await connection.execute(lapses)).scalar_one() > installation.now + timedelta(minutes=15):
                        break
            await in_doubt()
            asked.append(await running.store.free_lapsed(installation.now, resend=True))
            return Reply(Verdict.SENT, 250, "ok")

    await queue(installation, READERS)
    async with installation.opened() as running:
        async with asyncio.timeout(60):
            await drain_outbox(replace(running.desk, relay=Slow()))
        assert await running.store.depth() == {OutboxState.SENT: len(READERS)}
    assert asked == [(0, 0)] * len(READERS)
