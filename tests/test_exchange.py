"""Subscribers out to a file and in again: nobody is sent what was before, mistakes are told by line."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys

import pytest

from notifier import exchange
from notifier.errors import ExchangeError
from notifier.model import Cadence, Quiet, SubscriberState, Versions
from tests.world import World, text_page

READER, OTHER, LEFT = "reader@example.org", "other@example.org", "left@example.org"
OLD, NEW = "A Fictional Paper from before the Import", "A Fictional Paper from after the Import"


async def exported(installation: World, form: str) -> str:
    async with installation.opened() as running:
        store = running.store
        return exchange.write(await store.everybody(), await store.subscriptions(), form)


async def enrolled(installation: World, text: str, form: str) -> dict[str, int]:
    async with installation.opened() as running:
        return dict(await running.store.enrol(exchange.read(text, form, "UTC"), installation.now))


@pytest.mark.both_databases
@pytest.mark.parametrize("form", ["json", "csv"])
async def test_what_is_exported_is_imported_elsewhere_and_owes_nothing_of_the_past(
    installation: World, form: str
) -> None:
    await installation.subscribe(READER, '"fictional paper" OR graph', Cadence.DAILY, Versions.REVISED, Quiet.NOTE)
    await installation.subscribe(READER, "* -import", Cadence.WEEKLY, timezone="Asia/Tokyo", weekday=4)
    await installation.subscribe(OTHER, "*")
    await installation.subscribe(LEFT, "*")
    async with installation.opened() as running:
        await running.store.unsubscribe(LEFT, installation.now)
    text = await exported(installation, form)
    async with installation.opened() as running:  # as on a machine where nobody was
        for email in (READER, OTHER, LEFT):
            person = await running.store.subscriber(email)
            assert person is not None
            await running.store.erase(person.subscriber_id, installation.now)
    installation.listing("daily", first="owe")
    installation.pages.put("/daily", text_page(OLD))
    await installation.run()
    assert await enrolled(installation, text, form) == {"people": 3, "subscriptions": 4}
    assert await exported(installation, form) == text or form == "json"
    assert exchange.read(await exported(installation, form), form, "UTC") == exchange.read(text, form, "UTC")
    assert await enrolled(installation, text, form) == {"unchanged": 4}, "done again it changes nothing"
    installation.pages.put("/daily", text_page(NEW, OLD))
    await installation.run(minutes=60)
    assert installation.titles(OTHER, [OLD, NEW]) == [[NEW]]
    assert installation.mails(LEFT) == []


async def test_what_readers_decided_here_is_kept(installation: World) -> None:
    await installation.subscribe(READER, "graph")
    await installation.subscribe(LEFT, "graph")
    text = await exported(installation, "csv")
    async with installation.opened() as running:
        await running.store.unsubscribe(LEFT, installation.now)
        (mine,) = await running.store.subscriptions(READER)
        await running.store.end(mine.subscriber_id, mine.subscription_id)
    assert await enrolled(installation, text, "csv") == {"ended": 1, "away": 1}
    async with installation.opened() as running:
        left = await running.store.subscriber(LEFT)
        assert left is not None
        assert left.state is SubscriberState.UNSUBSCRIBED
    changed = text.replace("immediate", "daily")
    await installation.subscribe(READER, "graph")
    assert await enrolled(installation, changed, "csv") == {"changed": 1, "away": 1}


@pytest.mark.both_databases
async def test_who_left_there_and_reads_here_is_left_alone(installation: World) -> None:
    await installation.subscribe(READER, "graph")
    await installation.subscribe(LEFT, "graph")
    async with installation.opened() as running:
        await running.store.unsubscribe(LEFT, installation.now)
    text = await exported(installation, "csv")
    async with installation.opened() as running:  # as on a machine where one who left there confirmed something else
        left = await running.store.subscriber(LEFT)
        assert left is not None
        await running.store.erase(left.subscriber_id, installation.now)
    await installation.subscribe(LEFT, "water")
    active = text.replace("false", "true")
    assert "unsubscribed" in active
    assert await enrolled(installation, active, "csv") == {"unchanged": 1, "away": 1}
    async with installation.opened() as running:
        assert [each.label for each in await running.store.subscriptions(LEFT)] == ["water"]


def test_every_mistake_of_a_csv_file_is_told_with_its_line() -> None:
    text = (
        "email,query,cadence,timezone,at\n"
        "reader@example.org,graph,daily,UTC,08:00\n"
        "no address,graph,daily,UTC,08:00\n"
        'reader@example.org,"graph AND (",hourly,Mars/Base,25:00\n'
    )
    with pytest.raises(ExchangeError) as told:
        exchange.read(text, "csv", "UTC")
    places = [problem.split(":")[0] + ":" + problem.split(":")[1] for problem in told.value.problems]
    assert places == [
        "line 3: email", "line 4: query", "line 4: cadence", "line 4: at", "line 4: timezone",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("form", "text", "told"),
    [
        ("csv", "", "line 1: it must name the columns, email and query among them"),
        ("csv", "email,query,colour\n", "line 1: no such column: colour"),
        ("csv", "email,query\nreader@example.org\n", "line 2: it has not as many cells"),
        ("csv", 'email,query\nreader@example.org,"graph\n', "line 2: unexpected end of data"),
        ("csv", "email,query,state\nreader@example.org,graph,pending\n", "line 2: state: who has not confirmed"),
        ("json", "{", "line 1, column 2: no JSON"),
        ("json", "[]", "no file of subscribers"),
        ("json", '{"format": "notifier-subscribers", "version": 2, "subscribers": []}', "install a newer notifier"),
        ("json", '{"format": "notifier-subscribers", "version": 1, "subscribers": [7]}', "subscriber 1: it must be"),
        (
            "json",
            '{"format": "notifier-subscribers", "version": 1, "subscribers": '
            '[{"email": "reader@example.org", "subscriptions": [{"query": "graph", "colour": "red"}]}]}',
            "subscriber 1, subscription 1: colour",
        ),
    ],
)
def test_a_file_that_is_none_is_told_from_one(form: str, text: str, told: str) -> None:
    with pytest.raises(ExchangeError) as fault:
        exchange.read(text, form, "UTC")
    assert told in str(fault.value)


async def test_f116_a_cell_that_a_spreadsheet_would_compute_is_text_and_comes_back_as_it_was(
    installation: World,
) -> None:
    await installation.subscribe(READER, "-graph *")
    text = await exported(installation, "csv")
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["query"] == "'-graph *"
    (entry,) = exchange.read(text, "csv", "UTC")
    assert entry.wish is not None
    assert entry.wish.label == "-graph *"


async def test_the_commands_move_people_and_a_mistake_imports_nothing(installation: World) -> None:
    await installation.subscribe(READER, "graph")

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        config = str(installation.folder / "config.toml")
        return subprocess.run(
            [sys.executable, "-m", "notifier", *command, "--config", config],
            capture_output=True, text=True, cwd=installation.folder, env={**os.environ, "COLUMNS": "200"},
        )  # fmt: skip

    file = installation.folder / "people.json"
    file.write_text("what was there, and longer " * 1000)
    file.chmod(0o644)
    assert run("export", "people.json").stdout == "wrote people.json\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each["email"] for each in json.loads(file.read_text())["subscribers"]] == [READER]
    list_ = installation.folder / "team.csv"
    list_.write_text("email,query\nnew@example.org,graph\nwrong,graph\n")
    refused = run("import", "team.csv", "--confirmed")
    assert refused.returncode == 1
    assert "error: team.csv, line 3: email: " in refused.stderr
    assert "nothing was imported" in refused.stderr
    list_.write_text("email,query\nnew@example.org,graph\n")
    asked = run("import", "team.csv")
    assert (asked.returncode, "--confirmed" in asked.stderr) == (2, True)
    assert run("import", "team.csv", "--confirmed").stdout == "1 people and 1 subscriptions are new\n"
