"""Feeds per second: a ready feed and its 304, beside nginx serving the same bytes, and beside rendering per request.

Run as `python benchmarks/feeds.py [seconds] [rounds]` with nginx and wrk installed. All servers are asked in one run by
the same client, one after the other in each round; what counts are the ratios, of the medians of the rounds. Answers
per second depend on what else the machine does; the processor time that a server takes for an answer does so less.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn
from starlette.types import Receive, Scope, Send

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

from notifier.feed import rss  # noqa: E402
from tests import fictional  # noqa: E402
from tests.servers.http import site as pages  # noqa: E402
from tests.world import World, text_page  # noqa: E402

CONNECTIONS = 64
ROUNDS = 5
TICKS = os.sysconf("SC_CLK_TCK")
OURS, NGINX, RENDERED = 28101, 28102, 28103


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    count = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    with (
        tempfile.TemporaryDirectory() as made,
        served(lambda: asyncio.run(ours(Path(made)))) as own,
        served(rendered) as renders,
    ):
        folder = Path(made)
        folder.chmod(0o755)
        got = answered(f"http://127.0.0.1:{OURS}/feeds/all.rss")
        (folder / "all.rss").write_bytes(got.content)
        answered(f"http://127.0.0.1:{RENDERED}/")
        with nginx(folder) as limit:
            peer = answered(f"http://127.0.0.1:{NGINX}/all.rss")
            assert peer.content == got.content
            known, same = got.headers["etag"], peer.headers["etag"]
            asked = [
                (own, f"http://127.0.0.1:{OURS}/feeds/all.rss", ""),
                (limit, f"http://127.0.0.1:{NGINX}/all.rss", ""),
                (renders, f"http://127.0.0.1:{RENDERED}/", ""),
                (own, f"http://127.0.0.1:{OURS}/feeds/all.rss", known),
                (limit, f"http://127.0.0.1:{NGINX}/all.rss", same),
            ]
            rounds = [[load(*each, seconds) for each in asked] for _ in range(count)]
    middle = [tuple(map(statistics.median, zip(*each, strict=True))) for each in zip(*rounds, strict=True)]
    print(f"a feed of {len(got.content):,} bytes, {CONNECTIONS} connections, medians of {count} rounds")
    print(f"{'':<28}{'answers/s':>12}{'processor us/answer':>22}")
    names = ("full: ours", "full: nginx", "full: rendered per request", "304: ours", "304: nginx")
    for name, (rate, cost) in zip(names, middle, strict=True):
        print(f"{name:<28}{rate:>12,.0f}{cost * 1e6:>22,.0f}")
    for what, (one, two) in {"full/nginx": (0, 1), "304/nginx": (3, 4), "full/rendered": (0, 2)}.items():
        rates = sorted(each[one][0] / each[two][0] for each in rounds)
        print(
            f"{what}: {middle[one][0] / middle[two][0]:.2f} of the answers ({rates[0]:.2f} to {rates[-1]:.2f}), "
            f"{middle[two][1] / middle[one][1]:.2f} by the processor"
        )


async def ours(folder: Path) -> None:
    """Serve an installation with a hundred new papers."""
    async with pages() as listing:
        world = World(folder, listing)
        world.extra = f'[web]\nlisten = "127.0.0.1:{OURS}"\n'
        world.listing("daily", first="owe")
        listing.put("/daily", text_page(*(f"Fictional Paper Number {number} on Harbours" for number in range(100))))
        await world.run()
        async with world.opened() as running:
            from notifier.daemon import site

            await running.shelf.refresh()
            await site.server(running).serve(sockets=[site.listener(running.config.web.listen)])


def rendered() -> None:
    """Serve a feed that is made by feedgen for every request."""
    channel = fictional.channel(100)

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": rss(channel)})

    uvicorn.run(app, port=RENDERED, log_level="error", lifespan="off")


@contextmanager
def served(serve: Callable[[], None]) -> Iterator[int]:
    """Serve in a process of its own; yield its number."""
    child = os.fork()
    if not child:
        try:
            serve()
        finally:
            os._exit(0)
    try:
        yield child
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


@contextmanager
def nginx(folder: Path) -> Iterator[int]:
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        "events { worker_connections 512; }\n"
        f"http {{ access_log off; sendfile on; keepalive_requests 1000000;\n"
        f"server {{ listen 127.0.0.1:{NGINX}; root {folder}; }} }}\n"
    )
    server = subprocess.Popen(["nginx", "-c", f"{folder}/nginx.conf"])
    try:
        yield server.pid
    finally:
        server.terminate()
        server.wait()


def answered(url: str) -> httpx.Response:
    """Wait until a server answers, for a minute at most."""
    for _ in range(300):
        try:
            return httpx.get(url, headers={"Accept-Encoding": "identity"})
        except httpx.TransportError:
            time.sleep(0.2)
    raise TimeoutError(url)


def load(server: int, url: str, etag: str, seconds: int) -> tuple[float, float]:
    """Return how many answers a second wrk gets, and what one takes of the server's processor, in seconds."""
    known = ["-H", f"If-None-Match: {etag}"] if etag else []
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", *known, url]
    before = spent(server)
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found, count = re.search(r"Requests/sec:\s+([\d.]+)", said), re.search(r"(\d+) requests in", said)
    assert found, said
    assert count, said
    return float(found[1]), (spent(server) - before) / int(count[1])


def spent(server: int) -> float:
    """Return the processor time of a process and its children, in seconds."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, fields = int(stat.parent.name), stat.read_text().rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        if server in (number, int(fields[1])):
            total += int(fields[11]) + int(fields[12])
    return total / TICKS


if __name__ == "__main__":
    main()
