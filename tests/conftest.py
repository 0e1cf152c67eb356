"""What every test may ask for. Real pages are outside the project: `captures` finds them or says why not."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.world import World, world

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def captures() -> Path:
    """Folder with `listings/` and `captures/` of real pages: $NOTIFIER_CAPTURES, else `../shared`.

    Absent on a user's machine the test is skipped; with CI=true they are required.
    """
    folder = Path(os.environ.get("NOTIFIER_CAPTURES") or PROJECT.parent / "shared")
    if (folder / "listings").is_dir() and (folder / "captures").is_dir():
        return folder
    if os.environ.get("CI") == "true":
        pytest.fail(f"the captured pages are required with CI=true, and {folder} does not hold them")
    pytest.skip("the captured pages are not on this machine (set NOTIFIER_CAPTURES to their folder)")


@pytest.fixture
async def installation(tmp_path: Path) -> AsyncIterator[World]:
    """A whole installation in a temporary folder; see tests/world.py."""
    async with world(tmp_path) as opened:
        yield opened
