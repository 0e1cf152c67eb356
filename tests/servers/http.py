"""A small HTTP/1.1 server for tests: pages that a test sets and replaces, requests it remembers, faults on request.

    async with site() as server:
        server.put("/papers", b"<html>...", etag='"1"')
        ... server.url("/papers") ...
        assert server.requests[-1].headers["if-none-match"] == '"1"'

Each connection carries one request. A page with an ETag or Last-Modified answers 304 when the request names it. As a
program it serves a folder, reading each file anew: `python -m tests.servers.http FOLDER [--port N]` prints
`ready PORT` and appends one JSON line per request to FOLDER/requests.jsonl.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import hashlib
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

Fault = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked: header names in lower case, each header's last value."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a page answers. `headers` come besides Content-Length and the validators."""

    body: bytes = b""
    status: int = 200
    reason: str = "Whatever"
    headers: tuple[tuple[str, str], ...] = ()
    etag: str | None = None
    last_modified: str | None = None

    def is_known(self, request: Request) -> bool:
        """Return whether the request names these validators (RFC 9110 13.1; the ETag decides when both are there)."""
        if "if-none-match" in request.headers:
            return self.etag is not None and self.etag == request.headers["if-none-match"]
        return self.last_modified is not None and self.last_modified == request.headers.get("if-modified-since")


@dataclass(slots=True)
class Site:
    """A running server: `pages` by path (a test may change it at any time), `requests` in order of arrival."""

    port: int = 0
    host: str = "127.0.0.1"
    scheme: str = "http"
    pages: dict[str, Answer | Fault] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    otherwise: Callable[[Request], Answer] = lambda _request: Answer(status=404, body=b"no such page")
    open_connections: int = 0
    most_connections: int = 0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def url(self, path: str = "/", host: str | None = None) -> str:
        name = host or (f"[{self.host}]" if ":" in self.host else self.host)
        return f"{self.scheme}://{name}:{self.port}{path}"

    def put(
        self, path: str, body: bytes | str = b"", *, status: int = 200, etag: str | None = None, **headers: str
    ) -> None:
        """Set the page at `path`; keyword `content_type="text/html"` becomes the header Content-Type."""
        self.pages[path] = Answer(
            body=body.encode() if isinstance(body, str) else body,
            status=status,
            etag=etag,
            headers=tuple((name.replace("_", "-").title(), text) for name, text in headers.items()),
        )

    def fail(self, path: str, fault: Fault) -> None:
        """Let `fault` write whatever it likes to whoever asks for `path`; the connection closes when it returns."""
        self.pages[path] = fault

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` is true; it is looked at whenever a request arrives or a connection ends."""
        async with self._changed:
            await self._changed.wait_for(condition)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open_connections += 1
        self.most_connections = max(self.most_connections, self.open_connections)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                request = _request(await reader.readuntil(b"\r\n\r\n"))
                if length := int(request.headers.get("content-length", "0")):
                    request = replace(request, body=await reader.readexactly(length))
                self.requests.append(request)
                await self._tell()
                page = self.pages.get(request.target.partition("?")[0]) or self.otherwise(request)
                if isinstance(page, Answer):
                    writer.write(_response(page, request))
                else:
                    await page(writer)
                await writer.drain()
        finally:
            self.open_connections -= 1
            writer.close()
            await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


@asynccontextmanager
async def site(host: str = "127.0.0.1", *, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    """Run a server in this event loop; port 0 takes a free one."""
    here = Site(host=host, scheme="https" if tls else "http")
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await here.serve(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(connected, host, port, ssl=tls)
    here.port = server.sockets[0].getsockname()[1]
    try:
        yield here
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# --- faults -----------------------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"


async def silence(writer: asyncio.StreamWriter) -> None:
    """Accept and say nothing."""
    await asyncio.get_running_loop().create_future()


async def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST."""
    linger_zero(writer)
    writer.transport.abort()


def trickle(start: bytes, endless: bytes, pause: float = 0.02) -> Fault:
    """Send `start`, then `endless` again and again with `pause` seconds between."""

    async def fault(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(endless)
            await writer.drain()
            await asyncio.sleep(pause)

    return fault


def raw(octets: bytes) -> Fault:
    """Send exactly these bytes, then close."""

    async def fault(writer: asyncio.StreamWriter) -> None:
        writer.write(octets)

    return fault


def linger_zero(writer: asyncio.StreamWriter) -> None:
    """Make the next close of this connection an RST."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


# --- bytes ------------------------------------------------------------------------------------------------------------


def _request(head: bytes) -> Request:
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, _version = first.split(" ", 2)
    pairs = (line.split(":", 1) for line in lines)
    return Request(method, target, {name.lower(): text.strip() for name, text in pairs})


def _response(page: Answer, request: Request) -> bytes:
    lines = [f"{name}: {text}" for name, text in page.headers]
    lines += [f"ETag: {page.etag}"] if page.etag is not None else []
    lines += [f"Last-Modified: {page.last_modified}"] if page.last_modified is not None else []
    status, reason, body = page.status, page.reason, page.body
    if page.is_known(request):
        status, reason, body = 304, "Not Modified", b""
    else:
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([f"HTTP/1.1 {status} {reason}", *lines, "Connection: close"])
    return head.encode("latin-1") + b"\r\n\r\n" + (b"" if request.method == "HEAD" else body)


# --- as a program -----------------------------------------------------------------------------------------------------


async def serve_folder(folder: Path, port: int) -> None:
    """Serve the files of `folder` until cancelled: an ETag of each content, gzip for those who take it."""
    async with site(port=port) as here:
        here.otherwise = lambda request: _file(folder, request)
        print("ready", here.port, flush=True)
        await asyncio.get_running_loop().create_future()


def _file(folder: Path, request: Request) -> Answer:
    with (folder / "requests.jsonl").open("a") as log:
        log.write(json.dumps({"target": request.target, "headers": dict(request.headers)}) + "\n")
    file = folder / request.target.partition("?")[0].lstrip("/")
    if not file.is_file():
        return Answer(status=404, body=b"no such file")
    body = file.read_bytes()
    etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Answer(body=body, etag=etag)
    return Answer(body=gzip.compress(body, mtime=0), etag=etag, headers=(("Content-Encoding", "gzip"),))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    chosen = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(serve_folder(chosen.folder, chosen.port))
