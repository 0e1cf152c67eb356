"""The table of docs/queries.md, row by row: the document is the definition."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from notifier.match import explain, marks, match
from notifier.model import AnnounceType, Paper, QueryId
from notifier.query import canonical, parse

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "queries.md"
ROW = re.compile(r"^\| `(.+?)` \| (.*) \| (yes|no) \|$", re.MULTILINE)
ROWS = ROW.findall(DOCUMENT.read_text(encoding="utf-8").partition("## The table")[2])


def paper_of(cell: str) -> Paper:
    """Read `Title / abstract {field: value; field: value}`."""
    text, _, stated = cell.removesuffix("}").partition(" {") if cell.endswith("}") and " {" in cell else (cell, "", "")
    title, _, abstract = text.partition(" / ")
    fields = [tuple(entry.split(": ", 1)) for entry in stated.split("; ")] if stated else []
    one = dict(fields)
    return Paper(
        source=one.get("source", "made-up"),
        source_key="x",
        title=title,
        url="",
        title_tex=one.get("tex", ""),
        abstract=abstract,
        arxiv_id=one.get("id"),
        doi=one.get("doi"),
        authors=tuple(value for name, value in fields if name == "author"),
        categories=tuple(value for name, value in fields if name == "category"),
        announce_type=AnnounceType(one["type"]) if "type" in one else None,
        upvotes=int(one["upvotes"]) if "upvotes" in one else None,
        code_url=one.get("code"),
    )


def test_the_table_is_there() -> None:
    rows = DOCUMENT.read_text(encoding="utf-8").partition("## The table")[2].count("\n| `")
    assert len(ROWS) == rows > 150, "a row that is not `query` | text | yes/no is not tested"


@pytest.mark.parametrize(("query", "text", "matches"), ROWS, ids=[f"{query} on {text}" for query, text, _ in ROWS])
def test_a_documented_query_matches_as_documented(query: str, text: str, matches: str) -> None:
    paper, tree = paper_of(text), parse(query)
    found = bool(match([paper], {QueryId(1): tree}))
    assert found == (matches == "yes")
    if "trending" not in query:
        assert explain(tree, paper).matched == found, "the explanation disagrees with the match"
    if not found:
        assert marks([tree], paper) == marks([], paper) or "trending" in query


@pytest.mark.parametrize("query", sorted({query for query, _, _ in ROWS}))
def test_a_documented_query_survives_its_canonical_text(query: str) -> None:
    tree = parse(query)
    assert parse(canonical(tree)) == tree
    assert canonical(parse(canonical(tree))) == canonical(tree)
