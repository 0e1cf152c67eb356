"""A real PgBouncer before the tests' PostgreSQL, in transaction mode and with few connections behind it.

So two transactions of one connection meet two sessions of the server, and what a session keeps is lost or another's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from tests.servers.postgres import Cluster

BEHIND = 4  # connections to the server for each database
LONGEST_START = 30.0  # seconds
SETTINGS = """[databases]
* = host={server} port={port} user=notifier
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = {folder}
auth_type = any
pool_mode = transaction
default_pool_size = {behind}
max_client_conn = 500
server_round_robin = 1
logfile = {folder}/log
pidfile = {folder}/pid
"""


@dataclass(frozen=True, slots=True)
class Bouncer:
    """A running PgBouncer; `database()` makes an empty database behind it."""

    postgres: Cluster
    folder: Path

    def database(self, *, empty: bool = False) -> str:
        """Make a database, with our schema unless it is to be empty, and return its URL through PgBouncer."""
        name = self.name(self.postgres.database(empty=empty))
        return f"postgresql://notifier@:6432/{name}?host={self.folder}"

    @staticmethod
    def name(url: str) -> str:
        """Return the name of the database that a URL leads to."""
        return make_url(url).database or ""


def installed() -> str | None:
    """Return the program's path; None where it is not installed."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def bouncer(postgres: Cluster) -> Iterator[Bouncer]:
    """Run PgBouncer before a cluster; it refuses to be root, as PostgreSQL does."""
    program = installed()
    assert program, "PgBouncer is not installed: apt-get install pgbouncer"
    folder = Path(tempfile.mkdtemp(prefix="notifier-pgbouncer-", dir="/tmp"))  # a socket's path is at most 107 octets
    file = folder / "pgbouncer.ini"
    file.write_text(SETTINGS.format(server=postgres.folder, port=postgres.port, folder=folder, behind=BEHIND))
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user, user)
        shutil.chown(file, user, user)
    running = subprocess.Popen([program, "-q", file], user=user, cwd=folder, stderr=subprocess.DEVNULL)
    try:
        _wait(running, folder)
        yield Bouncer(postgres, folder)
    finally:
        running.kill()
        running.wait()
        shutil.rmtree(folder)


def _wait(running: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until it takes connections."""
    ends_at = time.monotonic() + LONGEST_START
    while True:
        with (
            suppress(psycopg.OperationalError),
            psycopg.connect(f"postgresql://notifier@:6432/postgres?host={folder}", prepare_threshold=None),
        ):
            return
        assert running.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < ends_at, "PgBouncer takes no connections"
        time.sleep(0.05)
