"""What a mail that came back does: whom it counts against, and whom it cannot touch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from notifier.diff import batch_keys, diff
from notifier.model import (
    Batch,
    Bounce,
    BounceKind,
    Cadence,
    DigestClock,
    Hits,
    OutboxId,
    OutboxState,
    Paper,
    Poll,
    QueryId,
    QueuedMessage,
    Reply,
    Report,
    SubscriberState,
    Track,
    Validators,
    Verdict,
    Wish,
)
from notifier.store import Store, open_store
from notifier.store import bounces as room

pytestmark = pytest.mark.both_databases

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
READER, OTHER = "reader@example.org", "other@example.org"
GONE = Report(kind=BounceKind.HARD, status="5.1.1", diagnostic="550 5.1.1 no such user")
FULL = Report(kind=BounceKind.SOFT, status="5.2.2", diagnostic="552 5.2.2 mailbox full")
_mails = count()


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    async with open_store(database) as opened:
        yield opened


async def news(store: Store, title: str) -> None:
    """Record a paper that everybody's query hits, and queue what is due."""
    papers = Batch(papers=(Paper(source="test", source_key=title, title=title, url=""),))
    seen = await store.seen(batch_keys(papers), "page")
    result = diff(papers, seen, Track(), NOW)
    poll = Poll(listing="page", polled_at=NOW, outcome=result.outcome, reason=result.reason, new=1)
    hits = [Hits(QueryId(1), [0])]
    await store.record_poll(
        poll, result, hits, Validators(), seen=seen, queries_up_to=QueryId(1), next_poll_at=NOW
    )  # fmt: skip
    await store.queue_digests(NOW, "example.org")


async def sent(store: Store, email: str = READER) -> QueuedMessage:
    """Subscribe somebody, send them a message, and return it."""
    wish = Wish(email=email, label="*", canonical="*", clock=DigestClock(Cadence.IMMEDIATE, "UTC"))
    await store.subscribe(wish, origin="cli", now=NOW)
    await news(store, f"A fictional paper for {email}, number {next(_mails)}")
    messages = await store.claim("me", NOW, DAY, 10)
    for message in messages:
        await store.settle(message.outbox_id, Reply(Verdict.SENT, 250, "ok"), NOW, resend=True)
    return next(message for message in messages if message.recipient == email)


async def came_back(store: Store, report: Report, about: OutboxId | None, days: float = 0) -> Bounce:
    """Record a mail that differs from every other one."""
    done = await store.record_bounce(report, b"mail %d" % next(_mails), NOW + days * DAY, about=about)
    assert done is not None
    return done


async def state(store: Store, email: str = READER) -> SubscriberState:
    found = await store.subscriber(email)
    assert found is not None
    return found.state


async def test_hard_bounces_on_five_days_suppress_and_not_one_day_sooner(store: Store) -> None:
    about = (await sent(store)).outbox_id
    for day in range(4):
        assert (await came_back(store, GONE, about, day)).counted
        assert await state(store) is SubscriberState.CONFIRMED
    assert (await came_back(store, GONE, about, 4)).suppressed
    reader = await store.subscriber(READER)
    assert reader is not None
    assert reader.state is SubscriberState.SUPPRESSED
    assert reader.since == NOW + 4 * DAY
    assert reader.health == "hard: 5.1.1 550 5.1.1 no such user"


async def test_suppression_calls_back_what_is_queued_and_queues_no_more(store: Store) -> None:
    about = (await sent(store)).outbox_id
    await news(store, "Another fictional paper")
    for day in range(5):
        await came_back(store, GONE, about, day)
    assert await store.depth() == {OutboxState.SENT: 1, OutboxState.FAILED: 1}
    await news(store, "A third fictional paper")
    assert OutboxState.QUEUED not in await store.depth()


async def test_many_bounces_of_a_day_count_once(store: Store) -> None:
    about = (await sent(store)).outbox_id
    counted = [(await came_back(store, GONE, about, hours / 24)).counted for hours in range(8)]
    assert counted == [True] + [False] * 7


