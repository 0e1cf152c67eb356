"""What a page costs, counted: transactions and statements, not time, which says nothing on a busy machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine
from starlette.types import ASGIApp, Message

from notifier.daemon import site as serving
from notifier.model import Cadence, DigestClock, Wish
from notifier.web import application
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


async def before_the_answer(app: ASGIApp, path: str, form: dict[str, str]) -> tuple[list[str], bytes]:
    """Send a form; return the statements of all databases until the last byte of the answer was given, and its body."""
    body, said, asked, answered = urlencode(form).encode(), list[str](), list[bytes](), False

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(part: Message) -> None:
        nonlocal answered
        if part["type"] == "http.response.body":
            asked.append(part.get("body", b""))
            answered = answered or not part.get("more_body")

    def executed(*given: Any) -> None:
        if not answered:
            said.append(given[2])

    headers = [(b"content-type", b"application/x-www-form-urlencoded"), (b"content-length", str(len(body)).encode())]
    scope = {
        "type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers, "client": ("::1", 1),
        "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "server": ("::1", 1), "root_path": "",
    }  # fmt: skip
    event.listen(Engine, "before_cursor_execute", executed)
    try:
        await app(scope, receive, send)
    finally:
        event.remove(Engine, "before_cursor_execute", executed)
    return said, b"".join(asked)


@pytest.mark.parametrize(("path", "form"), [("/subscribe", {"q": "harbours"}), ("/link", {})])
async def test_f108_the_work_before_an_answer_is_the_same_for_every_address(
    here: Served, path: str, form: dict[str, str]
) -> None:
    store, now = here.running.store, here.running.clock()
    pending, gone = "pending@example.org", "gone@example.org"
    clock = DigestClock(Cadence.DAILY, "UTC")
    wishes = [Wish(email=each, label="ferries", canonical="ferry", clock=clock) for each in (pending, gone)]
    await store.ask(wishes[0], now)
    await store.subscribe(wishes[1], origin="web", now=now)
    await store.unsubscribe(gone, now)
    app = application(serving.site(here.running))
    people = (READER, pending, gone, "nobody@example.org", "nobody@elsewhere.example")
    seen = [await before_the_answer(app, path, {**form, "email": email}) for email in people]
    statements, answers = zip(*seen, strict=True)
    assert all(each == statements[0] != [] for each in statements), statements
    assert len(set(answers)) == 1
    assert not any("FROM subscriber" in statement for statement in statements[0])
