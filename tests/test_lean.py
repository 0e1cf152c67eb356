"""What a running program does without: libraries that only its parser process, a migration or a terminal needs."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from typer.main import get_group

from notifier import cli
from notifier.cli.commands import COMMANDS
from notifier.slim import import_slim
from notifier.store.migrate import MIGRATIONS, known
from tests.world import World

PARSING = ("feedparser", "selectolax")


def imported_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh process has after running some code."""
    report = f"{code}\nimport sys; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


async def test_an_open_installation_holds_no_library_for_parsing_or_migrating(installation: World) -> None:
    async with installation.opened():
        pass  # the database is made here, and is up to date in the process below
    assert installation.config
    code = f"""
import asyncio
from pathlib import Path
from notifier.config import load
from notifier.daemon import opened
async def work():
    async with opened(load(Path({str(installation.folder / "config.toml")!r}), environment={{}})):
        pass
asyncio.run(work())
"""
    held = imported_by(code)
    assert {"sqlalchemy", "httpx"} <= held
    assert held.isdisjoint({*PARSING, "alembic", "mako", "typer", "procrastinate", "psycopg"})


def test_the_files_of_the_migrations_are_named_after_their_revisions() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [known()[-1]]
    assert sorted(each.revision for each in scripts.walk_revisions()) == known()


def test_help_and_version_need_none_of_the_program() -> None:
    held = imported_by("import sys; sys.argv = ['notifier', '--help']\nfrom notifier.cli import app\nget = app")
    assert {"typer", "rich"} <= held
    assert held.isdisjoint({"sqlalchemy", "numpy", "pydantic", "httpx", "lxml", "jinja2", "uvicorn"})


def test_the_program_starts_without_what_only_some_commands_need() -> None:
    held = imported_by("import notifier.cli.serve")
    assert {"sqlalchemy", "uvicorn"} <= held
    assert held.isdisjoint({"alembic", "dkim", "dns", "feedgen", "lxml", "numpy", "psycopg", "procrastinate", *PARSING})


def test_the_store_is_imported_without_an_orm_and_fetching_without_a_command_line() -> None:
    code = """
import sys, notifier.store, notifier.fetch
for name in ("sqlalchemy.orm", "httpx._main"):
    assert name not in sys.modules, name
from sqlalchemy.ext.asyncio.session import AsyncSession  # who wants it has it
from httpx._main import main
assert AsyncSession.__module__ == "sqlalchemy.ext.asyncio.session" and callable(main)
"""
    assert "sqlalchemy" in imported_by(code)


def test_every_command_is_known_by_name_with_the_words_of_its_own_help() -> None:
    for module in iter_modules(cli.__path__):
        import_module(f"notifier.cli.{module.name}")
    told = {name: (where, help.replace("`", "")) for name, (where, help) in COMMANDS.items()}
    found = {}
    for name, command in get_group(cli.app).commands.items():
        callback = getattr(command, "callback", None)
        where = callback.__module__.rpartition(".")[2] if callback else told.get(name, ("?", ""))[0]
        found[name] = (where, (command.help or "").split("\n")[0].replace("`", ""))
    assert found == told


@pytest.mark.parametrize(
    "wants", ["from a_thick_library.part import Anything", "from a_thick_library.part import LIMIT\nLIMIT + 1"]
)
def test_a_library_is_whole_where_it_wants_more_of_a_part_than_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wants: str
) -> None:
    package = tmp_path / "a_thick_library"
    package.mkdir()
    (package / "__init__.py").write_text(wants)
    (package / "part.py").write_text("LIMIT = 3")
    monkeypatch.syspath_prepend(str(tmp_path))
    import_slim("a_thick_library", "a_thick_library.part")
    library = sys.modules.pop("a_thick_library")
    assert (library.LIMIT == 3) if "LIMIT" in wants else isinstance(library.Anything, type)
    sys.modules.pop("a_thick_library.part", None)
