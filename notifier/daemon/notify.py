"""Notify: what the daemon and systemd tell each other (sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3)).

Without systemd every function here does nothing. A message that cannot be sent is dropped: the daemon never waits for
whoever supervises it, and never fails because of them.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import MutableMapping

FIRST_FD = 3  # SD_LISTEN_FDS_START
EXTENSION = 60  # seconds asked for, again and again, while a migration goes on


def notify(*lines: str) -> None:
    """Send lines such as `READY=1` to the supervisor."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as to:
        to.connect("\0" + address[1:] if address[0] == "@" else address)
        to.sendall("\n".join(lines).encode())


def is_supervised() -> bool:
    """Tell whether somebody listens."""
    return os.environ.get("NOTIFY_SOCKET", "").startswith(("/", "@"))


def ready(status: str) -> None:
    """Say that everything is up: migrated, open and listening."""
    notify("READY=1", f"STATUS={_line(status)}")


def reloading() -> None:
    """Say that the configuration is being read again; `ready` ends it."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def stopping() -> None:
    notify("STOPPING=1", "STATUS=stopping")


def status(text: str) -> None:
    """Say in one line how things stand, for `systemctl status`."""
    notify(f"STATUS={_line(text)}")


def alive() -> None:
    """Pat the watchdog."""
    notify("WATCHDOG=1")


def extend() -> None:
    """Ask for more time to start: what takes so long is on its way."""
    notify(f"EXTEND_TIMEOUT_USEC={EXTENSION * 1_000_000}")


def watchdog_seconds() -> float | None:
    """Return within how many seconds the watchdog wants to be patted; None where there is none."""
    text, process = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not text.isdigit() or int(text) == 0 or process not in ("", str(os.getpid())):
        return None
    return int(text) / 1_000_000


def inherited(environment: MutableMapping[str, str] = os.environ) -> list[socket.socket]:
    """Take the listening sockets that systemd opened for this process; none when it was started otherwise.

    The variables are removed, so that no child believes that they are meant for it.
    """
    process = environment.pop("LISTEN_PID", "")
    count = environment.pop("LISTEN_FDS", "")
    environment.pop("LISTEN_FDNAMES", None)
    if process != str(os.getpid()) or not count.isdigit():
        return []
    found = []
    for number in range(FIRST_FD, FIRST_FD + int(count)):
        os.set_inheritable(number, False)
        found.append(socket.socket(fileno=number))
    return found


def _line(text: str) -> str:
    return " ".join(text.split())
