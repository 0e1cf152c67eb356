"""What the tests of delivery share: a message, an offer of it, a server that can fail and a relay that speaks to it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from notifier.deliver import Relay, relay
from notifier.errors import RelayTrouble
from notifier.model import Envelope, Reply
from tests.servers.smtp import Post, post

MESSAGE = (
    b"From: Papers <papers@example.org>\r\n"
    b"To: marie@example.org\r\n"
    b"Subject: 2 new papers\r\n"
    b"Message-ID: <1@example.org>\r\n"
    b"List-Unsubscribe: <https://example.org/unsubscribe/" + b"x" * 120 + b">\r\n"
    b"\r\n"
    b"One.\r\n"
    b".a line that starts with a dot\r\n"
    b"..\r\n"
    b".\r\n"
    b"\r\n"
)


def envelope(
    recipient: str = "marie@example.org", *, content: bytes = MESSAGE, sender: str = "b@example.org"
) -> Envelope:
    return Envelope(message_id="<1@example.org>", sender=sender, recipient=recipient, content=content)


class Doubt:
    """What a caller does before the message can be accepted; `marked` counts."""

    def __init__(self, then: Callable[[], Awaitable[object]] | None = None) -> None:
        self.marked = 0
        self.then = then

    async def __call__(self) -> None:
        self.marked += 1
        if self.then:
            await self.then()


@pytest.fixture(params=["pipelined", "in_turn"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Post]:
    """A server that takes commands together (RFC 2920), and one that wants them in turn."""
    async with post(pipelining=request.param == "pipelined") as here:
        yield here


@pytest.fixture
async def mail(server: Post, request: pytest.FixtureRequest) -> AsyncIterator[Relay]:
    """A relay that is patient, as a busy machine needs it, unless the test is about a server that does not answer."""
    patience = 1.0 if re.search("silent|swallow|raw|f051|f052|f045", request.node.name) else 20.0
    opened = relay(f"smtp://127.0.0.1:{server.port}", command_timeout=patience, final_timeout=patience)
    yield opened
    await opened.close()


async def offer(mail: Relay, recipient: str = "marie@example.org", *, content: bytes = MESSAGE) -> tuple[Reply, int]:
    """Offer a message; return the reply and how often it was marked in doubt."""
    doubt = Doubt()
    return await mail.offer(envelope(recipient, content=content), doubt), doubt.marked


async def trouble(mail: Relay, recipient: str = "marie@example.org") -> RelayTrouble:
    with pytest.raises(RelayTrouble) as caught:
        await offer(mail, recipient)
    assert caught.value.reason.isprintable()
    return caught.value


async def round_trip(server: Post) -> None:
    """Let everything arrive that the server sent or closed before: this loop goes round, and loopback is at once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await reader.readline()
    writer.close()
    await writer.wait_closed()
