"""A burst of feed readers at the full hour, when the digests are due: how much later are the digests?

    python benchmarks/burst.py [digests] [readers]

One installation sends its digests to a Maildir twice: alone, and while READERS readers, each over a connection of its
own, ask for feeds as fast as they are answered: most for a public one, half of them knowing it already, and one in ten
for a private one, which is made for them. What counts is when the last digest is sent.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

from notifier.daemon import Running, once  # noqa: E402
from notifier.model import Cadence, DigestClock, Wish  # noqa: E402
from notifier.query import canonical, parse  # noqa: E402
from tests.world import START, World, text_page, world  # noqa: E402

AT_ONCE = 200  # connections


async def reader(port: int, path: str, etag: str) -> str:
    """Ask once; return the status."""
    there, back = await asyncio.open_connection("127.0.0.1", port)
    known = f"If-None-Match: {etag}\r\n" if etag else ""
    back.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n{known}Connection: close\r\n\r\n".encode())
    answer = await there.read()
    back.close()
    return answer[9:12].decode()


def burst(port: int, readers: int, etag: str, private: list[str], answers: multiprocessing.Queue[object]) -> None:
    """Be all readers."""

    async def run() -> Counter[str]:
        places, seen = asyncio.Semaphore(AT_ONCE), Counter[str]()

        async def one(number: int) -> None:
            path = private[number // 10 % len(private)] if number % 10 == 0 else "/feeds/all.atom"
            async with places:
                seen[await reader(port, path, etag if number % 2 else "")] += 1

        async with asyncio.TaskGroup() as group:
            for number in range(readers):
                group.create_task(one(number))
        return seen

    started = time.perf_counter()
    seen = asyncio.run(run())
    answers.put((dict(seen), time.perf_counter() - started))


async def subscribe(running: Running, digests: int) -> None:
    for number in range(digests):
        clock = DigestClock(Cadence.DAILY, "UTC")
        text = f"harbours OR w{number % 50}"
        wish = Wish(email=f"r{number}@example.org", label=text, canonical=canonical(parse(text)), clock=clock)
        await running.store.subscribe(wish, origin="cli", now=START)


async def day(there: World, number: int) -> None:
    """Let a day's papers be read, and the digests of it be due."""
    titles = [f"Fictional Paper {number}.{each} on Harbours" for each in range(40)]
    there.pages.put("/daily", text_page(*titles, day=f"Mar {number}"))
    there.now = START.replace(day=number, hour=7)
    async with there.opened() as running:
        await once(running)
    there.now = START.replace(day=number, hour=8) + timedelta(seconds=1)


async def run(digests: int, readers: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with world(Path(folder)) as there:
            there.listing("daily")
            there.pages.put("/daily", text_page("An Old Fictional Paper"))
            async with there.opened() as running:
                await subscribe(running, digests)
                await once(running)
            took, said = [], ""
            for number, busy in ((3, False), (4, True), (5, False), (6, True)):
                await day(there, number)
                async with there.served() as served:
                    await served.running.shelf.refresh()
                    store, port = served.running.store, int(served.url.rpartition(":")[2])
                    private = []
                    for each in range(50):
                        owner = await store.subscriber(f"r{each}@example.org")
                        assert owner
                        (feed, *_) = await store.private_feeds(owner.subscriber_id)
                        private.append(f"/feeds/private/{store.link('feed', feed.seed)}.atom")
                    etag = f'"{served.running.shelf.public["/feeds/all.atom"].etag}-gzip"'
                    context = multiprocessing.get_context("spawn")
                    answers: multiprocessing.Queue[object] = context.Queue()
                    crowd = context.Process(target=burst, args=(port, readers, etag, private, answers))
                    if busy:
                        crowd.start()
                        while not served.server.server_state.total_requests:  # noqa: ASYNC110
                            await asyncio.sleep(0.01)
                    started = time.perf_counter()
                    _, drained = await once(served.running)
                    took.append(time.perf_counter() - started)
                    assert sum(drained.states.values()) == digests, drained
                    if busy:
                        seen, lasted = await asyncio.to_thread(answers.get)
                        said = f"{readers:,} readers were answered {seen} in {lasted:.1f} s"
                        crowd.join()
            alone, among = min(took[0], took[2]), min(took[1], took[3])
            print(f"{digests} digests: alone {alone:.1f} s, in the burst {among:.1f} s; {said}")


if __name__ == "__main__":
    asyncio.run(run(*(int(each) for each in (sys.argv[1:] + ["300", "5000"][len(sys.argv) - 1 :]))))
