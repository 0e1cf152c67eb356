"""The store: its schema, what it refuses, and what a crash leaves behind."""

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
from fictional import digest
from sqlalchemy import Connection, delete, func, select, text, update

from notifier.compose import write
from notifier.daemon.opening import shared
from notifier.diff import batch_keys, diff
from notifier.errors import SeenMeanwhile, StoreError
from notifier.fragments import Fragments
from notifier.model import (
    Batch,
    Cadence,
    DigestClock,
    Hits,
    HostState,
    OutboxState,
    Paper,
    Poll,
    QueryId,
    Reply,
    Seen,
    SubscriberId,
    Track,
    Validators,
    Verdict,
    Wish,
)
from notifier.store import Store, open_store, schema
from notifier.store.digests import _at_once, _by_clock
from notifier.store.engine import Database
from notifier.store.migrate import migrate
from notifier.store.schema import metadata
from notifier.store.turns import _DOMAINS
from notifier.templates import Templates

pytestmark = [pytest.mark.both_databases, pytest.mark.pgbouncer]

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
LEASE = timedelta(minutes=5)


def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/notifier.db"


def batch(*numbers: int) -> Batch:
    return Batch(
        papers=tuple(
            Paper(source="test", source_key=str(n), title=f"Fictional paper number {n} of many", url="")
            for n in numbers
        )
    )


async def record(store: Store, papers: Batch, *, seen: Seen | None = None, queries_up_to: int = 1) -> None:
    """Record a poll of the listing `page`; query 1 hits everything in it."""
    seen = seen or await store.seen(batch_keys(papers), "page")
    result = diff(papers, seen, Track(), NOW)
    poll = Poll(listing="page", polled_at=NOW, outcome=result.outcome, reason=result.reason, new=len(result.changes))
    hits = [Hits(QueryId(1), list(range(len(result.changes))))] if result.changes else []
    await store.record_poll(
        poll, result, hits, Validators('"1"'), seen=seen, queries_up_to=QueryId(queries_up_to), next_poll_at=NOW
    )


def wish(email: str, query: str) -> Wish:
    return Wish(email=email, label=query, canonical=query, clock=DigestClock(Cadence.IMMEDIATE, "UTC"))


async def subscribed(store: Store, email: str = "reader@example.org") -> None:
    await store.subscribe(wish(email, "*"), origin="cli", now=NOW)


async def queued(store: Store) -> None:
    await subscribed(store)
    await record(store, batch(1, 2))
    await store.queue_digests(NOW, "example.org")


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


async def test_who_was_told_of_a_poll_is_not_looked_at_again(database: str) -> None:
    async with open_store(database) as store:
        await subscribed(store)
        await record(store, batch(1, 2))
        assert (await store.queue_digests(NOW, "example.org")).groups == 1
        assert (await store.queue_digests(NOW, "example.org")).groups == 0


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


async def test_g3_shared_lines_are_stored_once_and_stay_while_a_message_needs_them(database: str) -> None:
    message = write(digest(12), Fragments(Templates()))
    async with open_store(database) as store:

        async def stored() -> int:
            async with store._database.read() as connection:
                return int(await connection.scalar(select(func.count()).select_from(schema.lines)) or 0)

        await queued(store)
        (claimed,) = await store.claim("me", NOW, LEASE, 10)
        for _ in range(2):
            await store.keep([(claimed.outbox_id, message)], "me", NOW)
        kept = await stored()
        assert kept == len({each.key for each in message.shared()})

        assert await store.prune_lines(NOW + timedelta(days=30)) == 0
        again = await store.message(claimed.outbox_id)
        assert bytes(again.content) == bytes(message)

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


async def test_a_reader_who_left_and_comes_back_finds_the_configured_subscriptions_active(database: str) -> None:
    async with open_store(database) as store:
        wanted = [wish("reader@example.org", "*")]
        await store.keep_configured(wanted, NOW)
        reader = await store.subscriber("reader@example.org")
        await store.unsubscribe("reader@example.org", NOW)
        await store.keep_configured(wanted, NOW)
        await store.come_back(reader.subscriber_id, NOW)
        assert [each.active for each in await store.subscriptions()] == [True]


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


async def test_what_waits_is_found_by_its_domain_and_not_by_looking_at_all_of_it(database: str) -> None:
    async with open_store(database) as store, store._database.read() as connection:
        explain = "EXPLAIN QUERY PLAN" if store._database.is_sqlite else "EXPLAIN"
        asked = text(f"{explain} {_DOMAINS[store._database.is_sqlite]}")
        rows = await connection.execute(asked, {"after": "", "now": "2026-03-02 12:00:00+00", "most": 100})
        plan = "\n".join(str(row[-1]) for row in rows)
    assert "ix_message_state_next_attempt_at" not in plan, plan
    assert not store._database.is_sqlite or plan.count("INDEX ix_message_waiting") == 3, plan


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
