"""Workers behind a real PgBouncer in transaction mode, as docs/scaling.md says. The store's own tests run there too."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from tests.servers.pgbouncer import Bouncer
from tests.servers.smtp import post
from tests.working import subscribe_all, workers
from tests.world import text_page, world

READERS = 120


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_p20_workers_behind_pgbouncer_send_everything_though_one_is_killed(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if request.config.getoption("--sqlite-only"):
        pytest.skip("PgBouncer is for PostgreSQL")
    pgbouncer: Bouncer = request.getfixturevalue("pgbouncer")
    people = [f"reader{n}@domain{n % 20}.example.org" for n in range(READERS)]
    url = await asyncio.to_thread(pgbouncer.database)
    async with world(tmp_path, url) as installation, post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        installation.mail = 'starttls = "never"\nconnections = 20\n'
        installation.extra = '[worker]\nlisten = "off"\n'
        installation.listing("daily", first="owe")
        installation.pages.put("/daily", text_page("A Fictional Paper on Pools"))
        await subscribe_all(installation, people)
        async with workers(installation, "poll,match,send", "send") as (first, second):
            async with asyncio.timeout(240):
                await server.until(lambda: len(server.accepted) >= READERS // 4)
                first.kill()
                await first.wait()
                async with workers(installation, "send"):
                    await server.until(lambda: {each.recipients[0] for each in server.accepted} == set(people))
            assert second.returncode is None
        url = pgbouncer.postgres.url(pgbouncer.name(installation.database))
        with psycopg.connect(url) as database:
            rows = database.execute("SELECT message_id, doubts FROM message").fetchall()
    assert len(rows) == READERS
    times = Counter(each.message_id for each in server.accepted)
    assert all(times[name] <= 1 + doubts for name, doubts in rows), "a double that was not in doubt"
