"""The daemon as systemd runs it: a notify socket, a listening socket that it is given, a watchdog."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.world import World

# As systemd does it: the socket is descriptor 3, and LISTEN_PID is known only after the fork.
LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.set_inheritable(3, True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


@dataclass(slots=True)
class Supervisor:
    """Stands where systemd would: a notify socket, a listening socket, the process."""

    notified: socket.socket
    web: socket.socket
    process: asyncio.subprocess.Process | None = None
    heard: list[str] = field(default_factory=list)

    async def until(self, words: str) -> None:
        """Wait for the next message that holds the words."""
        while True:
            message = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.notified, 4096), 30)
            self.heard.append(message.decode())
            if words in self.heard[-1]:
                return

    async def get(self, path: str) -> int:
        """Ask the site for a page; return the status."""
        url = f"http://127.0.0.1:{self.web.getsockname()[1]}{path}"
        return await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=20).status)

    def kill(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)


@asynccontextmanager
async def supervised(installation: World, watchdog: float = 30) -> AsyncIterator[Supervisor]:
    """Start the daemon as systemd does."""
    assert installation.config
    config = installation.folder / "config.toml"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified, socket.create_server(("127.0.0.1", 0)) as web:
        notified.bind(str(installation.folder / "notify"))
        notified.setblocking(False)
        supervisor = Supervisor(notified, web)
        supervisor.process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", LAUNCH, str(web.fileno()), "-m", "notifier", "run", "--config", str(config),
            env={**os.environ, "NOTIFY_SOCKET": str(installation.folder / "notify"),
                 "WATCHDOG_USEC": str(int(watchdog * 1_000_000))},
            stdout=subprocess.DEVNULL, stderr=(installation.folder / "log").open("w"), pass_fds=[web.fileno()],
        )  # fmt: skip
        try:
            yield supervisor
        finally:
            if supervisor.process.returncode is None:
                supervisor.process.kill()
            await supervisor.process.wait()
