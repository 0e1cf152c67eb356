"""One message, one recipient, one SMTP transaction at a time (RFC 5321; SIZE 1870, STARTTLS 3207, AUTH 4954).

Owns the connection (aiosmtplib lives here): it is opened for the first message, kept for the next ones, and given up
after MOST_MESSAGES, LONGEST_AGE or LONGEST_IDLE, and whenever anything but a clean end of a transaction was seen.

Commands are written with `execute_command` and the content with `write`, because the comfortable methods of aiosmtplib
rewrite messages, raise for a 251 and leave no room between the content and the final dot - where `in_doubt` belongs:
until the dot is written no server may accept the message, after it only a reply tells.

Fails as the package says. A 421 is an answer like others: before RCPT it is trouble with us, from RCPT on it defers
that message alone - if the relay is really closed, the next connection will find out.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from aiosmtplib import SMTP, SMTPException, SMTPResponse, SMTPResponseException

from notifier.address import check_envelope
from notifier.deliver.message import stuffed, unfit
from notifier.deliver.reply import Stage, one_line, verdict
from notifier.deliver.route import SmtpRoute
from notifier.errors import RelayTrouble
from notifier.model import Envelope, Reply, Verdict

# --- policy (seconds, where nothing else is said) ---------------------------------------------------------------------

COMMAND_TIMEOUT = 60.0
FINAL_TIMEOUT = 600.0  # RFC 5321 4.5.3.2.6: a server may take 10 minutes after the dot, and giving up makes doubles
QUIT_TIMEOUT = 5.0
MOST_MESSAGES = 100  # over one connection
LONGEST_AGE = 300.0
LONGEST_IDLE = 30.0  # a connection unused for longer is not trusted to be there
AUTH_PAUSE = 900.0  # after a refused password, so that trying again does not lock the account
CLEAR_METHODS = ("cram-md5", "plain", "login")  # loopback only
ENCRYPTED_METHODS = ("plain", "login", "cram-md5")

T = TypeVar("T")


class SmtpRelay:
    """A relay that speaks SMTP; offers wait for each other."""

    def __init__(
        self,
        route: SmtpRoute,
        context: ssl.SSLContext,
        *,
        hello: str = "",
        command_timeout: float = COMMAND_TIMEOUT,
        final_timeout: float = FINAL_TIMEOUT,
        most_messages: int = MOST_MESSAGES,
        longest_age: float = LONGEST_AGE,
    ) -> None:
        self._route = route
        self._context = context
        self._hello = hello
        self._command_timeout = command_timeout
        self._final_timeout = final_timeout
        self._most_messages = most_messages
        self._longest_age = longest_age
        self._turn = asyncio.Lock()
        self._client: SMTP | None = None
        self._opened = self._used = 0.0  # times of the event loop
        self._messages = 0
        self._auth_refused: tuple[float, RelayTrouble] | None = None

    async def offer(self, envelope: Envelope, in_doubt: Callable[[], Awaitable[None]]) -> Reply:
        """Offer a message once; see the package for what comes back."""
        sender = check_envelope(envelope.sender) if envelope.sender else ""  # RFC 5321 4.5.5: the null reverse-path
        recipient = check_envelope(envelope.recipient)
        if fault := unfit(envelope.content):
            return Reply(Verdict.REFUSED_MESSAGE, None, fault)
        async with self._turn:
            clean = False
            try:
                client = await self._ready()
                reply, clean = await self._transact(client, sender, recipient, envelope.content, in_doubt)
                self._used = _now()
                return reply
            finally:
                if not clean:
                    self._drop()

    async def close(self) -> None:
        """Say QUIT if there is anybody to say it to."""
        async with self._turn:
            await self._quit()

    # --- the connection -----------------------------------------------------------------------------------------------

    async def _ready(self) -> SMTP:
        """Return a connection with no transaction begun: the last one if it still answers, else a new one."""
        if (client := self._client) is not None:
            worn = self._messages >= self._most_messages or _now() - self._opened > self._longest_age
            if not worn and _now() - self._used <= LONGEST_IDLE:
                try:
                    if (await self._command(client, "RSET")).code // 100 == 2:
                        return client
                except RelayTrouble:
                    self._drop()  # it is gone, or will be of no use
            await self._quit()
        self._client = client = await self._connect()
        self._opened, self._messages = _now(), 0
        return client

    async def _connect(self) -> SMTP:
        if self._auth_refused and (left := self._auth_refused[0] + AUTH_PAUSE - _now()) > 0:
            refused = self._auth_refused[1]
            reason = f"{refused.reason} (not tried again for {left:.0f} s)"
            raise self._trouble(reason, code=refused.code, permanent=True)
        client = SMTP(
            hostname=self._route.host,
            port=self._route.port,
            use_tls=self._route.tls,
            start_tls=False,
            tls_context=self._context,
            timeout=None,  # the time is ours, see _within
            local_hostname=self._hello or "localhost",  # said nowhere, see _greet; None would ask the DNS
        )
        try:
            await self._within("the connection", client.connect())
            await self._greet(client)
            if self._route.starttls:
                if not client.supports_extension("starttls"):
                    raise self._trouble("does not offer STARTTLS, and unencrypted it is not used", permanent=True)
                await self._within("STARTTLS", client.starttls())
                await self._greet(client)
            if self._route.user:
                await self._authenticate(client)
        except BaseException:
            _abort(client)
            raise
        return client

    async def _greet(self, client: SMTP) -> None:
        """Say EHLO, or HELO to those who do not know it; without a name, our address (RFC 5321 4.1.3)."""
        name = self._hello
        if not name and client.transport is not None:
            address = str(client.transport.get_extra_info("sockname")[0])
            name = f"[IPv6:{address}]" if ":" in address else f"[{address}]"
        try:
            await self._within("EHLO", client.ehlo(hostname=name))
        except RelayTrouble as trouble:
            if trouble.code not in (500, 502, 504):
                raise
            await self._within("HELO", client.helo(hostname=name))

    async def _authenticate(self, client: SMTP) -> None:
        """Show the password once, by the best method both know."""
        encrypted = self._route.tls or self._route.starttls
        methods = ENCRYPTED_METHODS if encrypted else CLEAR_METHODS
        method = next((name for name in methods if name in client.server_auth_methods), None)
        if method is None:
            offered = " ".join(client.server_auth_methods) or "no AUTH"
            raise self._trouble(f"offers {one_line(offered)}, and we know {', '.join(methods)}", permanent=True)
        ask = {"plain": client.auth_plain, "login": client.auth_login, "cram-md5": client.auth_crammd5}[method]
        try:
            await self._within("user and password", ask(self._route.user, self._route.password))
        except RelayTrouble as trouble:
            if trouble.permanent:
                self._auth_refused = (_now(), trouble)
            raise

    async def _quit(self) -> None:
        """Leave politely; what the server does now changes nothing."""
        try:
            if self._client is not None and self._client.is_connected:
                with suppress(SMTPException, OSError):
                    async with asyncio.timeout(min(QUIT_TIMEOUT, self._command_timeout)):
                        await self._client.execute_command(b"QUIT")
        finally:
            self._drop()

    def _drop(self) -> None:
        if self._client is not None:
            _abort(self._client)
            self._client = None

    # --- a transaction ------------------------------------------------------------------------------------------------

    async def _transact(
        self, client: SMTP, sender: str, recipient: str, content: bytes, in_doubt: Callable[[], Awaitable[None]]
    ) -> tuple[Reply, bool]:
        """Return the reply, and whether the connection can be used again."""
        self._messages += 1
        size = ""
        if client.supports_extension("size"):
            size = f" SIZE={len(content)}"
            limit = re.match(r"[0-9]{1,18}", client.esmtp_extensions["size"].strip())
            if limit and 0 < int(limit[0]) < len(content):
                return Reply(
                    Verdict.REFUSED_MESSAGE,
                    None,
                    f"the message has {len(content)} octets, and the relay takes {limit[0]}",
                ), True
        for stage, command in (
            (Stage.MAIL, f"MAIL FROM:<{sender}>{size}"),
            (Stage.RCPT, f"RCPT TO:<{recipient}>"),
            (Stage.DATA, "DATA"),
        ):
            answer = await self._command(client, command)
            if answer.code == 354 if stage is Stage.DATA else answer.code // 100 == 2:
                continue
            return self._judge(stage, answer), True
        return await self._content(client, content, in_doubt)

    async def _content(
        self, client: SMTP, content: bytes, in_doubt: Callable[[], Awaitable[None]]
    ) -> tuple[Reply, bool]:
        """Write the content, and the final dot once `in_doubt` returned; then wait for what only the relay knows."""
        protocol = client.protocol
        if protocol is None:
            raise self._trouble("closed the connection before the message")
        answering = asyncio.create_task(protocol.read_response())  # reads from now on: some answer before the dot
        try:
            try:
                protocol.write(stuffed(content))
                await in_doubt()
                early = answering.done()
                if not early:
                    protocol.write(b".\r\n")
            except SMTPException as error:
                raise self._trouble_of("the message, before its final dot", error) from error
            try:
                async with asyncio.timeout(self._final_timeout):
                    answer = await answering
            except (SMTPException, OSError) as error:
                if early:
                    raise self._trouble_of("the message, before its final dot", error) from error
                why = _words(error) or f"no reply within {self._final_timeout:g} s"
                return Reply(Verdict.IN_DOUBT, None, f"after the final dot: {why}"), False
        finally:
            answering.cancel()
        if answer.code // 100 == 2 and not early:
            return Reply(Verdict.SENT, answer.code, one_line(answer.message)), True
        if answer.code // 100 not in (4, 5) and not early:
            return Reply(Verdict.IN_DOUBT, answer.code, f"no reply to a message: {one_line(answer.message)}"), False
        return self._judge(Stage.DOT, answer), not early and answer.code != 421

    async def _command(self, client: SMTP, line: str) -> SMTPResponse:
        """Return the answer to one command; raises RelayTrouble when there is none."""
        return await self._within(line.split(":")[0], client.execute_command(line.encode("ascii")))

    async def _within(self, stage: str, answer: Awaitable[T]) -> T:
        """Await an answer for the time of one command; raises RelayTrouble.

        aiosmtplib's own timeouts are not used: they rest on asyncio.wait_for, which before Python 3.12 loses a
        cancellation that comes together with the answer.
        """
        try:
            async with asyncio.timeout(self._command_timeout):
                return await answer
        except TimeoutError:
            raise self._trouble(f"is silent at {stage}: no answer within {self._command_timeout:g} s") from None
        except (SMTPException, OSError, ValueError) as error:  # ValueError: an AUTH challenge that is no base64
            raise self._trouble_of(stage, error) from error

    def _judge(self, stage: Stage, answer: SMTPResponse) -> Reply:
        """Return what an answer that does not accept says of the message; raises RelayTrouble when it is about us."""
        meaning = verdict(stage, answer.code, answer.message)
        if meaning is None:
            raise self._trouble(
                f"refuses {stage.value}: {answer.code} {one_line(answer.message)}",
                code=answer.code,
                permanent=answer.code // 100 == 5,
            )
        return Reply(meaning, answer.code, one_line(answer.message))

    # --- trouble ------------------------------------------------------------------------------------------------------

    def _trouble(self, reason: str, *, code: int | None = None, permanent: bool = False) -> RelayTrouble:
        return RelayTrouble(str(self._route), reason, code=code, permanent=permanent)

    def _trouble_of(self, stage: str, error: Exception) -> RelayTrouble:
        """Return an exception of aiosmtplib or of the system as trouble that names what we were doing."""
        if isinstance(error, SMTPResponseException) and 200 <= error.code < 600:
            reason = f"refuses {stage}: {error.code} {one_line(error.message)}"
            return self._trouble(reason, code=error.code, permanent=error.code // 100 == 5)
        return self._trouble(f"fails at {stage}: {_words(error)}")


def _words(error: BaseException) -> str:
    text = error.message if isinstance(error, SMTPResponseException) else str(error)
    return one_line(text)


def _abort(client: SMTP) -> None:
    """Close at once and forget what is still in the buffer: a message that nobody waits for is better not accepted."""
    transport = client.transport
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()
    client.close()


def _now() -> float:
    return asyncio.get_running_loop().time()
