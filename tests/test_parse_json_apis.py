"""What reading the JSON of an API promises: odd values cost their own entry at most, a body cut off is an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.errors import PageError
from notifier.model import AnnounceType, Batch, Page
from notifier.parse import parse

Wrap = Callable[[list[Any]], dict[str, Any]]

WRAP: dict[str, Wrap] = {
    "biorxiv": lambda entries: {"messages": [{"status": "ok", "count": len(entries)}], "collection": entries},
    "crossref": lambda entries: {"message-type": "work-list", "message": {"items": entries}},
    "openreview": lambda entries: {"notes": entries, "count": len(entries)},
}
SOUND: dict[str, dict[str, Any]] = {
    "biorxiv": {"doi": "10.1101/2026.05.04.700001", "title": "Loud Ploughs"},
    "crossref": {"DOI": "10.5555/1", "title": ["Loud Ploughs"]},
    "openreview": {"id": "ploughs1", "content": {"title": {"value": "Loud Ploughs"}}},
}
FIELDS = {
    "biorxiv": "title authors date version type category abstract published server",
    "crossref": "title subtitle abstract author URL posted issued institution group-title subject link relation "
    "updated-by container-title volume issue page",
    "openreview": "content cdate mdate pdate odate version details",
}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["value", "title", "name", "date-parts", "has-preprint", "id", "type", "URL"]), inner
        )
    ),
    max_leaves=10,
)


def read(format: str, found: object, url: str = "https://api.example/details/biorxiv/5d/0") -> Batch:
    content = json.dumps(found).encode()
    return parse(Page(url=url, content=content, fetched_at=datetime(2026, 5, 4, tzinfo=UTC)), format)


@pytest.mark.parametrize("format", WRAP)
@given(value=ANYTHING)
def test_any_json_in_any_field_costs_at_most_its_own_paper(format: str, value: object) -> None:
    key = {name: SOUND[format][name] for name in ("doi", "DOI", "id") if name in SOUND[format]}
    odd = {name: text[:-1] + "2" for name, text in key.items()} | dict.fromkeys(FIELDS[format].split(), value)
    batch = read(format, WRAP[format]([SOUND[format], odd]))
    assert batch.papers[0].title == "Loud Ploughs"
    assert len(batch.papers) == 2


@pytest.mark.parametrize("format", WRAP)
@given(value=ANYTHING)
def test_any_json_in_place_of_the_answer_is_read_or_refused(format: str, value: object) -> None:
    answer = WRAP[format]([SOUND[format]])
    for odd in (value, *({**answer, name: value} for name in answer), WRAP[format]([value])):
        try:
            read(format, odd)
        except PageError:
            continue


@pytest.mark.parametrize("format", WRAP)
def test_f009_an_answer_cut_anywhere_is_an_error(format: str) -> None:
    whole = json.dumps(WRAP[format]([SOUND[format]])).encode()
    for length in range(1, len(whole)):
        with pytest.raises(PageError):
            parse(Page(url="https://x.example/", content=whole[:length], fetched_at=datetime.now(UTC)), format)


@pytest.mark.parametrize(
    ("url", "following"),
    [
        ("https://api.biorxiv.org/details/biorxiv/2026-05-01/2026-05-04", "/2026-05-01/2026-05-04/1"),
        ("https://api.biorxiv.org/details/biorxiv/2026-05-01/2026-05-04/0/json", "/2026-05-01/2026-05-04/1/json"),
        ("https://api.biorxiv.org/details/biorxiv/5d/0", "/5d/1"),
        ("https://api.biorxiv.org/details/biorxiv/50", "/50/1"),
        ("https://api.biorxiv.org/details/biorxiv/5d?category=cell_biology", "/5d/1?category=cell_biology"),
    ],
)
def test_the_next_page_of_biorxiv_begins_where_this_one_ends(url: str, following: str) -> None:
    answer = WRAP["biorxiv"]([SOUND["biorxiv"]]) | {
        "messages": [{"status": "ok", "cursor": 0, "count": 1, "total": "2"}]
    }
    assert read("biorxiv", answer, url).next_url == f"https://api.biorxiv.org/details/biorxiv{following}"


def test_the_last_page_of_biorxiv_has_no_next_one() -> None:
    answer = WRAP["biorxiv"]([SOUND["biorxiv"]]) | {"messages": [{"status": "ok", "cursor": 1, "total": "2"}]}
    assert read("biorxiv", answer).next_url is None


def test_f038_a_paper_that_is_on_the_page_in_two_versions_is_new_and_read_once() -> None:
    first = SOUND["biorxiv"] | {"version": "1", "date": "2026-05-02"}
    second = SOUND["biorxiv"] | {"version": "2", "date": "2026-05-04"}
    for entries in ([first, second], [second, first]):
        batch = read("biorxiv", WRAP["biorxiv"](entries))
        (paper,) = batch.papers
        assert (paper.version, paper.announce_type) == (2, AnnounceType.NEW)
        assert len(batch.papers) + batch.skipped == batch.stated


@pytest.mark.parametrize(
    ("parts", "published"),
    [
        ([[2026, 5, 4]], datetime(2026, 5, 4, tzinfo=UTC)),
        ([[2026, 5]], None),
        ([[2015]], None),
        ([[None]], None),
        ([], None),
        ([[2026, 2, 30]], None),
        ([[0, 1, 1]], None),
    ],
)
def test_f039_a_date_of_crossref_counts_if_it_has_its_day(parts: list[Any], published: datetime | None) -> None:
    work = SOUND["crossref"] | {"issued": {"date-parts": parts}}
    assert read("crossref", WRAP["crossref"]([work])).papers[0].published_at == published
