"""Lives: run the program over and over, each time in a process of its own that a test may kill at any moment.

A life costs a fork and not a start of Python: this program lives once itself and then forks for every line that it is
given. In its life the child opens the installation as the daemon does (and so recovers what the one before left),
posts a letter, and does everything once; a letter is one line of a journal when `post` said that it is kept.

    lives = await Lives.begin(config.toml, journal)
    pid = await lives.start("7")         # the key of its letter
    os.kill(pid, SIGKILL)
    await lives.ended()                  # its exit code, negative for a signal
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from notifier import log
from notifier.config import load
from notifier.daemon import on_signals, once, opened
from notifier.model import Letter, LetterKind
from notifier.pipeline import post

PROJECT = Path(__file__).resolve().parent.parent
STRANGER = "stranger@example.org"
PATIENCE = 900  # seconds; hundreds of letters may be left to one life, on a machine that has better to do


@dataclass(slots=True)
class Lives:
    """The process that forks."""

    process: asyncio.subprocess.Process

    @staticmethod
    async def begin(config: Path, journal: Path) -> Lives:
        """Start it, and wait until it has imported everything."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.lives", str(config), str(journal),
            cwd=PROJECT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        lives = Lives(process)
        assert await lives._line() == "ready"
        return lives

    async def start(self, key: str) -> int:
        """Begin a life; return its process number."""
        assert self.process.stdin
        self.process.stdin.write(f"{key}\n".encode())
        return int(await self._line())

    async def ended(self) -> int:
        """Wait until the life is over; return its exit code, negative if a signal ended it."""
        return int(await self._line())

    async def end(self) -> None:
        """Start no more."""
        assert self.process.stdin
        self.process.stdin.close()
        await self.process.wait()

    async def _line(self) -> str:
        assert self.process.stdout
        line = (await asyncio.wait_for(self.process.stdout.readline(), PATIENCE)).decode().strip()
        assert line, "the program that forks has died"
        return line


async def live(config: Path, journal: Path, key: str) -> int:
    """Do everything once."""
    async with opened(load(config, environment={})) as running:
        stop = on_signals()
        values = {"heading": "A letter", "paragraphs": [f"Fictional {key}."], "remedy": "", "links": []}
        letter = Letter(kind=LetterKind.NOTE, recipient=STRANGER, key=key, values=values)
        await post(running.desk, letter, running.clock())
        with journal.open("a") as file:
            file.write(f"{key}\n")
        await once(running, stop)
    return 0


def main(config: Path, journal: Path) -> None:
    """Live once, so that everything is imported, then fork for every line."""
    log.setup(level=50)
    asyncio.run(live(config, journal, "letter-0"))
    gc.freeze()
    print("ready", flush=True)
    ghosts: list[int] = []
    for line in sys.stdin:
        while ghosts:
            os.waitpid(ghosts.pop(), 0)
        pid = os.fork()
        if pid == 0:
            os._exit(asyncio.run(live(config, journal, line.strip())))
        print(pid, flush=True)
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # its number stays its own until the next line
        assert ended
        print(ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status, flush=True)
        ghosts.append(pid)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
