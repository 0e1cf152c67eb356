"""Files: put bytes under a name so that a reader, and a power cut, sees the old file or the new one, never a half."""

from __future__ import annotations

import os
from pathlib import Path


def own_as_folder(path: Path) -> None:
    """Give a file that root made to the owner of its folder: the service must be able to use it."""
    if os.geteuid() == 0:
        folder = path.parent.stat()
        os.chown(path, folder.st_uid, folder.st_gid)


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
