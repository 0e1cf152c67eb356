"""A page that kills its parser again and again is left alone until it changes, and no other listing with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from notifier import pipeline
from notifier.confine import Limits, confine
from notifier.model import Outcome, Poll
from notifier.store import open_store
from notifier.store.quarantine import KEPT
from tests.confined import TIGHT, long_page
from tests.world import World, text_page

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


async def poll(installation: World, limits: Limits) -> Poll:
    """Poll the only listing in an installation that is opened for it, with a worker of these limits."""
    installation.now += timedelta(hours=1)
    async with installation.opened() as running, confine(limits) as worker:
        (listing,) = running.config.listings
        return await pipeline.poll(listing, replace(running.intake, worker=worker), installation.now)


async def test_p9_f095_a_page_that_kills_three_times_is_parsed_again_only_when_it_changed(installation: World) -> None:
    """Every poll is a start of the program of its own: the count survives."""
    installation.listing("daily")
    deadly = long_page().content
    installation.pages.put("/daily", deadly)
    first, second, third = [await poll(installation, TIGHT) for _ in range(3)]
    assert first.outcome is second.outcome is third.outcome is Outcome.FAILED
    assert first.reason == second.reason == "the parser was killed: more than 0.12 CPU-seconds"
    assert third.reason.startswith("quarantined: the parser was killed: more than 0.12 CPU-seconds, 3 times")

    fourth = await poll(installation, Limits(cpu=60))  # it would be read now, if it were tried
    assert (fourth.outcome, fourth.reason) == (Outcome.FAILED, third.reason)

    installation.pages.put("/daily", deadly + b" It changed.")
    changed = await poll(installation, Limits(cpu=60))
    assert (changed.outcome, changed.read) == (Outcome.FRESH, 8_000)


async def test_p9_a_quarantined_page_leaves_the_other_listings_alone(installation: World) -> None:
    installation.listing("daily")
    installation.pages.put("/daily", long_page().content)
    for _ in range(3):
        await poll(installation, TIGHT)
    installation.listing("other")
    installation.pages.put("/other", text_page("A Fictional Paper on Ferries"))
    polls, _ = await installation.run()
    assert [(each.listing, each.outcome) for each in polls] == [("daily", Outcome.FAILED), ("other", Outcome.FRESH)]


async def test_kills_are_counted_by_listing_and_page_and_are_few(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/notifier.db") as store:
        assert await store.kills("daily") == []
        counts = [await store.record_kill("daily", "hash", "why", NOW + timedelta(hours=n)) for n in range(3)]
        assert counts == [1, 2, 3]
        assert await store.record_kill("other", "hash", "why", NOW) == 1
        for n in range(2 * KEPT):
            await store.record_kill("daily", f"hash {n}", "why", NOW + timedelta(days=1, hours=n))
        kept = await store.kills("daily")
        assert [kill.content_hash for kill in kept] == [f"hash {n}" for n in range(2 * KEPT)][: -KEPT - 1 : -1]
        assert [kill.times for kill in await store.kills("other")] == [1]
