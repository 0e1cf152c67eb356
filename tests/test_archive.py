"""The archive: papers are found by the words of their titles, abstracts and authors."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from notifier.model import Change, ChangeKind, Diff, Outcome, Paper, PaperId, Poll, QueryId, Seen
from notifier.store import Store, open_store
from notifier.store.archive import Sought
from notifier.store.papers import Papers
from tests.servers.postgres import Cluster

pytestmark = pytest.mark.both_databases

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def paper(number: int, title: str, abstract: str = "", *authors: str) -> Paper:
    return Paper(
        source="made-up", source_key=str(number), title=title, abstract=abstract, url="https://example.org/",
        authors=authors,
    )  # fmt: skip


PAPERS = [
    paper(1, "Graph-Based Maps of Harbours", "On ferries, and 2.5 ropes.", "Ilse Quandt"),
    paper(2, "Ferry Timetables", "It mentions harbours_and_more in its abstract.", "Pál Erdős", "Bo Tide"),
    paper(3, "图神经网络的推理", "A fictional abstract about graphs.", "王小明"),
]


async def record(store: Store, *changes: Change) -> None:
    listed = Poll(listing="daily", polled_at=NOW, outcome=Outcome.FRESH, reason="", read=3, new=3)
    await store.record_poll(
        listed, Diff(changes, Outcome.FRESH, ""), [], None, seen=Seen({}, PaperId(0)), queries_up_to=QueryId(0),
        next_poll_at=NOW + timedelta(days=1),
    )  # fmt: skip


async def found(store: Store, words: str, **more: object) -> list[int]:
    papers = await store.search(Sought(words=words, **more), 10, 0)  # type: ignore[arg-type]
    return [int(each.paper.source_key) for each in papers]


async def test_papers_are_found_by_their_words_newest_first(database: str) -> None:
    async with open_store(database) as store:
        await record(store, *(Change(ChangeKind.NEW, each, (f"made-up:{each.source_key}",)) for each in PAPERS))
        for words, expected in {
            "harbours": [2, 1], "HARBOUR": [2, 1], "harbours ferries": [1], "graph-based": [1], "graph": [3, 1],
            "ilse quandt": [1], "Erdős": [2], "tide": [2], "2.5": [1], "神经网络": [3], "王小明": [3],
                "神经 graphs": [3],
            "ERDO\u030bS": [2], "T\u0130DE": [2], "fe": [],
            "erdos": [2],
            "PAL ERDO\u0308S": [2], "h\u00e1rbour": [2, 1], "h\u00e1r": [2, 1], "\u0438\u0306": [], "bo": [2],
            "nothing": [], "arbours": [], "": [3, 2, 1], "  ": [3, 2, 1], "!!": [],
            '"': [], "' OR 1=1 --": [], "NEAR(a b)": [], "ferr*": [2, 1], "a:* | !b & (": [],
            "har:* | !ferr & (": [2, 1], "title:harbours": [],
        }.items():  # fmt: skip
            assert await found(store, words) == expected, words
        for odd in "\u19b0\u19c8\u1cf2":  # a letter to one tokenizer, none to another
            assert await found(store, odd) == []
            assert await found(store, f"ferry{odd}timetables") in ([], [2])
        assert await found(store, "harbours", listing="daily") == [2, 1]
        assert await found(store, "harbours", listing="weekly") == []
        assert await found(store, "harbours", since=NOW + timedelta(days=1)) == []
        assert [each.paper.source_key for each in await store.search(Sought(words="graph"), 1, 1)] == ["1"]


async def test_a_paper_that_changes_is_found_by_what_it_says_now(database: str) -> None:
    async with open_store(database) as store:
        await record(store, Change(ChangeKind.NEW, PAPERS[0], ("made-up:1",)))
        assert isinstance(store, Papers)
        async with store._database.write() as connection:
            from notifier.store import schema

            changed = replace(PAPERS[0], title="Lighthouses", upvotes=7)
            values = {"title": changed.title, "upvotes": changed.upvotes}
            await connection.execute(schema.paper.update().values(values))
            await connection.execute(schema.paper.update().values(upvotes=8, title="Lighthouses"))
        assert (await found(store, "lighthouses"), await found(store, "maps"), await found(store, "ropes")) == (
            [1],
            [],
            [1],
        )


async def test_words_of_every_script_are_found_where_the_locale_of_postgresql_knows_ascii_alone(
    request: pytest.FixtureRequest,
) -> None:
    if request.config.getoption("--sqlite-only"):
        pytest.skip("of PostgreSQL alone")
    server: Cluster = request.getfixturevalue("postgres")
    server._execute("CREATE DATABASE ascii_alone ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0")
    async with open_store(server.url("ascii_alone")) as store:
        told = paper(4, "Поезда: Москва, Łódź", "A fictional abstract on ÜBERS.", "Ελλάδα Άλφα")
        await record(store, Change(ChangeKind.NEW, told, ("made-up:4",)))
        for words in ("москва", "МОСКВА", "Łódź", "łodz", "übers", "Άλφα", "поезд"):
            assert await found(store, words) == [4], words
