"""What every test may ask for. Real pages are outside the project: `captures` finds them or says why not."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.offers import mail, server
from tests.servers.pgbouncer import Bouncer, bouncer, installed
from tests.servers.postgres import Cluster, cluster
from tests.visit import fresh, here, mailed, told
from tests.world import World, world

__all__ = ["fresh", "here", "mail", "mailed", "server", "told"]  # fixtures of several modules

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def captures() -> Path:
    """Folder with `listings/` and `captures/` of real pages: $NOTIFIER_CAPTURES, else `../shared`.

    Absent on a user's machine the test is skipped; with CI=true they are required.
    """
    folder = Path(os.environ.get("NOTIFIER_CAPTURES") or PROJECT.parent / "shared")
    if (folder / "listings").is_dir() and (folder / "captures").is_dir():
        return folder
    if os.environ.get("CI") == "true":
        pytest.fail(f"the captured pages are required with CI=true, and {folder} does not hold them")
    pytest.skip("the captured pages are not on this machine (set NOTIFIER_CAPTURES to their folder)")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sqlite-only", action="store_true", help="leave PostgreSQL out, on a machine without it")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no worker waits for the last; a machine or a browser has one worker."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    for item in items:
        for shared in ("systemd", "browser"):
            if item.get_closest_marker(shared):
                item.add_marker(pytest.mark.xdist_group(shared))


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say what was measured: it is printed at the end of the run, whichever worker saw it."""
    return lambda text: record_property("measured", text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, text in report.user_properties:
            if name == "measured":
                terminalreporter.write_line(f"measured by {report.nodeid}: {text}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of a module or function marked `both_databases` on SQLite and on PostgreSQL."""
    if metafunc.definition.get_closest_marker("both_databases") and "database" in metafunc.fixturenames:
        chosen = ["sqlite"] if metafunc.config.getoption("--sqlite-only") else ["sqlite", "postgresql"]
        if metafunc.definition.get_closest_marker("only_sqlite"):
            chosen = ["sqlite"]
        if metafunc.definition.get_closest_marker("pgbouncer") and "postgresql" in chosen:
            chosen.append("through-pgbouncer")
        metafunc.parametrize("database", chosen, indirect=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL of these tests' own; where it is not installed they fail, unless told --sqlite-only."""
    with cluster() as running:
        yield running


@pytest.fixture(scope="session")
def pgbouncer(postgres: Cluster) -> Iterator[Bouncer]:
    """A PgBouncer before that PostgreSQL, in transaction mode; left out where it is not installed, but not by CI."""
    if not installed() and os.environ.get("CI") != "true":
        pytest.skip("PgBouncer is not installed: apt-get install pgbouncer")
    with bouncer(postgres) as running:
        yield running


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that nobody used before: SQLite, or what `both_databases` asks for."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return f"sqlite:///{tmp_path}/notifier.db"
    if request.param == "through-pgbouncer":
        behind: Bouncer = request.getfixturevalue("pgbouncer")
        return behind.database()
    fresh: Cluster = request.getfixturevalue("postgres")
    return fresh.database()


@pytest.fixture
async def installation(tmp_path: Path, database: str) -> AsyncIterator[World]:
    """A whole installation in a temporary folder; see tests/world.py."""
    async with world(tmp_path, database) as opened:
        yield opened
