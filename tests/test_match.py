"""Matching: which papers a query finds, in a batch."""

from __future__ import annotations

from notifier.match import QuerySet, explain, marks, match, volatile
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


def test_a_query_of_very_many_alternatives_is_evaluated_all_the_same() -> None:
    query = " ".join(f"(a{n} OR b{n} OR -c{n})" for n in range(6)) + " kite"
    assert hits(query, paper("kite a0 a1 b2 c3 b3 a4"), paper("kite c0"), paper("a0 a1 a2 a3 a4 a5")) == [0]


def test_removed_queries_stay_silent_and_may_return() -> None:
    known = QuerySet((QueryId(number), f"word{number}") for number in range(3_000))
    for number in range(2_500):
        known.remove(QueryId(number))
    known.remove(QueryId(77_777))
    known.add(QueryId(5), "kite")
    assert len(known) == 501
    assert (QueryId(5) in known, QueryId(6) in known) == (True, False)
    found = match([paper("word5 word6 kite word2999")], known)
    assert sorted(hit.query for hit in found) == [5, 2999]


def test_a_set_gives_the_same_hits_for_the_125th_and_the_first_paper() -> None:
    papers = [paper("kite" if number % 7 == 0 else "rain") for number in range(200)]
    assert hits("kite", *papers) == list(range(0, 200, 7))
    assert hits("* -kite", *papers) == [number for number in range(200) if number % 7]
    assert hits("kite") == []


def test_marks_are_spans_of_the_readable_text_whatever_folding_does_to_lengths() -> None:
    known = paper("ﬁne‑tuning Straße for LLMs", abstract="The İ and ﬁne tuning", title_tex=r"$\tau$ only here")
    found = marks([parse("finetuning"), parse("strasse OR llm"), parse("tau"), parse("kite")], known)
    assert found.title == ((0, 10), (11, 17), (22, 26))
    assert found.abstract == ((10, 20),)
    assert found.words == ("ﬁne‑tuning", "Straße", "LLMs", "ﬁne tuning")


def test_marks_show_what_made_the_query_match_and_not_what_it_excludes() -> None:
    known = paper("Kites in rain", abstract="Sun", authors=("Ada Moor", "Bo Noor"), categories=("cs.CL", "stat.ML"))
    found = marks([parse('(kite OR (rain snow)) -hail au:"A. Moor" cat:cs')], known)
    assert (found.words, found.authors, found.categories) == (("Kites",), ("Ada Moor",), ("cs.CL",))
    assert marks([parse("kite snow")], known) == marks([], known)


def test_an_explanation_names_the_part_that_failed() -> None:
    known = paper("Kites in rain", categories=("cs.CL",), upvotes=3)
    told = explain(parse("kite cat:cs upvotes>=20 -rain"), known)
    assert not told.matched
    assert str(told).splitlines() == [
        "no   -rain category:cs kite upvotes>=20: 2 of 4 parts match, all must",
        '  no   -rain: title has "rain"',
        "  yes  category:cs: category is cs.CL",
        '  yes  kite: title has "Kites"',
        "  no   upvotes>=20: the paper has 3 upvotes",
    ]