async def test_soft_bounces_count_a_half(store: Store) -> None:
    about = (await sent(store)).outbox_id
    suppressed = [(await came_back(store, FULL, about, day)).suppressed for day in range(10)]
    assert suppressed == [False] * 9 + [True]


async def test_a_week_without_a_bounce_wipes_the_score(store: Store) -> None:
    about = (await sent(store)).outbox_id
    for day in (0, 1, 2, 3, 11, 12, 13, 14):
        await came_back(store, GONE, about, day)
    assert await state(store) is SubscriberState.CONFIRMED


async def test_the_bounces_of_weekly_digests_add_up(store: Store) -> None:
    about = (await sent(store)).outbox_id
    for week in range(5):
        await came_back(store, GONE, about, 7 * week)
    assert await state(store) is SubscriberState.SUPPRESSED


async def test_a_refusal_in_the_dialogue_and_a_bounce_by_mail_feed_one_score(store: Store) -> None:
    about = (await sent(store)).outbox_id
    for day in range(4):
        await came_back(store, GONE, about, day)
    await news(store, "Another fictional paper")
    (message,) = await store.claim("me", NOW + 4 * DAY, DAY, 1)
    refused = Reply(Verdict.REFUSED_RECIPIENT, 550, "5.1.1 no such user")
    await store.settle(message.outbox_id, refused, NOW + 4 * DAY, resend=True)
    assert await state(store) is SubscriberState.SUPPRESSED


async def test_a_relay_that_takes_the_mail_says_nothing_against_yesterdays_bounce(store: Store) -> None:
    about = (await sent(store)).outbox_id
    for day in range(5):
        await news(store, f"Fictional paper number {day}")
        (message,) = await store.claim("me", NOW + day * DAY, DAY, 1)
        await store.settle(message.outbox_id, Reply(Verdict.SENT, 250, "ok"), NOW + day * DAY, resend=True)
        await came_back(store, GONE, about, day)
    assert await state(store) is SubscriberState.SUPPRESSED


async def test_a_message_that_arrives_after_a_quiet_week_clears_the_readers_health(store: Store) -> None:
    await came_back(store, GONE, (await sent(store)).outbox_id)
    await news(store, "Another fictional paper")
    (message,) = await store.claim("me", NOW + 8 * DAY, DAY, 1)
    await store.settle(message.outbox_id, Reply(Verdict.SENT, 250, "ok"), NOW + 8 * DAY, resend=True)
    reader = await store.subscriber(READER)
    assert reader is not None
    assert reader.health == ""


async def test_f119_a_complaint_suppresses_at_once_and_nobody_else(store: Store) -> None:
    await sent(store, OTHER)
    message = await sent(store)
    assert (await came_back(store, Report(kind=BounceKind.COMPLAINT), message.outbox_id)).suppressed
    assert (await state(store), await state(store, OTHER)) == (SubscriberState.SUPPRESSED, SubscriberState.CONFIRMED)
    assert await store.suppressed_since(NOW) == 1
    assert await store.suppressed_since(NOW + DAY) == 0


@pytest.mark.parametrize(
    "kind",
    [BounceKind.REFUSED, BounceKind.DELAYED, BounceKind.DELIVERED, BounceKind.AUTOREPLY, BounceKind.UNKNOWN],
)
async def test_f065_what_is_no_failure_of_the_recipient_counts_nothing(store: Store, kind: BounceKind) -> None:
    about = (await sent(store)).outbox_id
    for day in range(12):
        assert not (await came_back(store, Report(kind=kind, status="5.7.1"), about, day)).counted
    assert await state(store) is SubscriberState.CONFIRMED


async def test_the_same_mail_does_nothing_twice(store: Store) -> None:
    about = (await sent(store)).outbox_id
    assert await store.record_bounce(GONE, b"the same", NOW, about=about) is not None
    assert await store.record_bounce(GONE, b"the same", NOW + DAY, about=about) is None
    assert await store.bounce_counts(NOW) == {BounceKind.HARD: 1}


