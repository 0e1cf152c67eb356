"""Backup and restore: a copy taken while the program runs, and what is sent after it was put back."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from notifier import pipeline
from notifier.daemon.steps import once, prune
from notifier.errors import StoreError
from notifier.model import Letter, LetterKind
from notifier.store import backup, schema
from notifier.store.migrate import known
from tests.servers.smtp import post
from tests.world import World, text_page

READER, OTHER = "reader@example.org", "other@example.org"
OLD, NEW = "A Fictional Paper from before the Backup", "A Fictional Paper from after the Backup"
LATER = "A Fictional Paper of the Day of the Restore"


def cli(installation: World, *command: str) -> subprocess.CompletedProcess[str]:
    """Run the program on an installation as a person would."""
    assert installation.config
    return subprocess.run(
        [sys.executable, "-m", "notifier", *command, "--config", str(installation.folder / "config.toml")],
        capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip


async def read(installation: World, *titles: str) -> None:
    """Show these titles, newest first, and run the program."""
    installation.pages.put("/daily", text_page(*titles))
    await installation.run(minutes=60)


async def test_p24_f082_after_a_restore_nothing_is_sent_again_that_is_known_to_be_sent(installation: World) -> None:
    installation.listing("daily")
    await read(installation, "A Fictional Paper of the First Poll")
    await installation.subscribe(READER, "*")
    await installation.subscribe(OTHER, "*")
    await read(installation, OLD)
    copy = backup.back_up(installation.folder / "notifier.db", installation.folder / "copies", installation.now)
    await read(installation, NEW, OLD)
    async with installation.opened() as running:
        await running.store.unsubscribe(OTHER, installation.now)
    done = cli(installation, "restore", str(copy))
    assert done.returncode == 0, done.stderr
    assert "2 messages left after the backup: they are not sent again" in done.stdout
    await read(installation, LATER, NEW, OLD)
    assert installation.titles(READER, [OLD, NEW, LATER]) == [[OLD], [NEW]], "no mail leaves before the release"
    assert "no mail leaves: " in cli(installation, "status").stdout
    released = cli(installation, "release")
    assert released.stdout == "1 messages leave when their time comes\n"
    await read(installation, LATER, NEW, OLD)
    assert installation.titles(READER, [OLD, NEW, LATER]) == [[OLD], [NEW], [LATER]]
    assert installation.titles(OTHER, [OLD, NEW, LATER]) == [[OLD], [NEW]], "who left since the backup stays away"


async def test_p24_what_was_in_doubt_at_a_restore_is_offered_once_more_as_the_same_message(installation: World) -> None:
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        installation.listing("daily")
        await read(installation, OLD)
        await installation.subscribe(READER, "*")
        copy = backup.back_up(installation.folder / "notifier.db", installation.folder / "copies", installation.now)
        server.fault("dot", "lost", "ok")
        await read(installation, NEW, OLD)
        assert len(server.accepted) == 1
        assert cli(installation, "restore", str(copy)).returncode == 0
        assert cli(installation, "release").stdout == "1 messages leave when their time comes\n"
        async with installation.opened() as running:
            (waiting,) = await running.store.parcels()
            message = await running.store.message(waiting.outbox_id)
        assert message is not None
        assert message.content is not None, "it would be composed anew"
        for _ in range(3):
            await read(installation, NEW, OLD)
    first, again = server.accepted
    assert (again.message_id, again.content) == (first.message_id, first.content)


async def test_p24_a_letter_that_left_since_the_backup_is_not_sent_again(installation: World) -> None:
    values = {"labels": ["ferries"], "confirm_url": "https://papers.example.org/confirm/abc"}
    letter = Letter(kind=LetterKind.CONFIRM, recipient=READER, key="confirm", values=values)
    async with installation.opened() as running:
        assert await pipeline.post(running.desk, letter, installation.now)
        copy = backup.back_up(installation.folder / "notifier.db", installation.folder / "copies", installation.now)
        await once(running)
    assert len(installation.mails(READER)) == 1
    assert cli(installation, "restore", str(copy)).returncode == 0
    assert cli(installation, "release").stdout == "0 messages leave when their time comes\n"


@pytest.mark.parametrize("old_people", [False, True])
async def test_p24_f082_who_came_changed_or_was_erased_since_the_backup_is_so_after_a_restore(
    installation: World, old_people: bool
) -> None:
    erased, new = "erased@example.org", "new@example.org"
    installation.listing("daily")
    await read(installation, "A Fictional Paper of the First Poll")
    for reader in (READER, erased):
        await installation.subscribe(reader, "*")
    await read(installation, OLD)
    place = installation.folder / "notifier.db"
    copy = backup.back_up(place, installation.folder / "copy.db", installation.now)
    async with installation.opened() as running:
        (mine,) = await running.store.subscriptions(READER)
        await running.store.end(mine.subscriber_id, mine.subscription_id)
        gone = await running.store.subscriber(erased)
        assert gone is not None
        await running.store.erase(gone.subscriber_id, installation.now)
    await installation.subscribe(new, "*")
    await read(installation, NEW, OLD)
    done = backup.restore(copy, place, known(), installation.now, people=not old_people)
    assert (done.sent, done.people, done.erased) == (0 if old_people else 1, 0 if old_people else 1, 1)
    with sqlite3.connect(place) as database:
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        assert not database.execute("SELECT 1 FROM message WHERE recipient = ?", (erased,)).fetchall()
    async with installation.opened() as running:
        await running.store.release_mail()
    await read(installation, LATER, NEW, OLD)
    papers = [OLD, NEW, LATER]
    assert installation.titles(erased, papers) == [[OLD]]
    if old_people:
        assert installation.titles(READER, papers) == [[OLD], [NEW, LATER]]
        assert installation.titles(new, papers) == [[NEW]]
    else:
        assert installation.titles(READER, papers) == [[OLD]], "it was ended"
        assert installation.titles(new, papers) == [[NEW], [LATER]]


async def test_p24_f075_a_damaged_database_is_replaced_kept_aside_and_what_is_not_known_is_said(
    installation: World,
) -> None:
    installation.listing("daily")
    await read(installation, OLD)
    place = installation.folder / "notifier.db"
    copy = backup.back_up(place, installation.folder / "copy.db", installation.now)
    place.write_bytes(b"SQLite format 3\0" + b"\xff" * 8000)
    done = cli(installation, "restore", str(copy))
    assert done.returncode == 0, done.stderr
    assert "what left after the backup is not known" in done.stdout
    (kept,) = installation.folder.glob("notifier.db.before-*Z")
    assert kept.read_bytes().endswith(b"\xff" * 100)
    assert backup.check(place) == known()[-1]


async def test_a_backup_is_consistent_while_the_program_writes(installation: World) -> None:
    installation.listing("daily", first="owe")
    await installation.subscribe(READER, "*")
    stop, wrote = asyncio.Event(), asyncio.Event()

    async def write_all_the_time() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            await read(installation, f"A Fictional Paper with the Number {number}")
            wrote.set()

    writing = asyncio.create_task(write_all_the_time())
    place = installation.folder / "notifier.db"
    await wrote.wait()
    for number in range(5):
        target = installation.folder / f"copy-{number}.db"
        copy = await asyncio.to_thread(backup.back_up, place, target, installation.now)
        with sqlite3.connect(copy) as database:
            torn = "SELECT count(*) FROM delivery WHERE message_id NOT IN (SELECT id FROM message)"
            assert database.execute(torn).fetchone() == (0,)
        assert copy.stat().st_mode & 0o777 == 0o600
        assert not list(installation.folder.glob(f"{copy.name}-*")), "one file, without a log beside it"
    stop.set()
    await writing


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_f077_what_root_restores_belongs_to_the_owner_of_the_folder(installation: World) -> None:
    await installation.subscribe(READER, "*")
    copy = backup.back_up(installation.folder / "notifier.db", installation.folder / "copy.db", installation.now)
    (installation.folder / "notifier.db.lock").unlink()
    os.chown(installation.folder, 4321, 4321)
    assert cli(installation, "restore", str(copy)).returncode == 0
    for name in ("notifier.db", "notifier.db.lock"):
        assert (installation.folder / name).stat().st_uid == 4321


async def test_a_folder_keeps_the_newest_backups(installation: World) -> None:
    await installation.subscribe(READER, "*")
    for day in range(4):
        backup.back_up(
            installation.folder / "notifier.db", installation.folder / "copies",
            installation.now + timedelta(days=day), keep=2,
        )  # fmt: skip
    names = sorted(path.name for path in (installation.folder / "copies").iterdir())
    assert names == ["notifier-20260304T120000Z.db", "notifier-20260305T120000Z.db"]


async def test_what_is_no_backup_is_neither_overwritten_nor_restored(installation: World, tmp_path: Path) -> None:
    await installation.subscribe(READER, "*")
    place = installation.folder / "notifier.db"
    (tmp_path / "thesis.txt").write_text("years of work")
    for target in (tmp_path / "thesis.txt", place):
        with pytest.raises(StoreError, match="is not overwritten"):
            backup.back_up(place, target, installation.now)
    before = place.read_bytes()
    done = cli(installation, "restore", str(tmp_path / "thesis.txt"))
    assert done.returncode == 1
    assert "is not a database of this program" in done.stderr
    newer = shutil.copy(place, tmp_path / "newer.db")
    with sqlite3.connect(newer) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    done = cli(installation, "restore", str(newer))
    assert "install a newer notifier" in done.stderr
    assert place.read_bytes() == before
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


async def test_a_restore_is_refused_while_the_program_runs(installation: World) -> None:
    async with installation.opened():
        copy = backup.back_up(installation.folder / "notifier.db", installation.folder / "copy.db", installation.now)
        assert cli(installation, "restore", str(copy)).returncode == 75


async def test_f078_a_log_that_a_long_reader_let_grow_is_cut_short_afterwards(installation: World) -> None:
    installation.listing("daily", first="owe")
    log = installation.folder / "notifier.db-wal"
    async with installation.opened() as running:
        with closing(sqlite3.connect(installation.folder / "notifier.db", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM poll").fetchall()
            for _ in range(3):
                await running.store.ensure_writable(installation.now)
            await prune(running.store, timedelta(days=90), installation.now)
            assert log.stat().st_size > 0, "it is needed"
        await prune(running.store, timedelta(days=90), installation.now)
        assert log.stat().st_size == 0


async def test_f078_a_reader_that_does_not_end_is_cut_off_and_the_log_is_cut_short(installation: World) -> None:
    installation.listing("daily", first="owe")
    log = installation.folder / "notifier.db-wal"
    async with installation.opened() as running:
        database = running.store._database

        async def never_ends() -> None:
            async with database.read(longest=0.2) as connection:
                await connection.execute(select(func.count()).select_from(schema.poll))
                await running.store.ensure_writable(installation.now)
                await asyncio.get_running_loop().create_future()

        with pytest.raises(StoreError, match=r"was read for 0\.2 s without an end"):
            await never_ends()
        await prune(running.store, timedelta(days=90), installation.now)
        assert log.stat().st_size == 0
        async with database.read() as connection:
            assert await connection.scalar(select(func.count()).select_from(schema.poll)) == 0


async def test_pruning_deletes_dull_polls_and_nothing_becomes_news_twice(installation: World) -> None:
    installation.listing("daily")
    await read(installation, OLD)
    await installation.subscribe(READER, "*")
    await read(installation, NEW, OLD)
    for _ in range(5):
        await read(installation, NEW, OLD)
    installation.now += timedelta(days=100)
    async with installation.opened() as running:
        assert await running.store.prune_polls(installation.now, timedelta(days=90)) == 5
        assert await running.store.prune_polls(installation.now, timedelta(days=90)) == 0
    await read(installation, NEW, OLD)
    assert installation.titles(READER, [OLD, NEW]) == [[NEW]]
