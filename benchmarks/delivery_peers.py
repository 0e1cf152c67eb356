"""The environment in which the peers of delivery are, and Mailman 3's own delivery in it.

    build/delivery-peers/bin/python benchmarks/delivery_peers.py PORT MESSAGES < MESSAGE

lets Mailman's `IndividualDelivery`, with its own defaults, take one message to so many recipients, a copy for each, and
prints seconds and processor seconds as JSON. Nothing of Mailman's queues, rules and database runs: it is the least that
Mailman does for a message to one reader. Started by `delivery.py`; `ready` installs what is there, once.
"""

from __future__ import annotations

import email
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

PEERS = Path(__file__).resolve().parent.parent / "build/delivery-peers"
LIBRARIES = ("django", "mailman")
FROM = "papers@example.org"


def ready() -> str:
    """Return the Python of an environment with the peers, which is made if it is not there."""
    python = PEERS / "bin/python"
    if not (PEERS / "ready").exists():
        venv.create(PEERS, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", *LIBRARIES], check=True)
        (PEERS / "ready").touch()
    return str(python)


class Reader:
    """A list of whose members nothing is known: what Mailman asks it for."""

    bounces_address = FROM
    members: Any

    def __init__(self) -> None:
        self.members = self

    def get_member(self, _: str) -> None:
        """Return nobody."""


def deliver(port: int, messages: int, content: bytes) -> dict[str, float]:
    """Send to `reader0@domain.example` and so on; return seconds and processor seconds."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "mailman.cfg"
        written.write_text(
            f"[mailman]\nlayout: here\n[paths.here]\nvar_dir: {folder}\n"
            f"[mta]\nsmtp_host: 127.0.0.1\nsmtp_port: {port}\n[logging.smtp]\nlevel: error\n"
        )
        os.environ["MAILMAN_VAR_DIR"] = folder
        from mailman.core.initialize import initialize_1  # type: ignore[import-not-found]
        from mailman.email.message import Message  # type: ignore[import-not-found]
        from mailman.mta.base import IndividualDelivery  # type: ignore[import-not-found]

        initialize_1(str(written))
        message = email.message_from_bytes(content, Message)
        readers = [f"reader{number}@domain.example" for number in range(messages)]
        began, computed = time.perf_counter(), time.process_time()
        refused = IndividualDelivery().deliver(Reader(), message, {"recipients": readers})
        told = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - computed}
        assert not refused, refused
        return told


if __name__ == "__main__":
    print(json.dumps(deliver(int(sys.argv[1]), int(sys.argv[2]), sys.stdin.buffer.read())))
