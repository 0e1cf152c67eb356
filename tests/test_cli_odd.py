"""The command line where things are not as usual: locales, ports, users, files, queries that look like options."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT

from tests.terminal import POWERLESS, READER, notifier, watched
from tests.world import World, text_page

OLD = "Fictional Lighthouses – an Old Survey"
NEW = "Fictional Harbours – a New Paper …"
LATIN_1 = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1"}


async def seen(world: World) -> None:
    """Have one paper seen at the first poll, and one as news."""
    watched(world, OLD)
    assert (await notifier("once", folder=world.folder)).code == 0
    made = await notifier("subscribe", READER, "fictional", "--confirmed", folder=world.folder)
    assert made.code == 0
    world.pages.put("/daily", text_page(NEW, OLD))
    assert (await notifier("once", folder=world.folder)).code == 0


async def test_a_locale_that_lacks_a_character_shows_another_and_a_file_is_utf_8(installation: World) -> None:
    await seen(installation)
    for words in (("search", "fictional"), ("explain", "fictional", "harbours"), ("status",)):
        said = await notifier(*words, folder=installation.folder, **LATIN_1)
        assert said.code == 0, said.err
    assert (
        "Fictional Harbours ? a New Paper ?"
        in (await notifier("search", "fictional", folder=installation.folder, **LATIN_1)).out
    )
    for form in ("text", "html"):
        said = await notifier("preview", READER, "--format", form, folder=installation.folder, **LATIN_1)
        assert NEW in said.out


async def test_a_query_may_begin_with_a_minus(installation: World) -> None:
    await seen(installation)
    folder = installation.folder
    found = await notifier("search", "-survey fictional", folder=folder)
    assert (found.code, "1 of 2 papers" in found.out) == (0, True), found.err
    found = await notifier("search", "-config harbours", "--days", "3", "-c", "config.toml", folder=folder)
    assert (found.code, "1 of 2 papers in 3 days" in found.out) == (0, True), found.err
    told = await notifier("explain", "-survey fictional", "harbours", folder=folder)
    assert "yes  -survey fictional" in told.out
    made = await notifier("subscribe", READER, "-survey harbours", "--confirmed", folder=folder)
    assert made.out.startswith(f"{READER} is subscribed to -survey harbour;"), made.err
    alone = await notifier("search", "-survey", folder=folder)
    assert alone.code == 2
    assert "did you mean `* -survey`?\n  -survey\n  ^" in alone.err


async def test_a_taken_port_is_named_with_the_option_that_moves_the_site(installation: World) -> None:
    watched(installation, OLD)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        said = await notifier("run", folder=installation.folder, NOTIFIER_WEB__LISTEN=place)
    assert said.code == 1
    assert said.err == (
        f"error: web.listen: the site cannot be served at {place}: another program listens there; "
        "stop it, or set another port\n"
    )
    said = await notifier("run", folder=installation.folder, NOTIFIER_WEB__LISTEN="192.0.2.1:8080")
    assert "192.0.2.1:8080: this machine has no such address" in said.err


async def test_a_postgresql_that_cannot_be_reached_is_no_damaged_file(installation: World) -> None:
    pytest.importorskip("psycopg")
    watched(installation, OLD)
    with socket.create_server(("127.0.0.1", 0)) as port:
        free = port.getsockname()[1]
    there = f"postgresql://notifier@127.0.0.1:{free}/notifier"
    said = await notifier("status", folder=installation.folder, NOTIFIER_DATABASE=there)
    assert said.code == 1
    assert f"{free}/notifier cannot be used: connection failed" in said.err
    assert "backup" not in said.err
    assert len(said.err.splitlines()) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_f077_another_user_is_told_whose_the_database_is(installation: World) -> None:
    await seen(installation)
    (installation.folder / "notifier.db").chmod(0)
    said = await notifier("status", folder=installation.folder, by=POWERLESS)
    assert said.code == 1
    assert said.err.endswith(
        "notifier.db may not be read and written by this user: run this as its owner, or as root\n"
    )


async def test_wrong_places_are_refused_in_words(installation: World) -> None:
    watched(installation, OLD)
    for server in ("nowhere", "127.0.0.1:x", "127.0.0.1:0", "::1:x"):
        said = await notifier("doctor", "--dns", server, folder=installation.folder)
        assert (said.code, "such as 192.0.2.1" in said.err) == (2, True), server
    said = await notifier("restore", ".", folder=installation.folder)
    assert (said.code, said.err) == (1, "error: . is a folder: name a file in it\n")
    said = await notifier("restore", "old.db", folder=installation.folder)
    assert (said.code, said.err) == (1, "error: old.db is not there\n")


async def test_what_the_system_says_stands_without_its_number(installation: World) -> None:
    watched(installation, OLD)
    said = await notifier("import", "nobody.json", folder=installation.folder)
    assert (said.code, said.err) == (1, "error: nobody.json: No such file or directory\n")


def test_an_interrupt_while_the_program_loads_leaves_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Interrupts:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'typer':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupts())\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "notifier", "status"],
        env={"PATH": os.defpath, "PYTHONPATH": f"{tmp_path}{os.pathsep}{PROJECT}"}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (128 + signal.SIGINT, "")


async def test_what_a_new_operator_tries_first_is_answered(installation: World) -> None:
    folder = installation.folder
    (folder / "config.toml").write_text(
        'contact = "you@example.org"\n[[subscription]]\nemail = "reader@example.org"\nquery = "kites"\n'
    )
    said = await notifier("check", folder=folder)
    assert said.out == "well: 0 listings, 1 configured subscription\n"
    assert said.err == "note: there is no [[listing]]: nothing is watched\n"
    said = await notifier("preview", READER, folder=folder)
    assert "is in the configuration, but not subscribed yet: `notifier once`" in said.err
    (folder / "config.toml").unlink()
    said = await notifier("check-listing", "http://127.0.0.1:9/", folder=folder)
    assert (said.code, "--contact me@example.org" in said.err) == (78, True)


async def test_a_page_that_was_just_fresh_is_described_once(installation: World) -> None:
    await seen(installation)
    said = await notifier("status", folder=installation.folder)
    assert said.out.count("2 read, 1 new") == 1


async def test_the_operator_sees_who_is_subscribed_to_what(installation: World) -> None:
    await seen(installation)
    folder = installation.folder
    nobody = await notifier("subscriber", "show", "nobody@example.org", folder=folder)
    assert (nobody.code, nobody.err) == (1, "nobody@example.org is not subscribed\n")
    weekly = ("--confirmed", "--cadence", "weekly", "--timezone", "Europe/Berlin")
    await notifier("subscribe", READER, "[kites] OR ferries", *weekly, folder=folder)
    await notifier("subscribe", "left@example.org", "kites", "--confirmed", folder=folder)
    await notifier("unsubscribe", "left@example.org", folder=folder)

    listed = await notifier("subscriber", "list", folder=folder)
    assert re.search(rf"^{READER}\s+confirmed\s+\d{{4}}-\d\d-\d\d \d\d:\d\d UTC\s+2\s*$", listed.out, re.MULTILINE)
    assert re.search(r"^left@example.org\s+unsubscribed", listed.out, re.MULTILINE)
    left = await notifier("subscriber", "list", "--state", "unsubscribed", "--json", folder=folder)
    assert [each["email"] for each in json.loads(left.out)] == ["left@example.org"]

    gone = await notifier("subscriber", "show", "left@example.org", folder=folder)
    assert gone.out.endswith("\n  kites\n    daily; no mail is sent\n")

    shown = await notifier("subscriber", "show", READER.replace("example", "EXAMPLE"), folder=folder)
    assert shown.out.startswith(f"{READER}: confirmed since ")
    assert re.search(r"\n  \[kites\] OR ferries\n    weekly; next digest: Mon .*, 08:00 CES?T\n", shown.out)
    plain = json.loads((await notifier("subscriber", "show", READER, "--json", folder=folder)).out)
    assert [each["canonical"] for each in plain["subscriptions"]] == ["fictional", "ferry OR kite"]
