"""Offering messages to a real SMTP server: what is accepted, deferred, refused and in doubt."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult

from notifier.deliver import Relay, relay
from notifier.errors import AddressError
from notifier.model import Reply, Verdict
from tests.offers import MESSAGE, Doubt, envelope, offer, round_trip, trouble
from tests.servers.smtp import PROJECT, Post, command, post, read_ledger
from tests.servers.tls import certificate

# --- accepted ---------------------------------------------------------------------------------------------------------


async def test_f062_a_message_arrives_byte_for_byte_in_one_transaction(server: Post, mail: Relay) -> None:
    assert await offer(mail) == (Reply(Verdict.SENT, 250, "2.0.0 accepted"), 1)
    (accepted,) = server.accepted
    assert accepted.content.encode("latin-1") == MESSAGE
    assert (accepted.sender, accepted.recipients) == ("b@example.org", ["marie@example.org"])
    assert server.lines == [
        "EHLO [127.0.0.1]",
        "MAIL FROM:<b@example.org>",
        "RCPT TO:<marie@example.org>",
        "DATA",
        ".",
    ]


async def test_in_doubt_is_marked_after_the_content_and_before_the_final_dot(server: Post, mail: Relay) -> None:
    seen: list[str] = []

    async def look() -> None:
        seen.extend(server.lines)

    await mail.offer(envelope(), Doubt(look))
    assert seen[-1] == "DATA"
    assert server.lines[-1] == "."


async def test_the_null_sender_and_a_name_for_ehlo_can_be_given(server: Post) -> None:
    mail = relay(f"smtp://localhost:{server.port}", hello="papers.example.org")
    await mail.offer(envelope(sender=""), Doubt())
    await mail.close()
    assert server.lines[:2] == ["EHLO papers.example.org", "MAIL FROM:<>"]


async def test_a_server_that_knows_helo_alone_is_good_enough() -> None:
    async with post(esmtp=False) as server:
        mail = relay(f"smtp://127.0.0.1:{server.port}")
        assert (await offer(mail))[0].verdict is Verdict.SENT
        await mail.close()


@pytest.mark.parametrize(
    "step", ["251 2.1.5 will forward", "252 cannot verify", "299 hm", "raw:250-ok\r\n250 queued\r\n"]
)
async def test_f055_any_2yz_after_the_dot_is_success(server: Post, mail: Relay, step: str) -> None:
    server.fault("dot", step)
    assert (await offer(mail))[0].verdict is Verdict.SENT


async def test_f055_a_251_to_rcpt_is_success(server: Post, mail: Relay) -> None:
    server.fault("rcpt", "251 2.1.5 will forward")
    assert (await offer(mail))[0].verdict is Verdict.SENT


@pytest.mark.parametrize("step", ["close", "reset", "silent", "500 what", "raw:\0\xff\r\n"])
async def test_f054_what_happens_to_quit_changes_nothing(server: Post, mail: Relay, step: str) -> None:
    server.fault("quit", step)
    assert (await offer(mail))[0].verdict is Verdict.SENT
    await mail.close()


async def test_a_server_by_other_people_reads_the_same_message(tmp_path: Path) -> None:
    shown = certificate(tmp_path, "localhost")
    taken: list[bytes] = []

    class Keep:
        async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:
            taken.append(envelope.original_content)
            return "250 2.0.0 kept"

    def sign_in(_server: object, _session: object, _envelope: object, _method: str, given: Any) -> AuthResult:
        return AuthResult(success=(given.login, given.password) == (b"marie", b"right"))

    def session() -> SMTP:
        return SMTP(
            Keep(),
            tls_context=shown.server,
            require_starttls=True,
            authenticator=sign_in,
            auth_required=True,
            data_size_limit=10_000,
            loop=asyncio.get_running_loop(),
        )

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    mail = relay(f"smtp://localhost:{port}", starttls=True, ca_file=shown.file, user="marie", password="right")
    assert [(await offer(mail))[0].text for _ in range(2)] == ["2.0.0 kept"] * 2
    assert taken == [MESSAGE] * 2
    assert (await offer(mail, content=MESSAGE * 50))[0].verdict is Verdict.REFUSED_MESSAGE
    await mail.close()
    server.close()


# --- one connection for many messages ---------------------------------------------------------------------------------


async def test_a_connection_is_used_again_and_reset_after_a_refusal_alone(server: Post, mail: Relay) -> None:
    server.fault("rcpt paul@example.org", "550 5.1.1 unknown")
    verdicts = [(await offer(mail, who))[0].verdict for who in ("a@b.example", "paul@example.org", "c@d.example")]
    assert verdicts == [Verdict.SENT, Verdict.REFUSED_RECIPIENT, Verdict.SENT]
    assert (server.connections, server.count("RSET")) == (1, 1)


async def test_a_connection_is_left_after_its_share_of_messages_and_after_its_time(server: Post) -> None:
    for limit in ({"most_messages": 2}, {"longest_age": 0}):
        before = server.connections
        mail = relay(f"smtp://127.0.0.1:{server.port}", **limit)  # type: ignore[arg-type]
        for _ in range(4):
            await offer(mail)
        await mail.close()
        assert server.connections - before == (2 if "most_messages" in limit else 4)
    assert server.count("QUIT") == server.connections


@pytest.mark.parametrize("step", ["close", "reset", "421 4.4.2 idle for too long", "silent"])
async def test_a_connection_that_died_between_messages_is_replaced_unnoticed(
    server: Post, mail: Relay, step: str
) -> None:
    await offer(mail)
    server.fault("mail", step, "ok")
    assert await offer(mail) == (Reply(Verdict.SENT, 250, "2.0.0 accepted"), 1)
    assert (server.connections, len(server.accepted)) == (2, 2)


@pytest.mark.parametrize("step", ["close", "reset", "421 4.4.2 idle for too long", "silent", "500 what"])
async def test_a_connection_that_cannot_be_reset_is_replaced_unnoticed(server: Post, mail: Relay, step: str) -> None:
    server.fault("rcpt paul@example.org", "550 5.1.1 unknown")
    await offer(mail, "paul@example.org")
    server.fault("rset", step)
    assert (await offer(mail))[0].verdict is Verdict.SENT
    assert server.connections == 2


async def test_a_server_that_said_goodbye_to_an_idle_connection_is_believed(server: Post, mail: Relay) -> None:
    server.fault("dot", "raw:250 2.0.0 accepted\r\n421 4.4.2 closing\r\n", "ok")
    assert [(await offer(mail))[0].verdict for _ in range(2)] == [Verdict.SENT, Verdict.SENT]
    assert (server.connections, server.count("MAIL")) == (2, 2)


async def test_close_is_harmless_twice_and_before_any_message(server: Post) -> None:
    mail = relay(f"smtp://127.0.0.1:{server.port}")
    await mail.close()
    await offer(mail)
    await mail.close()
    await mail.close()
    assert server.count("QUIT") == 1


# --- news about the recipient or the message --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "step", "verdict"),
    [
        pytest.param("rcpt", "450 4.2.1 greylisted", Verdict.DEFERRED, id="f047_rcpt"),
        pytest.param("data", "452 4.3.1 full", Verdict.DEFERRED, id="f047_data"),
        pytest.param("dot", "451 4.3.0 later", Verdict.DEFERRED, id="f047_dot"),
        pytest.param("rcpt", "452 4.2.2 over quota", Verdict.DEFERRED, id="f067_quota"),
        pytest.param("rcpt", "421 4.7.0 too many", Verdict.DEFERRED, id="f046_rcpt"),
        pytest.param("data", "421 4.7.0 too many", Verdict.DEFERRED, id="f046_data"),
        pytest.param("dot", "421 4.3.0 closing", Verdict.DEFERRED, id="f046_dot"),
        pytest.param("rcpt", "550 5.1.1 no such user", Verdict.REFUSED_RECIPIENT, id="f048_rcpt"),
        pytest.param("rcpt", "555 what", Verdict.REFUSED_RECIPIENT, id="f048_555"),
        pytest.param("rcpt", "550 5.7.133 members only", Verdict.REFUSED_RECIPIENT, id="f048_closed_group"),
        pytest.param("data", "554 no", Verdict.REFUSED_MESSAGE, id="f049_data"),
        pytest.param("dot", "554 5.6.0 content", Verdict.REFUSED_MESSAGE, id="f049_dot"),
        pytest.param("mail", "552 5.3.4 too big", Verdict.REFUSED_MESSAGE, id="f068_mail"),
        pytest.param("dot", "552 5.3.4 too big", Verdict.REFUSED_MESSAGE, id="f068_dot"),
    ],
)
async def test_an_answer_is_news_about_this_recipient_or_message_alone(
    server: Post, mail: Relay, stage: str, step: str, verdict: Verdict
) -> None:
    server.fault(stage, step, "ok")
    reply, marked = await offer(mail)
    assert reply == Reply(verdict, int(step[:3]), step[4:])
    assert marked == (stage == "dot")
    assert server.accepted == []
    assert (await offer(mail, "paul@example.org"))[0].verdict is Verdict.SENT


async def test_f046_after_a_421_the_connection_is_left_though_the_server_holds_it(server: Post, mail: Relay) -> None:
    for stage in ("rcpt", "dot"):
        server.fault(stage, "raw:421 4.3.0 closing, some day\r\n", "ok")
        assert (await offer(mail))[0] == Reply(Verdict.DEFERRED, 421, "4.3.0 closing, some day")
    assert (await offer(mail))[0].verdict is Verdict.SENT
    assert (server.connections, server.count("RSET")) == (3, 0)


async def test_f050_one_refused_recipient_leaves_the_others_theirs(server: Post, mail: Relay) -> None:
    server.fault("rcpt paul@example.org", "550 5.1.1 unknown")
    for who in ("marie@example.org", "paul@example.org", "irene@example.org"):
        await offer(mail, who)
    assert [message.recipients for message in server.accepted] == [["marie@example.org"], ["irene@example.org"]]


async def test_f050_a_server_that_awaits_content_for_nobody_gets_a_lone_dot() -> None:
    async with post(trusting=True) as server:
        server.fault("rcpt paul@example.org", "550 5.1.1 unknown")
        mail = relay(f"smtp://127.0.0.1:{server.port}")
        found = [await offer(mail, who) for who in ("paul@example.org", "marie@example.org")]
        assert found[0] == (Reply(Verdict.REFUSED_RECIPIENT, 550, "5.1.1 unknown"), 0)
        assert found[1] == (Reply(Verdict.SENT, 250, "2.0.0 accepted"), 1)
        assert server.lines[3:6] == ["DATA", ".", "RSET"]
        assert ([m.recipients for m in server.accepted], server.connections) == ([["marie@example.org"]], 1)
        await mail.close()


async def test_a_server_that_would_take_an_empty_message_is_left_without_a_dot() -> None:
    async with post(trusting=True) as server:
        server.fault("mail", "552 5.3.4 too big", "ok")
        mail = relay(f"smtp://127.0.0.1:{server.port}")
        assert await offer(mail) == (Reply(Verdict.REFUSED_MESSAGE, 552, "5.3.4 too big"), 0)
        assert server.count(".") == 0
        assert (await offer(mail))[0].verdict is Verdict.SENT
        assert server.connections == 2
        await mail.close()


@pytest.mark.parametrize(
    ("offered", "first"),
    [
        ("PIPELINING", b"MAIL FROM:<b@example.org>\r\nRCPT TO:<marie@example.org>\r\nDATA\r\n"),
        ("8BITMIME", b"MAIL FROM:<b@example.org>\r\n"),
    ],
)
async def test_commands_leave_together_only_where_that_is_offered(offered: str, first: bytes) -> None:
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 test.example ESMTP\r\n")
        await reader.readline()
        writer.write(f"250-test.example\r\n250 {offered}\r\n".encode())
        heard.set_result(await reader.read(4096))
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as listening:
        await trouble(relay(f"smtp://127.0.0.1:{listening.sockets[0].getsockname()[1]}"))
    assert await heard == first


async def test_a_refusal_while_the_content_arrives_is_taken_though_it_comes_early(server: Post, mail: Relay) -> None:
    server.fault("content", "raw:552 5.2.3 enough\r\n", "ok")

    async def wait_for_the_refusal() -> None:
        await server.until(lambda: server.faults["content"] == ["ok"])
        await round_trip(server)

    assert await mail.offer(envelope(), Doubt(wait_for_the_refusal)) == Reply(
        Verdict.REFUSED_MESSAGE, 552, "5.2.3 enough"
    )
    assert (await offer(mail))[0].verdict is Verdict.SENT
    assert len(server.accepted) == 1


async def test_f068_a_message_larger_than_the_relay_takes_is_refused_before_it_is_sent() -> None:
    async with post(size=200) as server:
        mail = relay(f"smtp://127.0.0.1:{server.port}")
        reply, marked = await offer(mail)
        assert (reply.verdict, reply.code, marked) == (Verdict.REFUSED_MESSAGE, None, 0)
        assert "200" in reply.text
        assert server.count("MAIL") == 0
        await mail.close()
    async with post(size=100_000) as server:
        mail = relay(f"smtp://127.0.0.1:{server.port}")
        await offer(mail)
        assert server.lines[1] == f"MAIL FROM:<b@example.org> SIZE={len(MESSAGE)}"
        await mail.close()


async def test_a_servers_words_are_one_printable_line_of_bounded_length(server: Post, mail: Relay) -> None:
    server.fault("rcpt", "raw:550-5.1.1 no\x1b[31m\r\n550-" + "y" * 5000 + "\r\n550 end\r\n")
    reply, _ = await offer(mail)
    assert reply.text.startswith(r"5.1.1 no\x1b[31m yyy")
    assert reply.text.isprintable()
    assert len(reply.text) <= 500


# --- in doubt ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "step",
    [
        pytest.param("lost", id="f051_reset"),
        pytest.param("close", id="f051_close"),
        pytest.param("swallow", id="f052_silent"),
        pytest.param("raw:garbage\r\n", id="f051_garbage"),
        pytest.param("raw:25", id="f051_half_a_reply"),
        pytest.param("354 again", id="f051_354"),
    ],
)
async def test_f051_f052_without_an_answer_after_the_dot_the_message_is_in_doubt(
    server: Post, mail: Relay, step: str
) -> None:
    server.fault("dot", step, "ok")
    reply, marked = await offer(mail)
    assert (reply.verdict, marked) == (Verdict.IN_DOUBT, 1)
    assert (await offer(mail))[0].verdict is Verdict.SENT
    assert server.connections == 2


async def test_f056_a_slow_server_has_the_time_it_is_given_and_no_more(server: Post) -> None:
    mail = relay(f"smtp://127.0.0.1:{server.port}", command_timeout=1.5, final_timeout=20)
    server.fault("dot", "wait:2")
    assert (await offer(mail))[0].verdict is Verdict.SENT
    server.fault("rcpt", "wait:30")
    await trouble(mail)  # it would have been sent in the end
    await mail.close()


# --- what we would send -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad", ["a@b.example\r\nRCPT TO:<x@y.example>", "a@b.example> SIZE=1", "a b@c.example", "", "ä@b.example"]
)
async def test_f063_a_bad_address_is_never_written(server: Post, mail: Relay, bad: str) -> None:
    with pytest.raises(AddressError):
        await mail.offer(envelope(bad), Doubt())
    if bad:
        with pytest.raises(AddressError):
            await mail.offer(envelope(sender=bad), Doubt())
    assert server.lines == []


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(b"A: b\r\n\r\ntext\n.\r\nMAIL FROM:<x@y.example>\r\n", "bare CR or LF", id="f034_bare_lf"),
        pytest.param(b"A: b\r\n\r\ntext\r.\r\n", "bare CR or LF", id="f034_bare_cr"),
        pytest.param("A: b\r\n\r\nté\r\n".encode(), "8-bit", id="f061_8bit"),
        pytest.param(b"A: b\r\n\r\nt\0\r\n", "NUL", id="nul"),
        pytest.param(b"A: b\r\n\r\n" + b"x" * 999 + b"\r\n", "999 octets", id="long_line"),
        pytest.param(b"A: b\r\n\r\ntext", "end with CRLF", id="no_end"),
        pytest.param(b"", "end with CRLF", id="empty"),
    ],
)
async def test_bytes_that_servers_could_read_differently_are_not_sent(
    server: Post, mail: Relay, content: bytes, why: str
) -> None:
    reply, marked = await offer(mail, content=content)
    assert (reply.verdict, reply.code, marked) == (Verdict.REFUSED_MESSAGE, None, 0)
    assert why in reply.text
    assert server.lines == []


async def test_a_line_of_998_octets_of_dots_is_sent_as_it_is(server: Post, mail: Relay) -> None:
    content = b"A: b\r\n\r\n" + b"." * 998 + b"\r\n"
    assert (await offer(mail, content=content))[0].verdict is Verdict.SENT
    assert server.accepted[0].content.encode() == content


# --- the server as a program ------------------------------------------------------------------------------------------


async def test_the_ledger_of_a_server_process_holds_what_it_accepted_before_it_was_killed(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    running = await asyncio.create_subprocess_exec(*command(ledger, "dot=ok", "dot=lost"), cwd=PROJECT, stdout=PIPE)
    try:
        assert running.stdout is not None
        mail = relay(f"smtp://127.0.0.1:{(await running.stdout.readline()).split()[1].decode()}")
        assert (await offer(mail, "a@example.org"))[0].verdict is Verdict.SENT
        assert (await offer(mail, "b@example.org"))[0].verdict is Verdict.IN_DOUBT
    finally:
        running.kill()
        await running.wait()
    await mail.close()
    assert [message.recipients for message in read_ledger(ledger)] == [["a@example.org"], ["b@example.org"]]
    assert read_ledger(ledger)[0].message_id == "<1@example.org>"
