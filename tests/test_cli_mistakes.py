"""What a newcomer gets wrong on the command line and in config.toml, and the remedy that the program names."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from notifier.cli.commands import COMMANDS, PANELS
from notifier.config import load
from notifier.errors import ConfigError
from tests.terminal import POWERLESS, READER, notifier
from tests.world import World, text_page

LEAST = 'contact = "you@example.org"\n'
SUBSCRIPTION = '[[subscription]]\nemail = "reader@example.org"\nquery = "kites"\n'


async def test_who_has_no_configuration_is_told_what_to_begin_with(tmp_path: Path) -> None:
    said = await notifier("status", folder=tmp_path)
    assert said.code == 78
    example = Path(said.err.rpartition("begin with a copy of ")[2].strip())
    shutil.copy(example, tmp_path / "config.toml")
    assert (await notifier("check", folder=tmp_path)).code == 0


async def test_who_names_the_configuration_before_the_command_is_told_where_it_stands() -> None:
    for words in (["--config", "x.toml", "check"], ["-c", "x.toml", "check"], ["--config=x.toml", "check"]):
        said = await notifier(*words)
        assert (said.code, "after the command, as in: notifier check --config FILE" in said.err) == (2, True), said


def test_every_command_stands_on_one_panel_of_the_help() -> None:
    assert sorted(name for names in PANELS.values() for name in names) == sorted(COMMANDS)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("contact = you@example.org\n", "text stands in quotes"),
        (LEAST + LEAST, "an option may be there once only"),
        (LEAST + "[mail]\n[mail]\n", "a table may be there once only"),
        (LEAST + SUBSCRIPTION + "at = 08:30\n", "text stands in quotes"),
        (LEAST + '[listing]\nname = "x"\n', "listing: write [[listing]], in two brackets, before each one"),
        (LEAST + '[web]\nproxies = "127.0.0.1"\n', "web.proxies: write a list, in brackets"),
        (LEAST + '[mail]\nconnections = "many"\n', "mail.connections: must be a whole number"),
        (LEAST + "[mail]\nconnections = 0\n", "mail.connections: must be greater than or equal to 1"),
        (
            LEAST + SUBSCRIPTION + 'cadence = "dayly"\n',
            "subscription[1].cadence: must be 'immediate', 'daily', 'weekly'",
        ),
        (LEAST + SUBSCRIPTION.replace("kites", "kites AND ("), "the end; did you mean `kites`?"),
    ],
)
def test_a_mistake_in_the_configuration_is_told_with_what_mends_it(tmp_path: Path, written: str, said: str) -> None:
    (tmp_path / "config.toml").write_text(written)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "config.toml", environment={})
    assert any(said in problem for problem in caught.value.problems), caught.value.problems


async def test_check_finds_that_the_folder_of_the_database_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'{LEAST}database = "sqlite:///{tmp_path}/nowhere/notifier.db"\n')
    said = await notifier("check", folder=tmp_path)
    assert (said.code, said.out) == (78, "")
    assert "/nowhere is not a directory: make it" in said.err


def test_what_this_user_may_not_use_is_no_wrong_use(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(LEAST)
    config.chmod(0)
    said = asyncio.run(notifier("check", folder=tmp_path, by=POWERLESS))
    assert said.code == 78
    assert said.err == "error: config.toml: cannot be read: Permission denied: run this as its owner, or as root\n"
    config.chmod(0o600)
    tmp_path.chmod(0o500)
    said = asyncio.run(notifier("once", folder=tmp_path, by=POWERLESS))
    tmp_path.chmod(0o700)
    assert said.code == 1
    assert said.err.endswith("run this as its owner, or as root\n")


async def test_what_the_system_refuses_is_told_with_what_mends_it(installation: World) -> None:
    assert installation.config
    said = await notifier("export", "nowhere/people.json", folder=installation.folder)
    assert said.err == "error: nowhere/people.json: No such file or directory: there is no folder nowhere\n"


async def test_wrong_values_are_named_beside_right_ones(installation: World) -> None:
    assert installation.config
    subscribe = ("subscribe", READER, "kites", "--confirmed")
    for option, value, right in (
        ("--timezone", "CEST", "is no IANA time zone, such as Europe/Berlin"),
        ("--at", "8 o'clock", "is no time of day, such as 08:00"),
        ("--weekday", "mon", "is none of monday, tuesday"),
    ):
        said = await notifier(*subscribe, option, value, folder=installation.folder, COLUMNS="200")
        assert (said.code, right in said.err, value in said.err) == (2, True, True), said.err


async def test_an_outbox_without_messages_is_called_empty_and_a_search_in_it_fruitless(installation: World) -> None:
    assert installation.config
    assert (await notifier("outbox", "list", folder=installation.folder)).out == "there are no messages\n"
    said = await notifier("outbox", "list", "--state", "held", folder=installation.folder)
    assert said.out == "no message is like that\n"


async def test_explain_says_of_a_missed_paper_which_part_of_the_query_failed(installation: World) -> None:
    installation.listing("daily", first="owe")
    installation.pages.put("/daily", text_page("A Fictional Paper on Ferries"))
    await installation.subscribe(READER, "kites ferries")
    await installation.run()
    said = await notifier("explain", READER, "ferries", folder=installation.folder, COLUMNS="200")
    assert "was not owed it: ferry kite: " in said.out
    assert 'yes ferry: title has "Ferries"' in said.out
    assert "no kite: not in the title" in said.out
