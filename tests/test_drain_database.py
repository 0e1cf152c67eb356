"""Draining the outbox on a database that refuses something: replies are kept, and no message is held up by another."""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from notifier.daemon import Running
from notifier.errors import StoreError, Unwritable
from notifier.model import Envelope, OutboxId, OutboxState, Reply, Verdict
from notifier.pipeline import drain_outbox
from notifier.store import schema
from tests.servers.smtp import Post, post
from tests.waiting import READERS, Following, InDoubt, Plain, execute, nothing, queue
from tests.world import World

# The database refuses the answer for one message, for a reason of its own.
UNMARKED = f"""CREATE TRIGGER unmarked BEFORE UPDATE ON message
    WHEN NEW.state = 'in-doubt' AND NEW.recipient = '{READERS[1]}' BEGIN SELECT RAISE(ABORT, 'not marked'); END"""
REFUSED = """CREATE TRIGGER refused BEFORE UPDATE ON message
    WHEN NEW.state = 'sent' AND NEW.id = (SELECT min(id) FROM message) BEGIN SELECT RAISE(ABORT, 'refused'); END"""


async def test_g6_an_answer_under_way_while_the_disk_fills_is_kept_and_the_message_goes_once(
    installation: World,
) -> None:
    """One place cannot mark its message; that ends the drain, but not before the other place has its reply."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    offered: list[str] = []
    marked = asyncio.Event()
    beside: asyncio.Future[asyncio.Task[None]] = asyncio.get_running_loop().create_future()

    class TwoPlaces(Plain):
        places = 2

        async def offer(self, envelope: Envelope, in_doubt: InDoubt, _following: Following = nothing) -> Reply:
            offered.append(envelope.recipient)
            if len(offered) == 3:
                beside.set_result(cast("asyncio.Task[None]", asyncio.current_task()))
                await marked.wait()
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # like a full disk: no page can be written
                await in_doubt()
            second = len(offered) == 2
            await in_doubt()
            if second:  # the relay answers when the place beside has ended
                marked.set()
                await asyncio.wait([await beside])
            return Reply(Verdict.SENT, 250, "ok")

    await queue(installation, READERS[:6])
    async with installation.opened() as running:
        desk = replace(running.desk, relay=TwoPlaces())
        try:
            with pytest.raises(Unwritable):
                await drain_outbox(desk)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
        assert [each.code for each in desk.left.values() if each] == [250]
        await drain_outbox(desk)
        assert await running.store.depth() == {OutboxState.SENT: 6}
    assert [number for number in Counter(offered).values() if number > 1] == [2]  # the one that could not be marked
    assert offered.count(offered[1]) == 1


@asynccontextmanager
async def three_waiting(installation: World, trigger: str) -> AsyncIterator[tuple[Running, Post]]:
    """Three messages that wait for a relay, in a database that has a trigger."""
    await queue(installation, READERS[:3])
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        async with installation.opened() as running:
            await execute(running, trigger)
            yield running, server


async def test_an_answer_that_the_database_refuses_is_stored_later_and_holds_up_no_other(installation: World) -> None:
    async with three_waiting(installation, REFUSED) as (running, server):
        with pytest.raises(DBAPIError, match="refused"):
            await drain_outbox(running.desk)
        drained = await drain_outbox(running.desk)
        assert drained.states == {OutboxState.SENT: 2}
        await execute(running, "DROP TRIGGER refused")
        await drain_outbox(running.desk)
        assert await running.store.depth() == {OutboxState.SENT: 3}
        assert len(server.accepted) == 3


async def test_f079_a_message_that_the_database_did_not_mark_is_tried_again_in_a_minute(installation: World) -> None:
    async with three_waiting(installation, UNMARKED) as (running, server):
        drained = await drain_outbox(running.desk)
        assert (drained.states, drained.paused_until) == ({OutboxState.SENT: 2}, None)
        assert await running.store.depth() == {OutboxState.SENT: 2, OutboxState.DEFERRED: 1}
        await execute(running, "DROP TRIGGER unmarked")
        installation.now += timedelta(minutes=1)
        assert (await drain_outbox(running.desk)).states == {OutboxState.SENT: 1}
        assert len(server.accepted) == 3


async def test_p19_an_answer_that_could_not_be_stored_is_stored_at_the_end_of_the_program(installation: World) -> None:
    async with three_waiting(installation, REFUSED) as (running, _):
        with pytest.raises(DBAPIError, match="refused"):
            await drain_outbox(running.desk)
        await execute(running, "DROP TRIGGER refused")
    async with installation.opened() as running:
        assert await running.store.depth() == {OutboxState.SENT: 1, OutboxState.QUEUED: 2}


async def test_an_answer_for_a_message_that_was_erased_meanwhile_fails_nothing(installation: World) -> None:
    async with installation.opened() as running:
        answer = Reply(Verdict.SENT, 250, "ok")
        settled = await running.store.settle(OutboxId(999), answer, running.clock(), resend=True)
        later = running.clock() + timedelta(minutes=1)
        turned_away = await running.store.turned_away(OutboxId(999), later, "4.7.0 not now", running.clock())
    assert settled is turned_away is OutboxState.FAILED


async def test_messages_whose_content_cannot_be_read_are_not_kept_from_others(installation: World) -> None:
    await queue(installation, READERS[:3])
    async with installation.opened() as running:
        async with running.store._database.write() as connection:
            await connection.exec_driver_sql("ALTER TABLE content RENAME TO hidden")
        with pytest.raises(StoreError):
            await running.store.claim("me", running.clock(), timedelta(minutes=5), 3)
        assert await running.store.depth() == {OutboxState.QUEUED: 3}


async def test_settled_messages_keep_no_content(installation: World) -> None:
    await queue(installation, READERS[:3])
    async with installation.opened() as running:
        await drain_outbox(running.desk)
        async with running.store._database.read() as connection:
            contents = (await connection.execute(select(schema.content.c.octets))).scalars().all()
    assert contents == []
