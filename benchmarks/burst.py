"""A burst of feed readers at the full hour, when the digests are due: how much later are the digests?

    python benchmarks/burst.py [digests] [readers] [rounds]

One installation sends a day's digests to a Maildir again and again: alone, beside READERS readers of its own feeds, and
beside as many who read the same files from nginx. The last is the limit: it costs the digests what the readers and any
server of files take from the machine. A reader has a connection of its own, AT_ONCE are open at a time, and asks once:
half of them know the feed already, and one in ten asks for a private one, which is made for them. What counts is when
the last digest is sent; the rounds take turns, and of each kind the median is told.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.queues import Queue
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

from notifier.daemon import Running, once  # noqa: E402
from notifier.daemon.steps import steps  # noqa: E402
from notifier.model import Cadence, DigestClock, Wish  # noqa: E402
from notifier.pipeline import Drained  # noqa: E402
from notifier.query import canonical, parse  # noqa: E402
from tests.world import START, Served, World, text_page, world  # noqa: E402

AT_ONCE = 400  # connections
PRIVATE = 50  # private feeds that are asked for
NGINX = 28104


def burst(port: int, asked: list[bytes], answers: Queue[tuple[dict[str, int], float, float]]) -> None:
    """Be all readers, as cheaply as one process can: what it takes is taken from the server."""
    waiting, seen, took = selectors.DefaultSelector(), Counter[str](), list[float]()
    left, started = list(asked), time.perf_counter()
    while left or waiting.get_map():
        while left and len(waiting.get_map()) < AT_ONCE:
            reader = socket.socket()
            reader.setblocking(False)
            reader.connect_ex(("127.0.0.1", port))
            waiting.register(reader, selectors.EVENT_WRITE, (left.pop(), b""))
        for key, events in waiting.select(30):
            assert isinstance(key.fileobj, socket.socket)
            request, got = key.data
            if events & selectors.EVENT_WRITE:
                key.fileobj.send(request)
                waiting.modify(key.fileobj, selectors.EVENT_READ, (request, b""))
            elif part := _received(key.fileobj):
                waiting.modify(key.fileobj, selectors.EVENT_READ, (request, got or part[:12]))
            else:
                seen[got[9:12].decode() or "none"] += 1
                took.append(time.perf_counter() - started)
                waiting.unregister(key.fileobj)
                key.fileobj.close()
    answers.put((dict(seen), statistics.median(took), took[-1]))


def _received(reader: socket.socket) -> bytes:
    try:
        return reader.recv(1 << 20)
    except ConnectionError:
        return b""


def requests(readers: int, public: str, etag: str, private: list[str]) -> list[bytes]:
    """Return what the readers ask for."""
    made = []
    for number in range(readers):
        path = private[number // 10 % len(private)] if number % 10 == 0 else public
        known = f"If-None-Match: {etag}\r\n" if number % 2 else ""
        made.append(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n{known}Connection: close\r\n\r\n".encode()
        )
    return made


async def subscribe(running: Running, digests: int) -> None:
    for number in range(digests):
        clock = DigestClock(Cadence.DAILY, "UTC")
        text = f"harbours OR w{number % 50}"
        wish = Wish(email=f"r{number}@example.org", label=text, canonical=canonical(parse(text)), clock=clock)
        await running.store.subscribe(wish, origin="cli", now=START)


async def day(there: World, number: int) -> None:
    """Let a day's papers be read, and the digests of it be due."""
    titles = [f"Fictional Paper {number}.{each} on Harbours" for each in range(40)]
    there.now = START + timedelta(days=number, hours=-5)
    there.pages.put("/daily", text_page(*titles, day=f"{there.now:%b %-d}"))
    async with there.opened() as running:
        await once(running)
    there.now += timedelta(hours=1, seconds=1)


@contextmanager
def nginx(folder: Path) -> Iterator[None]:
    """Serve the files of a folder, compressed once, as the program does."""
    folder.chmod(0o755)
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        "events { worker_connections 4096; }\n"
        "http { access_log off; sendfile on; gzip_static on;\n"
        f"server {{ listen 127.0.0.1:{NGINX} backlog=4096; root {folder}; }} }}\n"
    )
    server = subprocess.Popen(["nginx", "-c", f"{folder}/nginx.conf"])
    try:
        yield
    finally:
        server.terminate()
        server.wait()


