"""A machine with a real systemd as PID 1: systemd-nspawn over an overlay of this machine's own root.

Nothing is downloaded; what is written goes to a tmpfs and is gone with the machine. Its network is loopback alone.
Needs root, systemd-nspawn and the right to mount; `why_not` says what is missing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HIERARCHIES = [Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified")]
PATIENCE = 60.0  # seconds for a boot and for everything that is waited for


def why_not() -> str:
    """Return what keeps this machine from running another one; "" when nothing does."""
    if os.geteuid() != 0:
        return "it needs root"
    for tool in ("systemd-nspawn", "systemctl", "dbus-daemon", "nsenter", "curl"):
        if not shutil.which(tool):
            return f"{tool} is not installed (Debian: systemd-container, dbus, util-linux, curl)"
    probe = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, text=True
    )
    return f"it may not mount: {probe.stderr.strip()}" if probe.returncode else ""


@dataclass(slots=True)
class Machine:
    """A machine that can be booted, used and cut off from power; `binds` maps paths inside to read-only folders."""

    folder: Path
    binds: dict[str, Path] = field(default_factory=dict)
    size: str = "512m"
    name: str = field(default_factory=lambda: f"notifier-{uuid.uuid4().hex[:8]}")
    nspawn: subprocess.Popen[bytes] | None = None
    leader: int = 0

    @property
    def root(self) -> Path:
        return self.folder / "root"

    def build(self) -> None:
        """Mount the disk."""
        disk = self.folder / "disk"
        for each in (disk, self.root):
            each.mkdir(parents=True)
        _do("mount", "-t", "tmpfs", "-o", f"size={self.size},mode=755", "tmpfs", str(disk))
        (disk / "upper").mkdir()
        (disk / "work").mkdir()
        layers = f"lowerdir=/,upperdir={disk}/upper,workdir={disk}/work"
        _do("mount", "-t", "overlay", "overlay", "-o", layers, str(self.root))
        (self.root / "etc/machine-id").unlink(missing_ok=True)
        (self.root / "etc/machine-id").write_text(uuid.uuid4().hex + "\n")
        for unit in (self.root / "etc/systemd/system").glob("notifier*"):
            unit.unlink()
        for path in self.binds:
            (self.root / path.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def boot(self) -> None:
        """Start PID 1 and wait until it has come up."""
        groups = [place / self.name for place in HIERARCHIES if place.is_dir()]
        for group in groups:
            group.mkdir(exist_ok=True)
        binds = [f"--bind-ro={folder}:{path}" for path, folder in self.binds.items()]
        command = [
            "systemd-nspawn", "--quiet", f"--directory={self.root}", "--boot", f"--machine={self.name}",
            "--register=no", "--keep-unit", "--private-network", "--resolv-conf=off", "--timezone=off",
            "--link-journal=no",
            "--console=pipe", "--kill-signal=SIGRTMIN+4", "--system-call-filter=bpf", *binds,
            "systemd.unit=multi-user.target",
        ]  # fmt: skip
        joins = "".join(f"echo $$ > {group}/cgroup.procs; " for group in groups)
        self.nspawn = subprocess.Popen(
            ["sh", "-c", f'{joins} exec "$@"', "sh", *command],
            env={**os.environ, "UNIFIED_CGROUP_HIERARCHY": "1"}, stdin=subprocess.DEVNULL,
            stdout=(self.folder / "console").open("ab"), stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self.until(self._found_leader, "PID 1")
        self.until(
            lambda: self.ask("systemctl", "is-system-running").stdout.strip() in ("running", "degraded"), "the boot"
        )

    def _found_leader(self) -> bool:
        assert self.nspawn is not None
        if self.nspawn.poll() is not None:
            raise AssertionError(f"systemd-nspawn ended: {(self.folder / 'console').read_text()[-2000:]}")
        found = subprocess.run(
            ["pgrep", "-P", str(self.nspawn.pid), "-x", "systemd"], capture_output=True, text=True
        ).stdout.split()
        self.leader = int(found[0]) if found else 0
        return bool(self.leader)

    def ask(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command inside, whatever it returns."""
        inside = ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-C", "env", "-i"]
        settings = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "SYSTEMD_PAGER=", "TERM=dumb"]
        return subprocess.run(
            [*inside, *settings, *command], input=stdin, capture_output=True, text=True, timeout=PATIENCE
        )

    def do(self, *command: str, stdin: str = "") -> str:
        """Run a command inside that must succeed; return what it printed."""
        done = self.ask(*command, stdin=stdin)
        assert done.returncode == 0, (
            f"{' '.join(command)}: {done.returncode} {done.stdout}{done.stderr}\n{self.journal()[-6000:]}"
        )
        return done.stdout

    def write(self, path: str, text: str, mode: str = "0644") -> None:
        """Write a file inside."""
        self.do("install", "-D", "-m", mode, "/dev/stdin", path, stdin=text)

    def journal(self, unit: str = "notifier") -> str:
        """Return the log of a unit."""
        return self.ask("journalctl", "-u", unit, "--no-pager", "-o", "cat").stdout

    def property(self, name: str, unit: str = "notifier.service") -> str:
        return self.do("systemctl", "show", "-P", name, unit).strip()

    def until(self, true: object, what: str, patience: float = PATIENCE) -> None:
        """Wait until a question is answered with yes."""
        assert callable(true)
        end = time.monotonic() + patience
        while not true():
            if time.monotonic() > end:
                said = self.journal()[-6000:] if self.leader else ""
                raise AssertionError(f"waited {patience:.0f} s for {what}\n{said}")
            time.sleep(0.05)

    def cut_power(self) -> None:
        """Kill everything at once; the disk stays."""
        os.kill(self.leader, 9)
        self._gone()

    def shut_down(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.leader, 38)  # SIGRTMIN+4: power off
        self._gone()

    def _gone(self) -> None:
        assert self.nspawn is not None
        try:
            self.nspawn.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.nspawn.kill()
            self.nspawn.wait()
        self.leader = 0
        for group in (place / self.name for place in HIERARCHIES):
            for each in [*sorted((p for p in group.rglob("*") if p.is_dir()), reverse=True), group]:
                with contextlib.suppress(OSError):
                    each.rmdir()

    def scrap(self) -> None:
        """Unmount the disk; what was on it is gone."""
        for each in (self.root, self.folder / "disk"):
            subprocess.run(["umount", "--recursive", "--lazy", str(each)], capture_output=True)


@contextmanager
def machine(folder: Path, binds: dict[str, Path]) -> Iterator[Machine]:
    """Boot a machine; it is gone at the end."""
    made = Machine(folder, binds)
    made.build()
    try:
        made.boot()
        yield made
    finally:
        if made.nspawn is not None:
            made.shut_down()
        made.scrap()


def _do(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
