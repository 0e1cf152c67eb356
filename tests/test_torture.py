"""Kills, power cuts and full disks at random moments while pages are read and mail leaves: P1 to P6.

The ledger of the SMTP server is the truth: every paper and every letter that was kept must be in it, and a message
twice only if a fault fell between its final dot and the recorded reply - with the same Message-ID and the same bytes.

    make torture KILLS=5000 CUTS=200 FULL=200       SEED=... repeats the moments as far as a clock can
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.lives import STRANGER, Lives
from tests.servers.http import Site, site
from tests.servers.image import disk, why_not
from tests.servers.smtp import Post, post
from tests.world import World, text_page

KILLS = int(os.environ.get("KILLS", "200"))
CUTS = int(os.environ.get("CUTS", "6"))
FULL = int(os.environ.get("FULL", "8"))
READERS = ["first@example.org", "second@example.org"]
NEWS_EVERY = 4  # lives; the parser's process makes those in which a page changed three times as dear

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0 if KILLS > 200 else 400)]
mounting = pytest.mark.skipif(bool(why_not()), reason=f"NOT TESTED HERE: a disk of its own ({why_not()})")


@dataclass(slots=True)
class Trial:
    """An installation that lives again and again, and what is known of it from outside."""

    here: World
    pages: Site
    server: Post
    lives: Lives
    journal: Path
    chance: random.Random
    titles: list[str] = field(default_factory=list)
    begun: int = 0
    span: float = 0.0  # seconds of a whole life

    async def begin(self) -> int:
        """Begin a life, now and then with news on the page."""
        if self.begun % NEWS_EVERY == 0:
            self.news()
        self.begun += 1
        return await self.lives.start(f"letter-{self.begun}")

    def news(self) -> None:
        self.titles.append(f"Fictional Paper Number {len(self.titles)} on Endurance")
        self.pages.put("/daily", text_page(*reversed(self.titles)))

    async def whole_life(self) -> None:
        """Let a life run to its end, and learn how long one is."""
        started = asyncio.get_running_loop().time()
        await self.begin()
        await self.lives.ended()
        self.span = max(self.span, asyncio.get_running_loop().time() - started)

    async def until_some_moment(self) -> None:
        await asyncio.sleep(self.chance.uniform(0.0, self.span))

    async def finish(self) -> None:
        """Let everything that still waits arrive."""
        for _ in range(4):
            with sqlite3.connect(self.here.folder / "notifier.db") as database:  # what the operator would release
                database.execute(
                    "UPDATE message SET state = 'queued', crashes = 0, doubts = 0, next_attempt_at = "
                    "'2020-01-01 00:00:00.000000' WHERE state IN ('deferred', 'held')"
                )
            await self.whole_life()

    def account(self, faults: int, told: pytest.CaptureFixture[str]) -> None:
        """Compare what arrived with what was promised."""
        copies = Counter(each.message_id for each in self.server.accepted)
        for name in [name for name, count in copies.items() if count > 1]:
            assert len({each.content for each in self.server.accepted if each.message_id == name}) == 1
        twice = sum(copies.values()) - len(copies)
        assert twice <= faults
        arrived = dict.fromkeys([*READERS, STRANGER], "")
        for each in self.server.accepted:
            arrived[each.recipients[0]] += " ".join(each.content.split())
        for reader in READERS:
            assert [title for title in self.titles if title not in arrived[reader]] == []
        kept = self.journal.read_text().split()
        assert [key for key in kept if f"Fictional {key}." not in arrived[STRANGER]] == []
        with sqlite3.connect(self.here.folder / "notifier.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert {state for (state,) in database.execute("SELECT state FROM message")} == {"sent"}
            assert database.execute("SELECT count(*) FROM content").fetchone() == (0,)
            (carried,) = database.execute("SELECT count(*) FROM delivery").fetchone()
        assert carried == len(READERS) * len(self.titles)
        with told.disabled():
            print(f"\n{faults} faults: {len(copies)} messages with {carried} papers, none missed; {twice} came twice")


@asynccontextmanager
async def trial(folder: Path, journal: Path) -> AsyncIterator[Trial]:
    """Set up an installation in `folder`, and a relay that takes its time where a fault hurts most."""
    chance = random.Random(os.environ.get("SEED"))
    async with site() as pages, post() as server:
        here = World(folder, pages)
        here.relay = f"smtp://127.0.0.1:{server.port}"
        here.listing("daily", first="owe")
        for reader in READERS:
            await here.subscribe(reader, "*")
        server.fault("rcpt", "wait:0.02")
        server.fault("dot", "wait:0.04")
        lives = await Lives.begin(folder / "config.toml", journal)
        try:
            made = Trial(here, pages, server, lives, journal, chance)
            await made.whole_life()
            yield made
        finally:
            await lives.end()


async def test_g1_g2_g3_f069_killed_at_random_moments_nothing_is_missed_and_doubles_were_in_doubt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with trial(tmp_path, tmp_path / "journal") as made:
        kills = stops = 0
        while kills < KILLS:
            life = await made.begin()
            await made.until_some_moment()
            chosen = signal.SIGKILL if made.begun % 10 else made.chance.choice([signal.SIGTERM, signal.SIGINT])
            os.kill(life, chosen)
            ended = await made.lives.ended()
            kills += ended == -signal.SIGKILL
            stops += chosen != signal.SIGKILL and ended >= 0
        await made.finish()
        made.account(kills, capsys)
    assert stops > 0


@mounting
async def test_g1_g2_g3_f070_power_fails_at_random_moments_and_what_was_synced_is_enough(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with disk(tmp_path) as own:
        async with trial(own.folder, tmp_path / "journal") as made:
            for _ in range(CUTS):
                life = await made.begin()
                await made.until_some_moment()
                os.kill(life, signal.SIGSTOP)
                await asyncio.to_thread(own.copy)
                os.kill(life, signal.SIGKILL)
                await made.lives.ended()
                own.restart()
            await made.finish()
            made.account(CUTS, capsys)


@mounting
async def test_g1_g2_g3_f071_the_disk_fills_at_random_moments_and_when_it_has_room_all_arrives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with disk(tmp_path) as own:
        async with trial(own.folder, tmp_path / "journal") as made:
            for _ in range(FULL):
                own.fill(left=made.chance.choice([0, 4096, 20_000, 100_000]))
                await made.begin()
                await made.until_some_moment()
                own.clear()
                await made.lives.ended()
            await made.finish()
            made.account(FULL * len(READERS), capsys)
