"""Read the mailbox that mail comes back to: a Maildir on this machine, or a folder over IMAP.

Promise of `Mailbox.read`: each waiting mail is handed over once it was read whole or up to MOST_BYTES, and only when
what took it has returned is it marked as seen. Nothing is ever deleted. A crash in between hands it over once more.
Raises MailboxTrouble when the mailbox cannot be used; what was handed over until then stays done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from notifier.mailbox.imap import ImapMailbox, Marks
from notifier.mailbox.maildir import Maildir
from notifier.mailbox.place import MOST_BYTES, place

__all__ = ["MOST_BYTES", "Mailbox", "mailbox", "place"]


class Mailbox(Protocol):
    """Hands over what waits in it; see the module for what it promises."""

    async def read(self, take: Callable[[bytes], Awaitable[None]]) -> int:
        """Hand over every waiting mail, oldest first; return how many there were."""


def mailbox(*, maildir: Path | None, imap: str, password: str, marks: Marks) -> Mailbox | None:
    """Return the mailbox that the options name, None when they name none; nothing is opened yet."""
    if maildir is not None:
        return Maildir(maildir)
    return ImapMailbox(place(imap), password, marks) if imap else None
