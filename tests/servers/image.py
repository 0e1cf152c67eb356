"""A small disk of its own for a test: one that can fill, and one whose power can fail. Needs root and loop devices.

A power cut keeps what had reached the disk and forgets what was still in the memory of the system. So does a copy of
the image under a mounted file system (`copy`), to go on with (`restart`): its journal is replayed when it is mounted.
`why_not` says what is missing on a machine where neither can be had.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

SIZE = 48 * 2**20  # octets


def why_not() -> str:
    """Return what keeps this machine from mounting a disk of its own; "" when nothing does."""
    if os.geteuid() != 0:
        return "it needs root"
    if not shutil.which("mkfs.ext4") or not Path("/dev/loop-control").exists():
        return "it needs mkfs.ext4 and loop devices"
    probe = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, text=True
    )
    return f"it may not mount: {probe.stderr.strip()}" if probe.returncode else ""


@dataclass(slots=True)
class Disk:
    """A file system in an image, mounted at `folder`."""

    image: Path
    folder: Path

    def copy(self) -> None:
        """Keep what is on the disk now: what was not synced is not in it. Whoever writes should be stopped."""
        _do("cp", "--sparse=always", str(self.image), str(self._copied))

    def restart(self) -> None:
        """Go on with what was kept, when nobody has a file of the disk open any more."""
        self._unmount()
        self._copied.rename(self.image)
        self.mount()

    @property
    def _copied(self) -> Path:
        return self.image.with_suffix(".copy")

    def mount(self) -> None:
        _do("mount", "-o", "loop,commit=600", str(self.image), str(self.folder))

    def fill(self, left: int) -> None:
        """Leave so many octets free, or fewer: the program may write meanwhile."""
        self.clear()
        free = os.statvfs(self.folder).f_bavail * os.statvfs(self.folder).f_frsize
        with suppress(OSError), (self.folder / "filler").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, free - left))  # what there is it takes, and then it fails

    def clear(self) -> None:
        """Make room again."""
        (self.folder / "filler").unlink(missing_ok=True)

    def _unmount(self) -> None:
        if subprocess.run(["umount", str(self.folder)], capture_output=True).returncode:
            _do("umount", "--lazy", str(self.folder))


@contextmanager
def disk(folder: Path) -> Iterator[Disk]:
    """Mount a new disk at `folder`/disk."""
    made = Disk(folder / "disk.img", folder / "disk")
    made.folder.mkdir()
    with made.image.open("wb") as file:
        file.truncate(SIZE)
    _do("mkfs.ext4", "-q", "-F", "-m", "0", str(made.image))
    made.mount()
    try:
        yield made
    finally:
        made._unmount()


def _do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
