"""An installation that lives through months in minutes: a process that is told the time, and does what is due then.

    python -m tests.soak CONFIG

opens the installation as the daemon does and reads instants from standard input, a line each: at each it does every
step of the daemon once, and answers with the resident memory of itself and of its parser, `SELF<tab>PARSER` in KiB.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from notifier.config import load
from notifier.daemon import opened
from notifier.daemon.steps import steps
from tests.replay import children


async def live(config: Path) -> None:
    """Do what standard input says; see the module."""
    now = [datetime.now(UTC)]
    pruned = None
    first = await asyncio.to_thread(sys.stdin.readline)
    now[0] = datetime.fromisoformat(first.strip())
    async with opened(load(config, environment={}), clock=lambda: now[0]) as running:
        doing = steps(running, asyncio.Event())
        line = first
        while line:
            now[0] = datetime.fromisoformat(line.strip())
            for step in doing:
                if step.name != "prune" or pruned != now[0].date():
                    await step.work()
            pruned = now[0].date()
            print(resident(), max(map(resident, children()), default=0), sep="\t", flush=True)
            line = await asyncio.to_thread(sys.stdin.readline)


def resident(process: str = "self") -> int:
    """Return the memory that a process has resident now, in KiB."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")), 0)


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1])))
