"""A Maildir (cr.yp.to/proto/maildir.html): what is new, or not marked as seen by anybody, waits."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from notifier.errors import MailboxTrouble
from notifier.mailbox.place import MOST_BYTES


class Maildir:
    """A Maildir that others deliver to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def read(self, take: Callable[[bytes], Awaitable[None]]) -> int:
        """Hand over every waiting mail, oldest first, and move it to `cur` with the flag S; return their number."""
        number = 0
        for file in await asyncio.to_thread(self._waiting):
            content = await asyncio.to_thread(self._content, file)
            if content is None:
                continue
            await take(content)
            await asyncio.to_thread(self._mark_seen, file)
            number += 1
        return number

    def _waiting(self) -> list[Path]:
        try:
            found = [Path(entry) for entry in os.scandir(self._folder / "new")]
            found += [Path(entry) for entry in os.scandir(self._folder / "cur") if "S" not in _flags(entry.name)]
            return sorted((file for file in found if not file.name.startswith(".")), key=_age)
        except OSError as fault:
            raise MailboxTrouble(
                f"{self._folder}: {fault.strerror}: is it a Maildir that this user may read?"
            ) from None

    def _content(self, file: Path) -> bytes | None:
        """Return the beginning of a mail; None when somebody else took it."""
        try:
            with file.open("rb") as opened:
                return opened.read(MOST_BYTES)
        except FileNotFoundError:
            return None
        except OSError as fault:
            raise MailboxTrouble(f"{file}: {fault.strerror}: may this user read it?") from None

    def _mark_seen(self, file: Path) -> None:
        name, _, _ = file.name.partition(":2,")
        flags = "".join(sorted(set(_flags(file.name)) | {"S"}))
        try:
            file.rename(self._folder / "cur" / f"{name}:2,{flags}")
        except FileNotFoundError:
            return  # somebody else took it
        except OSError as fault:
            raise MailboxTrouble(f"{file}: {fault.strerror}: may this user move it?") from None


def _flags(name: str) -> str:
    return name.partition(":2,")[2]


def _age(file: Path) -> tuple[float, str]:
    try:
        return file.stat().st_mtime, file.name
    except FileNotFoundError:
        return 0.0, file.name
