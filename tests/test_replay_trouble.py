"""Real sources in trouble, through the whole program: one that died, and one that showed notices in place of papers."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from notifier.daemon import once
from notifier.model import Outcome
from tests.replay import EVERYTHING, once_each
from tests.world import World

pytestmark = pytest.mark.captures


@pytest.mark.parametrize("kind", ["latest", "greatest", "trending"])
@pytest.mark.parametrize("etag", ['"one"', None], ids=["answered 304", "read each time"])
async def test_g5_a_source_that_died_is_quiet_for_four_days_and_then_stale(
    installation: World, captures: Path, kind: str, etag: str | None
) -> None:
    """The feeds of Papers with Code, valid and empty from 2025-07-24 on, for ever."""
    files = sorted((captures / "captures/paperswithcode-rss").glob(f"*_{kind}.xml"))
    pages = [(datetime.strptime(f.name[:17], "%Y-%m-%dT%H%M%S").replace(tzinfo=UTC), f.read_bytes()) for f in files]
    installation.listing("pwc", "feed")
    said = []
    async with installation.opened() as running:
        for installation.now, content in pages:
            installation.pages.put("/pwc", content, etag=f'"{installation.now}"')
            (poll,), _ = await once(running)
            said.append(poll.outcome)
        assert said == [Outcome.FRESH, Outcome.FRESH, Outcome.QUIET]
        installation.pages.put("/pwc", pages[-1][1], etag=etag)
        afterwards = []
        for _ in range(8):
            installation.now += timedelta(days=1)
            (poll,), _ = await once(running)
            afterwards.append(poll)
    alive = [poll.outcome in (Outcome.QUIET, Outcome.WAITING) for poll in afterwards]
    assert alive == [True] * 3 + [False] * 5
    assert {poll.outcome for poll in afterwards[3:]} == {Outcome.STALE}
    assert "nothing unseen since 2025-07-24 09:27 UTC" in afterwards[3].reason


async def test_g5_a_feed_that_holds_only_a_notice_failed_and_one_that_begins_to_fill_did_not(
    installation: World, captures: Path
) -> None:
    """The degenerate snapshots of the JSON Feed: a notice in place of papers, or the first one or two of the day."""
    installation.listing("daily.json", "feed", first="owe")
    await installation.subscribe(EVERYTHING, "*")
    said: dict[str, tuple[Outcome, bool]] = {}
    expected: set[str] = set()
    async with installation.opened() as running:
        for path in sorted((captures / "captures/hf-jsonfeed/degenerate").glob("*.json")):
            content = path.read_text()
            names = set(re.findall(r'"id": "https://huggingface.co/papers/([^"]+)"', content))
            expected |= names
            installation.now = datetime.strptime(path.name[:17], "%Y-%m-%dT%H%M%S").replace(tzinfo=UTC)
            installation.pages.put("/daily.json", content)
            (poll,), _ = await once(running)
            said[path.name] = (poll.outcome, bool(names))
    failed = [name for name, (outcome, _) in said.items() if outcome is Outcome.FAILED]
    assert len(failed) == 8
    assert failed == [name for name, (_, has_papers) in said.items() if not has_papers]
    assert once_each(installation, EVERYTHING) == expected
