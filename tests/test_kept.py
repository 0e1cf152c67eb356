"""What is stored of composed messages: shared, read back, lost to damage, and gone with the reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from fictional import digest
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.compose import write
from notifier.compose.fragments import Fragments
from notifier.model import Digest, OutboxState, QueuedMessage, Reply, Verdict, Written
from notifier.pipeline import drain_outbox
from notifier.store import Store, open_store, schema
from notifier.store.together import Together
from notifier.templates import Templates
from tests.servers.postgres import Cluster
from tests.stored import LEASE, NOW, batch, record, subscribed
from tests.waiting import READERS, queue
from tests.world import World

ZONES = ("Europe/Berlin", "Asia/Tokyo", "America/New_York", "UTC")
DAMAGE = {
    "cut to ten octets": lambda octets: octets[:10],
    "cut in its last part": lambda octets: octets[:-1],
    "empty": lambda _octets: b"",
    "of another form": lambda octets: octets[1:],
    "of very many pieces": lambda octets: octets[:1] + b"\xff" * 4 + octets[5:],
    "of no pieces": lambda octets: octets[:1] + bytes(4) + octets[-17:],
}


async def waiting(store: Store, count: int) -> list[QueuedMessage]:
    """Queue a message for each of some readers, and claim them."""
    for number in range(count):
        await subscribed(store, f"r{number}@example.org")
    await record(store, batch(1, 2))
    await store.queue_digests(NOW, "example.org")
    return await store.claim("me", NOW, LEASE, count)


def written(messages: list[QueuedMessage], papers: Digest) -> list[tuple[int, Written]]:
    fragments = Fragments(Templates())
    return [(each.outbox_id, write(replace(papers, recipient=each.recipient), fragments)) for each in messages]


async def damage(store: Store, number: int, octets: bytes) -> None:
    async with store._database.write() as connection:
        damaged = update(schema.content).where(schema.content.c.message_id == number)
        await connection.execute(damaged.values(octets=octets))


async def count(store: Store, table: str) -> int:
    async with store._database.read() as connection:
        return int(await connection.scalar(select(func.count()).select_from(schema.metadata.tables[table])) or 0)


async def octets(store: Store, number: int) -> bytes:
    asked = select(schema.content.c.octets).where(schema.content.c.message_id == number)
    async with store._database.read() as connection:
        return bytes(await connection.scalar(asked))


@pytest.mark.both_databases
@pytest.mark.parametrize("how", DAMAGE)
async def test_g3_one_message_that_cannot_be_read_keeps_no_other_from_being_sent(database: str, how: str) -> None:
    async with open_store(database) as store:
        messages = await waiting(store, 5)
        kept = written(messages, digest(12))
        await store.keep(kept, "me", NOW)
        bad = messages[2].outbox_id
        await damage(store, bad, DAMAGE[how](await octets(store, bad)))
        await store.release([each.outbox_id for each in messages], "me")

        again = await store.claim("me", NOW, LEASE, 5)
        assert {each.outbox_id: each.content and bytes(each.content) for each in again} == {
            number: None if number == bad else bytes(message) for number, message in kept
        }
        assert [each.outbox_id for each in again if each.lost] == [bad]
        assert next(each for each in again if each.lost).papers, "it can be composed anew"
        looked_at = await store.message(bad)
        assert looked_at and looked_at.content is None and looked_at.papers
        lines = await count(store, "lines")
        assert await store.prune_lines(NOW + timedelta(days=30)) == 0
        assert await count(store, "lines") == lines

        await store.keep(kept, "me", NOW)
        mended = await store.message(bad)
        assert mended and bytes(mended.content or b"") == bytes(dict(kept)[bad])


@pytest.mark.both_databases
@pytest.mark.parametrize("what", ["a line", "the blank"])
async def test_g3_shared_lines_that_changed_are_not_sent_as_if_nothing_were(database: str, what: str) -> None:
    async with open_store(database) as store:
        messages = await waiting(store, 2)
        kept = written(messages, digest(3))
        await store.keep(kept, "me", NOW)
        blank = kept[0][1].blank
        key, other = (
            (blank.key, blank.packed[:-4]) if what == "the blank" else (blank.shared()[0].key, b"X: y\r\n" * 20)
        )
        async with store._database.write() as connection:
            await connection.execute(update(schema.lines).where(schema.lines.c.key == key).values(octets=other))
        await store.release([each.outbox_id for each in messages], "me")
        assert [(each.content, each.lost) for each in await store.claim("me", NOW, LEASE, 5)] == [(None, True)] * 2


@pytest.mark.parametrize(
    ("offered", "state"), [(0, OutboxState.SENT), (1, OutboxState.HELD)], ids=["never offered", "offered before"]
)
async def test_g3_bytes_that_are_lost_are_composed_anew_only_if_nobody_has_seen_them(
    installation: World, offered: int, state: OutboxState
) -> None:
    await queue(installation, READERS[:1])
    async with installation.opened() as running:
        store, now = running.store, running.clock()
        (message,) = await store.claim("before", now, LEASE, 1)
        await store.keep(written([message], digest(3)), "before", now)
        await store.release([message.outbox_id], "before")
        await damage(store, message.outbox_id, b"\x01 damaged")
        async with store._database.write() as connection:
            await connection.execute(update(schema.message).values(attempts=offered))
        await drain_outbox(running.desk)
        assert await store.depth() == {state: 1}
        (parcel,) = await store.parcels()
        assert ("cannot be read any more" in parcel.reply) is (state is OutboxState.HELD)


@pytest.mark.both_databases
@pytest.mark.parametrize("state", [OutboxState.SENT, OutboxState.FAILED])
async def test_what_was_left_of_a_message_that_is_settled_is_pruned(database: str, state: OutboxState) -> None:
    async with open_store(database) as store:
        (settled, waits) = await waiting(store, 2)
        await store.keep(written([settled, waits], digest(3)), "me", NOW)
        async with store._database.write() as connection:
            one = update(schema.message).where(schema.message.c.id == settled.outbox_id)
            await connection.execute(one.values(state=state))
        await store.prune_lines(NOW)
        assert await count(store, "content") == 1
        left = await store.message(waits.outbox_id)
        assert left and left.content


@pytest.mark.parametrize("how", ["unsubscribe", "erase"])
async def test_nothing_is_stored_for_a_reader_whose_leaving_is_under_way(postgres: Cluster, how: str) -> None:
    """They leave in a transaction that commits while their message is being kept."""
    url = postgres.database()
    async with open_store(url) as here, open_store(url) as there:
        messages = await waiting(here, 4)
        bytes_of = written(messages, digest(3))
        leaver = messages[0]
        async with there._database.read() as connection:
            asked = select(schema.subscriber.c.id).where(schema.subscriber.c.email == leaver.recipient)
            number = await connection.scalar(asked)
        almost, go = asyncio.Event(), asyncio.Event()
        write_of = there._database.write

        @asynccontextmanager
        async def slow(*, alone: bool = True) -> AsyncIterator[AsyncConnection]:
            async with write_of(alone=alone) as connection:
                yield connection
                almost.set()
                await go.wait()

        there._database.write = slow  # type: ignore[method-assign]
        leave = there.unsubscribe(leaver.recipient, NOW) if how == "unsubscribe" else there.erase(number, NOW)
        leaving = asyncio.ensure_future(leave)
        await almost.wait()
        keeping = asyncio.ensure_future(here.keep(bytes_of, "me", NOW))
        while not keeping.done():
            async with here._database.read() as connection:
                if await connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                    break
            await asyncio.sleep(0.01)
        go.set()
        await asyncio.gather(leaving, keeping)
        assert await count(here, "content") == len(messages) - 1


def test_readers_of_the_same_papers_in_several_zones_share_one_sheet_each() -> None:
    papers, fragments = digest(12), Fragments(Templates())
    readers = [replace(papers, recipient=f"r{n}@reader.example", timezone=ZONES[n % len(ZONES)]) for n in range(40)]
    messages = [write(each, fragments) for each in readers]
    assert len({id(each.blank) for each in messages}) <= len(ZONES)
    assert [bytes(each) for each in messages] == [bytes(write(each, Fragments(Templates()))) for each in readers]


async def test_messages_whose_blanks_are_equal_store_it_once(database: str) -> None:
    """They were composed apart, so that their blanks are not the same object."""
    async with open_store(database) as store:
        messages = await waiting(store, 4)
        apart = [pair for each in messages for pair in written([each], digest(12))]
        await store.keep(apart, "me", NOW)
        blank = apart[0][1].blank
        assert await count(store, "lines") == len({each.key for each in blank.shared()}) + 1
        for number, message in apart:
            read = await store.message(number)
            assert read and bytes(read.content or b"") == bytes(message)


def test_two_readers_in_turn_of_whom_one_has_an_address_that_html_escapes() -> None:
    fragments, papers = Fragments(Templates()), digest(7)
    for address in ("a&b@x.example", "plain@x.example", "o'n&x@x.example", "a&b@x.example"):
        mine = replace(papers, recipient=address)
        assert bytes(write(mine, fragments)) == bytes(write(mine, Fragments(Templates())))


@pytest.mark.both_databases
async def test_more_messages_than_one_statement_takes_are_all_kept(database: str) -> None:
    async with open_store(database) as store:
        kept = written(await waiting(store, 51), digest(2))
        assert len(kept) == 51
        await store.keep(kept, "me", NOW)
        for number, message in kept:
            read = await store.message(number)
            assert read and bytes(read.content or b"") == bytes(message)


@pytest.mark.both_databases
async def test_nothing_is_stored_for_a_reader_who_left_after_the_claim(database: str) -> None:
    async with open_store(database) as store:
        messages = await waiting(store, 1)
        await store.unsubscribe(messages[0].recipient, NOW)
        await store.keep(written(messages, digest(2)), "me", NOW)
        assert await count(store, "content") == 0


@pytest.mark.both_databases
async def test_g3_a_message_in_doubt_has_the_lease_of_its_mark(database: str) -> None:
    async with open_store(database) as store:
        (message,) = await waiting(store, 1)
        assert await store.mark_in_doubt(message.outbox_id, "me", NOW + 4 * LEASE)
        assert await store.free_lapsed(NOW + 2 * LEASE, resend=True) == (0, 0)
        assert await store.free_lapsed(NOW + 4 * LEASE, resend=True) == (0, 1)


@pytest.mark.both_databases
@pytest.mark.parametrize("state", ["confirmed", "suppressed"])
async def test_a_mail_that_arrives_clears_the_faults_of_those_alone_who_get_mail(database: str, state: str) -> None:
    async with open_store(database) as store:
        (message,) = await waiting(store, 1)
        async with store._database.write() as connection:
            await connection.execute(update(schema.subscriber).values(state=state, bounce_score=3, health="refused"))
        await store.settle(message.outbox_id, Reply(Verdict.SENT, 250, "ok"), NOW, resend=True)
        async with store._database.read() as connection:
            row = (await connection.execute(select(schema.subscriber.c.bounce_score, schema.subscriber.c.health))).one()
        assert tuple(row) == ((0, "") if state == "confirmed" else (3, "refused"))


async def test_a_writer_that_is_cut_off_while_it_goes_one_by_one_leaves_nobody_waiting() -> None:
    async def commit(requests: Sequence[int]) -> Sequence[bool]:
        if len(requests) > 1:
            raise RuntimeError("one of them cannot be done")
        alone.set()
        await asyncio.Event().wait()
        return [True]

    alone, together = asyncio.Event(), Together(commit)
    answers = [together(number) for number in range(4)]
    await alone.wait()
    assert together._writer is not None
    together._writer.cancel()
    done, waiting = await asyncio.wait(answers, timeout=10)
    assert not waiting
    assert all(each.cancelled() for each in done)
