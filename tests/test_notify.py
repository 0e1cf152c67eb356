"""The daemon under a supervisor: what it says (sd_notify), the socket it is given, SIGHUP. Real sockets and signals."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from notifier.daemon import notify
from notifier.daemon.watch import STUCK, Pulse, Watch, look, watch
from tests.servers.smtp import post
from tests.supervised import supervised
from tests.world import World, text_page


async def test_ready_is_said_when_the_socket_that_was_given_is_served(installation: World) -> None:
    installation.listing("daily")
    installation.pages.put("/daily", text_page("A Fictional Paper on Readiness"))
    async with supervised(installation, watchdog=1) as supervisor:
        await supervisor.until("READY=1")
        assert await supervisor.get("/healthz") == 200
        await supervisor.until("WATCHDOG=1")
        await supervisor.until("STATUS=last poll daily fresh")
        assert supervisor.process is not None
        supervisor.kill(signal.SIGTERM)
        await supervisor.until("STOPPING=1")
        assert await supervisor.process.wait() == 0
    assert "READY=1" not in "".join(supervisor.heard[:1]), "more time is asked for before"


async def test_p25_a_bad_reload_keeps_the_old_configuration_and_says_so(installation: World) -> None:
    installation.listing("daily")
    async with supervised(installation) as supervisor:
        await supervisor.until("READY=1")
        good = (installation.folder / "config.toml").read_text()
        (installation.folder / "config.toml").write_text(good + "\n[web]\nlissten = 1\n")
        supervisor.kill(signal.SIGHUP)
        await supervisor.until("RELOADING=1")
        await supervisor.until("the new configuration cannot be used, the old one stays")
        assert await supervisor.get("/healthz") == 200
    log = (installation.folder / "log").read_text()
    assert "reload_refused" in log
    assert "web.lissten: there is no such option; did you mean listen?" in log


async def test_p25_a_good_reload_is_taken_up_and_nobody_is_refused_meanwhile(installation: World) -> None:
    installation.listing("daily")
    async with supervised(installation) as supervisor:
        await supervisor.until("READY=1")
        installation.pages.put("/other", text_page("A Fictional Paper that Came with the Reload"))
        installation.listing("other")
        assert len(installation.config.listings) == 2
        asked: list[int] = []

        async def ask_all_the_time() -> None:
            while True:
                asked.append(await supervisor.get("/healthz"))

        asking = asyncio.create_task(ask_all_the_time())
        supervisor.kill(signal.SIGHUP)
        await supervisor.until("RELOADING=1")
        await supervisor.until("READY=1")
        await installation.pages.until(lambda: any(each.target == "/other" for each in installation.pages.requests))
        assert not asking.done(), "a request failed"
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    assert set(asked) == {200}


async def test_f130_a_reload_while_mail_is_sent_finishes_it_and_what_a_removed_listing_owes_goes_out(
    installation: World,
) -> None:
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        installation.listing("daily", first="owe")
        installation.pages.put("/daily", text_page("A Fictional Paper of a Listing that Goes"))
        for reader in ("reader@example.org", "other@example.org"):
            await installation.subscribe(reader, "*")
        server.fault("dot", "wait:1", "ok")
        async with supervised(installation) as supervisor:
            await server.until(lambda: server.count("DATA") == 1)
            installation.listings.clear()
            installation.listing("other")
            assert [each.name for each in installation.config.listings] == ["other"]
            supervisor.kill(signal.SIGHUP)
            await supervisor.until("RELOADING=1")
            await supervisor.until("READY=1")
            await server.until(lambda: len(server.accepted) == 2)
            assert await supervisor.get("/healthz") == 200
            await installation.pages.until(lambda: any(each.target == "/other" for each in installation.pages.requests))
    assert sorted(each.recipients[0] for each in server.accepted) == ["other@example.org", "reader@example.org"]


async def test_p21_a_reload_while_nothing_can_be_stored_is_refused_and_pages_are_served(installation: World) -> None:
    installation.listing("daily", poll="1s")
    installation.pages.put("/daily", text_page("A Fictional Paper on Room"))
    async with supervised(installation, watchdog=1) as supervisor:
        await supervisor.until("STATUS=last poll daily fresh")
        assert supervisor.process is not None
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.prlimit(supervisor.process.pid, resource.RLIMIT_FSIZE, (1000, hard))  # like a full disk
        await supervisor.until("cannot be written")
        supervisor.kill(signal.SIGHUP)
        await supervisor.until("RELOADING=1")
        await supervisor.until("the new configuration cannot be used, the old one stays")
        assert await supervisor.get("/healthz") == 200


async def test_a_template_that_cannot_be_used_refuses_the_reload(installation: World) -> None:
    installation.listing("daily")
    async with supervised(installation) as supervisor:
        await supervisor.until("READY=1")
        (installation.folder / "mine" / "email").mkdir(parents=True)
        (installation.folder / "mine" / "email" / "digest.txt").write_text("{% if %}")
        installation.extra = 'templates = "mine"\n' + installation.extra
        assert installation.config
        supervisor.kill(signal.SIGHUP)
        await supervisor.until("the old one stays")
        assert await supervisor.get("/healthz") == 200


# --- the watch itself -------------------------------------------------------------------------------------------------


def watched(*pulses: Pulse, database: object = None) -> Watch:
    async def answer() -> object:
        if isinstance(database, Exception):
            raise database
        return database

    async def says() -> str:
        return ""

    return Watch(
        pulses=pulses, database=answer, says=says, wake=lambda: None, unwritable=lambda: "", store_something=says
    )


async def test_p18_a_step_that_does_not_move_or_is_not_rung_is_trouble() -> None:
    resting, stuck, deaf = (Pulse(name, 5) for name in ("poll", "send", "prune"))
    assert await look(watched(resting)) == ()
    stuck.moved_at = stuck.rung_at - STUCK - 1
    deaf.rung_at -= 90
    assert await look(watched(resting, stuck, deaf)) == (
        f"send has not moved for {STUCK + 1:.0f} s", "prune was not rung for 90 s",
    )  # fmt: skip


async def test_p18_a_loop_that_lags_and_a_database_that_fails_are_trouble() -> None:
    seen = watched(database=OSError("disk I/O error"))
    seen.lag = 12
    assert await look(seen) == ("the event loop was 12 s late", "the database: OSError: disk I/O error")


async def test_a_watch_that_cannot_try_the_disk_goes_on_watching(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifier.daemon.watch.EVERY", 0.01)
    stop, tries = asyncio.Event(), 0

    async def locked() -> None:
        nonlocal tries
        tries += 1
        if tries == 2:
            stop.set()
        raise DBAPIError("INSERT", {}, OSError("database is locked"))

    seen = watched()
    seen.unwritable, seen.store_something = lambda: "the disk is full", locked
    async with asyncio.timeout(30):
        await watch(seen, stop)
    assert tries == 2


def test_f101_without_a_supervisor_nothing_is_said_and_no_socket_taken(tmp_path: Path) -> None:
    assert "NOTIFY_SOCKET" not in os.environ
    notify.ready("nobody listens")
    assert notify.inherited({}) == []
    theirs = {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}
    assert notify.inherited(theirs) == [], "meant for another process"
    assert theirs == {}
