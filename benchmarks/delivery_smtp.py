"""How fast messages leave, beside the ways of others and beside Postfix's own sender; and what a DKIM signature costs.

    python benchmarks/delivery_smtp.py [--messages 1500] [--rounds 2]

Every way sends the same 40 KB messages, one recipient each, to a fresh `smtp-sink` (Debian: postfix) on loopback, in a
process of its own; the best of some rounds counts. The second table puts 20 ms between a command and its answer.
Postfix's `smtp-source`, C and without durability, is the limit to compare with at equal sessions. Django is installed
into an environment of its own (`delivery_peers`); the ways of rss2email and Mailman 3 are their calls of smtplib.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import re
import resource
import shutil
import smtplib
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import delivery_peers

HERE = Path(__file__).resolve()
SIZE = 40_000  # octets
DELAY = 0.020  # seconds before an answer, in the second table
FROM, TO = "papers@example.org", "reader@example.org"


def message(size: int = SIZE) -> bytes:
    """Return a message of about `size` octets, CRLF, 7-bit, with lines as quoted-printable makes them."""
    head = (
        f"From: Papers <{FROM}>\r\nTo: {TO}\r\nSubject: 12 new papers\r\nDate: Mon, 02 Mar 2026 12:00:00 +0000\r\n"
        "Message-ID: <1@example.org>\r\nList-Id: <papers.example.org>\r\n"
        "List-Unsubscribe: <https://papers.example.org/unsubscribe/0123456789abcdef0123456789abcdef>\r\n"
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
    ).encode()
    line = b"  <p>A fictional abstract of a paper that was never written, in a line of</p>\r\n"
    return head + line * ((size - len(head)) // len(line) + 1)


# --- the ways of others -----------------------------------------------------------------------------------------------


def connection_per_mail(port: int, count: int) -> None:
    """As rss2email: connect, say who we are, send, leave; for every mail."""
    content = message()
    for _ in range(count):
        with smtplib.SMTP("127.0.0.1", port) as client:
            client.sendmail(FROM, [TO], content)


def reused_connection(port: int, count: int) -> None:
    """As Mailman 3 delivers: smtplib over a connection that is kept."""
    content = message()
    with smtplib.SMTP("127.0.0.1", port) as client:
        for _ in range(count):
            client.sendmail(FROM, [TO], content)


def django(port: int, count: int) -> None:
    """As Django's EmailMessage.send()."""
    from django.conf import settings

    settings.configure(EMAIL_HOST="127.0.0.1", EMAIL_PORT=port, EMAIL_USE_LOCALTIME=False)
    from django.core.mail import EmailMessage as Mail

    body = message().partition(b"\r\n\r\n")[2].decode().replace("\r\n", "\n")
    for _ in range(count):
        Mail("12 new papers", body, FROM, [TO]).send()


def aiosmtplib_send(port: int, count: int) -> None:
    """As documented: `aiosmtplib.send(message)` per mail, ten at a time."""
    import aiosmtplib

    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = FROM, TO, "12 new papers"
    mail.set_content(message().partition(b"\r\n\r\n")[2].decode().replace("\r\n", "\n"))

    async def one() -> None:
        await aiosmtplib.send(mail, hostname="127.0.0.1", port=port, start_tls=False)

    asyncio.run(_in_tasks(10, count, lambda: one))


def aiosmtplib_reused(port: int, count: int) -> None:
    """aiosmtplib over ten connections that are kept."""
    import aiosmtplib

    content = message()

    async def work() -> None:
        clients = [aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) for _ in range(10)]
        for client in clients:
            await client.connect()
        free = iter(clients)

        def opened() -> Callable[[], Awaitable[object]]:
            client = next(free)
            return lambda: client.sendmail(FROM, [TO], content)

        await _in_tasks(10, count, opened)
        for client in clients:
            await client.quit()

    asyncio.run(work())


def ours(sessions: int) -> Callable[[int, int], None]:
    """The relay of this program over some connections; nothing is made durable here (see delivery.py)."""

    def send(port: int, count: int) -> None:
        from notifier.deliver import relay
        from notifier.model import Envelope, Run, Verdict, Written, lines

        head, end, body = message().partition(b"\r\n\r\n")
        content = Written((head + end, Run.of([lines(body)])))  # as the outbox hands it over

        async def in_doubt() -> None:
            return None

        async def work() -> None:
            mail = relay(f"smtp://127.0.0.1:{port}", connections=sessions)

            async def one() -> None:
                reply = await mail.offer(Envelope("<1@example.org>", FROM, TO, content), in_doubt)
                assert reply.verdict is Verdict.SENT, reply

            await _in_tasks(sessions, count, lambda: one)
            await mail.close()

        asyncio.run(work())

    return send


