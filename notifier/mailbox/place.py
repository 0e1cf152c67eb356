"""Where an IMAP mailbox is: a URL (RFC 5092) in its plainest form, checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

MOST_BYTES = 131_072  # of one mail; what a report says is at its beginning
PORTS = {"imaps": 993, "imap": 143}
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of an IMAP server; `tls` from the first byte on (RFC 8314)."""

    host: str
    port: int
    user: str
    folder: str
    tls: bool

    @property
    def name(self) -> str:
        """What the mailbox is called, for people and to remember it by."""
        return f"{self.user} at {self.host}:{self.port}, {self.folder}"


def place(url: str) -> Place:
    """Read `imaps://user@host[:port][/folder]`. Raises ValueError, with the remedy."""
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError('write "imaps://user@host/INBOX"')
    if parts.password is not None:
        raise ValueError("the password is an option of its own: bounces.password")
    user, folder = unquote(parts.username or ""), unquote(parts.path.strip("/")) or "INBOX"
    if not user:
        raise ValueError("name the user before the host; an @ in the name is written %40")
    if not re.fullmatch(r"[ -~]+", user + folder) or re.search(r'["\\*%]', user + folder):
        raise ValueError("a user or folder of plain ASCII without quotes, backslashes and wildcards is needed")
    if parts.scheme == "imap" and parts.hostname not in LOOPBACK:
        raise ValueError("imap:// sends the password in the clear: write imaps://")
    return Place(parts.hostname, parts.port or PORTS[parts.scheme], user, folder, parts.scheme == "imaps")
