"""A Maildir as a relay: messages become files that any mail client opens (https://cr.yp.to/proto/maildir.html).

The default on a fresh machine, and the safe one: a file is named after its Message-ID and recipient, so that offering a
message again after a crash replaces the first copy, or finds it already read in `cur/`, and never doubles it.

Promises: SENT means that the file and its name are on the disk (fsync of both). A file appears in `new/` whole or not
at all. Fails with RelayTrouble for everything that the system refuses: a full disk, a missing right.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from notifier.address import check_envelope
from notifier.deliver.route import MaildirRoute
from notifier.errors import RelayTrouble
from notifier.model import Envelope, Reply, Verdict, unfit

OLDEST_LEFTOVER = 36 * 3600  # seconds; an older file in tmp/ belongs to nobody (the Maildir specification)
PLACES = 8  # files written at once; each waits for the disk


class MaildirRelay:
    """A relay that files messages; cancelling an offer leaves at most a file in `tmp/`."""

    def __init__(self, route: MaildirRoute) -> None:
        self._route = route
        self._made = False

    @property
    def places(self) -> int:
        """How many files are worth writing at once."""
        return PLACES

    @property
    def largest(self) -> int:
        """Files have no limit."""
        return 0

    async def offer(
        self,
        envelope: Envelope,
        in_doubt: Callable[[], Awaitable[None]],
        _following: Callable[[], Envelope | None] = lambda: None,
    ) -> Reply:
        """Offer a message once; see the package for what comes back."""
        sender = check_envelope(envelope.sender) if envelope.sender else ""
        recipient = check_envelope(envelope.recipient)
        if fault := unfit(envelope.content):
            return Reply(Verdict.REFUSED_MESSAGE, None, fault)
        name = hashlib.sha256(f"{envelope.message_id}\n{recipient}".encode()).hexdigest()[:32] + ".notifier"
        top = f"Return-Path: <{sender}>\nDelivered-To: {recipient}\n".encode("ascii")
        with self._trouble():
            written = await asyncio.to_thread(self._write, name, top + bytes(envelope.content).replace(b"\r\n", b"\n"))
        try:
            await in_doubt()
        except BaseException:
            written.unlink(missing_ok=True)
            raise
        with self._trouble():
            await asyncio.to_thread(self._reveal, written, name)
        try:
            await asyncio.to_thread(_sync, self._route.path / "new")
        except OSError as error:
            return Reply(
                Verdict.IN_DOUBT, None, f"{self._route.path}: the file is there, but perhaps not safe: {error}"
            )
        return Reply(Verdict.SENT, 250, f"filed as {name}")

    def withdraw(self, envelope: Envelope) -> None:
        """Do nothing: no file is begun before its turn."""

    async def narrow(self, places: int) -> None:
        """Do nothing: nothing is kept open."""

    async def close(self) -> None:
        """Do nothing: no file is held open."""

    def _write(self, name: str, content: bytes) -> Path:
        """Put the content on the disk under a name in `tmp/` that nobody else uses."""
        if not self._made:
            self._make()
        path = self._route.path / "tmp" / f"{name}.{os.getpid()}.{secrets.token_hex(4)}"
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    def _reveal(self, written: Path, name: str) -> None:
        """Move a message from `tmp/` to `new/`, unless a mail client already has it in `cur/`."""
        folder = self._route.path
        try:
            if not any((folder / "cur").glob(f"{name}:*")):
                written.replace(folder / "new" / name)
        finally:
            written.unlink(missing_ok=True)

    def _make(self) -> None:
        """Make the Maildir durable, and clear what crashes left in `tmp/`."""
        folder = self._route.path
        for part in ("tmp", "new", "cur"):
            (folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)
        _sync(folder)
        _sync(folder.parent)
        for leftover in (folder / "tmp").iterdir():
            with suppress(FileNotFoundError):
                if time.time() - leftover.stat().st_mtime > OLDEST_LEFTOVER:
                    leftover.unlink()
        self._made = True

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._made = False  # somebody may have moved the folder away
            where = error.filename or self._route.path
            raise RelayTrouble(str(self._route), f"cannot file the message: {error.strerror}: {where}") from error


def _sync(folder: Path) -> None:
    """Make the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
