"""Opening a database: how PostgreSQL is connected to, and what is said of a database that cannot be used."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from notifier.errors import StoreError
from notifier.store import open_store
from notifier.store.engine import Database
from notifier.store.trouble import too_old, why_unusable
from tests.servers.postgres import Cluster


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Cluster:
    """The tests' PostgreSQL; left out with --sqlite-only."""
    if request.config.getoption("--sqlite-only"):
        pytest.skip("of PostgreSQL alone")
    found: Cluster = request.getfixturevalue("postgres")
    return found


@pytest.fixture
def url(server: Cluster) -> str:
    """The URL of a new database with our schema."""
    return server.database()


async def prepared_after_five_times(url: str) -> Sequence[str]:
    """Return the prepared statements of a session that said the same five times."""
    async with open_store(url) as store, store._database.read() as connection:
        for _ in range(5):
            await connection.execute(text("SELECT 'the same'"))
        found = await connection.execute(text("SELECT statement FROM pg_prepared_statements"))
        return [statement for statement in found.scalars() if "the same" in statement]


async def test_statements_are_prepared_only_where_the_url_asks_for_it(url: str) -> None:
    assert await prepared_after_five_times(url) == []
    assert await prepared_after_five_times(f"{url}&prepare_threshold=3") == ["SELECT 'the same'"]


async def test_the_engine_of_jobs_is_told_nothing_that_its_library_does_not_know(url: str) -> None:
    async with open_store(f"{url}&prepare_threshold=3") as store:
        assert "prepare_threshold" not in store.address
        assert store.address.startswith(url.split("?")[0])


async def test_a_threshold_that_is_no_number_is_refused_in_words(url: str) -> None:
    with pytest.raises(StoreError, match="prepare_threshold in the URL of the database must be a number: often"):
        async with open_store(f"{url}&prepare_threshold=often"):
            pass


# --- databases that cannot be used ------------------------------------------------------------------------------------


async def said_of(url: str) -> str:
    """Return the one line that is said of a database that cannot be opened."""
    with pytest.raises(StoreError) as trouble:
        async with open_store(url):
            pass
    words = str(trouble.value)
    assert "\n" not in words
    return words


async def test_a_database_that_is_not_there_is_to_be_made(server: Cluster) -> None:
    words = await said_of(server.url("nowhere"))
    assert 'database "nowhere" does not exist; make it: createdb, or name another in `database`' in words


async def test_a_role_that_is_not_there_is_to_be_made(server: Cluster) -> None:
    words = await said_of(server.url("postgres").replace("notifier@", "nobody@"))
    assert 'role "nobody" does not exist; make the role: CREATE ROLE ... LOGIN, or name another in `database`' in words


