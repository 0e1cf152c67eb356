"""Files: put bytes under a name so that a reader, and a power cut, sees the old file or the new one, never a half; know
which disk a folder is on, and where the files are that ship with the program.
"""

from __future__ import annotations

import os
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
NETWORK = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "glusterfs", "lustre", "fuse.sshfs", "fuse.glusterfs")


def shipped(name: str) -> Path:
    """Return what ships with the program, by its name: inside the package of a wheel, beside it in a checkout.

    It may be missing from an installation that is incomplete.
    """
    package = Path(__file__).resolve().parent
    inside = package / "_shipped" / name
    return inside if inside.exists() else package.parent / name


def own_as_folder(path: Path) -> None:
    """Give a file that root made to the owner of its folder: the service must be able to use it."""
    if os.geteuid() == 0:
        folder = path.parent.stat()
        os.chown(path, folder.st_uid, folder.st_gid)


def disk_kind(folder: Path, mounts: Path | None = None) -> str:
    """Return the type of the file system that a folder is on, as in /proc/self/mountinfo; "" where it is not said."""
    try:
        lines = [line.split() for line in (mounts or MOUNTS).read_text().splitlines()]
    except OSError:
        return ""
    # proc(5): the fifth field is the mount point, the type follows the lone dash.
    kinds = {line[4].replace("\\040", " "): line[line.index("-") + 1] for line in lines if "-" in line}
    over = [Path(place) for place in kinds if folder.resolve().is_relative_to(place)]
    return kinds[str(max(over, key=lambda place: len(place.parts)))] if over else ""


def network_trouble(folder: Path, kind: str) -> str:
    """Return why no database of SQLite may be in a folder on a file system of this type; "" when it may."""
    if not kind.startswith(NETWORK):
        return ""
    remedy = "use a disk of this machine, or PostgreSQL"
    return f"{folder} is on a network ({kind}): SQLite's locks do not hold there; {remedy}"


def replace_file(path: Path, content: bytes, mode: int = 0o644) -> bool:
    """Write `content` durably under `path` unless it is there already; return whether it was written.

    Raises OSError, leaving the old file, when the disk is full or the folder cannot be written.
    """
    try:
        if path.read_bytes() == content:
            return False
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return True
