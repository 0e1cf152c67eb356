"""Offer one message once, to the relay that the operator chose, and say what became of it.

Owns everything between a stored message and another program's promise to deliver it: the relays (`smtp` over RFC 5321,
`maildir`), and the meaning of their answers (`reply`). Retries, leases and the outbox are the caller's.

A relay is chosen by URL: `maildir:PATH`, `smtp://HOST[:25]`, `smtps://HOST[:465]`.

Promises of `Relay.offer`:
- The bytes arrive unchanged (a Maildir gets LF line ends and the two headers of a delivery agent on top).
- `in_doubt` is awaited once, right before the message can be accepted. Before it returned, nothing was accepted.
- `Reply` is news about this recipient or message. Only `Verdict.IN_DOUBT` leaves open whether it was accepted.
- `RelayTrouble` is trouble with us or the relay: this message was not accepted, even if `in_doubt` was awaited, and no
  recipient is to blame. `AddressError` is an address that must not be written into a command; nothing was sent.
- `following` may be asked, at most once, what will be offered next, so that it can be begun in the same breath. That
  changes nothing for this message, nor for the next: `in_doubt` of the next is awaited as ever. What was given must be
  offered next, or be withdrawn.
- Offers may be made concurrently; one that is slow, or fails, does not disturb the others.
- Cancelled, it raises CancelledError at once: before `in_doubt` returned nothing was accepted, later it is in doubt.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from notifier.deliver.maildir import MaildirRelay
from notifier.deliver.route import MaildirRoute, route
from notifier.deliver.smtp import (
    COMMAND_TIMEOUT,
    CONNECTIONS,
    CONTENT_TIMEOUT,
    FINAL_TIMEOUT,
    LONGEST_AGE,
    LONGEST_IDLE,
    MOST_MESSAGES,
    SmtpRelay,
)
from notifier.model import Envelope, Reply

__all__ = ["Relay", "check", "relay"]


class Relay(Protocol):
    """Takes messages, `places` at a time; see the module for what it promises."""

    @property
    def places(self) -> int:
        """How many offers may be under way at once; more of them wait for each other."""

    @property
    def largest(self) -> int:
        """How many octets of a message it takes, as far as it said (RFC 1870); 0: it did not, or has no limit."""

    async def offer(
        self,
        envelope: Envelope,
        in_doubt: Callable[[], Awaitable[None]],
        following: Callable[[], Envelope | None] = ...,
    ) -> Reply:
        """Offer a message once; `in_doubt` is awaited right before it can be accepted."""

    def withdraw(self, envelope: Envelope) -> None:
        """Take note that a message which was given as `following` will not be offered now."""

    async def narrow(self, places: int) -> None:
        """Take leave of the relay where more than so many connections are open and unused."""

    async def close(self) -> None:
        """Take leave of the relay; never raises for what the relay does."""


def check(url: str, *, user: str = "", password: str = "", starttls: bool | None = None) -> None:
    """Raise ValueError, with the remedy, if `relay` could not use these; nothing is connected to."""
    route(url, user=user, password=password, starttls=starttls)


def relay(
    url: str,
    *,
    user: str = "",
    password: str = "",
    starttls: bool | None = None,
    ca_file: Path | None = None,
    connections: int = CONNECTIONS,
    hello: str = "",
    command_timeout: float = COMMAND_TIMEOUT,
    content_timeout: float = CONTENT_TIMEOUT,
    final_timeout: float = FINAL_TIMEOUT,
    most_messages: int = MOST_MESSAGES,
    longest_age: float = LONGEST_AGE,
    longest_idle: float = LONGEST_IDLE,
) -> Relay:
    """Return the relay that `url` names; it connects when the first message is offered.

    `starttls` None requires it except on loopback, where none is asked for. `ca_file` (PEM) is trusted besides the
    system's authorities. No more than `connections` are open at once. `hello` is our name in EHLO; without it our
    address is. Timeouts and age are in seconds: per command, for the content to leave, after the final dot, of one
    connection, of one that is unused. Raises ValueError as `check` does, or for an unusable file.
    """
    chosen = route(url, user=user, password=password, starttls=starttls)
    if isinstance(chosen, MaildirRoute):
        return MaildirRelay(chosen)
    if not re.fullmatch(r"[!-~]{0,255}", hello):
        raise ValueError(f"{hello!r} cannot be our name in EHLO: use the host name of this machine")
    encrypted = chosen.tls or chosen.starttls
    context = ssl.create_default_context() if encrypted else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # 30 ms cheaper
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except OSError as error:
            raise ValueError(f"{ca_file}: no certificates can be read from it ({error}): name a PEM file") from error
    return SmtpRelay(
        chosen,
        context,
        hello=hello,
        connections=connections,
        command_timeout=command_timeout,
        content_timeout=content_timeout,
        final_timeout=final_timeout,
        most_messages=most_messages,
        longest_age=longest_age,
        longest_idle=longest_idle,
    )
