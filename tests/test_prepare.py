"""Days made ready in a process apart: the same as made here, and made here when there is no such process."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime

import pytest

from notifier.model import Paper, PaperId, StoredPaper
from notifier.query import parse
from notifier.survey import survey
from notifier.survey.prepare import FEW, prepare

DAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
PAPERS = [
    StoredPaper(
        paper_id=PaperId(n), guid=f"urn:{n}", seen_at=DAY, changed_at=DAY,
        paper=Paper(
            source="made-up", source_key=str(n), title=f"Fictional Paper {n} on Water-Ways", abstract="Harbours. " * n,
            url="https://example.org/", authors=("Ada Tide", f"B. {'Knot' if n % 2 else 'Rope'}"),
        ),
    )
    for n in range(FEW + 20)
]  # fmt: skip


async def days() -> AsyncIterator[tuple[date, list[StoredPaper]]]:
    yield date(2026, 3, 1), PAPERS[:3]
    yield date(2026, 3, 2), PAPERS


@pytest.mark.parametrize("python", [sys.executable, "/nowhere/python", "/bin/true"])
async def test_days_are_ready_to_be_asked_whether_or_not_a_process_could_be_had(
    monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    monkeypatch.setattr(sys, "executable", python)
    few, many = [each async for each in prepare(days())]
    assert (few.day, len(few.corpus), many.day, len(many.corpus)) == (date(2026, 3, 1), 3, date(2026, 3, 2), FEW + 20)
    assert many[7] == PAPERS[7]
    for text, caught in (
        ('author:"Ada Tide"', 63), ("author:tide", 63), ('author:"Bo Knot"', 31), ('author:"Carl Knot"', 0),
        ("harbours", 61), ('"water ways"', 63), ("waterways", 63), ("title:harbours", 0), ("fictional NOT harbours", 2),
    ):  # fmt: skip
        assert survey(parse(text), [few, many], DAY, 30).hits == caught, text
