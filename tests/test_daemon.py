"""The daemon as a process: what signals, kills and a second start do to it. Real servers, real signals."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.servers.smtp import post
from tests.world import World, text_page

READER = "reader@example.org"
KILLS = int(os.environ.get("KILLS", "25"))


@asynccontextmanager
async def process(installation: World, *command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start the program on an installation; it is killed at the end if it still runs."""
    assert installation.config
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "notifier", *command, "--config", str(installation.folder / "config.toml"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()


async def until_it_says(started: asyncio.subprocess.Process, words: bytes) -> None:
    """Read the log up to the line that holds the words."""
    while line := await asyncio.wait_for(started.stdout.readline(), 30):
        if words in line:
            return
    raise AssertionError(f"it ended without saying {words!r}")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
async def test_f096_a_signal_ends_the_daemon_in_order(installation: World, name: str) -> None:
    installation.listing("daily")
    installation.extra = '[web]\nlisten = "127.0.0.1:0"\n'
    installation.pages.put("/daily", text_page("A Fictional Paper on Signals and Their Meaning"))
    async with process(installation, "run") as started:
        await until_it_says(started, b"polled listing=daily outcome=fresh")
        started.send_signal(getattr(signal, name))
        await until_it_says(started, f"stopping signal={name}".encode())
        assert await asyncio.wait_for(started.wait(), 10) == 0


async def test_p19_a_signal_during_a_send_lets_the_message_finish_and_leaves_none_in_doubt(
    installation: World,
) -> None:
    """The relay answers the final dot slowly; the signal falls into that wait."""
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        installation.listing("daily", first="owe")
        installation.pages.put("/daily", text_page("A Fictional Paper on Patience"))
        await installation.subscribe(READER, "*")
        await installation.subscribe("second@example.org", "*")
        server.fault("dot", "wait:2", "ok")
        async with process(installation, "once") as started:
            await server.until(lambda: server.count("DATA") == 1)
            started.send_signal(signal.SIGTERM)
            await asyncio.wait_for(started.wait(), 15)
        assert len(server.accepted) == 1
        with sqlite3.connect(installation.folder / "notifier.db") as database:
            states = Counter(state for (state,) in database.execute("SELECT state FROM message"))
        assert states == {"sent": 1, "queued": 1}


async def test_p19_a_relay_that_hangs_before_the_dot_does_not_hold_up_a_stop_and_nothing_is_in_doubt(
    installation: World,
) -> None:
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        installation.extra = '[web]\nlisten = "127.0.0.1:0"\n'
        installation.listing("daily", first="owe")
        installation.pages.put("/daily", text_page("A Fictional Paper on Patience"))
        await installation.subscribe(READER, "*")
        await installation.subscribe("second@example.org", "*")
        server.fault("rcpt", "wait:60", "ok")
        async with process(installation, "run") as started:
            await server.until(lambda: server.count("RCPT") == 1)
            started.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(started.wait(), 10) == 0
        assert server.accepted == []
        with sqlite3.connect(installation.folder / "notifier.db") as database:
            states = database.execute("SELECT state, crashes FROM message").fetchall()
        assert states == [("queued", 0), ("queued", 0)]


async def test_p20_a_second_daemon_is_refused_with_exit_code_75(installation: World) -> None:
    async with installation.opened(), process(installation, "run") as second:
        output, _ = await second.communicate()
        assert second.returncode == 75
        assert b"is in use by notifier, process" in output


async def test_p25_a_configuration_that_cannot_be_used_is_exit_code_78(installation: World) -> None:
    assert installation.config
    with (installation.folder / "config.toml").open("a") as file:
        file.write('\n[web]\nlissten = "x"\n')
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "notifier", "run", "--config", str(installation.folder / "config.toml"),
        stderr=subprocess.PIPE,
    )  # fmt: skip
    _, errors = await started.communicate()
    assert started.returncode == 78
    assert b"web.lissten: there is no such option; did you mean listen?" in errors


@pytest.mark.slow
async def test_g1_g2_g3_f069_killed_at_random_moments_nothing_is_missed_and_doubles_were_in_doubt(
    installation: World,
) -> None:
    """SIGKILL, SIGTERM and Ctrl-C at random moments while new papers come and mail leaves (KILLS=n for more).

    The ledger of the SMTP server, written and synced before each reply, is the truth: every paper must be in it, and
    a message twice only with the same Message-ID, at most once per kill.
    """
    chance = random.Random(os.environ.get("SEED", "papers"))
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        installation.listing("daily", first="owe")
        readers = [READER, "second@example.org", "third@example.org"]
        titles: list[str] = []
        for reader in readers:
            await installation.subscribe(reader, "*")
        server.fault("rcpt", "wait:0.2")  # a slow relay: most of the time is spent where a kill hurts most
        server.fault("dot", "wait:0.2")
        kills = 0
        for round_ in range(KILLS):
            titles += [f"Fictional Paper Number {round_} {letter} on Endurance" for letter in "AB"]
            installation.pages.put("/daily", text_page(*reversed(titles)))
            async with process(installation, "once") as started:
                moment = chance.uniform(0.6, 3)
                try:
                    await asyncio.wait_for(started.wait(), moment)
                except TimeoutError:
                    started.send_signal(chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
                    kills += 1
                    await started.wait()
        server.fault("rcpt", "ok")
        server.fault("dot", "ok")
        # A message that was claimed at three kills in a row is held, as one that killed the process would be.
        async with process(installation, "outbox", "release", "--all") as started:
            await started.wait()
        for _ in range(3):
            async with process(installation, "once") as started:
                await started.wait()
            await hurry(installation.folder)
        bodies: dict[str, str] = {}
        for accepted in server.accepted:
            for reader in accepted.recipients:
                bodies[reader] = bodies.get(reader, "") + accepted.content
        copies = Counter(accepted.message_id for accepted in server.accepted)
    assert kills > KILLS // 3
    for reader in readers:
        missing = [title for title in titles if title not in " ".join(bodies[reader].split())]
        assert not missing, f"{reader} never got {missing}"
    assert sum(copies.values()) - len(copies) <= kills
    with sqlite3.connect(installation.folder / "notifier.db") as database:
        assert {state for (state,) in database.execute("SELECT state FROM message")} == {"sent"}
        (carried,) = database.execute("SELECT count(*) FROM delivery").fetchone()
    assert carried == len(readers) * len(titles)


async def hurry(folder: Path) -> None:
    """Make what waits for its next attempt due now."""
    with sqlite3.connect(folder / "notifier.db") as database:
        database.execute("UPDATE message SET next_attempt_at = '2020-01-01 00:00:00.000000' WHERE state = 'deferred'")
