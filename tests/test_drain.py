"""Draining the outbox: side by side, fairly, and how a relay that will not talk to us is left alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from email import message_from_string, policy

import pytest
from sqlalchemy import update

from notifier.daemon.steps import poll_due
from notifier.model import OutboxState
from notifier.pipeline import drain_outbox, queue_digests
from notifier.store import schema, turns
from tests.servers.smtp import post
from tests.waiting import READERS, queue
from tests.world import World, text_page


async def test_everybody_is_sent_one_message_over_several_places(installation: World) -> None:
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        await queue(installation, READERS)
        async with installation.opened() as running:
            drained = await drain_outbox(running.desk)
        assert drained.states == {OutboxState.SENT: len(READERS)}
        assert sorted(each.recipients[0] for each in server.accepted) == sorted(READERS)


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
