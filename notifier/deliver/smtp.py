"""A relay that speaks SMTP: every offer takes a connection of the pool, and gives it back or lets it go.

Owns the policy of connections. A connection is kept only after a clean end of a transaction. A connection that was
used before and turns out to be gone is replaced by another, unnoticed, as long as nothing was said that counts.

Where the caller knows what it will offer next, and nobody waits for the connection, that envelope is said together with
the final dot, and the connection is kept for it. A server that does not answer that as it should, or not the dot that
it came with, is not told anything ahead for AHEAD_PAUSE.

Fails as the package says. A 421 is an answer like others: before RCPT it is trouble with us, from RCPT on it defers
that message alone - if the relay is really closed, the next connection will find out.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

from notifier.address import check_envelope
from notifier.deliver.connection import Connection, Unwelcome, connect
from notifier.deliver.pool import Pool
from notifier.deliver.route import SmtpRoute
from notifier.deliver.transaction import End, Offer, Stale, Terms, too_large, transact
from notifier.deliver.trouble import trouble
from notifier.errors import AddressError, RelayTrouble
from notifier.model import Envelope, Reply, Verdict, unfit

# --- policy (seconds, where nothing else is said) ---------------------------------------------------------------------

CONNECTIONS = 4
COMMAND_TIMEOUT = 60.0
CONTENT_TIMEOUT = 180.0  # RFC 5321 4.5.3.2.5
FINAL_TIMEOUT = 600.0  # RFC 5321 4.5.3.2.6: a server may take 10 minutes after the dot, and giving up makes doubles
MOST_MESSAGES = 100  # over one connection
LONGEST_AGE = 300.0  # of one connection
LONGEST_IDLE = 30.0  # a connection unused for longer is not trusted to be there
AHEAD_PAUSE = 86_400.0  # after a server may not have done with an envelope that came with the dot before it
AUTH_PAUSE = 900.0  # after a refused password, so that trying again does not lock the account


class SmtpRelay:
    """A relay that speaks SMTP, over several connections at once."""

    def __init__(
        self,
        route: SmtpRoute,
        context: ssl.SSLContext,
        *,
        connections: int = CONNECTIONS,
        hello: str = "",
        command_timeout: float = COMMAND_TIMEOUT,
        content_timeout: float = CONTENT_TIMEOUT,
        final_timeout: float = FINAL_TIMEOUT,
        most_messages: int = MOST_MESSAGES,
        longest_age: float = LONGEST_AGE,
        longest_idle: float = LONGEST_IDLE,
    ) -> None:
        self._route = route
        self._context = context
        self._hello = hello
        self._command_timeout = command_timeout
        self._content_timeout = content_timeout
        self._final_timeout = final_timeout
        self._pool = Pool(
            connections,
            self._connect,
            most_messages=most_messages,
            longest_age=longest_age,
            longest_idle=longest_idle,
        )
        self._ahead: dict[str, tuple[Connection, Offer]] = {}  # what was said ahead, by Message-ID
        self._ahead_from = 0.0
        self._refused: tuple[float, Unwelcome] | None = None
        self._largest = 0

    @property
    def places(self) -> int:
        """How many offers are served at once; more of them wait for each other."""
        return self._pool.places

    @property
    def largest(self) -> int:
        """What the last connection said, octets."""
        return self._largest

    async def offer(
        self,
        envelope: Envelope,
        in_doubt: Callable[[], Awaitable[None]],
        following: Callable[[], Envelope | None] = lambda: None,
    ) -> Reply:
        """Offer a message once; see the package for what comes back."""
        if found := self._ahead.pop(envelope.message_id, None):
            connection, offer = found
            try:
                return await self._over(connection, offer, in_doubt, following, said=True)
            except Stale as stale:
                if stale.strange:
                    self._say_nothing_ahead()
        else:
            offer = _checked(envelope)
            if fault := unfit(envelope.content):
                return Reply(Verdict.REFUSED_MESSAGE, None, fault)
        while True:  # every round but the last uses up a connection that was used before
            try:
                return await self._over(await self._pool.take(), offer, in_doubt, following)
            except Stale:
                continue

    def withdraw(self, envelope: Envelope) -> None:
        """Say no more of a message whose envelope was said ahead; nothing was accepted."""
        if found := self._ahead.pop(envelope.message_id, None):
            self._pool.give(found[0], clean=False)

    async def narrow(self, places: int) -> None:
        """Say QUIT on unused connections, until no more than so many are open."""
        await self._pool.narrow(places)

    async def close(self) -> None:
        """Say QUIT to everybody, after the offers that are under way."""
        while self._ahead:
            self._pool.give(self._ahead.popitem()[1][0], clean=False)
        await self._pool.close()

    async def _over(
        self,
        connection: Connection,
        offer: Offer,
        in_doubt: Callable[[], Awaitable[None]],
        following: Callable[[], Envelope | None],
        *,
        said: bool = False,
    ) -> Reply:
        ahead: Offer | None = None

        def next_offer() -> Offer | None:
            nonlocal ahead
            ahead = self._following(connection, following)
            return ahead

        terms = Terms(
            in_doubt=in_doubt,
            following=next_offer,
            content_timeout=self._content_timeout,
            final_timeout=self._final_timeout,
        )
        end: End | None = None
        try:
            end = await transact(connection, offer, terms, said=said)
            if end.strange:
                self._say_nothing_ahead()
            return end.reply
        except RelayTrouble:
            if ahead is not None:  # what came with the dot may be why
                self._say_nothing_ahead()
            raise
        finally:
            if end is not None and end.clean and end.ahead is not None:
                connection.used = asyncio.get_running_loop().time()
                self._ahead[end.ahead.message_id] = connection, end.ahead
            else:
                self._pool.give(connection, clean=end is not None and end.clean)

    def _say_nothing_ahead(self) -> None:
        self._ahead_from = asyncio.get_running_loop().time() + AHEAD_PAUSE

    def _following(self, connection: Connection, following: Callable[[], Envelope | None]) -> Offer | None:
        """Return what is to be said ahead: nothing that another connection must carry, or that must not be said."""
        paused = asyncio.get_running_loop().time() < self._ahead_from
        if paused or self._pool.wanted or self._pool.closing or self._pool.worn(connection):
            return None
        envelope = following()
        if envelope is None or unfit(envelope.content):
            return None
        try:
            offer = _checked(envelope)
        except AddressError:  # is said when its turn comes
            return None
        return None if too_large(connection, offer) else offer

    async def _connect(self) -> Connection:
        """Return a new connection; a refused password is not shown again for AUTH_PAUSE."""
        now = asyncio.get_running_loop().time
        if self._refused and (left := self._refused[0] + AUTH_PAUSE - now()) > 0:
            was = self._refused[1]
            raise trouble(
                self._route, f"{was.reason} (not tried again for {left:.0f} s)", code=was.code, permanent=True
            )
        try:
            found = await connect(self._route, self._context, hello=self._hello, patience=self._command_timeout)
            self._largest = found.largest
            return found
        except Unwelcome as found:
            self._refused = now(), found
            raise


def _checked(envelope: Envelope) -> Offer:
    """Return what may be said; raises AddressError."""
    return Offer(
        message_id=envelope.message_id,
        sender=check_envelope(envelope.sender) if envelope.sender else "",  # RFC 5321 4.5.5: the null reverse-path
        recipient=check_envelope(envelope.recipient),
        content=envelope.content,
        size=len(envelope.content),
    )
