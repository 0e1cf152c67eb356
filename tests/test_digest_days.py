"""When digests are sent and when not: the cadences without mail, and the days without hits."""

from __future__ import annotations

from datetime import UTC, datetime, time
from pathlib import Path

import pytest
from world import text, text_page, world

from notifier.model import Cadence, Quiet

pytestmark = pytest.mark.both_databases

READER = "ada@reader.example"
ALL = ["Walking the Lattice", "Tiny Tutors", "A Tale of Tokenizers"]
HOUR = 60
DAY = 24 * HOUR


async def test_a_paused_reader_gets_what_was_found_meanwhile_in_one_digest_afterwards(
    tmp_path: Path, database: str
) -> None:
    async with world(tmp_path, database) as here:
        here.listing("daily", first="owe")
        here.pages.put("/daily", text_page(ALL[0]))
        await here.subscribe(READER, "*", Cadence.PAUSED)
        await here.run()
        here.pages.put("/daily", text_page(*ALL[:2]))
        await here.run(HOUR)
        assert here.mails(READER) == []
        await here.subscribe(READER, "*", Cadence.IMMEDIATE)
        await here.run(HOUR)
        assert here.titles(READER, ALL) == [ALL[:2]]


async def test_who_turns_from_the_feed_to_mail_is_sent_only_what_is_found_from_then_on(
    tmp_path: Path, database: str
) -> None:
    async with world(tmp_path, database) as here:
        here.listing("daily", first="owe")
        here.pages.put("/daily", text_page(ALL[0]))
        await here.subscribe(READER, "*", Cadence.FEED)
        await here.run()
        assert here.mails(READER) == []
        await here.subscribe(READER, "*", Cadence.IMMEDIATE)
        here.pages.put("/daily", text_page(*ALL[:2]))
        await here.run(HOUR)
        assert here.titles(READER, ALL) == [[ALL[1]]]


async def test_a_quiet_day_is_explained_to_who_asked_for_a_note_and_to_nobody_else(
    tmp_path: Path, database: str
) -> None:
    async with world(tmp_path, database) as here:
        here.listing("daily")
        here.pages.put("/daily", text_page(ALL[0]))
        await here.run()
        await here.subscribe(READER, "*", Cadence.DAILY, quiet=Quiet.NOTE)
        await here.subscribe("bob@reader.example", "*", Cadence.DAILY)
        await here.run(DAY)
        [note] = here.mails()
        assert note["To"] == READER
        assert note["Subject"] == "No new papers · 3 Mar 2026"
        assert "daily, 3 Mar 2026: no new issue yet; last batch 2 Mar 2026" in text(note)
        here.pages.put("/daily", text_page(*ALL[:2], day="Mar 3"))
        await here.run(DAY)
        assert here.titles(READER, ALL) == [[], [ALL[1]]]


async def test_a_daily_digest_that_would_come_too_late_joins_the_next_one_and_a_weekly_one_comes_late(
    tmp_path: Path, database: str
) -> None:
    async with world(tmp_path, database) as here:
        here.mail = 'latest = "6h"\n'
        here.listing("daily", first="owe")
        here.pages.put("/daily", text_page(ALL[0]))
        await here.subscribe(READER, "*", Cadence.DAILY, at=time(8, 0))
        await here.subscribe("bob@reader.example", "*", Cadence.WEEKLY, at=time(8, 0), weekday=1)
        await here.run()
        here.now = datetime(2026, 3, 3, 20, 0, tzinfo=UTC)  # a Tuesday, twelve hours late
        await here.run()
        assert here.mails(READER) == []
        assert here.titles("bob@reader.example", ALL) == [[ALL[0]]]
        here.pages.put("/daily", text_page(*ALL[:2], day="Mar 3"))
        await here.run()
        here.now = datetime(2026, 3, 4, 13, 55, tzinfo=UTC)  # five hours late
        await here.run()
        assert here.titles(READER, ALL) == [ALL[:2]]


@pytest.mark.only_sqlite  # it takes seventeen days
async def test_a_heartbeat_comes_after_a_week_of_silence_and_then_once_a_week(tmp_path: Path, database: str) -> None:
    async with world(tmp_path, database) as here:
        here.listing("daily")
        here.pages.put("/daily", text_page(ALL[0]))
        await here.subscribe(READER, "*", Cadence.DAILY, quiet=Quiet.HEARTBEAT)
        sent = []
        for day in range(17):
            await here.run(DAY)
            sent += [day] if len(here.mails(READER)) > len(sent) else []
        assert len(sent) == 2
        assert sent[0] >= 6
        assert sent[1] - sent[0] == 7
