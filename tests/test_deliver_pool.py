"""Many messages at once over a few connections: bounded, fair, and no message pays for the trouble of another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from notifier.deliver import Relay, relay
from notifier.errors import RelayTrouble
from notifier.model import Envelope, Reply, Verdict
from tests.servers.smtp import Post, post

MESSAGE = b"Subject: 2 new papers\r\nMessage-ID: <1@example.org>\r\n\r\nOne.\r\n"


@pytest.fixture
async def server() -> AsyncIterator[Post]:
    async with post() as here:
        yield here


def relay_to(server: Post, connections: int, **options: float) -> Relay:
    return relay(f"smtp://127.0.0.1:{server.port}", connections=connections, **options)  # type: ignore[arg-type]


async def offer(mail: Relay, recipient: str) -> Reply:
    async def in_doubt() -> None:
        return None

    return await mail.offer(Envelope("<1@example.org>", "b@example.org", recipient, MESSAGE), in_doubt)


def everybody(count: int) -> list[str]:
    return [f"r{n}@example.org" for n in range(count)]


async def test_no_more_connections_are_opened_than_there_are_places(server: Post) -> None:
    mail = relay_to(server, 3)
    assert mail.places == 3
    replies = await asyncio.gather(*(offer(mail, who) for who in everybody(30)))
    assert {reply.verdict for reply in replies} == {Verdict.SENT}
    assert sorted(message.recipients[0] for message in server.accepted) == sorted(everybody(30))
    assert server.connections == 3
    await mail.close()
    assert server.count("QUIT") == 3


async def test_over_one_connection_who_asked_first_is_served_first(server: Post) -> None:
    mail = relay_to(server, 1)
    await asyncio.gather(*(offer(mail, who) for who in everybody(20)))
    assert [message.recipients[0] for message in server.accepted] == everybody(20)
    await mail.close()


async def test_f056_a_slow_answer_to_one_message_does_not_keep_the_others_waiting(server: Post) -> None:
    server.fault("dot slow@example.org", "swallow")
    mail = relay_to(server, 2)
    slow = asyncio.create_task(offer(mail, "slow@example.org"))
    await server.until(lambda: server.count(".") == 1)
    for who in everybody(5):
        assert (await offer(mail, who)).verdict is Verdict.SENT
    assert not slow.done()
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)
    await mail.close()


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        ("421 4.3.0 closing", Verdict.DEFERRED),
        ("lost", Verdict.IN_DOUBT),
        ("swallow", Verdict.IN_DOUBT),
        ("554 5.6.0 no", Verdict.REFUSED_MESSAGE),
    ],
)
async def test_what_happens_on_one_connection_concerns_the_message_on_it_alone(
    server: Post, fault: str, verdict: Verdict
) -> None:
    server.fault("dot bad@example.org", fault)
    mail = relay_to(server, 3, final_timeout=2)
    replies = await asyncio.gather(*(offer(mail, who) for who in ["bad@example.org", *everybody(12)]))
    assert [reply.verdict for reply in replies] == [verdict, *[Verdict.SENT] * 12]
    await mail.close()


async def test_f057_a_wrong_password_is_shown_once_however_many_wait() -> None:
    async with post(login=("marie", "right")) as server:
        mail = relay(f"smtp://127.0.0.1:{server.port}", user="marie", password="wrong", connections=4)
        found = await asyncio.gather(*(offer(mail, who) for who in everybody(10)), return_exceptions=True)
        assert [each.code for each in found if isinstance(each, RelayTrouble)] == [535] * 10
        assert (server.connections, server.count("AUTH")) == (1, 1)


async def test_f044_when_no_connection_can_be_had_everybody_who_waits_is_told(server: Post) -> None:
    server.fault("greeting", "421 4.3.2 too busy")
    mail = relay_to(server, 4)
    found = await asyncio.gather(*(offer(mail, who) for who in everybody(10)), return_exceptions=True)
    assert {str(each) for each in found} == {
        f"smtp://127.0.0.1:{server.port}: refuses the connection: 421 4.3.2 too busy"
    }
    assert server.connections == 1
    server.fault("greeting")
    assert (await offer(mail, "marie@example.org")).verdict is Verdict.SENT
    await mail.close()


async def test_a_relay_that_allows_few_connections_is_served_over_those(server: Post) -> None:
    server.fault("greeting", "ok", "ok", "421 4.7.0 too many connections from you")
    mail = relay_to(server, 5)
    replies = await asyncio.gather(*(offer(mail, who) for who in everybody(20)))
    assert {reply.verdict for reply in replies} == {Verdict.SENT}
    assert server.connections == 3  # two that serve, and one refused: it is not asked again at once
    await mail.close()


async def test_one_who_no_longer_waits_leaves_the_turn_to_the_next(server: Post) -> None:
    server.fault("dot first@example.org", "swallow")
    mail = relay_to(server, 1)
    tasks = [asyncio.create_task(offer(mail, who)) for who in ("first@example.org", *everybody(3))]
    await server.until(lambda: server.count(".") == 1)
    tasks[1].cancel()
    tasks[0].cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(end, asyncio.CancelledError) for end in ends] == [True, True, False, False]
    assert [message.recipients[0] for message in server.accepted] == ["first@example.org", *everybody(3)[1:]]
    await mail.close()


async def test_connections_that_nobody_uses_are_left_politely(server: Post) -> None:
    mail = relay_to(server, 3, longest_idle=0.1)
    await asyncio.gather(*(offer(mail, who) for who in everybody(6)))
    await server.until(lambda: server.count("QUIT") == 3)
    assert (await offer(mail, "marie@example.org")).verdict is Verdict.SENT
    await mail.close()


async def test_close_waits_for_the_message_under_way_and_leaves_everybody_politely(server: Post) -> None:
    server.fault("dot r0@example.org", "wait:0.2")
    mail = relay_to(server, 3)
    tasks = [asyncio.create_task(offer(mail, who)) for who in everybody(3)]
    await server.until(lambda: server.count(".") == 3)
    await mail.close()
    assert [(await task).verdict for task in tasks] == [Verdict.SENT] * 3
    assert (server.count("QUIT"), server.open_connections) == (3, 0)