def reloaded(server: Cluster) -> None:
    """Have the server read its rules again; return when who comes next meets the new ones."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        (before,) = connection.execute("SELECT pg_conf_load_time()").fetchone() or (None,)
        connection.execute("SELECT pg_reload_conf()")
    loaded = before
    while loaded == before:
        with psycopg.connect(server.url("postgres")) as connection:  # a session has the time of the server it came from
            (loaded,) = connection.execute("SELECT pg_conf_load_time()").fetchone() or (None,)


@pytest.fixture
def guarded(server: Cluster, url: str) -> Iterator[str]:
    """The URL of a database for the role `guarded`, which must say its password and owns nothing."""
    rules = server.folder / "cluster" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"local all guarded scram-sha-256\n{before}")
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
    reloaded(server)
    yield url.replace("notifier@", "guarded:right@")
    rules.write_text(before)
    reloaded(server)
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("DROP ROLE guarded")


async def test_a_wrong_password_is_said_but_not_shown(guarded: str) -> None:
    words = await said_of(guarded.replace(":right@", ":wrong@"))
    assert words.endswith("; put the right password into `database`, or into ~/.pgpass")
    assert ":wrong" not in words
    assert "no password supplied; put the password into" in await said_of(guarded.replace(":right@", "@"))


async def test_a_role_that_may_not_read_the_tables_is_told_what_it_needs(guarded: str) -> None:
    words = await said_of(guarded)
    assert "permission denied for table alembic_version; give this role what it needs" in words


async def test_a_server_without_tls_is_told_from_one_that_is_down(server: Cluster) -> None:
    async def refuses_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(b"N")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(refuses_tls, "127.0.0.1") as there:
        port = there.sockets[0].getsockname()[1]
        words = await said_of(f"postgresql://notifier@127.0.0.1:{port}/notifier?sslmode=require")
    assert words.endswith("SSL was required; let the server speak TLS, or change sslmode in `database`")
    words = await said_of(f"postgresql://notifier@127.0.0.1:{port}/notifier?sslmode=require")
    assert words.endswith("; start the server, or name the right host and port in `database`")


async def test_f079_a_server_that_ends_a_session_in_the_middle_is_said_in_words_and_met_anew(
    server: Cluster, url: str
) -> None:
    def ended() -> None:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            name = url.partition("?")[0].rpartition("/")[2]
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])

    async with open_store(url) as store:
        with pytest.raises(StoreError, match=r"cannot be used: .*; see that the server is up"):
            async with store._database.read() as connection:
                await connection.execute(text("SELECT 1"))
                await asyncio.to_thread(ended)
                await connection.execute(text("SELECT 1"))
        assert await store.subscriber("nobody@example.org") is None


@pytest.mark.parametrize("port", ["no-port", "123456789"])
async def test_a_url_that_cannot_be_read_is_refused_without_its_password(port: str) -> None:
    pytest.importorskip("psycopg")
    words = await said_of(f"postgresql://notifier:secret@127.0.0.1:{port}/notifier")
    assert "secret" not in words


@pytest.mark.parametrize("where", ["host/name", "host/na@me", "ho/st/name", "host?name=x"])
async def test_a_password_with_a_bare_at_sign_is_refused_and_not_read_as_the_host(where: str) -> None:
    words = await said_of(f"postgresql://notifier:one@two@{where}")
    assert "in the password %40 for @" in words
    assert "two" not in words
    assert "two" not in await said_of(f"postgresql://notifier:one@two/three@{where}")


def test_passwords_in_the_query_of_a_url_are_not_shown() -> None:
    pytest.importorskip("psycopg")
    place = Database("postgresql://host/name?user=u&password=one&sslpassword=two&passfile=/three").place
    assert place == "postgresql://host/name?passfile=***&password=***&sslpassword=***&user=u"
    assert Database("postgresql://u:one%40two@host/name").place == "postgresql://u:***@host/name"


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("FATAL:  the database system is starting up", "wait until"),
        ("FATAL:  the database system is shutting down", "wait until"),
        ("FATAL:  the database system is not yet accepting connections", "wait until"),
        ("FATAL:  the database system is in recovery mode", "wait until"),
        ('FATAL:  too many connections for role "x"', "ALTER ROLE ... CONNECTION LIMIT"),
        ('FATAL:  too many connections for database "x"', "ALTER DATABASE ... CONNECTION LIMIT"),
        ("FATAL:  sorry, too many clients already", "max_connections"),
        ('FATAL:  role "x" is not permitted to log in', "ALTER ROLE ... LOGIN"),
        ('FATAL:  permission denied for database "x"', "GRANT CONNECT"),
        ('FATAL:  database "x" is not currently accepting connections', "ALLOW_CONNECTIONS"),
        ("canceling statement due to statement timeout", "statement_timeout"),
        ("canceling statement due to lock timeout", "lock_timeout"),
        ("connection timeout expired", "no firewall"),
    ],
)
def test_what_is_said_of_a_database_mends_what_is_wrong_with_it(said: str, remedy: str) -> None:
    words = why_unusable("here", None, DBAPIError("", None, Exception(said)))
    _, _, advice = words.partition("; ")
    assert remedy in advice
    assert "createdb" not in advice
    assert "CREATE ROLE" not in advice


@pytest.mark.parametrize(
    ("version", "said"),
    [((9, 6, 24), "is PostgreSQL 9.6: update"), ((12, 4), "is PostgreSQL 12: update"), ((13, 0), ""), ((18, 1), "")],
)
def test_a_server_that_is_too_old_is_named(version: tuple[int, ...], said: str) -> None:
    found = too_old("here", None, version)
    assert (said in found, bool(found)) == (True, bool(said))


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_database_that_cannot_hold_every_letter_is_to_be_made_anew(server: Cluster, encoding: str) -> None:
    name = f"letters_{encoding.lower()}"
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0".encode())
    words = await said_of(server.url(name))
    assert f"is encoded in {encoding}, which cannot hold the letters of every paper: make a database in UTF8" in words
    with psycopg.connect(server.url(name)) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


async def test_a_folder_is_no_database(tmp_path: Path) -> None:
    words = await said_of(f"sqlite:///{tmp_path}")
    assert words.endswith(f"{tmp_path} is no file: set `database` to the name of one, such as {tmp_path}/notifier.db")


async def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a database " * 100)
    assert "file is not a database" in await said_of(f"sqlite:///{file}")
    assert file.read_text() == "not a database " * 100


async def test_f075_a_database_that_was_cut_short_is_left_as_it_is(tmp_path: Path) -> None:
    whole, part = tmp_path / "whole.db", tmp_path / "part.db"
    async with open_store(f"sqlite:///{whole}"):
        pass
    part.write_bytes(whole.read_bytes()[:20_000])
    assert "malformed" in await said_of(f"sqlite:///{part}")
    assert part.stat().st_size == 20_000