async def round(served: Served, digests: int, readers: int, beside: str, files: Path) -> list[float]:
    """Send a day's digests beside readers of "ours", of "nginx" or of none; return what it took, and what they waited.

    Seconds: until the last digest was sent, of the processor for all that this process did, and until the median and
    the last reader were answered.
    """
    running, crowd = served.running, None
    answers: Queue[tuple[dict[str, int], float, float]] = multiprocessing.get_context("spawn").Queue()
    if beside:
        ready = running.shelf.public["/feeds/all.atom"]
        private = []
        for each in range(PRIVATE):
            owner = await running.store.subscriber(f"r{each}@example.org")
            assert owner
            (feed, *_) = await running.store.private_feeds(owner.subscriber_id)
            private.append(f"/feeds/private/{running.store.link('feed', feed.seed)}.atom")
        port, etag = int(served.url.rpartition(":")[2]), f'"{ready.etag}-gzip"'
        if beside == "nginx":
            (files / "all.atom").write_bytes(ready.body)
            (files / "all.atom.gz").write_bytes(ready.gzipped)
            asked = requests(readers, "/all.atom", "", ["/all.atom"])
            with socket.create_connection(("127.0.0.1", NGINX)) as first:
                first.sendall(asked[0])
                head = first.makefile("rb").read().decode("latin-1")
            etag = head.partition("ETag: ")[2].partition("\r\n")[0]
            asked, port = requests(readers, "/all.atom", etag, ["/all.atom"]), NGINX
        else:
            asked = requests(readers, "/feeds/all.atom", etag, private)
        crowd = multiprocessing.get_context("spawn").Process(target=burst, args=(port, asked, answers))
        crowd.start()
        while beside == "ours" and not served.server.server_state.total_requests:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        if beside == "nginx":
            await asyncio.sleep(0.5)  # what it takes to start
    began, spent = time.perf_counter(), time.process_time()
    (send,) = (step for step in steps(running, asyncio.Event()) if step.name == "send")
    drained = await send.work()
    took, spent = time.perf_counter() - began, time.process_time() - spent
    assert isinstance(drained, Drained)
    assert sum(drained.states.values()) == digests, drained
    if crowd is None:
        return [took, spent, 0.0, 0.0]
    seen, middle, last = await asyncio.to_thread(answers.get)
    await asyncio.to_thread(crowd.join)
    assert set(seen) == {"200", "304"}, seen
    return [took, spent, middle, last]


async def run(digests: int, readers: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as made:
        files = Path(made)
        async with world(Path(folder)) as there:
            there.listing("daily")
            there.pages.put("/daily", text_page("An Old Fictional Paper"))
            async with there.opened() as running:
                await subscribe(running, digests)
                await once(running)
            kinds = ["", "ours", "nginx"] if shutil.which("nginx") else ["", "ours"]
            found: dict[str, list[list[float]]] = {kind: [] for kind in kinds}
            with nginx(files):
                for number in range(rounds * len(kinds)):
                    kind = kinds[number % len(kinds)]
                    await day(there, number + 1)
                    async with there.served() as served:
                        await served.running.shelf.refresh()
                        found[kind].append(await round(served, digests, readers, kind, files))
    print(f"{digests} digests, {readers:,} readers; seconds, medians of {rounds} rounds")
    print(f"{'beside':<22}{'last digest':>12}{'processor':>11}{'median reader':>15}{'last reader':>13}")
    medians = {kind: [statistics.median(each) for each in zip(*found[kind], strict=True)] for kind in kinds}
    for kind, words in (("", "nobody"), ("ours", "readers of ours"), ("nginx", "readers of nginx")):
        if kind in medians:
            took, spent, middle, last = medians[kind]
            print(f"{words:<22}{took:>12.2f}{spent:>11.2f}{middle:>15.2f}{last:>13.2f}")
    print(f"digests beside readers of ours: {medians['ours'][0] / medians[''][0]:.2f} of alone", end="")
    if "nginx" in medians:
        print(f"; beside readers of nginx: {medians['nginx'][0] / medians[''][0]:.2f} of alone", end="")
        print(f"; ours of nginx: {medians['ours'][0] / medians['nginx'][0]:.2f}", end="")
        print(f", by the processor {medians['ours'][1] / medians['nginx'][1]:.2f}")


if __name__ == "__main__":
    asyncio.run(run(*(int(each) for each in (sys.argv[1:] + ["300", "5000", "3"][len(sys.argv) - 1 :]))))
