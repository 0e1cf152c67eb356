"""What this machine gives the program: the clock, time zones, space, a database that is whole."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import disk_usage
from zoneinfo import ZoneInfo, available_timezones

from notifier.doctor.finding import Finding, green, red, yellow
from notifier.errors import StoreError
from notifier.files import disk_kind, network_trouble
from notifier.store import backup

UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)
LITTLE, TOO_LITTLE = 1_000_000_000, 100_000_000  # bytes left on a disk
FEW, TOO_FEW = 10_000, 500  # inodes
OLD_ZONES = timedelta(days=730)


def clock() -> Finding:
    """Examine whether the kernel holds its clock to be right."""
    buffer = ctypes.create_string_buffer(512)  # struct timex with no modes set: nothing is changed
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    except (OSError, AttributeError):
        state = -1
    if state < 0:
        return yellow("clock", "the kernel does not say whether its clock is right")
    if state == UNSYNCHRONISED:
        return yellow("clock", "nothing keeps the system clock right: install systemd-timesyncd or chrony")
    return green("clock", "synchronised")


def zones(zone: str, now: datetime) -> Finding:
    """Examine the time-zone data."""
    if not available_timezones():
        return red("time zones", "there are none: install the package tzdata")
    offset = now.astimezone(ZoneInfo(zone)).strftime("%z")
    version = importlib.metadata.version("tzdata")
    year = int(version.split(".")[0])
    if now - datetime(year, 1, 1, tzinfo=UTC) > OLD_ZONES:
        return yellow("time zones", f"{zone} is UTC{offset} by data of {version}: update the package tzdata")
    return green("time zones", f"{zone} is UTC{offset} now (data at least of {version})")


def space(folder: Path) -> Finding:
    """Examine the disk that the database is on."""
    free, inodes = disk_usage(folder).free, os.statvfs(folder)
    words = f"{free / 1e9:.1f} GB and {inodes.f_favail:,} files are free in {folder}"
    if not os.access(folder, os.W_OK):
        return red("disk", f"{folder} cannot be written")
    if free < TOO_LITTLE or (inodes.f_files > 0 and inodes.f_favail < TOO_FEW):
        return red("disk", f"nearly full: {words}")
    if free < LITTLE or (inodes.f_files > 0 and inodes.f_favail < FEW):
        return yellow("disk", words)
    return green("disk", words)


def filesystem(folder: Path, mounts: Path | None = None) -> Finding | None:
    """Examine whether the database is on a disk of this machine; None where that cannot be seen."""
    kind = disk_kind(folder, mounts)
    if not kind:
        return None
    if trouble := network_trouble(folder, kind):
        return red("disk", trouble)
    return green("disk", f"{folder} is on a disk of this machine ({kind})")


def database(file: Path, head: str) -> Finding:
    """Read an SQLite database through; `head` is the schema of this program."""
    if not file.exists():
        return yellow("database", f"{file} is not there yet: the first `notifier run` makes it")
    try:
        revision = backup.check(file)
    except StoreError as fault:
        return red("database", f"{fault}: stop the service and `notifier restore` a backup")
    if revision != head:
        return yellow("database", f"{file} has schema {revision}, this program {head}: the next start brings it there")
    return green("database", f"{file} is whole, {file.stat().st_size / 1e6:.1f} MB, schema {revision}")
