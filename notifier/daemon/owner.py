"""Owner: what a process is called in the rows that it claims, and whether the process of a name is dead.

`host/pids:pid:random`: a host name alone is the same in every copy of a machine, and a process number in every
container, so the name says which numbering of processes it is from, and is drawn anew by each process.
"""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

_BOOT, _PIDS = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")


def owner() -> str:
    """Return the name of this process."""
    return f"{_where()}:{os.getpid()}:{secrets.token_hex(4)}"


def gone(name: str) -> bool:
    """Tell whether a process of this machine that claimed messages is dead; our own number was its own."""
    where, _, rest = name.partition(":")
    number = rest.partition(":")[0]
    if where != _where() or not number.isdigit():
        return False
    if int(number) == os.getpid():
        return True
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _where() -> str:
    """Name the host, this run of it, and the numbering of processes."""
    try:
        run = _BOOT.read_text().strip()[:8]
        return f"{socket.gethostname()}/{run}-{_PIDS.stat().st_ino}"
    except OSError:  # no Linux: the host has one numbering
        return socket.gethostname()
