"""Delivery, the whole path: messages a second from owed to settled and durable, beside the usual way and the limit.

    python benchmarks/delivery.py [MESSAGES [DELAY_MS [ROUNDS]]]
                                                             the ways in turn, and the medians of their ratios
    python benchmarks/delivery.py --memory MESSAGES [FIRST]  so many due digests through one process, or the first of
                                                             them, and its memory on the way

Every way sends one message to each reader into a fresh `smtp-sink` (Debian: postfix) on loopback, each in a process of
its own, one after the other. "notifier" claims, composes, marks in doubt, sends and settles, every mark committed to a
SQLite file; queueing is timed apart. "ready" is the same without composing: what a second attempt costs. "usual"
renders a Jinja2 template and an EmailMessage for each reader and sends by smtplib, a connection per mail; "reused" the
same over one kept connection. "mailman" is Mailman 3's own delivery of one message to each reader, in an environment of
its own (`delivery_peers`); "bare" is less than that: ready bytes over one kept connection of smtplib. Neither renders,
and none of these four records anything. `smtp-source` is the limit: C, ready bytes, as many sessions as notifier has
connections. Beside the rates stand the processor seconds of the sending process, which say the same on a busy machine.
Each round runs all ways, and a ratio is of two ways of one round: the middle one is told, the lowest and highest beside
it. With DELAY_MS everything that the sink says comes so much later.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import smtplib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import make_msgid
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from jinja2 import Environment
from sqlalchemy import insert, select

from benchmarks import delivery_peers
from benchmarks.owed import ABSTRACT, CONNECTIONS, NOW, PAPERS, address, fill, open_desk, title
from notifier import log
from notifier.compose import compose
from notifier.deliver import Relay
from notifier.digest import digest
from notifier.drain import Desk, drain_outbox
from notifier.model import Cadence, Envelope, OutboxId, Paper, QueryId, QueuedMessage, Reply
from notifier.pipeline import queue_digests
from notifier.store import open_store, schema
from notifier.store.engine import execute_rows

LIMIT = 300  # MB that a service may have while a million digests pass through it
PAGE = """<html><body>{% for paper in papers %}<h2>{{ paper.title }}</h2><p>{{ paper.abstract }}</p>{% endfor %}
<p>Sent to {{ reader }}</p></body></html>"""


# --- what is sent -----------------------------------------------------------------------------------------------------


def rendered(number: int, page: object) -> EmailMessage:
    """Write one message the usual way."""
    papers = [{"title": title(n), "abstract": ABSTRACT} for n in range(PAPERS) if n % 2]
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "papers@example.org", address(number), "20 new papers"
    message["Message-ID"] = make_msgid(domain="example.org")
    message.set_content("\n\n".join(f"{paper['title']}\n{paper['abstract']}" for paper in papers))
    message.add_alternative(page.render(papers=papers, reader=address(number)), subtype="html")  # type: ignore[attr-defined]
    return message


# --- the ways ---------------------------------------------------------------------------------------------------------


async def notifier(messages: int, port: int, folder: Path, *, ready: bool = False, first: int = 0) -> dict[str, float]:
    """Queue and drain; return the seconds of both. With `ready` the messages have their bytes already.

    With `first` it stops when that many are sent.
    """
    stop = asyncio.Event()
    log.setup(level=40)
    async with open_store(f"sqlite:///{folder}/bench.db") as store, open_desk(store, port) as desk:
        await fill(store, messages)
        began = time.perf_counter()
        await queue_digests(store, desk.head, NOW)
        queued = time.perf_counter()
        if ready:
            content = rendered(0, Environment(autoescape=True).from_string(PAGE)).as_bytes(policy=SMTP)
            async with store._database.write() as connection:
                ids = (await connection.execute(select(schema.message.c.id))).scalars().all()
                columns = ("message_id", "octets")
                await execute_rows(connection, insert(schema.content), columns, [(number, content) for number in ids])
        warm(desk)
        started, computed = time.perf_counter(), time.process_time()
        sent, sending = 0, desk
        if first:
            sending = replace(desk, relay=Counted(desk.relay, first, stop))
        while True:
            drained = await drain_outbox(sending, stop)
            sent += sum(drained.states.values())
            if not drained.more:
                break
        ended, computed = time.perf_counter(), time.process_time() - computed
        assert sent >= (first or messages), drained
    return {"queue": queued - began, "seconds": ended - started, "cpu": computed}


def warm(desk: Desk) -> None:
    """Compose a digest once, as a service that runs has done before: its templates and its grammar are loaded."""
    papers = [Paper(source="test", source_key=str(n), title=title(n), url="https://papers.example/") for n in range(2)]
    message = QueuedMessage(
        outbox_id=OutboxId(0), message_id="<0@papers.example.org>", kind="digest", recipient=address(0), token="0" * 40,
        feed="f" * 40, period="", cadence=Cadence.IMMEDIATE, timezone="UTC", queued_at=NOW, attempts=0, doubts=0,
        papers=tuple((paper, (QueryId(1),), ()) for paper in papers), queries={QueryId(1): ("graph", "graph")},
        coverage=(), content=None,
    )  # fmt: skip
    compose(digest(message, desk.head), desk.fragments)
    desk.fragments.forget()


class Counted:
    """A relay that says stop when it has taken so many messages."""

    def __init__(self, relay: Relay, most: int, stop: asyncio.Event) -> None:
        self.relay, self.most, self.stop = relay, most, stop
        self.places, self.largest = relay.places, relay.largest

    async def offer(
        self,
        envelope: Envelope,
        in_doubt: Callable[[], Awaitable[None]],
        following: Callable[[], Envelope | None] = lambda: None,
    ) -> Reply:
        """Offer it."""
        reply = await self.relay.offer(envelope, in_doubt, following)
        self.most -= 1
        if self.most % 1000 == 0 and self.most > 0:
            print(f"{self.most:,} to go, peak {peak():.0f} MB", file=sys.stderr, flush=True)
        if self.most <= 0:
            self.stop.set()
        return reply

    def withdraw(self, envelope: Envelope) -> None:
        """Do not offer it."""
        self.relay.withdraw(envelope)

    async def narrow(self, places: int) -> None: ...

    async def close(self) -> None:
        """Take leave."""
        await self.relay.close()


def usual(messages: int, port: int, *, reuse: bool) -> None:
    page = Environment(autoescape=True).from_string(PAGE)
    kept = smtplib.SMTP("127.0.0.1", port) if reuse else None
    for number in range(messages):
        with contextlib.nullcontext(kept) if kept else smtplib.SMTP("127.0.0.1", port) as server:
            server.send_message(rendered(number, page))


def whole() -> bytes:
    """Return one message, ready."""
    return rendered(0, Environment(autoescape=True).from_string(PAGE)).as_bytes()


def bare(messages: int, port: int) -> None:
    content = whole()
    with smtplib.SMTP("127.0.0.1", port) as server:
        for number in range(messages):
            server.sendmail("papers@example.org", [address(number)], content)


def source(messages: int, port: int) -> None:
    size = str(len(whole()))
    command = ["smtp-source", "-s", str(CONNECTIONS), "-m", str(messages), "-l", size, "-f", "papers@example.org",
               "-t", "reader@domain.example", f"127.0.0.1:{port}"]  # fmt: skip
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


WAYS = ("notifier", "ready", "usual", "reused", "mailman", "bare", "source")
SLOWER = {
    "notifier": 1,
    "ready": 1,
    "usual": 8,
    "reused": 8,
    "mailman": 4,
    "bare": 2,
    "source": 1,
}  # so many fewer messages are sent


def one_way(way: str, messages: int, port: int) -> dict[str, float]:
    """Send in this process; return what was measured."""
    gc.freeze()  # as the command does, for every way
    if way in ("notifier", "ready"):
        with tempfile.TemporaryDirectory() as folder:
            return asyncio.run(notifier(messages, port, Path(folder), ready=way == "ready"))
    began, computed = time.perf_counter(), _computed()
    if way == "bare":
        bare(messages, port)
    elif way == "source":
        source(messages, port)
    else:
        usual(messages, port, reuse=way == "reused")
    return {"seconds": time.perf_counter() - began, "cpu": _computed() - computed}


def _computed() -> float:
    """Return the processor seconds of this process and of those that it ran."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


