"""The memory of the program while it reads every page that was ever captured."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time as clocks
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.replay import EVERYTHING, packed
from tests.world import World

pytestmark = pytest.mark.captures


# MiB of the program's own process: 150 MB. Some 85 are there once its libraries are imported and the database is open.
MEMORY_LIMIT = 143

# Which format reads which folder of captures; a page that is none of the format's own fails, and that is part of it.
FOLDERS = {
    "hf-daily-api": "hf-daily",
    "hf-papers-html": "hf-daily",
    "hf-jsonfeed": "feed",
    "hf-rss": "feed",
    "arxiv-html": "arxiv-list",
    "arxiv-feeds": "arxiv-feed",
    "arxiv-api": "arxiv-api",
    "arxiv-mail": "arxiv-mail",
    "oai-pmh": "oai-pmh",
    "biorxiv": "biorxiv",
    "paperswithcode-rss": "feed",
    "feeds": "feed",
}


def everything(captures: Path) -> Iterator[tuple[str, bytes]]:
    """Every captured page with the folder that it is from, one at a time in memory."""
    for folder in FOLDERS:
        for path in sorted((captures / "captures" / folder).rglob("*")):
            if path.name.endswith(".tar.xz"):
                for _, content in packed(path):
                    yield folder, content
            elif path.is_file() and path.suffix != ".md":
                yield folder, path.read_bytes()
    for path in sorted((captures / "listings").glob("daily-papers-*.txt")):
        yield "listings", path.read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_the_memory_of_a_process_that_reads_every_capture_is_bounded(installation: World, captures: Path) -> None:
    """The program alone in a process; the pages are served from here, so that none is counted that it does not hold."""
    for folder, format in FOLDERS.items():
        installation.listing(folder, format, first="owe")
    installation.listing("listings", first="owe")
    await installation.subscribe(EVERYTHING, "*")
    assert installation.config
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.replay", str(installation.folder / "config.toml"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin and process.stdout
    pages = size = news = 0
    outcomes: dict[str, int] = {}
    peaks: dict[str, int] = {}  # after the last page of each folder
    started = clocks.perf_counter()
    try:
        for folder, content in everything(captures):
            installation.now += timedelta(minutes=30)
            installation.pages.put(f"/{folder}", content)
            process.stdin.write(f"{folder}\t{installation.now.isoformat()}\n".encode())
            outcome, new, peak = (await process.stdout.readline()).decode().split("\t")
            peaks[folder] = int(peak)
            pages, size, news = pages + 1, size + len(content), news + int(new)
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        process.stdin.close()
        _, own, parser = (await process.stdout.readline()).decode().split("\t")
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    took = clocks.perf_counter() - started
    print(f"\n{pages} pages, {size / 1e6:.0f} MB, {news} new papers in {took:.0f} s: {outcomes}")
    print(f"peak resident memory: program {own} MiB, parser {int(parser)} MiB; after each folder: {peaks}")
    assert news > 10_000
    assert int(own) < MEMORY_LIMIT
