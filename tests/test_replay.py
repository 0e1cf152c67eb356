"""The real pages, through the whole program."""

from __future__ import annotations

from pathlib import Path

import pytest

from notifier.model import OutboxState, Outcome
from tests.world import World

pytestmark = pytest.mark.captures


async def test_three_daily_pages_bring_90_73_and_49_papers(installation: World, captures: Path) -> None:
    """The first poll records, the next two find what is new, and a repeated run sends nothing."""
    installation.listing("daily")
    everything, survey = "everything@example.org", "survey@example.org"
    await installation.subscribe(everything, "*")
    await installation.subscribe(survey, "recommendation AND survey")
    news = []
    for number in (1, 2, 3):
        page = (captures / f"listings/daily-papers-{number}.txt").read_bytes()
        installation.pages.put("/daily", page, etag=f'"{number}"')
        (poll,), sent = await installation.run()
        news.append((poll.outcome, poll.read, poll.new, sent))
        (poll,), sent = await installation.run()
        assert (poll.outcome, poll.new, sent) == (Outcome.WAITING, 0, {})
    assert [(read, new) for _, read, new, _ in news] == [(90, 90), (92, 73), (84, 49)]
    assert news[0][3] == {}
    assert all(states.keys() == {OutboxState.SENT} for *_, states in news[1:])
    assert [len(m["Subject"]) > 0 for m in installation.mails(everything)] == [True, True]
