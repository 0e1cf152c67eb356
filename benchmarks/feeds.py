"""Feeds per second: a ready feed and its 304, beside nginx serving the same bytes, and beside rendering per request.

Run as `python benchmarks/feeds.py [seconds]` with nginx and wrk installed. All servers are asked in one run, one after
the other, by the same client; what counts are the ratios.
"""

from __future__ import annotations

import asyncio
import os
import re
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
ROUNDS = 3
OURS, NGINX, RENDERED = 28101, 28102, 28103


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as made, served(lambda: asyncio.run(ours(Path(made)))), served(rendered):
        folder = Path(made)
        folder.chmod(0o755)
        got = answered(f"http://127.0.0.1:{OURS}/feeds/all.rss")
        (folder / "all.rss").write_bytes(got.content)
        answered(f"http://127.0.0.1:{RENDERED}/")
        with nginx(folder):
            peer = answered(f"http://127.0.0.1:{NGINX}/all.rss")
            assert peer.content == got.content
            known, same = got.headers["etag"], peer.headers["etag"]
            asked = [
                (OURS, "/feeds/all.rss", ""),
                (NGINX, "/all.rss", ""),
                (RENDERED, "/", ""),
                (OURS, "/feeds/all.rss", known),
                (NGINX, "/all.rss", same),
            ]
            rounds = [
                [load(f"http://127.0.0.1:{port}{path}", seconds, etag) for port, path, etag in asked]
                for _ in range(ROUNDS)
            ]
    best = [max(each) for each in zip(*rounds, strict=True)]  # the round that other work on the machine disturbed least
    full, none = best[:3], best[3:]
    print(f"a feed of {len(got.content):,} bytes, {CONNECTIONS} connections, answers per second")
    print(f"  full: ours {full[0]:,.0f}, nginx {full[1]:,.0f}, rendered per request {full[2]:,.1f}")
    print(f"  304:  ours {none[0]:,.0f}, nginx {none[1]:,.0f}")
    print(f"  ratios: full/nginx {full[0] / full[1]:.2f}, 304/nginx {none[0] / none[1]:.2f}, ", end="")
    print(f"full/rendered {full[0] / full[2]:.0f}")


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
def served(serve: Callable[[], None]) -> Iterator[None]:
    """Serve in a process of its own."""
    child = os.fork()
    if not child:
        try:
            serve()
        finally:
            os._exit(0)
    try:
        yield
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


@contextmanager
def nginx(folder: Path) -> Iterator[None]:
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        "events { worker_connections 512; }\n"
        f"http {{ access_log off; sendfile on; keepalive_requests 1000000;\n"
        f"server {{ listen 127.0.0.1:{NGINX}; root {folder}; }} }}\n"
    )
    server = subprocess.Popen(["nginx", "-c", f"{folder}/nginx.conf"])
    try:
        yield
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


def load(url: str, seconds: int, etag: str = "") -> float:
    """Return how many answers a second wrk gets."""
    known = ["-H", f"If-None-Match: {etag}"] if etag else []
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", *known, url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert found, said
    return float(found[1])


if __name__ == "__main__":
    main()