# --- the run ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def sink(delay: float) -> Iterator[int]:
    """Run a fresh smtp-sink on loopback, behind a delay if there is one."""
    port = free_port()
    command = ["smtp-sink", "-u", "nobody", f"127.0.0.1:{port}", "256"]
    running = [subprocess.Popen(command, stderr=subprocess.DEVNULL)]
    answers(port)
    if delay:
        outer = free_port()
        command = [sys.executable, __file__, "--proxy", str(outer), str(port), str(delay)]
        running.append(subprocess.Popen(command))
        answers(outer)
        port = outer
    try:
        yield port
    finally:
        for each in running:
            each.kill()
            each.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def answers(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise SystemExit("smtp-sink did not start: install Debian's postfix, of which only smtp-sink and smtp-source run")


async def proxy(port: int, behind: int, delay: float) -> None:
    """Pass bytes on, those that come back `delay` seconds later."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wait: float) -> None:
        with contextlib.suppress(OSError):
            while content := await reader.read(65536):
                if wait:
                    await asyncio.sleep(wait)
                writer.write(content)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection("127.0.0.1", behind)
        await asyncio.gather(pump(reader, ours, 0), pump(theirs, writer, delay))

    async with await asyncio.start_server(serve, "127.0.0.1", port) as server:
        await server.serve_forever()


def main(messages: int, delay: float, rounds: int) -> None:
    """Print how fast each way is, and the ratios that matter."""
    told = [{way: measured(way, messages, delay) for way in WAYS} for _ in range(rounds)]
    for way in WAYS:
        rate, cost, queued = (median(each[way][name] for each in told) for name in ("rate", "cost", "queued"))
        queue = f", queued before at {queued:,.0f}/s" if queued else ""
        print(f"{way:10}{rate:10,.0f} messages/s{cost:10,.0f} us of processor each{queue}", flush=True)
    for ours in WAYS[:2]:
        for other in WAYS[2:]:
            rates = sorted(each[ours]["rate"] / each[other]["rate"] for each in told)
            cheaper = median(each[other]["cost"] / each[ours]["cost"] for each in told)
            spread = f"({rates[0]:.2f}-{rates[-1]:.2f})"
            print(f"{ours} / {other}: {median(rates):.2f} {spread} of its rate, {cheaper:.2f} per processor second")


def measured(way: str, messages: int, delay: float) -> dict[str, float]:
    """Run one way in a process of its own; return messages a second, and microseconds of processor for each."""
    few = max(50, messages // SLOWER[way])
    with sink(delay) as port:
        if way == "mailman":
            command, content = [delivery_peers.ready(), delivery_peers.__file__, str(port), str(few)], whole()
        else:
            command, content = [sys.executable, __file__, "--way", way, str(few), str(port)], b""
        told = json.loads(subprocess.run(command, check=True, input=content, stdout=subprocess.PIPE).stdout)
    queued = few / told["queue"] if "queue" in told else 0.0
    return {"rate": few / told["seconds"], "cost": told["cpu"] / few * 1e6, "queued": queued}


def memory(messages: int, first: int) -> None:
    """Print the rate and the peak of memory for many due digests, of which the first are sent."""
    with sink(0) as port, tempfile.TemporaryDirectory() as folder:
        told = asyncio.run(notifier(messages, port, Path(folder), first=first))
    spans = f"queued in {told['queue']:.0f} s, {first:,} sent in {told['seconds']:.0f} s"
    print(f"{messages:,} due digests: {spans}, peak {peak():.0f} MB of {LIMIT} (VmHWM)")


def peak() -> float:
    """Return the most memory that this program ever had, in MB; ru_maxrss would count what started it, too."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024


if __name__ == "__main__":
    words = sys.argv[1:]
    if words[:1] == ["--way"]:
        print(json.dumps(one_way(words[1], int(words[2]), int(words[3]))))
    elif words[:1] == ["--proxy"]:
        asyncio.run(proxy(int(words[1]), int(words[2]), float(words[3])))
    elif words[:1] == ["--memory"]:
        memory(int(words[1]), int(words[2]) if words[2:] else int(words[1]))
    else:
        main(int((words or [2000])[0]), float((words[1:] or [0])[0]) / 1000, int((words[2:] or [5])[0]))
