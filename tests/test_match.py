"""Matching: which papers a query finds, in a batch."""

from __future__ import annotations

from notifier.match import QuerySet, match, volatile
from notifier.model import Hit, Paper, QueryId
from notifier.query import parse


def paper(title: str = "", **fields: object) -> Paper:
    return Paper(source="made-up", source_key=title or "x", title=title, url="", **fields)  # type: ignore[arg-type]


def hits(query: str, *papers: Paper) -> list[int]:
    return [hit.paper for hit in match(papers, {QueryId(7): parse(query)})]


def test_a_hit_names_the_query_and_the_position_of_the_paper() -> None:
    papers = [paper("Bees that plan"), paper("Robots that plan"), paper("Sleeping robots")]
    queries = {QueryId(3): parse("robot"), QueryId(9): parse("plan -bees")}
    assert sorted(match(papers, queries), key=lambda hit: (hit.query, hit.paper)) == [
        Hit(QueryId(3), 1),
        Hit(QueryId(3), 2),
        Hit(QueryId(9), 1),
    ]


def test_a_query_set_takes_and_loses_single_queries() -> None:
    known = QuerySet({QueryId(1): parse("robot")})
    known.add(QueryId(2), "bee")
    known.remove(QueryId(1))
    assert match([paper("Robots and bees")], known) == [Hit(QueryId(2), 0)]
    assert len(known) == 1


def test_trending_ranks_the_papers_that_are_given() -> None:
    papers = [paper("a", upvotes=3), paper("b"), paper("c", upvotes=9), paper("d", upvotes=3), paper("e", upvotes=0)]
    assert hits("trending:2", *papers) == [0, 2]
    assert hits("trending:10", *papers) == [0, 2, 3]
    assert hits("trending:10/week -c", *papers) == [0, 3]


def test_only_votes_code_and_ranking_make_a_query_volatile() -> None:
    assert [
        volatile(parse(text)) for text in ("a OR upvotes>=3", "-has:code b", "trending:5", "cat:cs type:new a")
    ] == [
        True,
        True,
        True,
        False,
    ]