async def test_f065_a_forged_report_about_somebody_counts_nothing_and_is_kept_for_review(store: Store) -> None:
    await sent(store)
    forged = Report(kind=BounceKind.HARD, recipient=READER, message_id="<made-up@example.org>")
    for day in range(10):
        await came_back(store, forged, None, day)
        await came_back(store, Report(kind=BounceKind.COMPLAINT, recipient=READER), None, day)
    assert await state(store) is SubscriberState.CONFIRMED
    kept = await store.bounces(100, unclear=True)
    assert len(kept) == 20
    assert {bounce.email for bounce in kept} == {None}


async def test_f065_without_a_tag_the_message_id_and_the_recipient_must_both_be_ours_and_recent(store: Store) -> None:
    message = await sent(store)
    right = Report(kind=BounceKind.HARD, recipient=READER.upper(), message_id=message.message_id)
    wrong = Report(kind=BounceKind.HARD, recipient=OTHER, message_id=message.message_id)
    unnamed = Report(kind=BounceKind.HARD, message_id=message.message_id)
    assert not (await came_back(store, wrong, None)).counted
    assert not (await came_back(store, unnamed, None)).counted
    assert not (await came_back(store, right, None, 11)).counted
    assert (await came_back(store, right, None, 9)).counted


async def test_f119_mail_to_the_unsubscribe_address_ends_all_mail(store: Store) -> None:
    message = await sent(store)
    assert (await came_back(store, Report(kind=BounceKind.UNSUBSCRIBE), message.outbox_id)).counted
    assert await state(store) is SubscriberState.UNSUBSCRIBED
    for day in range(6):
        await came_back(store, GONE, message.outbox_id, day)
    assert await state(store) is SubscriberState.UNSUBSCRIBED


async def test_a_message_that_is_not_there_is_about_nobody(store: Store) -> None:
    assert (await came_back(store, GONE, OutboxId(4711))).email is None


async def test_resume_lifts_a_suppression_with_a_clean_score_and_nothing_else(store: Store) -> None:
    about = (await sent(store)).outbox_id
    assert not await store.resume(READER, NOW)
    for day in range(5):
        await came_back(store, GONE, about, day)
    assert await store.resume(READER, NOW + 5 * DAY)
    assert await state(store) is SubscriberState.CONFIRMED
    assert not (await came_back(store, GONE, about, 6)).suppressed
    await store.unsubscribe(READER, NOW + 6 * DAY)
    assert not await store.resume(READER, NOW + 7 * DAY)


async def test_subscribing_again_lifts_a_suppression(store: Store) -> None:
    message = await sent(store)
    await came_back(store, Report(kind=BounceKind.COMPLAINT), message.outbox_id)
    await sent(store)
    assert await state(store) is SubscriberState.CONFIRMED


async def test_what_strangers_send_is_kept_within_limits(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "KEPT_MAILS", 3)
    monkeypatch.setattr(room, "KEPT_STRANGERS", 5)
    ours = await sent(store)
    counted = await came_back(store, GONE, ours.outbox_id)
    last = [await came_back(store, Report(kind=BounceKind.UNKNOWN), None) for _ in range(9)]
    listed = await store.bounces(100)
    assert [bounce.number for bounce in listed] == [*(b.number for b in reversed(last[-5:])), counted.number]
    assert [bounce.kept for bounce in listed] == [True] * 3 + [False] * 3
    assert await store.bounce(last[-1].number) == (last[-1], b"mail %d" % (next(_mails) - 1))


async def test_up_to_where_a_mailbox_was_read_is_remembered(store: Store) -> None:
    assert await store.mailbox_mark("bounces at mail.example.org") is None
    await store.set_mailbox_mark("bounces at mail.example.org", 17, 4)
    await store.set_mailbox_mark("bounces at mail.example.org", 17, 5)
    assert await store.mailbox_mark("bounces at mail.example.org") == (17, 5)
    assert await store.mailbox_mark("another") is None
