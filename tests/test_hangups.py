"""Reloads at random moments while pages are read, mail leaves and the site is asked: nothing missed, nothing doubled.

Unlike a kill, a reload lets what is under way finish: no message may arrive twice, and no request be refused.

    make torture HANGUPS=200       SEED=... repeats the moments as far as a clock can
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter

import pytest

from tests.servers.smtp import post
from tests.supervised import supervised
from tests.world import World, text_page

HANGUPS = int(os.environ.get("HANGUPS", "10"))
READERS = [f"reader-{n}@example.org" for n in range(30)]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0 if HANGUPS > 10 else 300)]


async def test_p25_f130_reloads_at_random_moments_miss_nothing_double_nothing_and_refuse_nobody(
    installation: World,
) -> None:
    chance = random.Random(os.environ.get("SEED"))
    titles: list[str] = []

    def news() -> None:
        titles.append(f"Fictional Paper Number {len(titles)} on Patience")
        installation.pages.put(f"/page-{len(titles)}", text_page(titles[-1]))
        installation.listing(f"page-{len(titles)}", first="owe")
        assert installation.config

    async with post() as server:
        server.fault("dot", "wait:0.02")
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        news()
        for reader in READERS:
            await installation.subscribe(reader, "*")
        async with supervised(installation) as supervisor:
            await supervisor.until("READY=1")
            asked: list[int] = []

            async def ask_all_the_time() -> None:
                while True:
                    asked.append(await supervisor.get("/healthz"))

            asking = asyncio.create_task(ask_all_the_time())
            for _ in range(HANGUPS):
                news()
                await asyncio.sleep(chance.uniform(0.0, 1.5))
                supervisor.kill(signal.SIGHUP)
                await supervisor.until("RELOADING=1")
                await supervisor.until("READY=1")

            def read_by(reader: str) -> str:
                mails = [each for each in server.accepted if each.recipients == (reader,) or reader in each.recipients]
                return " ".join(" ".join(each.content.split()) for each in mails)

            await server.until(lambda: all(titles[-1] in read_by(reader) for reader in READERS))
            assert not asking.done(), "a request failed"
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            supervisor.kill(signal.SIGTERM)
            assert supervisor.process is not None
            assert await supervisor.process.wait() == 0
    assert set(asked) == {200}
    assert [title for reader in READERS for title in titles if title not in read_by(reader)] == []
    assert max(Counter(each.message_id for each in server.accepted).values()) == 1
