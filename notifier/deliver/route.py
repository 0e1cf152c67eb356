"""Relay URLs: what a relay is called, where it is and how it must be reached.

Promises that no route sends a password in clear text to another machine. Fails with ValueError whose text names the
remedy and never the password.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

PORTS = {"smtp": 25, "smtps": 465}  # RFC 5321, RFC 8314

_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?", re.ASCII)


@dataclass(frozen=True, slots=True)
class MaildirRoute:
    """A Maildir for all recipients; it is made when it is not there."""

    path: Path

    def __str__(self) -> str:
        return f"maildir:{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpRoute:
    """An SMTP server: `tls` from the first byte, `starttls` before anything else is said; user "" for no AUTH."""

    host: str
    port: int
    tls: bool
    starttls: bool
    user: str = ""
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'smtps' if self.tls else 'smtp'}://{host}:{self.port}"


def route(url: str, *, user: str = "", password: str = "", starttls: bool | None = None) -> MaildirRoute | SmtpRoute:
    """Return where `url` leads; raises ValueError with the remedy if it leads nowhere or would be unsafe."""
    scheme, colon, rest = url.partition(":")
    if scheme == "maildir" and colon:
        if not rest.strip("/") or "\0" in rest:
            raise ValueError("maildir: needs a folder: maildir:/var/lib/notifier/mail")
        return MaildirRoute(Path("/" + rest.lstrip("/") if rest.startswith("//") else rest))
    if scheme not in PORTS or not rest.startswith("//"):
        raise ValueError("a relay is maildir:PATH, smtp://HOST[:PORT] or smtps://HOST[:PORT]")
    host, port = _place(url, scheme)
    if bool(user) != bool(password):
        raise ValueError("a relay's user and password come together: set both or none")
    tls = scheme == "smtps"
    if tls and starttls:
        raise ValueError("smtps:// is encrypted from the start: leave starttls out, or use smtp://")
    required = starttls if starttls is not None else not tls and not is_loopback(host)
    if user and not (tls or required or is_loopback(host)):
        raise ValueError("a password is not sent unencrypted: leave starttls out, or use smtps://")
    return SmtpRoute(host=host, port=port, tls=tls, starttls=required, user=user, password=password)


def is_loopback(host: str) -> bool:
    """Return whether `host` is this machine by its spelling alone; nothing is looked up."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def _place(url: str, scheme: str) -> tuple[str, int]:
    """Return host and port of an SMTP URL that holds nothing else."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError(f"the relay's URL cannot be read ({error}): use {scheme}://HOST[:PORT]") from None
    if "@" in parts.netloc:
        raise ValueError("user and password do not belong into the relay's URL: they have settings of their own")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"a relay's URL ends after the port: use {scheme}://HOST[:PORT]")
    if port == 0 or not (_HOST.fullmatch(host) or _is_address(host)):
        raise ValueError(f"the relay's URL names no host: use {scheme}://HOST[:PORT]")
    return host, port or PORTS[scheme]


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
