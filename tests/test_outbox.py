"""The outbox: a message is claimed, its bytes kept, marked before its last dot, and settled, whatever crashes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from fictional import digest
from sqlalchemy import delete, func, select, text

from notifier.compose import write
from notifier.compose.fragments import Fragments
from notifier.model import OutboxState, Reply, Verdict
from notifier.store import open_store, schema
from notifier.store.turns import _DOMAINS
from notifier.templates import Templates
from tests.stored import LEASE, NOW, batch, queued, record, subscribed

pytestmark = [pytest.mark.both_databases, pytest.mark.pgbouncer]


async def test_g3_a_claimed_message_is_freed_by_the_next_start(database: str) -> None:
    async with open_store(database) as store:
        await queued(store)
        assert len(await store.claim("dead", NOW, LEASE, 10)) == 1
        assert await store.claim("me", NOW, LEASE, 10) == []
        assert await store.recover(NOW, resend=True, gone=lambda owner: owner == "dead") == (1, 0)
        assert len(await store.claim("me", NOW, LEASE, 10)) == 1


async def test_g3_a_lease_that_lapsed_is_claimed_by_another(database: str) -> None:
    async with open_store(database) as store:
        await queued(store)
        (message,) = await store.claim("slow", NOW, LEASE, 10)
        assert await store.free_lapsed(NOW, resend=True) == (0, 0)
        assert await store.free_lapsed(NOW + LEASE, resend=True) == (1, 0)
        assert len(await store.claim("me", NOW + LEASE, LEASE, 10)) == 1
        assert not await store.mark_in_doubt(message.outbox_id, "slow")
        await store.keep([(message.outbox_id, b"too late")], "slow", NOW + LEASE)
        found = await store.message(message.outbox_id)
        assert found and found.content is None, "its bytes are the new owner's to write"


async def test_g3_a_process_whose_lease_lapsed_keeps_no_other_bytes(database: str) -> None:
    async with open_store(database) as store:
        await queued(store)
        (message,) = await store.claim("slow", NOW, LEASE, 10)
        await store.free_lapsed(NOW + LEASE, resend=True)
        await store.claim("me", NOW + LEASE, LEASE, 10)
        await store.keep([(message.outbox_id, b"those that are sent")], "me", NOW + LEASE)
        await store.keep([(message.outbox_id, b"others")], "slow", NOW + LEASE)
        again = await store.message(message.outbox_id)
        assert again is not None
        assert again.content == b"those that are sent"


async def test_a_message_whose_reader_left_after_it_was_claimed_is_not_marked(database: str) -> None:
    async with open_store(database) as store:
        await queued(store)
        (message,) = await store.claim("me", NOW, LEASE, 10)
        await store.unsubscribe("reader@example.org", NOW)
        assert not await store.mark_in_doubt(message.outbox_id, "me")
        assert await store.depth() == {OutboxState.FAILED: 1}


async def test_the_bytes_of_a_message_that_was_sent_are_dropped(database: str) -> None:
    async with open_store(database) as store:
        await queued(store)
        (message,) = await store.claim("me", NOW, LEASE, 10)
        await store.keep([(message.outbox_id, b"the bytes")], "me", NOW)
        await store.settle(message.outbox_id, Reply(Verdict.SENT, 250, "queued"), NOW, resend=True)
        async with store._database.read() as connection:
            assert await connection.scalar(select(func.count()).select_from(schema.content)) == 0


async def test_g3_an_answer_changes_nothing_of_a_message_that_was_settled_already(database: str) -> None:
    async with open_store(database) as store:
        await queued(store)
        (message,) = await store.claim("me", NOW, LEASE, 10)
        await store.mark_in_doubt(message.outbox_id, "me")
        refused = Reply(Verdict.REFUSED_RECIPIENT, 550, "no such mailbox")
        assert await store.settle(message.outbox_id, refused, NOW, resend=True) is OutboxState.FAILED
        late = Reply(Verdict.SENT, 250, "queued")
        assert await store.settle(message.outbox_id, late, NOW, resend=True) is OutboxState.FAILED
        assert await store.depth() == {OutboxState.FAILED: 1}


async def test_a_mark_that_is_refused_takes_none_with_it_that_shares_its_transaction(database: str) -> None:
    async with open_store(database) as store:
        await subscribed(store, "ben@example.org")
        await queued(store)
        ours, left = sorted(await store.claim("me", NOW, LEASE, 10), key=lambda each: each.recipient)
        await store.unsubscribe(left.recipient, NOW)
        marks = [store.mark_in_doubt(number, "me") for number in (left.outbox_id, ours.outbox_id)]
        assert await asyncio.gather(*marks) == [False, True]
        assert await store.depth() == {OutboxState.FAILED: 1, OutboxState.IN_DOUBT: 1}


@pytest.mark.parametrize(("resend", "expected"), [(True, OutboxState.DEFERRED), (False, OutboxState.HELD)])
async def test_g3_a_crash_after_the_final_dot_resends_or_holds(
    database: str, resend: bool, expected: OutboxState
) -> None:
    async with open_store(database) as store:
        await queued(store)
        (message,) = await store.claim("me", NOW, LEASE, 10)
        await store.keep([(message.outbox_id, b"the bytes")], "me", NOW)
        assert await store.mark_in_doubt(message.outbox_id, "me")
        assert await store.recover(NOW, resend=resend, gone=lambda owner: owner == "me") == (0, 1)
        assert await store.depth() == {expected: 1}
        again = await store.message(message.outbox_id)
        assert (again.content, again.message_id) == (b"the bytes", message.message_id)


@pytest.mark.parametrize("others", [0, 1], ids=["alone", "with another of the same blank"])
async def test_g3_shared_lines_are_stored_once_and_stay_while_a_message_needs_them(database: str, others: int) -> None:
    fragments, papers = Fragments(Templates()), digest(12)
    message, other = (write(replace(papers, recipient=f"{name}@reader.example"), fragments) for name in ("ada", "ben"))
    async with open_store(database) as store:

        async def stored() -> int:
            async with store._database.read() as connection:
                return int(await connection.scalar(select(func.count()).select_from(schema.lines)) or 0)

        await subscribed(store, "ben@example.org")
        await queued(store)
        claimed, following = await store.claim("me", NOW, LEASE, 10)
        for _ in range(2):
            both = [(claimed.outbox_id, message), (following.outbox_id, other)]
            await store.keep(both[: 1 + others], "me", NOW)
        kept = await stored()
        assert kept == len({each.key for each in message.blank.shared()}) + others  # and the blank of both

        assert await store.prune_lines(NOW + timedelta(days=30)) == 0
        again = await store.message(claimed.outbox_id)
        assert bytes(again.content) == bytes(message)
        if others:
            assert bytes((await store.message(following.outbox_id)).content) == bytes(other)

        async with store._database.write() as connection:
            await connection.execute(delete(schema.content))
        assert await store.prune_lines(NOW + timedelta(days=31)) == 0  # a day ago a message needed them
        assert await store.prune_lines(NOW + timedelta(days=60)) == kept
        assert await stored() == 0


async def test_g3_a_message_left_in_doubt_again_and_again_is_held(database: str) -> None:
    async with open_store(database) as store:
        await queued(store)
        now = NOW
        state = OutboxState.QUEUED
        for _ in range(5):
            now += timedelta(hours=5)
            (message,) = await store.claim("me", now, LEASE, 10)
            await store.mark_in_doubt(message.outbox_id, "me")
            state = await store.settle(message.outbox_id, Reply(Verdict.IN_DOUBT, None, "silence"), now, resend=True)
        assert state is OutboxState.HELD


async def test_g3_refusals_on_five_days_suppress_a_recipient(database: str) -> None:
    async with open_store(database) as store:
        await subscribed(store)
        for n in range(1, 6):
            now = NOW + timedelta(days=n)
            await record(store, batch(n))
            await store.queue_digests(now, "example.org")
            (message,) = await store.claim("me", now, LEASE, 10)
            refused = Reply(Verdict.REFUSED_RECIPIENT, 550, "5.1.1 no such user")
            assert await store.settle(message.outbox_id, refused, now, resend=True) is OutboxState.FAILED
        assert (await store.subscriber("reader@example.org")).state == "suppressed"
        await record(store, batch(6))
        assert (await store.queue_digests(NOW, "example.org")).groups == 0


async def test_g3_content_that_is_refused_is_held_and_blames_nobody(database: str) -> None:
    async with open_store(database) as store:
        await queued(store)
        (message,) = await store.claim("me", NOW, LEASE, 10)
        refused = Reply(Verdict.REFUSED_MESSAGE, 554, "5.6.0 we do not like it")
        assert await store.settle(message.outbox_id, refused, NOW, resend=True) is OutboxState.HELD
        assert (await store.subscriber("reader@example.org")).state == "confirmed"


async def test_g3_a_message_in_doubt_whose_lease_lapsed_is_offered_again(database: str) -> None:
    """The reply came but could not be recorded (a full disk): the message must not wait for a restart."""
    async with open_store(database) as store:
        await queued(store)
        (message,) = await store.claim("me", NOW, LEASE, 10)
        await store.mark_in_doubt(message.outbox_id, "me")
        assert await store.free_lapsed(NOW + LEASE, resend=True) == (0, 1)
        assert len(await store.claim("me", NOW + LEASE, LEASE, 10)) == 1


async def test_a_lease_is_renewed_by_its_owner_while_the_message_is_claimed(database: str) -> None:
    async with open_store(database) as store:
        await queued(store)
        (message,) = await store.claim("me", NOW, LEASE, 10)
        await store.renew([message.outbox_id], "another", NOW + 3 * LEASE)
        await store.renew([message.outbox_id], "me", NOW + 2 * LEASE)
        assert await store.free_lapsed(NOW + LEASE, resend=True) == (0, 0)
        await store.mark_in_doubt(message.outbox_id, "me", NOW + 2 * LEASE)
        await store.renew([message.outbox_id], "me", NOW + 3 * LEASE)
        assert await store.free_lapsed(NOW + 2 * LEASE, resend=True) == (0, 1)
        await store.renew([message.outbox_id], "me", NOW + 9 * LEASE)
        assert len(await store.claim("me", NOW + 2 * LEASE, LEASE, 10)) == 1


async def test_a_mark_without_a_dot_is_taken_back_by_who_knows_and_costs_nothing(database: str) -> None:
    async with open_store(database) as store:
        await queued(store)
        (message,) = await store.claim("me", NOW, LEASE, 10)
        await store.mark_in_doubt(message.outbox_id, "me")
        await store.release([message.outbox_id], "me")
        assert await store.depth() == {OutboxState.IN_DOUBT: 1}
        await store.release([message.outbox_id], "another", marked=True)
        assert await store.depth() == {OutboxState.IN_DOUBT: 1}
        await store.release([message.outbox_id], "me", marked=True)
        assert await store.depth() == {OutboxState.QUEUED: 1}


async def test_g3_a_reply_that_comes_after_its_reader_left_brings_nothing_back(database: str) -> None:
    async with open_store(database) as store:
        await queued(store)
        (message,) = await store.claim("me", NOW, LEASE, 10)
        await store.unsubscribe("reader@example.org", NOW)
        later = Reply(Verdict.DEFERRED, 450, "4.2.1 later")
        assert await store.settle(message.outbox_id, later, NOW, resend=True) is OutboxState.FAILED


async def test_g3_a_message_that_may_have_arrived_is_held_when_it_is_given_up(database: str) -> None:
    async with open_store(database) as store:
        await queued(store)
        (message,) = await store.claim("me", NOW, LEASE, 10)
        await store.mark_in_doubt(message.outbox_id, "me")
        await store.settle(message.outbox_id, Reply(Verdict.IN_DOUBT, None, "silence"), NOW, resend=True)
        late = NOW + timedelta(days=6)
        await store.claim("me", late, LEASE, 10)
        refused = Reply(Verdict.DEFERRED, 450, "4.2.1 later")
        assert await store.settle(message.outbox_id, refused, late, resend=True) is OutboxState.HELD


async def test_what_waits_is_found_by_its_domain_and_not_by_looking_at_all_of_it(database: str) -> None:
    async with open_store(database) as store, store._database.read() as connection:
        explain = "EXPLAIN QUERY PLAN" if store._database.is_sqlite else "EXPLAIN"
        asked = text(f"{explain} {_DOMAINS[store._database.is_sqlite]}")
        rows = await connection.execute(asked, {"after": "", "now": "2026-03-02 12:00:00+00", "most": 100})
        plan = "\n".join(str(row[-1]) for row in rows)
    assert "ix_message_state_next_attempt_at" not in plan, plan
    assert not store._database.is_sqlite or plan.count("INDEX ix_message_waiting") == 3, plan
