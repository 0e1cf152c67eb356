"""The daemon as a process: what signals, kills and a second start do to it. Real servers, real signals."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from notifier import files
from tests.servers.smtp import post
from tests.world import World, text_page

READER = "reader@example.org"


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


@pytest.mark.parametrize("command", ["once", "run"])
async def test_p19_a_signal_during_a_send_lets_the_message_finish_and_leaves_none_in_doubt(
    installation: World, command: str
) -> None:
    """The relay answers the final dot slowly; the signal falls into that wait."""
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        installation.listing("daily", first="owe")
        installation.pages.put("/daily", text_page("A Fictional Paper on Patience"))
        await installation.subscribe(READER, "*")
        await installation.subscribe("second@example.org", "*")
        server.fault("dot", "wait:2", "ok")
        installation.extra = '[web]\nlisten = "127.0.0.1:0"\n'
        async with process(installation, command) as started:
            await server.until(lambda: server.count("DATA") == 1)
            started.send_signal(signal.SIGTERM)
            await asyncio.wait_for(started.wait(), 30)
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


async def test_f099_with_few_open_files_it_refuses_what_is_new_and_serves_again(installation: World) -> None:
    installation.reachable()
    site = urllib.parse.urlsplit(installation.config.base_url)
    assert site.port
    limited = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", 'ulimit -n 48; exec "$0" -m notifier run --config config.toml', sys.executable,
        cwd=installation.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        await until_it_says(limited, b"feed_written")
        crowd = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(100)]
        for each in crowd:
            each.close()
        url = f"{installation.config.base_url}/healthz"
        answer = 0
        async with asyncio.timeout(60):
            while answer != 200:
                with contextlib.suppress(OSError):  # what is new may be refused
                    answer = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=10).status)
        assert limited.returncode is None
    finally:
        limited.terminate()
        said, _ = await limited.communicate()
    assert limited.returncode == 0
    assert said.count(b"\n") < 1_000, "it says so, and not for each connection"


async def test_f103_without_home_terminal_locale_or_umask_it_works_and_its_files_are_its_owners_alone(
    installation: World,
) -> None:
    installation.listing("daily", first="owe")
    installation.pages.put("/daily", text_page("A Fictional Paper on Bare Circumstances"))
    await installation.subscribe(READER, "*")
    for file in installation.folder.glob("notifier.db*"):
        file.unlink()
    installation.listings.append(f'[[subscription]]\nemail = "{READER}"\nquery = "*"\ncadence = "immediate"\n')
    assert installation.config
    bare = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", 'umask 000; exec "$0" -m notifier once --config config.toml <&- ', sys.executable,
        cwd=installation.folder, env={"LANG": "C"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await bare.communicate()
    assert bare.returncode == 0, said.decode()
    assert len(installation.mails(READER)) == 1
    theirs = [*installation.folder.glob("notifier.db*"), *installation.folder.glob("mail/new/*")]
    assert {file.name: oct(file.stat().st_mode & 0o777) for file in theirs} == dict.fromkeys(
        (file.name for file in theirs), "0o600"
    )


async def test_f073_another_program_that_holds_the_database_is_waited_for(installation: World) -> None:
    installation.listing("daily", first="owe")
    installation.pages.put("/daily", text_page("A Fictional Paper on Waiting in Line"))
    await installation.subscribe(READER, "*")
    with sqlite3.connect(installation.folder / "notifier.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        running = asyncio.create_task(installation.run())
        await asyncio.wait([running], timeout=0.5)
        assert not running.done()
        other.execute("ROLLBACK")
        polls, _ = await running
    assert [poll.new for poll in polls] == [1]
    assert len(installation.mails(READER)) == 1


async def test_f076_a_start_on_a_network_disk_is_warned_of(
    installation: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mounts = installation.folder / "mountinfo"
    mounts.write_text(f"40 22 0:44 / {installation.folder.resolve()} rw - nfs4 files.example:/home rw\n")
    monkeypatch.setattr(files, "MOUNTS", mounts)
    with caplog.at_level("ERROR"):
        async with installation.opened():
            pass
    assert "is on a network (nfs4): SQLite's locks do not hold there" in caplog.text
