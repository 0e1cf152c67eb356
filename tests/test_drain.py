"""Draining the outbox: side by side, fairly, and how a relay that will not talk to us is left alone."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from email import message_from_string, policy
from typing import cast

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import DBAPIError

from notifier import drain
from notifier.daemon.steps import poll_due
from notifier.deliver import relay
from notifier.errors import StoreError, Unwritable
from notifier.model import Envelope, OutboxId, OutboxState, Reply, Verdict
from notifier.pipeline import drain_outbox, queue_digests
from notifier.store import schema, turns
from tests.servers.smtp import post
from tests.world import World, text_page

READERS = [f"reader{number}@{domain}.example.org" for domain in "abc" for number in range(4)]
# The database refuses the answer for one message, for a reason of its own.
UNMARKED = f"""CREATE TRIGGER unmarked BEFORE UPDATE ON message
    WHEN NEW.state = 'in-doubt' AND NEW.recipient = '{READERS[1]}' BEGIN SELECT RAISE(ABORT, 'not marked'); END"""
REFUSED = """CREATE TRIGGER refused BEFORE UPDATE ON message
    WHEN NEW.state = 'sent' AND NEW.id = (SELECT min(id) FROM message) BEGIN SELECT RAISE(ABORT, 'refused'); END"""

InDoubt = Callable[[], Awaitable[None]]
Following = Callable[[], Envelope | None]


def nothing() -> None:
    """Nothing follows."""


async def queue(installation: World, readers: list[str]) -> None:
    """Let every reader be owed one digest."""
    installation.listing("daily", first="owe")
    installation.pages.put("/daily", text_page("A Fictional Paper on Queues"))
    for reader in readers:
        await installation.subscribe(reader, "*")
    async with installation.opened() as running:
        await poll_due(running)
        await queue_digests(running.store, running.desk.head, running.clock())


class Plain:
    """A relay of one place that keeps nothing; a test says what it answers."""

    places, largest = 1, 0

    def withdraw(self, envelope: Envelope) -> None: ...

    async def narrow(self, places: int) -> None: ...

    async def close(self) -> None:
        return


async def test_everybody_is_sent_one_message_over_several_places(installation: World) -> None:
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        await queue(installation, READERS)
        async with installation.opened() as running:
            drained = await drain_outbox(running.desk)
        assert drained.states == {OutboxState.SENT: len(READERS)}
        assert sorted(each.recipients[0] for each in server.accepted) == sorted(READERS)


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


async def test_f044_a_relay_that_is_down_is_asked_once_and_remembered_over_restarts(installation: World) -> None:
    """One connection for twelve messages; none while it rests; one message asks, then all leave."""
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        await queue(installation, READERS)
        server.fault("greeting", "421 4.3.2 out for lunch")
        asked = []
        for minutes in (0, 0.5, 1, 0.5, 2):  # the steps are 1, 2, 4 .. minutes
            installation.now += timedelta(minutes=minutes)
            async with installation.opened() as running:
                drained = await drain_outbox(running.desk)
                assert drained.paused_until is not None
            asked.append(server.connections)
        server.fault("greeting", "ok")
        installation.now += timedelta(minutes=10)
        async with installation.opened() as running:
            drained = await drain_outbox(running.desk)
            assert await running.store.resting_relays() == []
    assert asked == [1, 1, 2, 2, 3]
    assert drained.states == {OutboxState.SENT: len(READERS)}


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


async def test_an_answer_that_the_database_refuses_is_stored_later_and_holds_up_no_other(installation: World) -> None:
    await queue(installation, READERS[:3])
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        async with installation.opened() as running:
            async with running.store._database.write() as connection:
                await connection.exec_driver_sql(REFUSED)
            with pytest.raises(DBAPIError, match="refused"):
                await drain_outbox(running.desk)
            drained = await drain_outbox(running.desk)
            assert drained.states == {OutboxState.SENT: 2}
            async with running.store._database.write() as connection:
                await connection.exec_driver_sql("DROP TRIGGER refused")
            await drain_outbox(running.desk)
            assert await running.store.depth() == {OutboxState.SENT: 3}
        assert len(server.accepted) == 3


async def test_f079_a_message_that_the_database_did_not_mark_is_tried_again_in_a_minute(installation: World) -> None:
    await queue(installation, READERS[:3])
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        async with installation.opened() as running:
            async with running.store._database.write() as connection:
                await connection.exec_driver_sql(UNMARKED)
            drained = await drain_outbox(running.desk)
            assert (drained.states, drained.paused_until) == ({OutboxState.SENT: 2}, None)
            assert await running.store.depth() == {OutboxState.SENT: 2, OutboxState.DEFERRED: 1}
            async with running.store._database.write() as connection:
                await connection.exec_driver_sql("DROP TRIGGER unmarked")
            installation.now += timedelta(minutes=1)
            assert (await drain_outbox(running.desk)).states == {OutboxState.SENT: 1}
        assert len(server.accepted) == 3


async def test_p19_an_answer_that_could_not_be_stored_is_stored_at_the_end_of_the_program(installation: World) -> None:
    await queue(installation, READERS[:3])
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        async with installation.opened() as running:
            async with running.store._database.write() as connection:
                await connection.exec_driver_sql(REFUSED)
            with pytest.raises(DBAPIError, match="refused"):
                await drain_outbox(running.desk)
            async with running.store._database.write() as connection:
                await connection.exec_driver_sql("DROP TRIGGER refused")
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


async def test_a_domain_with_thousands_waiting_keeps_no_other_waiting(installation: World) -> None:
    many = [f"reader{number:02}@big.example.org" for number in range(20)]
    await queue(installation, [*many, "only@small.example.org", "alone@tiny.example.org"])
    async with installation.opened() as running:
        taken = await running.store.claim("me", running.clock(), timedelta(minutes=5), 6)
    assert {each.recipient for each in taken} >= {"only@small.example.org", "alone@tiny.example.org"}


async def test_a_pace_of_messages_a_minute_holds_over_a_restart(installation: World) -> None:
    await queue(installation, READERS)
    sent = []
    for seconds in (0, 1, 12):
        installation.now += timedelta(seconds=seconds)
        async with installation.opened() as running:
            await drain_outbox(replace(running.desk, pace={"a.example.org": 6, "b.example.org": 6}))
        sent.append(sum("@a." in mail["To"] for mail in installation.mails()))
    assert sent == [1, 1, 2]
    assert sum("@c." in mail["To"] for mail in installation.mails()) == 4


async def test_g6_a_message_over_which_processes_died_goes_alone_and_is_held_at_the_third(
    installation: World,
) -> None:
    """The same message is among those claimed at each of three deaths; the others leave in between."""
    await queue(installation, READERS[:3])
    for _ in range(2):  # two processes die with all three claimed
        async with installation.opened() as running:
            await running.store.claim("dead", running.clock(), timedelta(minutes=5), 10)
    async with installation.opened() as running:
        assert await running.store.claim("me", running.clock(), timedelta(minutes=5), 10) == []
        [suspect] = await running.store.claim("dead", running.clock(), timedelta(minutes=5), 1, suspects=True)
    async with installation.opened() as running:
        assert await running.store.depth() == {OutboxState.QUEUED: 2, OutboxState.HELD: 1}
        await drain_outbox(running.desk)
        [held] = await running.store.parcels(states=[OutboxState.HELD])
        assert (held.outbox_id, held.reply) == (suspect.outbox_id, "3 processes died over it")
        assert (await running.store.depth())[OutboxState.SENT] == 2


async def test_settled_messages_keep_no_content(installation: World) -> None:
    await queue(installation, READERS[:3])
    async with installation.opened() as running:
        await drain_outbox(running.desk)
        async with running.store._database.read() as connection:
            contents = (await connection.execute(select(schema.content.c.octets))).scalars().all()
    assert contents == []


async def test_a_time_that_a_wrong_clock_set_is_due_now(installation: World) -> None:
    await queue(installation, READERS[:2])
    async with installation.opened() as running:
        async with running.store._database.write() as connection:
            far = running.clock() + timedelta(days=400)
            await connection.execute(update(schema.message).values(next_attempt_at=far))
        assert (await drain_outbox(running.desk)).states == {OutboxState.SENT: 2}


async def test_f068_a_digest_larger_than_the_relay_takes_comes_shorter_with_a_link_to_the_rest(
    installation: World,
) -> None:
    installation.listing("daily", first="owe")
    titles = [f"A Fictional Paper on Queues of Length {number}" for number in range(40)]
    installation.pages.put("/daily", text_page(*titles))
    for reader in READERS[:3]:
        await installation.subscribe(reader, "*")
    async with post(size=20_000) as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        async with installation.opened() as running:
            await poll_due(running)
            await queue_digests(running.store, running.desk.head, running.clock())
            assert (await drain_outbox(running.desk)).states == {OutboxState.SENT: 3}
    assert len(server.accepted) == 3
    for each in server.accepted:
        mail = message_from_string(each.content, policy=policy.default)
        html = str(mail.get_body(("html",)).get_content())
        shown = sum(title in html for title in titles)
        assert len(each.content) <= 20_000
        assert 0 < shown < 40
        assert f"{40 - shown} more" in html
        assert mail["Subject"].startswith("40 new papers")


async def test_f068_a_digest_of_which_nothing_fits_is_held(installation: World) -> None:
    await queue(installation, READERS[:2])
    async with post(size=500) as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        async with installation.opened() as running:
            assert (await drain_outbox(running.desk)).states == {OutboxState.HELD: 2}
    assert not server.accepted


def test_the_index_finds_what_waits() -> None:
    """The statements of a claim repeat the words of the partial index, or it would not be used."""
    assert turns._DOMAINS[True].count(str(schema.WAITING).replace("state", "m.state")) == 3


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


@pytest.mark.parametrize("guard", ["lost", "554 5.5.0 Error: SMTP protocol synchronization"])
async def test_a_relay_that_wants_nothing_after_a_dot_gets_few_messages_twice_and_soon_nothing_more(
    installation: World, guard: str
) -> None:
    """It is told so by its places once each: of the messages that may have arrived, each goes once more."""
    readers = [f"reader{number:02}@{number}.example.org" for number in range(30)]
    async with post(guard=guard) as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        await queue(installation, readers)
        async with installation.opened() as running:
            for _ in range(3):
                drained = await drain_outbox(replace(running.desk, resend=True))
                assert drained.paused_until is None
                installation.now += timedelta(minutes=16)
            assert await running.store.depth() == {OutboxState.SENT: len(readers)}
            places = running.desk.relay.places
        again = [number for number in Counter(each.recipients[0] for each in server.accepted).values() if number > 1]
        assert again == ([2] * len(again) if guard == "lost" else [])
        assert len(again) <= places


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
    monkeypatch.setattr(drain, "RENEWAL", 0.001)
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