async def _in_tasks(tasks: int, count: int, opened: Callable[[], Callable[[], Awaitable[object]]]) -> None:
    """Do something `count` times, shared by some tasks."""

    async def work(send: Callable[[], Awaitable[object]]) -> None:
        nonlocal count
        while count > 0:
            count -= 1
            await send()

    await asyncio.gather(*(work(opened()) for _ in range(tasks)))


WAYS: dict[str, tuple[str, Callable[[int, int], None]]] = {
    "rss2email": ("rss2email's way: smtplib, a connection per mail", connection_per_mail),
    "django": ("Django's EmailMessage.send()", django),
    "aiosmtplib.send": ("aiosmtplib.send per mail, 10 at a time", aiosmtplib_send),
    "mailman": ("Mailman 3's way: smtplib, a reused connection", reused_connection),
    "aiosmtplib": ("aiosmtplib, 10 reused connections", aiosmtplib_reused),
    "ours4": ("notifier, 4 connections", ours(4)),
    "ours10": ("notifier, 10 connections", ours(10)),
    "ours20": ("notifier, 20 connections", ours(20)),
}
SOURCES = {"source4": 4, "source10": 10, "source20": 20}


# --- measuring --------------------------------------------------------------------------------------------------------


def rate(way: str, count: int, delay: float = 0.0) -> tuple[float, float]:
    """Return messages per second of one way into a fresh sink, and its processor time per message in microseconds."""
    with sink() as port, delayed(port, delay) if delay else _same(port) as entrance:
        if way in SOURCES:
            seconds, processor = _source(SOURCES[way], entrance, count)
        else:
            python = delivery_peers.ready() if way == "django" else sys.executable
            ended = subprocess.run(
                [python, str(HERE), "--way", way, "--port", str(entrance), "--messages", str(count)],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            seconds, processor = map(float, ended.stdout.split())
    return count / seconds, processor / count * 1e6


@contextmanager
def sink() -> Iterator[int]:
    """Run a fresh smtp-sink on a free port of loopback."""
    port = _free_port()
    running = subprocess.Popen(["smtp-sink", "-u", "nobody", f"127.0.0.1:{port}", "256"], stderr=subprocess.DEVNULL)
    try:
        _until_open(port)
        yield port
    finally:
        running.terminate()
        running.wait()


@contextmanager
def delayed(port: int, delay: float) -> Iterator[int]:
    """Run a proxy, in a process of its own, that passes answers on after some time."""
    entrance = _free_port()
    arguments = ["--proxy", str(port), "--port", str(entrance), "--delay", str(delay)]
    running = subprocess.Popen([sys.executable, str(HERE), *arguments])
    try:
        _until_open(entrance)
        yield entrance
    finally:
        running.terminate()
        running.wait()


@contextmanager
def _same(port: int) -> Iterator[int]:
    yield port


def _source(sessions: int, port: int, count: int) -> tuple[float, float]:
    arguments = ["-d", "-N", "-s", str(sessions), "-l", str(SIZE), "-m", str(count), "-f", FROM, "-t", TO]
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["smtp-source", *arguments, f"127.0.0.1:{port}"], check=True, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - begun, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _until_open(port: int) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise SystemExit(f"nothing listens on port {port}")


class _Passing(asyncio.Protocol):
    """One side of the proxy: passes what it reads to the other, after `delay`."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.other: asyncio.Transport | None = None
        self.early = bytearray()

    def data_received(self, data: bytes) -> None:
        if self.delay:
            asyncio.get_running_loop().call_later(self.delay, self._pass, data)
        else:
            self._pass(data)

    def _pass(self, data: bytes) -> None:
        if self.other is None:
            self.early += data
        elif not self.other.is_closing():
            self.other.write(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        if self.other is not None:  # after the last answer, which may still be on its way
            asyncio.get_running_loop().call_later(self.delay, self.other.close)


async def _proxy(behind: int, port: int, delay: float) -> None:
    loop = asyncio.get_running_loop()
    pending: set[asyncio.Task[None]] = set()

    class Entrance(_Passing):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            task = loop.create_task(self._join(transport))
            pending.add(task)
            task.add_done_callback(pending.discard)

        async def _join(self, transport: asyncio.BaseTransport) -> None:
            self.other, answers = await loop.create_connection(lambda: _Passing(delay), "127.0.0.1", behind)
            assert isinstance(transport, asyncio.Transport)
            answers.other = transport
            if answers.early:
                loop.call_later(delay, transport.write, bytes(answers.early))
            self._pass(bytes(self.early))

    server = await loop.create_server(lambda: Entrance(0.0), "127.0.0.1", port, backlog=256)
    await server.serve_forever()


# --- the tables -------------------------------------------------------------------------------------------------------


def sending(messages: int, rounds: int) -> None:
    """Print how fast each way sends, beside Mailman's way and beside smtp-source."""
    best: dict[str, tuple[float, float]] = {}
    for _ in range(rounds):
        for way in [*WAYS, *SOURCES]:
            _keep(best, way, rate(way, messages))
    print(
        f"{SIZE // 1000} KB messages into smtp-sink on loopback, best of {rounds}; the sender's processor per message"
    )
    _table(best, "mailman")
    print(f"  notifier / smtp-source, 10 sessions: {best['ours10'][0] / best['source10'][0]:.2f}")
    slow: dict[str, tuple[float, float]] = {}
    for way in ("mailman", "aiosmtplib", "ours4", "ours10", "source4", "source10"):
        _keep(slow, way, rate(way, max(40, messages // 6), DELAY))
    print(f"\nthe same with every answer {DELAY * 1000:.0f} ms late")
    _table(slow, "mailman")
    for sessions in (4, 10):
        ratio = slow[f"ours{sessions}"][0] / slow[f"source{sessions}"][0]
        print(f"  notifier / smtp-source, {sessions} sessions: {ratio:.2f} (wanted: 0.6)")


def _keep(best: dict[str, tuple[float, float]], way: str, found: tuple[float, float]) -> None:
    before = best.get(way, (0.0, float("inf")))
    best[way] = max(before[0], found[0]), min(before[1], found[1])


def _table(found: dict[str, tuple[float, float]], one: str) -> None:
    for way, (speed, processor) in found.items():
        label = WAYS[way][0] if way in WAYS else f"Postfix's smtp-source, {SOURCES[way]} sessions"
        print(f"  {label:48} {speed:7.0f}/s {speed / found[one][0]:6.2f} of {one} {processor:6.0f} us")


def signing() -> None:
    """Print what a signature costs beside OpenSSL's own signing, and beside dkimpy."""
    import dkim

    from notifier.sign import Signer, make_key, read_key

    pem = make_key("rsa")
    rsa = Signer("example.org", [read_key("papers", pem)])
    both = Signer("example.org", [*rsa.keys, read_key("papers-ed", make_key("ed25519"))])
    content, now = message(), datetime(2026, 3, 2, tzinfo=UTC)
    timed = subprocess.run(["openssl", "speed", "-seconds", "2", "rsa2048"], capture_output=True, text=True, check=True)
    found = re.search(r"rsa 2048 bits\s+\S+\s+\S+\s+([0-9.]+)", timed.stdout)
    assert found, timed.stdout
    openssl = float(found[1])
    print("\nDKIM signatures of a 40 KB message, one core")
    print(f"  {'OpenSSL alone, RSA-2048 (openssl speed)':52} {openssl:8.0f}/s")
    for name, sign, seconds in (
        ("notifier, RSA-2048", lambda: rsa(content, now), 2.0),
        ("notifier, RSA-2048 and Ed25519", lambda: both(content, now), 2.0),
        ("dkimpy, RSA-2048", lambda: dkim.sign(content, b"papers", b"example.org", pem), 1.0),
    ):
        speed = _speed(sign, seconds)
        print(f"  {name:52} {speed:8.0f}/s  costs {openssl / speed:.2f} of OpenSSL's")


def _speed(act: Callable[[], object], seconds: float) -> float:
    """Return how often a second of processor time suffices, as `openssl speed` counts."""
    started, count = time.process_time(), 0
    while (spent := time.process_time() - started) < seconds:
        act()
        count += 1
    return count / spent


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--proxy", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--delay", type=float, default=0.0, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.proxy:
        asyncio.run(_proxy(chosen.proxy, chosen.port, chosen.delay))
    elif chosen.way:
        for module in ("aiosmtplib", "notifier.deliver", "django.core.mail"):  # what is imported once is not sending
            with suppress(ImportError):
                importlib.import_module(module)
        begun, before = time.perf_counter(), time.process_time()
        WAYS[chosen.way][1](chosen.port, chosen.messages)
        print(time.perf_counter() - begun, time.process_time() - before)
    elif shutil.which("smtp-sink") is None:
        raise SystemExit("smtp-sink is missing: apt-get install postfix (nothing of it needs to run)")
    else:
        delivery_peers.ready()
        sending(chosen.messages, chosen.rounds)
        signing()
