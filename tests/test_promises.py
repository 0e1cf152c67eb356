"""The promises of the design, G1, G2, G4 and G5, on a whole installation: real HTTP, SQLite, SMTP and Maildir."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from notifier import pipeline
from notifier.daemon.steps import due
from notifier.deliver import Relay
from notifier.errors import DatabaseInUse
from notifier.fetch import fetch
from notifier.intake import load_queries
from notifier.model import Cadence, Envelope, OutboxState, Outcome, Reply
from tests.primed import LATE, NEW, OLD, READER, primed
from tests.servers.http import Answer
from tests.servers.smtp import post
from tests.world import World, text, text_page

pytestmark = pytest.mark.both_databases


# --- G1 nothing missed ------------------------------------------------------------------------------------------------


async def test_g1_a_crash_before_the_commit_of_a_poll_loses_nothing(installation: World) -> None:
    """The page is fetched, and the process dies before record_poll: the next run finds the same papers."""
    await primed(installation)
    installation.pages.put("/daily", text_page(*NEW, *OLD), etag='"new"')
    async with installation.opened() as running:
        (listing,) = running.config.listings
        state = await running.store.listing_state("daily")
        assert await fetch(running.intake.client, listing, state.validators) is not None
    await installation.run()
    assert installation.titles(READER, OLD + NEW) == [NEW]


async def test_g1_validators_are_stored_with_the_papers_and_never_before(installation: World) -> None:
    """A page that could not be read leaves no ETag behind, so the next poll reads it again in full."""
    await primed(installation)
    installation.pages.put("/daily", b"<html>We are down for maintenance</html>", etag='"broken"')
    await installation.run()
    installation.pages.put("/daily", text_page(*NEW), etag='"broken"')
    (poll,), _ = await installation.run()
    assert (poll.outcome, poll.new) == (Outcome.FRESH, 2)
    assert installation.pages.requests[-1].headers["if-none-match"] == '"old"'


async def test_g1_a_query_added_while_a_page_is_being_read_is_matched_too(installation: World) -> None:
    """The poll looks again: no paper may be seen without being owed to whoever was subscribed by then."""
    await primed(installation)
    installation.pages.put("/daily", text_page(*NEW), etag='"new"')
    async with installation.opened() as running:
        await load_queries(running.intake.queries, running.store)
        await installation_subscribe(running, "second@example.org", "ferries", installation.now)
        (listing,) = running.config.listings
        poll = await pipeline.poll(listing, running.intake, installation.now)
        assert poll.new == 2
    await installation.run()
    assert installation.titles("second@example.org", NEW) == [[NEW[1]]]


async def installation_subscribe(running, email: str, query: str, now) -> None:  # type: ignore[no-untyped-def]
    from notifier.model import DigestClock, Wish
    from notifier.query import canonical, parse

    clock = DigestClock(Cadence.IMMEDIATE, "UTC")
    wish = Wish(email=email, label=query, canonical=canonical(parse(query)), clock=clock)
    await running.store.subscribe(wish, origin="cli", now=now)


async def test_g1_two_listings_polled_at_once_record_a_paper_once_and_owe_it(installation: World) -> None:
    installation.listing("one")
    installation.listing("two")
    for name in ("one", "two"):
        installation.pages.put(f"/{name}", text_page(*OLD))
    await installation.subscribe(READER, "*")
    await installation.run()
    for name in ("one", "two"):
        installation.pages.put(f"/{name}", text_page(*NEW))
    async with installation.opened() as running:
        polls = await asyncio.gather(
            *(pipeline.poll(listing, running.intake, installation.now) for listing in running.config.listings)
        )
    assert sorted(poll.new for poll in polls) == [0, 2]
    await installation.run()
    assert installation.titles(READER, NEW) == [NEW]


async def test_g1_what_one_listing_only_recorded_is_news_on_another(installation: World) -> None:
    """A listing that is added today must not swallow the papers that a watched one brings tomorrow."""
    await primed(installation)
    installation.listing("added")
    installation.pages.put("/added", text_page(*NEW))
    await installation.run()
    assert installation.titles(READER, NEW) == []
    installation.pages.put("/daily", text_page(*NEW))
    await installation.run()
    assert installation.titles(READER, NEW) == [NEW]


# --- G2 nothing twice -------------------------------------------------------------------------------------------------


async def test_g2_a_paper_on_two_listings_and_in_two_queries_is_sent_once_with_both_labels(installation: World) -> None:
    await primed(installation, "harbours")
    await installation.subscribe(READER, "fictional AND new")
    installation.listing("other")
    installation.pages.put("/other", text_page(*OLD))
    await installation.run()
    for name in ("daily", "other"):
        installation.pages.put(f"/{name}", text_page(*NEW))
    await installation.run()
    await installation.run()
    (mail,) = installation.mails(READER)
    assert text(mail).count(NEW[0]) == 1
    assert "harbours" in text(mail)
    assert "fictional AND new" in text(mail)


async def test_g2_a_restart_a_second_run_and_a_paper_that_returns_send_nothing_again(installation: World) -> None:
    await primed(installation)
    for page in ([*NEW], [*NEW], [*LATE], [*NEW, *LATE], [*OLD, *NEW]):
        installation.pages.put("/daily", text_page(*page))
        await installation.run()
    assert installation.titles(READER, NEW + LATE) == [NEW, LATE]


async def test_g2_a_clock_that_jumps_ten_years_and_back_sends_nothing_twice_and_blocks_nothing(
    installation: World,
) -> None:
    await primed(installation, cadence=Cadence.DAILY)
    installation.pages.put("/daily", text_page(*NEW))
    await installation.run(minutes=24 * 60)
    installation.now += timedelta(days=3650)
    await installation.run()
    installation.now -= timedelta(days=3650)
    installation.pages.put("/daily", text_page(*LATE))
    await installation.run(minutes=24 * 60)
    await installation.run(minutes=24 * 60)
    assert sorted(installation.titles(READER, NEW + LATE)) == sorted([NEW, LATE])


@pytest.mark.only_sqlite
async def test_g2_f104_a_second_process_on_the_database_is_refused_and_told_who_holds_it(installation: World) -> None:
    async with installation.opened():
        with pytest.raises(DatabaseInUse, match=r"in use by notifier, process \d+ on "):
            async with installation.opened():
                pass


async def test_g2_one_daily_digest_per_local_day_even_when_its_hour_is_changed(installation: World) -> None:
    from datetime import time

    await primed(installation, cadence=Cadence.DAILY, at=time(13, 0))
    installation.pages.put("/daily", text_page(*NEW))
    await installation.run(minutes=90)
    await installation.subscribe(READER, "*", Cadence.DAILY, at=time(15, 0))
    installation.pages.put("/daily", text_page(*LATE))
    await installation.run(minutes=120)
    assert installation.titles(READER, NEW + LATE) == [NEW]
    await installation.run(minutes=24 * 60)
    assert installation.titles(READER, NEW + LATE) == [NEW, LATE]


# --- G4 priming -------------------------------------------------------------------------------------------------------


async def test_g4_the_first_poll_records_and_owes_nothing(installation: World) -> None:
    await primed(installation)
    assert installation.mails() == []
    async with installation.opened() as running:
        assert await running.store.paper_counts() == (2, 0)


async def test_g4_first_owe_makes_the_first_poll_count(installation: World) -> None:
    installation.listing("daily", first="owe")
    installation.pages.put("/daily", text_page(*NEW))
    await installation.subscribe(READER, "*")
    await installation.run()
    assert installation.titles(READER, NEW) == [NEW]


async def test_g4_a_new_subscription_gets_no_history(installation: World) -> None:
    await primed(installation)
    installation.pages.put("/daily", text_page(*NEW))
    await installation.run()
    await installation.subscribe("later@example.org", "*")
    installation.pages.put("/daily", text_page(*LATE))
    await installation.run()
    assert installation.titles("later@example.org", NEW + LATE) == [LATE]


# --- G5 a broken page is not news, and not a quiet day ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "says"),
    [
        (Answer(body=b""), "empty"),
        (Answer(body=b"<html><title>Sorry</title><body>We will be back soon.</body></html>"), ""),
        (Answer(body=b"gateway trouble", status=502), "502"),
        (Answer(body=bytes(range(256)) * 40_000), ""),
        (Answer(body=("\u0416" * 5_000).encode("utf-16")), ""),
        (Answer(body=text_page(*NEW).encode()[:-20] + b"\n\nA Title That Lost Its Abstract Somewhere"), ""),
    ],
    ids=["empty", "error page with 200", "502", "10 MB of noise", "another encoding", "cut short"],
)
async def test_g5_what_is_not_the_page_fails_with_a_reason_and_records_nothing(
    installation: World, page: Answer, says: str
) -> None:
    await primed(installation)
    installation.listing("other")
    installation.pages.put("/other", text_page(*LATE))
    installation.pages.pages["/daily"] = page
    polls, _ = await installation.run()
    assert [poll.outcome for poll in polls] == [Outcome.FAILED, Outcome.FRESH]
    assert says in polls[0].reason
    assert polls[0].reason
    async with installation.opened() as running:
        assert await running.store.paper_counts() == (3, 0)


async def test_g5_the_digest_says_which_batches_it_covers(installation: World) -> None:
    await primed(installation)
    installation.pages.put("/daily", text_page(*NEW, *OLD))
    await installation.run()
    (mail,) = installation.mails(READER)
    assert "daily" in text(mail)
    assert "2 new" in text(mail)


# --- what a reviewer found --------------------------------------------------------------------------------------------


async def test_g2_two_daily_subscriptions_at_different_hours_both_reach_their_reader(installation: World) -> None:
    """One digest a day, at the earlier hour, with what both matched: neither starves the other."""
    from datetime import time

    await primed(installation, "harbours", Cadence.DAILY, at=time(14, 0))
    await installation.subscribe(READER, "ferries", Cadence.DAILY, at=time(18, 0))
    days = 2
    for day in range(days):
        titles = [f"Fictional Harbours on Day {day} of the Week", f"Fictional Ferries on Day {day} of the Week"]
        installation.pages.put("/daily", text_page(*titles))
        for _ in range(12):
            await installation.run(minutes=120)
    shown = " ".join(text(mail) for mail in installation.mails(READER))
    assert len(installation.mails(READER)) == days
    assert all(f"{word} on Day {day}" in shown for word in ("Harbours", "Ferries") for day in range(days))


async def test_g3_a_query_that_becomes_immediate_after_todays_mail_ends_no_loop(installation: World) -> None:
    """Queueing must end, and send what the changed query is owed, although this poll had its message already."""
    from datetime import time

    await primed(installation, "harbours")
    await installation.subscribe(READER, "ferries", Cadence.DAILY, at=time(8, 0))
    installation.pages.put("/daily", text_page(*NEW))
    await installation.run()
    await installation.subscribe(READER, "ferries", Cadence.IMMEDIATE)
    async with installation.opened() as running:
        await asyncio.wait_for(pipeline.queue_digests(running.store, running.desk.head, installation.now), 10)
    await installation.run()
    assert sorted(installation.titles(READER, NEW)) == sorted([[NEW[0]], [NEW[1]]])


async def test_g6_a_fault_of_no_known_kind_in_one_message_stops_no_other(installation: World) -> None:
    await primed(installation)
    for number in range(3):
        await installation.subscribe(f"r{number}@example.org", "*")
    installation.pages.put("/daily", text_page(*NEW))
    async with installation.opened() as running:
        (listing,) = running.config.listings
        await pipeline.poll(listing, running.intake, installation.now)
        await pipeline.queue_digests(running.store, running.desk.head, installation.now)
        drained = await pipeline.drain_outbox(replace(running.desk, relay=Stumbling(running.desk.relay)))
    assert drained.states == {OutboxState.SENT: 3, OutboxState.DEFERRED: 1}


class Stumbling:
    """A relay with a bug that one recipient brings out."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.places, self.largest = relay.places, relay.largest

    async def narrow(self, places: int) -> None:
        await self.relay.narrow(places)

    def withdraw(self, envelope: Envelope) -> None:
        self.relay.withdraw(envelope)

    async def offer(
        self,
        envelope: Envelope,
        in_doubt: Callable[[], Awaitable[None]],
        following: Callable[[], Envelope | None] = lambda: None,
    ) -> Reply:
        if envelope.recipient == READER:
            raise RuntimeError("a bug")
        return await self.relay.offer(envelope, in_doubt, following)

    async def close(self) -> None:
        await self.relay.close()


