"""A relay that is down, silent, refuses us or is left in the middle: nobody is to blame, and nothing is accepted."""

from __future__ import annotations

import asyncio

import pytest

from notifier.deliver import Relay, relay
from notifier.errors import RelayTrouble
from notifier.model import Verdict
from tests.offers import MESSAGE, Doubt, envelope, offer, round_trip, trouble
from tests.servers.smtp import Post, post

# --- trouble with us --------------------------------------------------------------------------------------------------


async def test_f044_a_relay_that_is_down_is_trouble_with_us() -> None:
    async with post() as gone:
        port = gone.port
    found = await trouble(relay(f"smtp://127.0.0.1:{port}"))
    assert found.relay == f"smtp://127.0.0.1:{port}"
    assert (found.code, found.permanent) == (None, False)


@pytest.mark.parametrize(
    ("step", "code", "permanent"),
    [
        ("554 5.7.1 go away", 554, True),
        ("421 4.3.2 too busy", 421, False),
        ("close", None, False),
        ("reset", None, False),
        ("silent", None, False),
        pytest.param("raw:HTTP/1.1 400 Bad Request\r\n\r\n", None, False, id="f045_garbage"),
        pytest.param("raw:" + "x" * 100_000, None, False, id="f045_endless_line"),
        pytest.param("raw:" + "220-and\r\n" * 10_000, None, False, id="f045_endless_reply"),
    ],
)
async def test_f044_f045_a_greeting_that_is_none_is_trouble_with_us(
    server: Post, mail: Relay, step: str, code: int | None, permanent: bool
) -> None:
    server.fault("greeting", step, "ok")
    found = await trouble(mail)
    assert (found.code, found.permanent) == (code, permanent)
    assert (await offer(mail))[0].verdict is Verdict.SENT


@pytest.mark.parametrize("stage", ["greeting", "ehlo", "mail"])
@pytest.mark.parametrize("step", ["421 4.3.2 shutting down", "451 4.3.0 later", "close", "reset", "silent"])
async def test_f046_f047_before_rcpt_everything_is_trouble_that_passes(
    server: Post, mail: Relay, stage: str, step: str
) -> None:
    server.fault(stage, step, "ok")
    found = await trouble(mail)
    assert not found.permanent
    assert found.code == (int(step[:3]) if step[0] == "4" else None)
    assert (await offer(mail))[0].verdict is Verdict.SENT


async def test_a_refused_sender_is_trouble_with_us_and_nobody_bounces(server: Post, mail: Relay) -> None:
    server.fault("mail", "550 5.1.8 bad\x1b sender domain")
    found = await trouble(mail)
    assert (found.code, found.permanent) == (550, True)
    assert found.reason == r"refuses MAIL FROM: 550 5.1.8 bad\x1b sender domain"


@pytest.mark.parametrize("stage", ["rcpt", "data", "dot"])
@pytest.mark.parametrize("step", ["550 5.7.26 unauthenticated mail", "530 5.7.0 STARTTLS first", "503 5.5.1 sequence"])
async def test_policy_against_us_is_trouble_at_every_stage(server: Post, mail: Relay, stage: str, step: str) -> None:
    server.fault(stage, step)
    found = await trouble(mail)
    assert (found.code, found.permanent) == (int(step[:3]), True)


@pytest.mark.parametrize(
    ("stage", "step"),
    [
        *(
            (stage, step)
            for stage in ("rcpt", "data")
            for step in ("close", "reset", "silent", "199 what", "raw:x\r\n")
        ),
        ("rcpt", "354 go ahead"),
        ("data", "250 ok"),
        ("rcpt", "raw:250 ok\r\n250 and again\r\n"),
    ],
)
async def test_f053_without_an_answer_before_the_dot_nothing_is_accepted(
    server: Post, mail: Relay, stage: str, step: str
) -> None:
    server.fault(stage, step)
    await trouble(mail)
    assert server.accepted == []


@pytest.mark.parametrize("step", ["close", "reset"])
async def test_f053_a_connection_cut_inside_the_content_is_not_in_doubt(server: Post, mail: Relay, step: str) -> None:
    server.fault("content", step)

    async def wait_for_the_cut() -> None:
        await server.until(lambda: server.open_connections == 0)
        await round_trip(server)

    with pytest.raises(RelayTrouble, match="before its final dot"):
        await mail.offer(envelope(), Doubt(wait_for_the_cut))
    assert server.accepted == []


async def test_f053_a_server_that_stops_reading_never_gets_the_dot(server: Post) -> None:
    server.fault("content", "deaf", "ok")
    large = MESSAGE + (b"x" * 98 + b"\r\n") * 300_000  # more than the buffers of both systems take
    mail = relay(f"smtp://127.0.0.1:{server.port}", content_timeout=2)
    with pytest.raises(RelayTrouble, match="does not take the message"):
        await mail.offer(envelope(content=large), Doubt())
    assert (server.accepted, server.count(".")) == ([], 0)
    assert (await offer(mail))[0].verdict is Verdict.SENT
    await mail.close()


async def test_no_dot_is_written_when_the_doubt_cannot_be_marked(server: Post, mail: Relay) -> None:
    async def full_disk() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        await mail.offer(envelope(), Doubt(full_disk))
    assert (await offer(mail))[0].verdict is Verdict.SENT
    assert len(server.accepted) == 1
    assert server.count(".") == 1


# --- cancelled --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["greeting", "mail", "rcpt", "data"])
async def test_cancelled_before_the_dot_nothing_is_accepted_and_the_next_offer_works(server: Post, stage: str) -> None:
    mail = relay(f"smtp://127.0.0.1:{server.port}")
    doubt = Doubt()
    server.fault(stage, "silent", "ok")
    task = asyncio.create_task(mail.offer(envelope(), doubt))
    await server.until(lambda: server.connections == 1 if stage == "greeting" else server.count(stage.upper()) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert doubt.marked == 0
    assert (await offer(mail))[0].verdict is Verdict.SENT
    assert len(server.accepted) == 1
    await mail.close()


async def test_cancelled_while_the_doubt_is_marked_no_dot_is_written(server: Post, mail: Relay) -> None:
    marking = asyncio.Event()

    async def slow_disk() -> None:
        marking.set()
        await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(mail.offer(envelope(), Doubt(slow_disk)))
    await marking.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await offer(mail))[0].verdict is Verdict.SENT
    assert len(server.accepted) == 1


async def test_cancelled_after_the_dot_the_caller_has_marked_the_doubt(server: Post) -> None:
    mail = relay(f"smtp://127.0.0.1:{server.port}")
    doubt = Doubt()
    server.fault("dot", "swallow", "ok")
    task = asyncio.create_task(mail.offer(envelope(), doubt))
    await server.until(lambda: server.count(".") == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert doubt.marked == 1
    assert (await offer(mail))[0].verdict is Verdict.SENT
    await mail.close()
