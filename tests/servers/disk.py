"""A small disk: a tmpfs that only one process sees, in a mount namespace of its own (root, or user namespaces)."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

PIECE = 4096


def why_not() -> str:
    """Return what keeps a process of ours from having a disk of its own; "" when nothing does."""
    probe = subprocess.run([*_unshared(), "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, text=True)
    return probe.stderr.strip()[:200] if probe.returncode else ""


def on_a_small_disk(folder: Path, megabytes: int, *command: str) -> list[str]:
    """Return the command that runs another with a disk of that size mounted at `folder`."""
    mounted = f'mount -t tmpfs -o size={megabytes}m,mode=755 tmpfs "$0" && exec "$@"'
    return [*_unshared(), "sh", "-c", mounted, str(folder), *command]


def seen_by(process: int, path: Path) -> Path:
    """Return where a path that a process sees is for everybody."""
    return Path(f"/proc/{process}/root") / path.relative_to("/")


def on_a_read_only_disk(folder: Path, *command: str) -> list[str]:
    """Return the command that runs another for which a folder is read-only."""
    mounted = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    return [*_unshared(), "sh", "-c", mounted, str(folder), *command]


def fill(file: Path) -> None:
    """Write to a file until the disk takes nothing more."""
    with contextlib.suppress(OSError), file.open("ab", buffering=0) as opened:
        while True:
            opened.write(bytes(PIECE))


def _unshared() -> list[str]:
    rootless = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *rootless, "--mount", "--propagation", "private"]
