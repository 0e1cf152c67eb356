"""The disk is full: what is there is served, nothing is acknowledged that was not stored, and all goes on by itself.

The program runs as a process whose database is on a tmpfs of a few megabytes that only it sees.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.servers.disk import fill, on_a_read_only_disk, on_a_small_disk, seen_by, why_not
from tests.servers.smtp import post
from tests.world import World, text_page

READER = "reader@example.org"
FIRST, SECOND = (f"A Fictional Paper of the {name} Day" for name in ("First", "Second"))


@pytest.fixture(scope="module", autouse=True)
def _small_disks() -> None:
    missing = why_not()
    if missing:
        pytest.skip(f"NOT RUN ON A FULL DISK: {missing}")


@asynccontextmanager
async def daemon(installation: World, disk: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the program with a small disk at `disk`."""
    assert installation.config
    config = installation.folder / "config.toml"
    command = on_a_small_disk(disk, 6, sys.executable, "-m", "notifier", "run", "--config", str(config))
    with (installation.folder / "log").open("wb") as log:
        started = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        yield started
    finally:
        if started.returncode is None:
            started.terminate()
        await started.wait()


def logged(installation: World) -> str:
    return (installation.folder / "log").read_text()


async def asked(url: str, form: dict[str, str] | None = None) -> tuple[int, str]:
    """Ask once; return status and text. Refusals to connect are answers, too."""

    def ask() -> tuple[int, str]:
        data = urllib.parse.urlencode(form).encode() if form is not None else None
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data), timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.read().decode()
        except OSError:
            return 0, ""

    return await asyncio.to_thread(ask)


async def until_answered(url: str) -> None:
    async with asyncio.timeout(30):
        while (await asked(url))[0] != 200:  # noqa: ASYNC110  another process's port
            await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_p21_f071_on_a_full_disk_pages_are_served_nothing_is_promised_and_all_resumes(
    installation: World,
) -> None:
    disk = installation.folder / "disk"
    disk.mkdir()
    async with post() as server:
        installation.database, installation.relay = "sqlite:///disk/notifier.db", f"smtp://127.0.0.1:{server.port}"
        installation.reachable()
        installation.listing("daily", poll="1s", first="owe")
        subscribed = f'[[subscription]]\nemail = "{READER}"\nquery = "*"\ncadence = "immediate"\n'
        installation.listings.append(subscribed)
        installation.pages.put("/daily", text_page(FIRST))
        site = installation.config.base_url
        async with daemon(installation, disk) as running:
            await until_answered(f"{site}/healthz")
            await server.until(lambda: len(server.accepted) == 1)
            link = re.search(r"List-Unsubscribe: <([^>]+)>", server.accepted[0].content)
            assert link
            leave = link[1]
            back = leave.replace("/unsubscribe/", "/resubscribe/")

            fill(seen_by(running.pid, disk / "filler"))
            acknowledged = back
            async with asyncio.timeout(30):  # what the log file has room for is stored, and acknowledged rightly
                for url in [leave, back] * 500:
                    status, text = await asked(url, {})
                    if status != 200:
                        break
                    acknowledged = url
                    fill(seen_by(running.pid, disk / "filler"))
            assert status == 503
            assert "Nothing can be stored right now" in text
            stored = "unsubscribed" if acknowledged == leave else "confirmed"
            for name in ("notifier.db", "notifier.db-wal"):
                shutil.copy(seen_by(running.pid, disk) / name, installation.folder / name)
            with sqlite3.connect(installation.folder / "notifier.db") as database:
                assert database.execute("SELECT state FROM subscriber").fetchone() == (stored,)

            requests = len(installation.pages.requests)
            installation.pages.put("/daily", text_page(SECOND, FIRST))
            for path in ("/", "/papers", "/status", "/feeds/all.atom", "/healthz", urllib.parse.urlsplit(leave).path):
                assert (await asked(site + path))[0] == 200, path
            form = {"email": "new@example.org", "q": "endurance", "cadence": "daily", "at": "08:00", "timezone": "UTC"}
            assert (await asked(f"{site}/subscribe", form))[0] == 503
            async with asyncio.timeout(30):
                while "unwritable reason=" not in logged(installation):  # noqa: ASYNC110  another process's file
                    await asyncio.sleep(0.05)
            assert len(installation.pages.requests) <= requests + 1, "no site is asked whose answer cannot be stored"
            assert len(server.accepted) == 1

            seen_by(running.pid, disk / "filler").unlink()
            async with asyncio.timeout(30):
                while (await asked(back, {}))[0] != 200:  # noqa: ASYNC110  another process's disk
                    await asyncio.sleep(0.2)
            assert (await asked(f"{site}/subscribe", form))[0] == 200
            await server.until(lambda: len(server.accepted) == 3)
            assert running.returncode is None
    shown = [" ".join(each.content.split()) for each in server.accepted if each.recipients == [READER]]
    assert [[title in text for title in (FIRST, SECOND)] for text in shown] == [[True, False], [False, True]]
    assert [each.recipients for each in server.accepted].count(["new@example.org"]) == 1
    assert "writable_again" in logged(installation)
    assert "Traceback" not in logged(installation)


async def test_f072_a_disk_that_is_read_only_is_named(installation: World) -> None:
    disk = installation.folder / "disk"
    disk.mkdir()
    installation.database = "sqlite:///disk/notifier.db"
    installation.listing("daily")
    installation.pages.put("/daily", text_page(FIRST))
    async with installation.opened():
        config = str(installation.folder / "config.toml")
        for file in disk.glob("*.lock"):
            file.unlink()
        program = sys.executable, "-m", "notifier"
        refused = await asyncio.create_subprocess_exec(
            *on_a_read_only_disk(disk, *program, "once", "--config", config), stderr=subprocess.PIPE
        )
        _, said = await refused.communicate()
    assert (refused.returncode, str(disk) in said.decode()) == (1, True), said


def test_a_database_on_a_full_disk_is_not_called_damaged(tmp_path: Path) -> None:
    disk, program = tmp_path / "disk", f"{sys.executable} -m notifier"
    disk.mkdir()
    (tmp_path / "config.toml").write_text(f'contact = "me@example.org"\ndatabase = "sqlite:///{disk}/notifier.db"\n')
    script = f"{program} migrate; cat /dev/zero > {disk}/filler; {program} status; rm {disk}/filler; {program} status"
    ended = subprocess.run(
        on_a_small_disk(disk, 6, "sh", "-c", script), cwd=tmp_path, capture_output=True, text=True, check=True
    )
    (said,) = (line for line in ended.stderr.splitlines() if line.startswith("error: "))
    assert "its disk is full; make room there" in said
    assert "restore" not in said
