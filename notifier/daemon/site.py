"""Serve the site: uvicorn in the daemon's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket

import uvicorn

from notifier import log, signup
from notifier.courtesy import Courtesy
from notifier.daemon.door import BACKLOG, Door
from notifier.daemon.opening import Running
from notifier.errors import CannotListen
from notifier.model import Asking
from notifier.web import Site, application
from notifier.web.guard import Guard
from notifier.web.quick import quick
from notifier.web.recent import Recent
from notifier.web.site import Monitor

LAST_REQUESTS = 0.5  # seconds for a request over a connection that was taken before the end
UNUSABLE = {
    errno.EADDRINUSE: "another program listens there; stop it, or set another port",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EACCES: "that port is for root; set one above 1023, with a web server in front",
}
STOP_GRACE = 8.0  # seconds for what is under way when told to stop


def listener(listen: str) -> socket.socket:
    """Open the listening socket at host:port; raises CannotListen."""
    host, port = _split(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, or asyncio leaves Nagle on: the second write of an answer waits 40 ms for the ACK of the first.
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        opened.listen(BACKLOG)
    except OSError as fault:
        opened.close()
        reason = UNUSABLE.get(fault.errno or 0, fault.strerror)
        raise CannotListen(f"web.listen: the site cannot be served at {listen}: {reason}") from None
    return opened


def site(running: Running, monitor: Monitor | None = None) -> Site:
    """Return what the pages of the site may use."""

    async def deal_with(asking: Asking) -> None:
        await signup.deal_with(asking, running.desk, running.clock())

    return Site(
        store=running.store,
        templates=running.desk.templates,
        head=running.desk.head,
        listings=running.config.listings,
        shelf=running.shelf,
        clock=running.clock,
        deal_with=deal_with,
        recent=Recent(running.store),
        timezone=running.config.timezone,
        guard=Guard(running.config.web.networks),
        monitor=monitor,
    )


def server(running: Running, monitor: Monitor | None = None, *, warm: bool = False) -> Server:
    """Return a server of the site; `serve(sockets=[..])` runs it until its `should_exit` is set.

    A `warm` one reads the papers of the previews as soon as it accepts connections.
    """
    host, port = _split(running.config.web.listen)
    shown = site(running, monitor)
    options = uvicorn.Config(
        application(shown), host=host, port=port, backlog=BACKLOG, log_config=None, access_log=False, lifespan="off",
        server_header=False, date_header=True, timeout_graceful_shutdown=int(STOP_GRACE), proxy_headers=False,
        http=quick(shown), ws="none",
    )  # fmt: skip
    logging.getLogger("uvicorn.access").disabled = True  # the paths of links are secrets
    return Server(options, running.courtesy, shown if warm else None)


class Server(uvicorn.Server):
    """A uvicorn server that leaves the signals to the daemon; `up` is set when it accepts connections."""

    def __init__(self, options: uvicorn.Config, courtesy: Courtesy, warmed: Site | None) -> None:
        super().__init__(options)
        self._courtesy = courtesy
        self.up = asyncio.Event()
        self._warmed = warmed
        self._warming: asyncio.Task[None] | None = None

    def _protocol(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await self.lifespan.startup()
        doors = [Door(each, self._protocol, self._courtesy) for each in sockets or ()]
        self.servers = doors  # type: ignore[assignment]
        self.started = True
        self.up.set()
        if self._warmed:
            self._warming = asyncio.create_task(_warm(self._warmed))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new connection, answer those who came just now, and end."""
        for each in self.servers:
            each.close()
        if self._warming:
            self._warming.cancel()
            await asyncio.wait([self._warming])
        # uvicorn resets a connection whose request it has not read yet.
        await asyncio.sleep(LAST_REQUESTS)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


async def _warm(shown: Site) -> None:
    try:
        await shown.recent.warm(shown.clock())
    except Exception as fault:  # a visitor's question reads them again
        log.step_failed("reading the papers of the previews", fault)


def _split(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)
