"""One SMTP connection: opened, encrypted, logged in, and left (RFC 5321; STARTTLS 3207, AUTH 4954).

aiosmtplib connects, greets, encrypts and logs in; after that the connection speaks through a `Dialogue`. Every wait
has a time limit. Fails with RelayTrouble; a refused password is `Unwelcome`, so that it is not shown again and again.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

from aiosmtplib import SMTP, SMTPException, SMTPResponse, SMTPServerDisconnected

from notifier.deliver.dialogue import Dialogue
from notifier.deliver.reply import one_line
from notifier.deliver.route import SmtpRoute
from notifier.deliver.trouble import silence, trouble, trouble_of
from notifier.errors import RelayTrouble

QUIT_TIMEOUT = 5.0  # seconds
CLEAR_METHODS = ("cram-md5", "plain", "login")  # loopback only
ENCRYPTED_METHODS = ("plain", "login", "cram-md5")

T = TypeVar("T")


class Unwelcome(RelayTrouble):
    """The relay refused our user and password for good."""


class Connection:
    """An open connection; `pipelining` and `largest` (octets, 0: not said) are what the relay offers.

    `opened` and `used` are times of the event loop, `messages` counts transactions begun, and `begun` tells that one
    must be reset before the next.
    """

    def __init__(self, route: SmtpRoute, client: SMTP, dialogue: Dialogue, patience: float) -> None:
        self.route = route
        self.dialogue = dialogue
        self.pipelining = client.supports_extension("pipelining")
        self.sized = client.supports_extension("size")
        limit = re.match(r"[0-9]{1,18}", client.esmtp_extensions["size"].strip()) if self.sized else None
        self.largest = int(limit[0]) if limit else 0
        self.opened = self.used = asyncio.get_running_loop().time()
        self.messages = 0
        self.begun = False
        self._client = client
        self._patience = patience

    def say(self, stage: str, *commands: str) -> None:
        """Write commands together; raises RelayTrouble when nobody is there."""
        try:
            self.dialogue.say(*commands)
        except SMTPException as error:
            raise trouble_of(self.route, stage, error) from error

    async def reply(self, stage: str) -> SMTPResponse:
        """Return the next reply; raises RelayTrouble when there is none in time."""
        try:
            return await self.dialogue.reply(self._patience)
        except TimeoutError:
            raise silence(self.route, stage, self._patience) from None
        except SMTPException as error:
            raise trouble_of(self.route, stage, error) from error

    async def quit(self) -> None:
        """Leave politely; what the server does now changes nothing."""
        try:
            with suppress(SMTPException, TimeoutError):
                self.dialogue.say("QUIT")
                await self.dialogue.reply(min(QUIT_TIMEOUT, self._patience))
        finally:
            self.abort()

    def abort(self) -> None:
        """Close at once."""
        self.dialogue.abort()
        self._client.close()


async def connect(route: SmtpRoute, context: ssl.SSLContext, *, hello: str, patience: float) -> Connection:
    """Return a connection that is ready for its first transaction; `patience` (seconds) is for every single answer.

    aiosmtplib's own timeouts are not used: they rest on asyncio.wait_for, which before Python 3.12 loses a
    cancellation that comes together with the answer.
    """
    client = SMTP(
        hostname=route.host,
        port=route.port,
        use_tls=route.tls,
        start_tls=False,
        tls_context=context,
        timeout=None,
        local_hostname=hello or "localhost",  # said nowhere, see _greet; None would ask the DNS
    )
    try:
        await _within(route, "the connection", patience, client.connect())
        await _greet(route, client, hello, patience)
        if route.starttls:
            if not client.supports_extension("starttls"):
                raise trouble(route, "does not offer STARTTLS, and unencrypted it is not used", permanent=True)
            await _within(route, "STARTTLS", patience, client.starttls())
            await _greet(route, client, hello, patience)
        if route.user:
            await _authenticate(route, client, patience)
        if not isinstance(client.transport, asyncio.Transport):
            raise trouble_of(route, "EHLO", SMTPServerDisconnected("Connection lost"))
        return Connection(route, client, Dialogue(client.transport), patience)
    except BaseException:
        if isinstance(client.transport, asyncio.WriteTransport):
            client.transport.abort()
        client.close()
        raise


async def _greet(route: SmtpRoute, client: SMTP, name: str, patience: float) -> None:
    """Say EHLO, or HELO to those who do not know it; without a name, our address (RFC 5321 4.1.3)."""
    if not name and client.transport is not None:
        address = str(client.transport.get_extra_info("sockname")[0])
        name = f"[IPv6:{address}]" if ":" in address else f"[{address}]"
    try:
        await _within(route, "EHLO", patience, client.ehlo(hostname=name))
    except RelayTrouble as found:
        if found.code not in (500, 502, 504):
            raise
        await _within(route, "HELO", patience, client.helo(hostname=name))


async def _authenticate(route: SmtpRoute, client: SMTP, patience: float) -> None:
    """Show the password once, by the best method both know."""
    methods = ENCRYPTED_METHODS if route.tls or route.starttls else CLEAR_METHODS
    method = next((name for name in methods if name in client.server_auth_methods), None)
    if method is None:
        offered = " ".join(client.server_auth_methods) or "no AUTH"
        raise trouble(route, f"offers {one_line(offered)}, and we know {', '.join(methods)}", permanent=True)
    ask = {"plain": client.auth_plain, "login": client.auth_login, "cram-md5": client.auth_crammd5}[method]
    try:
        await _within(route, "user and password", patience, ask(route.user, route.password))
    except RelayTrouble as found:
        if found.permanent:
            raise Unwelcome(found.relay, found.reason, code=found.code, permanent=True) from found
        raise


async def _within(route: SmtpRoute, stage: str, seconds: float, answer: Awaitable[T]) -> T:
    """Await an answer of aiosmtplib for some seconds; raises RelayTrouble."""
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except TimeoutError:
        raise silence(route, stage, seconds) from None
    except (SMTPException, OSError, ValueError) as error:  # ValueError: an AUTH challenge that is no base64
        raise trouble_of(route, stage, error) from error
