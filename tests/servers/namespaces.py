"""Network namespaces on a bridge: machines of their own, as far as the network goes, that a test can cut off. As root.

with network() as net:
    net.here                         # our address, which every namespace reaches
    with net.machine() as machine:
        machine.command("ip", "addr")  # the words that run a program there
        machine.cut(); machine.mend()
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count


@dataclass(frozen=True, slots=True)
class Machine:
    """A namespace with one address."""

    name: str
    link: str

    def command(self, *words: str) -> list[str]:
        """Return the words that run a program there."""
        return ["ip", "netns", "exec", self.name, *words]

    def cut(self) -> None:
        """Let no packet through."""
        _ip("link", "set", self.link, "down")

    def mend(self) -> None:
        """Let packets through again."""
        _ip("link", "set", self.link, "up")


@dataclass(slots=True)
class Network:
    """A bridge; `here` is its own address."""

    bridge: str
    prefix: str
    numbers: Iterator[int] = field(default_factory=lambda: count(2))

    @property
    def here(self) -> str:
        return f"{self.prefix}.1"

    @contextmanager
    def machine(self) -> Iterator[Machine]:
        """Make a namespace on the bridge; it goes at the end."""
        number = next(self.numbers)
        name, link, inside = f"{self.bridge}n{number}", f"{self.bridge}v{number}", f"{self.bridge}w{number}"
        _ip("netns", "add", name)
        try:
            _ip("link", "add", link, "type", "veth", "peer", "name", inside)
            _ip("link", "set", inside, "netns", name)
            _ip("link", "set", link, "master", self.bridge, "up")
            for words in (("addr", "add", f"{self.prefix}.{number}/24", "dev", inside), ("link", "set", inside, "up"),
                          ("link", "set", "lo", "up")):  # fmt: skip
                _ip("-n", name, *words)
            yield Machine(name, link)
        finally:
            _ip("netns", "del", name)


@contextmanager
def network() -> Iterator[Network]:
    """Make a bridge of this process's own; it goes at the end."""
    number = os.getpid()
    net = Network(f"nt{number % 100_000}", f"10.{100 + number // 250 % 100}.{number % 250}")
    _ip("link", "add", net.bridge, "type", "bridge")
    try:
        _ip("addr", "add", f"{net.here}/24", "dev", net.bridge)
        _ip("link", "set", net.bridge, "up")
        yield net
    finally:
        _ip("link", "del", net.bridge)


def may() -> bool:
    """Tell whether this process may make namespaces."""
    return os.geteuid() == 0 and subprocess.run(["ip", "netns"], capture_output=True, check=False).returncode == 0


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
