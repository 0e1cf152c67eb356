"""A database in which every reader is owed half of the papers, and the desk that sends them what they are owed.

What one message holds (ten papers, 40 kB) is the same on SQLite and on PostgreSQL and in every benchmark that sends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from sqlalchemy import insert

from notifier.compose.fragments import Fragments
from notifier.deliver import relay
from notifier.digest import Letterhead
from notifier.drain import Desk
from notifier.store import Store, schema
from notifier.templates import Templates

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PAPERS, QUERIES, DOMAINS = 20, 50, 400
CONNECTIONS = 20
AT_ONCE = 5_000  # readers put in by one statement
ABSTRACT = "This fictional abstract says again and again that it is about nothing in particular. " * 14


def title(number: int) -> str:
    return f"A Fictional Paper on Graph Reasoning, Number {number}"


def address(number: int) -> str:
    return f"reader{number}@domain{number % DOMAINS}.example"


async def fill(store: Store, readers: int, papers: int = PAPERS) -> None:
    """Put papers, queries and readers into an empty database: every reader is owed half of the papers."""
    poll = {"listing": "daily", "polled_at": NOW, "outcome": "fresh", "reason": "", "day_text": "",
            "read": papers, "new": papers}  # fmt: skip
    paper = {
        "poll_id": 2, "news_poll_id": 2, "counted": True, "seen_at": NOW, "changed_at": NOW, "source": "test",
        "title_tex": "", "abstract": ABSTRACT, "abstract_tex": "", "authors": ["A. Author", "B. Writer"],
        "categories": ["cs.CL"], "withdrawn": False,
    }  # fmt: skip
    async with store._database.write() as connection:
        await connection.execute(insert(schema.poll), [poll] * 2)
        for n in range(papers):
            own = {"guid": f"urn:{n}", "source_key": str(n), "title": title(n), "url": f"https://papers.example/{n}"}
            await connection.execute(insert(schema.paper), paper | own)
        await connection.execute(insert(schema.query), [{"canonical": f"graph OR word{n}"} for n in range(QUERIES)])
        hits = [(q + 1, p + 1) for q in range(QUERIES) for p in range(PAPERS) if (q + p) % 2]
        rows = [{"query_id": q, "paper_id": p, "edition": 0, "kind": "new", "poll_id": 2} for q, p in hits]
        await connection.execute(insert(schema.hit), rows)
        person = {"state": "confirmed", "since": NOW, "bounce_score": 0.0, "health": ""}
        wish = {
            "label": "graph", "cadence": "immediate", "at": NOW.time(), "weekday": 0, "timezone": "UTC",
            "versions": "new", "quiet": "nothing", "began": 1, "cursor": 1, "active": True, "origin": "cli",
        }  # fmt: skip
        for start in range(0, readers, AT_ONCE):
            some = range(start, min(readers, start + AT_ONCE))
            rows = [person | {"email": address(n), "token": f"{n:040x}", "feed": f"f{n:039x}"} for n in some]
            await connection.execute(insert(schema.subscriber), rows)
            seeds = [{"feed": f"s{n:039x}", "feed_name": f"n{n:039x}"} for n in some]
            rows = [
                wish | seed | {"subscriber_id": n + 1, "query_id": n % QUERIES + 1}
                for n, seed in zip(some, seeds, strict=True)
            ]
            await connection.execute(insert(schema.subscription), rows)


def letterhead(store: Store) -> Letterhead:
    """Return who writes the digests of this database."""
    return Letterhead(
        base_url="https://papers.example.org", sender=("Papers", "papers@example.org"), link=store.link
    )  # fmt: skip


@asynccontextmanager
async def open_desk(store: Store, port: int) -> AsyncIterator[Desk]:
    """Open the desk that sends to a relay on loopback, and take leave of the relay at the end."""
    sending, templates = relay(f"smtp://127.0.0.1:{port}", connections=CONNECTIONS), Templates()
    try:
        yield Desk(
            store=store, relay=sending, templates=templates, fragments=Fragments(templates), head=letterhead(store),
            owner="bench:1", resend=True, clock=lambda: NOW,
        )  # fmt: skip
    finally:
        await sending.close()
