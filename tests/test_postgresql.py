"""What is PostgreSQL's alone: how it is connected to, and what is said when that cannot be."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlalchemy import text

from notifier.errors import StoreError
from notifier.store import open_store
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
