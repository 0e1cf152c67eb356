"""What a page costs, counted: transactions and statements, not time, which says nothing on a busy machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tests.world import Served, World, text_page

READER = "reader@example.org"


@pytest.fixture
async def here(installation: World) -> AsyncIterator[Served]:
    """A site with a reader who has three subscriptions and was sent a digest."""
    installation.listing("daily")
    installation.pages.put("/daily", text_page("An Old Fictional Paper on Lighthouses"))
    for words in ("harbours", "ferries", "lighthouses"):
        await installation.subscribe(READER, words)
    await installation.run()
    installation.pages.put("/daily", text_page("A Fictional Paper on Harbours"))
    await installation.run()
    async with installation.served() as site:
        yield site


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count the transactions and the statements of all databases."""
    found: Counter[str] = Counter()

    def began(*_: Any) -> None:
        found["transactions"] += 1

    def executed(*asked: Any) -> None:
        found["statements"] += 0 if asked[2].startswith("BEGIN") else 1

    event.listen(Engine, "begin", began)
    event.listen(Engine, "before_cursor_execute", executed)
    try:
        yield found
    finally:
        event.remove(Engine, "begin", began)
        event.remove(Engine, "before_cursor_execute", executed)


async def test_ones_own_page_is_read_in_one_transaction_of_four_statements(here: Served) -> None:
    store = here.running.store
    reader = await store.subscriber(READER)
    assert reader
    async with httpx.AsyncClient(base_url=here.url) as client:
        with counted() as work:
            page = await client.get(f"/manage/{store.link('manage', reader.token)}")
    assert all(words in page.text for words in ("harbours", "ferries", "lighthouses", "Atom"))
    assert work == {"transactions": 1, "statements": 4}