async def test_g3_an_immediate_reader_who_was_refused_once_is_tried_again_with_the_same_papers(
    installation: World,
) -> None:
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        await primed(installation)
        server.fault(f"rcpt {READER}", "550 5.1.1 no such user", "ok")
        installation.pages.put("/daily", text_page(*NEW))
        await installation.run()
        assert server.accepted == []
        await installation.run(minutes=24 * 60)
        assert len(server.accepted) == 1


@pytest.mark.parametrize("cadence", [Cadence.IMMEDIATE, Cadence.DAILY])
async def test_f090_a_clock_that_was_days_ahead_silences_nobody(installation: World, cadence: Cadence) -> None:
    await primed(installation, cadence=cadence)
    installation.now += timedelta(days=6)
    await installation.run()
    installation.now -= timedelta(days=6)
    installation.pages.put("/daily", text_page(*NEW))
    async with installation.opened() as running:
        assert await due(running)
    for _ in range(3):
        await installation.run(minutes=24 * 60)
    assert installation.titles(READER, NEW) == [NEW]


async def test_g4_a_first_poll_is_recorded_though_somebody_subscribed_before(installation: World) -> None:
    installation.listing("daily")
    installation.pages.put("/daily", text_page("A Fictional Paper of the First Poll"))
    await installation.subscribe("reader@example.org", "*")
    (poll,), _ = await installation.run()
    assert (poll.outcome, poll.reason) == (Outcome.FRESH, "1 read, recorded by the first poll: not news")
