"""A real PostgreSQL for the tests: a cluster of their own from installed binaries, on a socket in a folder of its own.

Durability is not what these tests are about (the torture is), so the cluster does not wait for the disk. It ends with
the process that runs it, whatever ends that.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg

from notifier.store import open_store

OPTIONS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "timezone": "Asia/Kolkata",  # not ours: an instant that leaves the program naive is found out
}
WHERE_IT_IS = "/usr/lib/postgresql/*/bin"  # Debian keeps each version to itself


@dataclass(slots=True)
class Cluster:
    """A running cluster; `database()` makes an empty database with our schema."""

    folder: Path
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    template: str = ""
    port: int = 5432  # where it listens on `host`, if it was told to
    restart: Callable[[], None] = lambda: None  # at once, as after a crash

    def url_at(self, host: str, name: str) -> str:
        """Return the URL over the network."""
        return f"postgresql://notifier@{host}:{self.port}/{name}"

    def url(self, name: str) -> str:
        """Return the URL that the program is given."""
        return f"postgresql://notifier@:{self.port}/{name}?host={self.folder}"

    def database(self, *, empty: bool = False) -> str:
        """Make a database, with our schema unless it is to be empty, and return its URL."""
        if not empty and not self.template:
            self.template = "prepared"
            self._execute(f"CREATE DATABASE {self.template}")
            asyncio.run(_migrate(self.url(self.template)))
        name = f"t{next(self.numbers)}"
        self._execute(f"CREATE DATABASE {name}" + ("" if empty else f" TEMPLATE {self.template}"))
        return self.url(name)

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())


def programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, the newest version's; None where none is installed."""
    found = sorted(Path("/").glob(f"{WHERE_IT_IS[1:]}/pg_ctl"), key=lambda path: int(path.parts[-3].split(".")[0]))
    if found:
        return found[-1].parent
    on_path = shutil.which("pg_ctl")
    return Path(on_path).resolve().parent if on_path else None


@contextmanager
def cluster(*, host: str = "", **options: str) -> Iterator[Cluster]:
    """Run a cluster; as root it is run by the user `postgres`, for PostgreSQL refuses to be root.

    With `host` it listens there too, and everybody may come.
    """
    binaries = programs()
    assert binaries is not None, "PostgreSQL is not installed: apt-get install postgresql, or say --sqlite-only"
    folder = Path(tempfile.mkdtemp(prefix="notifier-postgres-", dir="/tmp"))  # a socket's path is at most 107 octets
    user = None
    if os.geteuid() == 0:
        user = "postgres"
        shutil.chown(folder, user, user)
    with socket.create_server((host or "127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    if host:
        options |= {"listen_addresses": host, "port": str(port)}
    settings = " ".join(f"-c {key}='{value}'" for key, value in (OPTIONS | options).items())

    def call(*words: str | Path) -> None:
        done = subprocess.run(words, user=user, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stdout} {done.stderr}"

    # What ends it outlives us: it waits for the end of its input, which comes even if we are killed.
    last = f"cat; {binaries}/pg_ctl -D {folder}/cluster -m immediate stop; rm -rf {folder}"
    watch = subprocess.Popen(
        ["sh", "-c", f"({last}) > /dev/null 2>&1"], user=user, stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        call(binaries / "initdb", "-D", folder / "cluster", "-U", "notifier", "-A", "trust", "-E", "UTF8",
             "--locale=C.UTF-8", "--no-sync")  # fmt: skip
        if host:
            with (folder / "cluster" / "pg_hba.conf").open("a") as file:
                file.write("host all all 0.0.0.0/0 trust\n")
        call(binaries / "pg_ctl", "-D", folder / "cluster", "-w", "-l", folder / "log", "-o",
             f"{settings} -k {folder}", "start")  # fmt: skip
        again = (binaries / "pg_ctl", "-D", folder / "cluster", "-m", "immediate", "-w", "-l", folder / "log")
        yield Cluster(folder, port=port if host else 5432, restart=lambda: call(*again, "restart"))
    finally:
        watch.communicate()
        assert not folder.exists(), f"{folder} could not be removed"


async def _migrate(url: str) -> None:
    async with open_store(url):
        pass
