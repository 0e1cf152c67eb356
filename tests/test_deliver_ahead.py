"""The envelope of the next message goes with the final dot (RFC 2920 3.1): what becomes of each is its own answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from notifier.deliver import Relay, relay
from notifier.errors import RelayTrouble
from notifier.model import Envelope, Verdict
from tests.offers import Doubt, envelope
from tests.servers.smtp import Post, post

MARIE, PAUL, IRENE = "marie@example.org", "paul@example.org", "irene@example.org"
SENT, DEFERRED, IN_DOUBT = Verdict.SENT, Verdict.DEFERRED, Verdict.IN_DOUBT
REFUSED_MESSAGE, REFUSED_RECIPIENT = Verdict.REFUSED_MESSAGE, Verdict.REFUSED_RECIPIENT


@pytest.fixture
async def server() -> AsyncIterator[Post]:
    async with post() as here:
        yield here


async def in_a_row(mail: Relay, *recipients: str) -> list[Verdict | str]:
    """Offer a message to each; every offer knows the one that follows. Trouble with the relay ends it."""
    waiting = messages(*recipients)
    came: list[Verdict | str] = []
    while waiting:
        now = waiting.pop(0)
        try:
            came.append((await mail.offer(now, Doubt(), lambda: waiting[0] if waiting else None)).verdict)
        except RelayTrouble as trouble:
            return [*came, trouble.reason]
    return came


def messages(*recipients: str) -> list[Envelope]:
    return [replace(envelope(each), message_id=f"<{number}@example.org>") for number, each in enumerate(recipients)]


def got(server: Post) -> list[str]:
    return [message.recipients[0] for message in server.accepted]


async def test_a_final_dot_and_the_envelope_of_the_next_message_are_one_write() -> None:
    """This server answers a dot when it has read the envelope of the next message, too; they come together."""
    groups: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 test.example\r\n")
        for end, answer in (
            (b"\r\n", b"250-test.example\r\n250 PIPELINING\r\n"),
            (b"DATA\r\n", b"250 ok\r\n250 ok\r\n354 go\r\n"),
            (b"end\r\n", b""),
            (b"DATA\r\n", b"250 the first\r\n250 ok\r\n250 ok\r\n354 go\r\n"),
            (b"end\r\n", b""),
            (b"\r\n", b"250 the second\r\n"),
            (b"\r\n", b"221 bye\r\n"),
        ):
            groups.append(await reader.readuntil(end))
            writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        mail = relay(f"smtp://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        first, second = [replace(each, content=b"Subject: a\r\n\r\nend\r\n") for each in messages(MARIE, PAUL)]
        assert (await mail.offer(first, Doubt(), lambda: second)).verdict is SENT
        assert (await mail.offer(second, Doubt())).verdict is SENT
        await mail.close()
    assert groups[3] == b".\r\nMAIL FROM:<b@example.org>\r\nRCPT TO:<paul@example.org>\r\nDATA\r\n"
    assert groups[5:] == [b".\r\n", b"QUIT\r\n"]


async def test_many_messages_in_a_row_use_one_connection_and_no_reset(server: Post) -> None:
    mail = relay(f"smtp://127.0.0.1:{server.port}")
    everybody = [f"reader{number}@example.org" for number in range(50)]
    assert set(await in_a_row(mail, *everybody)) == {SENT}
    assert got(server) == everybody
    assert (server.connections, server.count("RSET"), server.count("MAIL")) == (1, 0, 50)
    await mail.close()


@pytest.mark.parametrize("pipelining", [True, False])
async def test_a_connection_is_left_after_so_many_messages_with_nothing_said_ahead(*, pipelining: bool) -> None:
    async with post(pipelining=pipelining) as server:
        mail = relay(f"smtp://127.0.0.1:{server.port}", most_messages=3)
        assert await in_a_row(mail, *[MARIE] * 7) == [SENT] * 7
        await mail.close()
        assert (len(server.accepted), server.connections, server.count("QUIT"), server.count("MAIL")) == (7, 3, 3, 7)


@pytest.mark.parametrize(
    ("stage", "answers", "came", "connections"),
    [
        ("mail", ["421 4.7.0 enough over this connection"], [SENT, SENT, SENT], 2),
        ("mail", ["close"], [SENT, SENT, SENT], 2),
        ("mail", ["reset"], [SENT, SENT, SENT], 2),
        ("mail", ["503 5.5.1 out of sequence"], [SENT, SENT, SENT], 2),
        ("mail", ["500 5.5.2 unknown command"], [SENT, SENT, SENT], 2),
        ("mail", ["554 5.5.0 Error: SMTP protocol synchronization"], [SENT, SENT, SENT], 2),
        ("mail", ["550 5.7.1 not so fast"], [SENT, SENT, SENT], 2),
        ("mail", ["521 go away"], [SENT, SENT, SENT], 2),
        ("mail", ["552 5.3.4 too much"], [SENT, REFUSED_MESSAGE, SENT], 1),
        ("mail", ["raw:nonsense\r\n"], [SENT, SENT, SENT], 2),
        ("rcpt", ["550 5.1.1 no such user"], [SENT, REFUSED_RECIPIENT, SENT], 1),
        ("rcpt", ["503 5.5.1 MAIL first"], [SENT, SENT, SENT], 2),
        ("rcpt", ["450 4.2.1 later"], [SENT, DEFERRED, SENT], 1),
        ("rcpt", ["421 4.3.2 closing"], [SENT, SENT, SENT], 2),
        ("rcpt", ["close"], [SENT, SENT, SENT], 2),
        ("data", ["451 4.3.0 later"], [SENT, DEFERRED, SENT], 1),
        ("data", ["550 5.1.1 no such user"], [SENT, SENT, SENT], 2),
        ("data", ["250 2.0.0 what"], [SENT, SENT, SENT], 2),
        ("data", ["close"], [SENT, SENT, SENT], 2),
    ],
)
async def test_an_answer_to_what_was_said_ahead_changes_nothing_for_the_message_before(
    server: Post, stage: str, answers: list[str], came: list[Verdict], connections: int
) -> None:
    server.fault(stage, "ok", *answers, "ok")
    mail = relay(f"smtp://127.0.0.1:{server.port}")
    assert await in_a_row(mail, MARIE, PAUL, IRENE) == came
    assert got(server) == [who for who, verdict in zip((MARIE, PAUL, IRENE), came, strict=True) if verdict is SENT]
    assert server.connections == connections
    await mail.close()


async def test_a_relay_that_turns_us_away_is_heard_though_it_was_asked_ahead(server: Post) -> None:
    server.fault("mail", "ok", "451 4.7.1 slow down")
    mail = relay(f"smtp://127.0.0.1:{server.port}")
    assert await in_a_row(mail, MARIE, PAUL, IRENE) == [
        SENT,
        "refuses MAIL FROM: 451 4.7.1 slow down",
    ]
    assert (server.count("MAIL"), server.connections) == (2, 1)
    await mail.close()


async def test_a_relay_that_turns_us_away_for_good_is_asked_once_more_before_it_is_believed(server: Post) -> None:
    """The second time nothing comes before it: it is no answer to what came with a dot."""
    server.fault("mail", "ok", "554 5.7.1 your mail is not wanted")
    mail = relay(f"smtp://127.0.0.1:{server.port}")
    assert await in_a_row(mail, MARIE, PAUL, IRENE) == [
        SENT,
        "refuses MAIL FROM: 554 5.7.1 your mail is not wanted",
    ]
    assert (server.count("MAIL"), server.connections) == (3, 2)
    await mail.close()


@pytest.mark.parametrize(
    ("answer", "first"),
    [
        ("lost", IN_DOUBT),
        ("close", IN_DOUBT),
        ("raw:nonsense\r\n", IN_DOUBT),
        ("334 what", IN_DOUBT),
        ("421 4.3.0 closing", DEFERRED),
        ("451 4.3.0 later", DEFERRED),
        ("503 5.5.1 out of sequence", DEFERRED),
        ("554 5.5.0 Error: SMTP protocol synchronization", DEFERRED),
        ("554 no", DEFERRED),
        ("554 5.6.0 no", REFUSED_MESSAGE),
        ("250 2.0.0 accepted\r\n250 2.0.0 and again", SENT),
    ],
)
async def test_an_answer_to_the_dot_concerns_the_message_before_it_alone(
    server: Post, answer: str, first: Verdict
) -> None:
    server.fault(f"dot {MARIE}", answer)
    mail = relay(f"smtp://127.0.0.1:{server.port}")
    assert await in_a_row(mail, MARIE, PAUL, IRENE) == [first, SENT, SENT]
    assert got(server)[-2:] == [PAUL, IRENE]
    assert got(server).count(PAUL) == got(server).count(IRENE) == 1
    await mail.close()


async def test_f051_no_answer_to_the_dot_leaves_that_message_in_doubt_and_no_other(server: Post) -> None:
    server.fault(f"dot {MARIE}", "swallow")
    mail = relay(f"smtp://127.0.0.1:{server.port}", final_timeout=1.0)
    assert await in_a_row(mail, MARIE, PAUL) == [IN_DOUBT, SENT]
    assert got(server) == [MARIE, PAUL]
    await mail.close()


@pytest.mark.parametrize(
    ("answer", "first"),
    [("554 5.6.0 no", REFUSED_MESSAGE), ("451 4.3.0 later", DEFERRED), ("554 5.5.0 synchronize", DEFERRED)],
)
async def test_who_a_refused_message_was_for_never_gets_the_one_that_was_said_ahead(
    answer: str, first: Verdict
) -> None:
    """The server keeps the recipients of a message that it refused, and adds those of the next."""
    async with post(keeping=True) as server:
        server.fault(f"dot {MARIE}", answer, "ok")
        mail = relay(f"smtp://127.0.0.1:{server.port}")
        assert await in_a_row(mail, MARIE, PAUL) == [first, SENT]
        await mail.close()
        assert [each.recipients for each in server.accepted] == [[PAUL]]
        assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "learnt"),
    [
        ("close", True),
        ("lost", True),
        ("334 what", True),
        ("421 4.3.0 closing", True),
        ("554 Error: SMTP protocol synchronization", True),
        ("503 5.5.1 out of sequence", True),
        ("554 5.7.1 improper use of pipelining", True),
        ("451 4.3.0 later", False),
        ("554 5.6.0 no", False),
    ],
)
async def test_a_dot_that_may_have_failed_for_what_followed_it_is_the_last_that_something_follows(
    server: Post, answer: str, *, learnt: bool
) -> None:
    server.fault(f"dot {MARIE}", answer)
    mail = relay(f"smtp://127.0.0.1:{server.port}")
    first, second, third = messages(MARIE, PAUL, IRENE)
    try:
        assert (await mail.offer(first, Doubt(), lambda: second)).verdict is not SENT
    except RelayTrouble as trouble:
        assert trouble.code == 554
    told: list[Envelope] = []
    assert (await mail.offer(second, Doubt(), lambda: told.append(third) or third)).verdict is SENT
    assert told == ([] if learnt else [third])
    await mail.close()


@pytest.mark.parametrize("answer", ["close", "554 5.6.0 no"])
async def test_a_dot_that_fails_alone_tells_nothing_of_what_might_follow_others(server: Post, answer: str) -> None:
    server.fault(f"dot {MARIE}", answer)
    mail = relay(f"smtp://127.0.0.1:{server.port}")
    first, second, third = messages(MARIE, PAUL, IRENE)
    assert (await mail.offer(first, Doubt())).verdict is not SENT
    told: list[Envelope] = []
    assert (await mail.offer(second, Doubt(), lambda: told.append(third) or third)).verdict is SENT
    assert told == [third]
    await mail.close()


async def test_two_answers_to_one_dot_blame_no_message_for_its_recipient(server: Post) -> None:
    """Each answer is taken for that of the command before: what is said of a recipient seems to be said of DATA."""
    server.fault(f"dot {MARIE}", "250 2.0.0 accepted\r\n250 2.0.0 and again")
    server.fault(f"rcpt {PAUL}", "550 5.1.1 no such user")
    mail = relay(f"smtp://127.0.0.1:{server.port}")
    assert await in_a_row(mail, MARIE, PAUL) == [SENT, REFUSED_RECIPIENT]
    await mail.close()


async def test_a_server_that_cannot_do_with_it_is_told_nothing_ahead_from_then_on(server: Post) -> None:
    """It loses what comes after the dot, so that nobody answers it: that is waited for once, not for each message."""
    server.fault("mail", "ok", "silent", "ok")
    mail = relay(f"smtp://127.0.0.1:{server.port}", command_timeout=1.0)
    assert await in_a_row(mail, MARIE, PAUL, IRENE, MARIE) == [SENT] * 4
    assert got(server) == [MARIE, PAUL, IRENE, MARIE]
    told: list[Envelope] = []
    first, second = messages(MARIE, PAUL)
    assert (await mail.offer(first, Doubt(), lambda: told.append(second) or second)).verdict is SENT
    assert told == []
    await mail.close()


async def test_nothing_is_accepted_of_a_message_that_was_said_ahead_and_is_withdrawn(server: Post) -> None:
    mail = relay(f"smtp://127.0.0.1:{server.port}")
    first, second = messages(MARIE, PAUL)
    assert (await mail.offer(first, Doubt(), lambda: second)).verdict is SENT
    await server.until(lambda: server.count("DATA") == 2)
    mail.withdraw(second)
    await server.until(lambda: server.open_connections == 0)
    assert got(server) == [MARIE]
    assert (await mail.offer(second, Doubt())).verdict is SENT
    assert got(server) == [MARIE, PAUL]
    await mail.close()


async def test_a_message_that_was_said_ahead_is_not_accepted_before_its_own_mark(server: Post) -> None:
    class FullError(Exception):
        pass

    async def full_disk() -> None:
        assert got(server) == [MARIE]
        raise FullError

    mail = relay(f"smtp://127.0.0.1:{server.port}")
    first, second = messages(MARIE, PAUL)
    assert (await mail.offer(first, Doubt(), lambda: second)).verdict is SENT
    with pytest.raises(FullError):
        await mail.offer(second, Doubt(full_disk))
    await server.until(lambda: server.open_connections == 0)
    assert got(server) == [MARIE]
    await mail.close()


@pytest.mark.parametrize("bad", ["paul@example.org\r\nRCPT TO:<eve@example.org>", "paul", "p@ex\u00e4mple.org"])
async def test_an_address_that_must_not_be_said_is_not_said_ahead_either(server: Post, bad: str) -> None:
    mail = relay(f"smtp://127.0.0.1:{server.port}")
    first, second = messages(MARIE, bad)
    assert (await mail.offer(first, Doubt(), lambda: second)).verdict is SENT
    await mail.close()
    assert (got(server), server.count("MAIL"), server.count("RCPT")) == ([MARIE], 1, 1)


@pytest.mark.parametrize("content", [b"bare\n", b"too large\r\n" * 500])
async def test_content_that_will_not_be_sent_is_not_said_ahead(content: bytes) -> None:
    async with post(size=2_000) as server:
        mail = relay(f"smtp://127.0.0.1:{server.port}")
        first, second = messages(MARIE, PAUL)
        second = replace(second, content=content)
        assert (await mail.offer(first, Doubt(), lambda: second)).verdict is SENT
        assert (await mail.offer(second, Doubt())).verdict is REFUSED_MESSAGE
        await mail.close()
        assert (got(server), server.count("MAIL")) == ([MARIE], 1)


async def test_who_waits_for_a_connection_is_served_before_what_would_follow_over_it(server: Post) -> None:
    mail = relay(f"smtp://127.0.0.1:{server.port}", connections=1)
    first, second, other = messages(MARIE, PAUL, IRENE)
    waiting: list[asyncio.Task[object]] = []

    async def another_waits() -> None:
        waiting.append(asyncio.create_task(mail.offer(other, Doubt())))
        await asyncio.sleep(0)

    assert (await mail.offer(first, Doubt(another_waits), lambda: second)).verdict is SENT
    assert (await mail.offer(second, Doubt())).verdict is SENT
    await asyncio.gather(*waiting)
    assert got(server) == [MARIE, IRENE, PAUL]
    await mail.close()


async def test_a_relay_that_is_left_is_told_nothing_ahead_any_more(server: Post) -> None:
    """Else every message would bring the next one, and there would be no end."""
    mail = relay(f"smtp://127.0.0.1:{server.port}", connections=1)
    first, second = messages(MARIE, PAUL)
    leaving: list[asyncio.Task[None]] = []
    told: list[Envelope] = []

    async def leave() -> None:
        leaving.append(asyncio.create_task(mail.close()))
        await asyncio.sleep(0)

    assert (await mail.offer(first, Doubt(leave), lambda: told.append(second) or second)).verdict is SENT
    await asyncio.gather(*leaving)
    assert (told, server.count("QUIT"), server.count("MAIL")) == ([], 1, 1)
