"""The command line as people and systemd start it: a process, its output, its exit code."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from contextlib import closing
from email import message_from_string, policy
from pathlib import Path

import pytest
from typer.testing import CliRunner

from notifier.cli import app
from notifier.model import Cadence
from tests.servers.smtp import post
from tests.terminal import READER, notifier, watched
from tests.world import World, text_page

OLD = ["An Old Fictional Paper on Lighthouses"]
NEW = ["A New Fictional Paper on Harbours", "Another New Fictional Paper on Ferries"]
LONG = "A Fictional Title That Goes On and On " + "about Very Long Things " * 4 + "and Ends Here"
COMMANDS = [
    "run",
    "worker",
    "db",
    "once",
    "demo",
    "check",
    "status",
    "preview",
    "search",
    "explain",
    "subscribe",
    "unsubscribe",
    "migrate",
]


def dump(folder: Path) -> list[str]:
    """Everything that the database holds."""
    with closing(sqlite3.connect(folder / "notifier.db")) as database:
        return list(database.iterdump())


# --- how a day goes ---------------------------------------------------------------------------------------------------


async def test_a_day_with_the_command_line(installation: World) -> None:
    """Subscribe, look, send, look again, leave: each command says what came of it, with nothing for a terminal."""
    world, folder = installation, installation.folder
    watched(world, *OLD)

    made = await notifier("check", folder=folder)
    assert (made.code, made.out, made.err) == (0, "well: 1 listing, 0 configured subscriptions\n", "")
    first = await notifier("once", folder=folder)
    assert (first.code, first.err) == (0, "")
    assert re.search(r"^daily\s+fresh\s+0\s+\S", first.out, re.MULTILINE)
    assert "mail: nothing to send" in first.out

    made = await notifier(
        "subscribe", READER, "ferries OR harbours", "--confirmed", "--cadence", "immediate", folder=folder
    )
    assert (made.code, made.err) == (0, "")
    assert made.out == f"{READER} is subscribed to ferry OR harbour; next digest: with the next batch\n"
    empty = await notifier("preview", READER, folder=folder)
    assert (empty.code, empty.out, empty.err) == (
        0, "", f"nothing is owed to {READER} now; --again shows what was sent already\n",
    )  # fmt: skip

    world.pages.put("/daily", text_page(LONG, *NEW, *OLD))
    sent = await notifier("once", folder=folder)
    assert (sent.code, sent.err) == (0, "")
    assert "mail: 1 sent" in sent.out
    again = await notifier("once", folder=folder)
    assert (again.code, again.err) == (0, "")
    assert "mail: nothing to send" in again.out
    assert world.titles(READER, [*NEW, *OLD]) == [NEW]

    found = await notifier("search", "ferries OR lighthouses", folder=folder)
    assert found.code == 0
    assert "2 of 4 papers in 30 days match ferry OR lighthouse" in found.out
    assert NEW[1] in found.out
    wide = await notifier("search", "fictional", folder=folder)
    assert LONG in wide.out  # on one line: nobody's terminal is narrow here
    nothing = await notifier("search", "lighthuoses", "--days", "7", folder=folder)
    assert (nothing.code, nothing.err) == (0, "nothing in 7 days; try lighthouse\n")

    why = await notifier("explain", READER, "ferries", folder=folder)
    assert why.code == 0
    assert NEW[1] in why.out
    assert "subscription 'ferries OR harbours' matched it" in why.out
    assert re.search(r"^  sent \d{4}-", why.out, re.MULTILINE)
    assert "on daily" in why.out
    not_it = await notifier("explain", "submarines", NEW[0], folder=folder)
    assert not_it.code == 0
    assert re.search(r"^  no +submarine: ", not_it.out, re.MULTILINE)

    state = await notifier("status", folder=folder)
    assert (state.code, state.err) == (0, "")
    assert re.search(r"^daily\s+waiting\s+\d{4}-", state.out, re.MULTILINE)
    assert "papers: 4 seen, 3 of them news\noutbox: 1 sent\nsubscribers: 1 confirmed\n" in state.out
    told = json.loads((await notifier("status", "--json", folder=folder)).out)
    assert (told["papers"], told["news"], told["outbox"], told["subscribers"]) == (4, 3, {"sent": 1}, {"confirmed": 1})
    assert told["listings"][0]["name"] == "daily"

    left = await notifier("unsubscribe", READER, folder=folder)
    assert (left.code, left.out) == (0, f"{READER} gets no more mail\n")
    again = await notifier("unsubscribe", READER, folder=folder)
    assert (again.code, again.err) == (1, f"{READER} was not subscribed\n")
    schema = await notifier("migrate", folder=folder)
    assert re.fullmatch(r"schema \S+, as before\n", schema.out)
    for said in (made, first, sent, found, wide, why, state, left):
        assert "\x1b" not in said.out + said.err
        assert said.out == "" or said.out.endswith("\n")


async def test_preview_shows_all_three_forms_of_the_next_digest_and_changes_nothing(installation: World) -> None:
    watched(installation, *OLD)
    await installation.subscribe(READER, "*", Cadence.WEEKLY)
    await installation.run()
    installation.pages.put("/daily", text_page(*NEW))
    await installation.run()
    before = dump(installation.folder)
    texts = {
        form: await notifier("preview", READER, "--format", form, folder=installation.folder)
        for form in ("text", "html", "eml")
    }
    assert {(said.code, said.err) for said in texts.values()} == {(0, "")}
    assert all(NEW[0] in " ".join(said.out.split()) for form, said in texts.items() if form != "eml")
    assert texts["html"].out.startswith("<!DOCTYPE html>")
    mail = message_from_string(texts["eml"].out, policy=policy.default)
    assert mail["To"] == READER
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert dump(installation.folder) == before
    assert installation.mails() == []
    stranger = await notifier("preview", "stranger@example.org", folder=installation.folder)
    assert stranger.code == 1
    assert "stranger@example.org is not subscribed" in stranger.err
    wrong = await notifier("preview", READER, "--format", "pdf", folder=installation.folder)
    assert wrong.code == 2


async def test_preview_opens_a_file_that_only_we_can_read_in_the_program_for_it(
    installation: World, tmp_path: Path
) -> None:
    watched(installation, *OLD)
    await installation.subscribe(READER, "*", Cadence.WEEKLY)
    await installation.run()
    installation.pages.put("/daily", text_page(*NEW))
    await installation.run()
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)
    said = await notifier(
        *("preview", READER, "--format", "html", "--open"),
        folder=installation.folder, BROWSER=f"{browser} %s", TMPDIR=str(tmp_path),
    )  # fmt: skip
    file = Path(said.out.strip())
    shown, mode = await asyncio.to_thread(lambda: (file.read_text(), file.stat().st_mode))
    assert (tmp_path / "opened").read_text().strip() == file.as_uri()
    assert NEW[0] in " ".join(shown.split())
    assert mode & 0o777 == 0o600


async def test_send_test_offers_one_mail_at_once_and_tells_what_the_relay_said(installation: World) -> None:
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        watched(installation, *OLD)
        await installation.subscribe(READER, "*")
        await installation.run()
        installation.pages.put("/daily", text_page(*NEW))
        await installation.run()
        server.accepted.clear()
        before = dump(installation.folder)
        own = await notifier("send-test", READER, folder=installation.folder)
        sample = await notifier("send-test", "stranger@example.org", folder=installation.folder)
        server.fault("rcpt", "550 5.1.1 nobody of that name")
        refused = await notifier("send-test", READER, folder=installation.folder)
    assert own.code == 0
    assert "250" in own.out
    assert NEW[0].replace(" ", "") in server.accepted[0].content.replace("=\r\n", "").replace(" ", "")
    assert sample.code == 0
    assert server.accepted[1].recipients == ["stranger@example.org"]
    assert "Sample Paper" in server.accepted[1].content
    assert refused.code == 1
    assert "550 5.1.1 nobody of that name" in refused.err
    assert dump(installation.folder) == before


async def test_the_demo_shows_the_main_job_and_replaces_only_its_own_folder(tmp_path: Path) -> None:
    said = await notifier("demo", "--folder", "shown", folder=tmp_path)
    assert (said.code, said.err) == (0, "")
    assert "digests sent" in said.out
    assert list((tmp_path / "shown/mail/new").iterdir())
    assert (tmp_path / "shown/feeds/all.rss").read_text().count("<item>") > 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("keep me")
    refused = await notifier("demo", "--folder", "mine", folder=tmp_path)
    assert refused.code == 1
    assert "is not empty and no demo made it" in refused.err
    assert (tmp_path / "mine/letter.txt").read_text() == "keep me"


# --- exit codes -------------------------------------------------------------------------------------------------------


async def test_1_once_fails_and_names_the_listing_or_the_relay(installation: World) -> None:
    watched(installation, *OLD)
    installation.pages.put("/daily", b"gateway trouble " * 40, status=502)
    said = await notifier("once", folder=installation.folder)
    assert said.code == 1
    assert re.search(r"^daily\s+failed\s+0\s+502", said.out, re.MULTILINE)

    installation.pages.put("/daily", text_page(*OLD))
    await installation.subscribe(READER, "*")
    await installation.run(minutes=60)
    installation.pages.put("/daily", text_page(*NEW))
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        assert installation.config
        server.fault("mail", "550 5.7.1 who are you")
        said = await notifier("once", folder=installation.folder)
    assert said.code == 1
    assert re.search(r"mail: nothing to send; relay asked again after \d{4}-\d\d-\d\d \d\d:\d\d UTC", said.out)
    assert "who are you" in said.err


async def test_2_wrong_use_is_explained_where_it_happened(installation: World) -> None:
    watched(installation)
    query = 'graph AND (reasoning OR "knowledge base'
    said = await notifier("subscribe", READER, query, "--confirmed", folder=installation.folder)
    assert said.code == 2
    error, shown, mark = said.err.splitlines()
    column = int(re.search(r"column (\d+)", error)[1])  # type: ignore[index]
    assert shown == f"  {query}"
    assert mark.index("^") == column - 1 + 2
    for words, tells in (
        (["subscribe", "not an address", "x", "--confirmed"], "EMAIL"),
        (["subscribe", READER, "x"], "--confirmed"),
        (["subscribe", READER, "x", "--confirmed", "--at", "noon"], "08:00"),
        (["subscribe", READER, "x", "--confirmed", "--weekday", "someday"], "monday"),
        (["subscribe", READER, "x", "--confirmed", "--timezone", "Mars/Olympus"], "time zone"),
        (["subscribe", READER, "x", "--confirmed", "--cadence", "hourly"], "immediate"),
        (["search", "x", "--days", "0"], "--days"),
        (["nonsense"], "No such command"),
    ):
        said = await notifier(*words, folder=installation.folder)
        assert said.code == 2, words
        assert tells in said.err, words
        assert said.out == ""


async def test_1_what_is_not_there_is_said(installation: World) -> None:
    watched(installation)
    said = await notifier("explain", "ferries", "2403.01234", folder=installation.folder)
    assert said.code == 1
    assert "'2403.01234'" in said.err
    (installation.folder / "notifier.db").write_bytes(b"this is no database " * 300)
    for command in ("status", "once", "check"):
        said = await notifier(command, folder=installation.folder)
        assert said.code == (78 if command == "check" else 1)
        assert "notifier.db cannot be used" in said.err
    assert (installation.folder / "notifier.db").read_bytes() == b"this is no database " * 300


async def test_75_f104_a_second_process_is_told_who_works_there_and_may_still_look(installation: World) -> None:
    watched(installation, *OLD)
    async with installation.opened():
        for command in ("once", "run"):
            said = await notifier(command, folder=installation.folder)
            assert said.code == 75, command
            assert re.search(r"in use by notifier, process \d+ on ", said.err)
        looked = await notifier("status", folder=installation.folder)
        assert (looked.code, looked.err) == (0, "")
        made = await notifier("subscribe", READER, "ferries", "--confirmed", folder=installation.folder)
        assert made.code == 0


async def test_78_every_mistake_of_a_configuration_is_listed_and_no_secret_shown(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        'timezone = "Mars/Olympus"\nbase_url = "nowhere"\nspelt_wrong = 1\n'
        '[mail]\nrelay = "gopher://x"\npassword = "hunter2-file"\n'
        '[[listing]]\nname = "a"\nurl = "http://127.0.0.1/"\nformat = "daily-paper-text"\n'
        '[[subscription]]\nemail = "nobody"\nquery = "(("\n'
    )
    secret = {"NOTIFIER_MAIL__USER": "hunter2-user", "NOTIFIER_MIAL__PASSWORD": "hunter2-secret"}
    for command in ("check", "run", "once", "status"):
        said = await notifier(command, folder=tmp_path, **secret)
        assert said.code == 78, command
        assert said.out == ""
        lines = said.err.splitlines()
        assert all(line.startswith("error: ") for line in lines)
        for key in (
            "contact",
            "timezone",
            "base_url",
            "spelt_wrong",
            "relay",
            "format",
            "email",
            "query",
            "MIAL",
        ):
            assert any(key in line for line in lines), key
        assert "hunter2" not in said.err
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    said = await notifier("check", folder=nowhere)
    assert said.code == 78
    assert "--config" in said.err
    said = await notifier("check", "--config", "missing.toml", folder=nowhere)
    assert said.code == 78
    assert "missing.toml" in said.err


async def test_check_finds_a_template_that_cannot_be_used(installation: World) -> None:
    folder = installation.folder / "templates/email"
    folder.mkdir(parents=True)
    (folder / "digest.txt").write_text("{{ unheard_of }}\n{% if %}")
    installation.extra = 'templates = "templates"\n'
    watched(installation)
    said = await notifier("check", folder=installation.folder)
    assert said.code == 78
    assert "email/digest.txt" in said.err


# --- help and text ----------------------------------------------------------------------------------------------------


async def test_the_program_says_what_it_can_do_and_its_version() -> None:
    said = await notifier()
    assert all(re.search(rf"\b{command}\b", said.out + said.err) for command in COMMANDS)
    version = await notifier("--version")
    assert (version.code, version.err) == (0, "")
    assert re.fullmatch(r"notifier \d+\.\d+\S*\n", version.out)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    said = CliRunner().invoke(app, [command, "--help"])
    assert said.exit_code == 0
    assert re.search(rf"Examples?: (.|\n)*notifier {command}", said.output)
    assert "\x1b" not in said.output


async def test_a_title_with_markup_is_shown_as_it_is(installation: World) -> None:
    title = "[bold red]A Fictional Paper[/] on [link=http://evil.example]Markup[/link] and More"
    installation.listing("daily", first="owe")
    installation.pages.put("/daily", text_page(title))
    assert installation.config
    await notifier("once", folder=installation.folder)
    for words in (["search", "markup"], ["explain", "markup", "evil"]):
        said = await notifier(*words, folder=installation.folder)
        assert said.code == 0
        assert title in said.out
