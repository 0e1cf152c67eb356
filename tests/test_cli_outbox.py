"""`notifier outbox ..`: what the operator sees of the outbox, and does to it by hand."""

from __future__ import annotations

import asyncio
import json

from typer.testing import CliRunner, Result

from notifier.cli import app
from notifier.daemon.steps import poll_due
from notifier.pipeline import drain_outbox, queue_digests
from tests.servers.smtp import post
from tests.world import World, text_page

READER, OTHER = "reader@example.org", "other@example.net"


def outbox(installation: World, *words: str) -> Result:
    """Run the command on the installation's configuration."""
    return CliRunner().invoke(app, ["outbox", *words, "--config", str(installation.folder / "config.toml")])


async def refused(installation: World) -> None:
    """One message waits because its reader's mailbox is full, the other is held because its content was refused."""
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        installation.listing("daily", first="owe")
        installation.pages.put("/daily", text_page("A Fictional Paper on Patience"))
        for reader in (READER, OTHER):
            await installation.subscribe(reader, "*")
        server.fault(f"rcpt {READER}", "452 4.2.2 mailbox full")
        server.fault(f"dot {OTHER}", "554 5.6.0 we do not like it")
        async with installation.opened() as running:
            await poll_due(running)
            await queue_digests(running.store, running.desk.head, running.clock())
            await drain_outbox(running.desk)


async def in_thread(installation: World, *words: str) -> Result:
    return await asyncio.to_thread(outbox, installation, *words)


async def test_a_list_says_what_waits_what_is_held_and_why(installation: World) -> None:
    await refused(installation)
    said = await in_thread(installation, "list")
    assert said.exit_code == 0
    assert "deferred" in said.stdout
    assert "mailbox full" in said.stdout
    assert "we do not like it" in said.stdout
    held = await in_thread(installation, "list", "--state", "held", "--json")
    [only] = json.loads(held.stdout)
    assert (only["recipient"], only["state"], only["code"]) == (OTHER, "held", 554)
    there = await in_thread(installation, "list", "--to", "@example.org", "--json")
    assert [each["recipient"] for each in json.loads(there.stdout)] == [READER]
    shown = await in_thread(installation, "show", str(only["outbox_id"]))
    assert "554 5.6.0 we do not like it" in shown.stdout


async def test_what_is_held_is_released_and_what_waits_is_held_or_discarded_by_hand(installation: World) -> None:
    await refused(installation)
    assert (await in_thread(installation, "release", "--all")).stdout == "1 message released\n"
    assert (await in_thread(installation, "hold", "--to", READER)).stdout == "1 message held\n"
    assert (await in_thread(installation, "discard", "--all", "--return-papers")).stdout == "2 messages discarded\n"
    states = json.loads((await in_thread(installation, "list", "--json")).stdout)
    assert {each["state"] for each in states} == {"failed"}
    async with installation.opened() as running, running.store._database.read() as connection:
        rows = await connection.exec_driver_sql("SELECT count(*) FROM delivery WHERE message_id IS NULL")
        assert rows.scalar() == 2  # the papers are owed again


async def test_a_number_that_it_cannot_be_done_to_is_named_and_the_command_fails(installation: World) -> None:
    await refused(installation)
    said = await in_thread(installation, "release", "99")
    assert said.exit_code == 1
    assert "message 99 is not there" in said.stderr
    assert (await in_thread(installation, "retry")).exit_code == 2
    assert (await in_thread(installation, "show", "99")).exit_code == 1
