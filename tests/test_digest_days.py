"""When digests are sent and when not: the cadences without mail, and the days without hits."""

from __future__ import annotations

from pathlib import Path

from world import text_page, world

from notifier.model import Cadence

READER = "ada@reader.example"
ALL = ["Walking the Lattice", "Tiny Tutors", "A Tale of Tokenizers"]
HOUR = 60


async def test_a_paused_reader_gets_what_was_found_meanwhile_in_one_digest_afterwards(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
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


async def test_who_turns_from_the_feed_to_mail_is_sent_only_what_is_found_from_then_on(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.listing("daily", first="owe")
        here.pages.put("/daily", text_page(ALL[0]))
        await here.subscribe(READER, "*", Cadence.FEED)
        await here.run()
        assert here.mails(READER) == []
        await here.subscribe(READER, "*", Cadence.IMMEDIATE)
        here.pages.put("/daily", text_page(*ALL[:2]))
        await here.run(HOUR)
        assert here.titles(READER, ALL) == [[ALL[1]]]
