"""The command line as people start it: what a command said, how it ended, and a page that is watched."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from conftest import PROJECT

from tests.world import World, text_page

READER = "reader@example.org"


@dataclass(frozen=True)
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


# Root may use every file whatever its mode; without these powers it may not either.
POWERLESS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()


async def notifier(*words: str, folder: Path | None = None, by: Sequence[str] = (), **environment: str) -> Said:
    """Run the command line (by POWERLESS, say) with nobody at the terminal and no NOTIFIER_* or COLUMNS around it."""
    bare = {"PATH": os.defpath, "PYTHONPATH": str(PROJECT), "LC_ALL": "C.UTF-8"}
    started = await asyncio.create_subprocess_exec(
        *by, sys.executable, "-m", "notifier", *words, cwd=folder, env={**bare, **environment},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = await started.communicate()
    assert started.returncode is not None
    assert "Traceback" not in err.decode()
    return Said(started.returncode, out.decode(), err.decode())


def watched(world: World, *titles: str) -> None:
    """Watch a page with these titles; write the configuration."""
    world.listing("daily")
    world.pages.put("/daily", text_page(*titles))
    assert world.config
