"""The promises about mail, on both databases: honest delivery (G3), and one that fails stops no other (G6)."""

from __future__ import annotations

import pytest

from notifier import pipeline
from notifier.model import OutboxState
from tests.primed import LATE, NEW, READER, primed
from tests.servers.smtp import post
from tests.world import World, text, text_page

pytestmark = pytest.mark.both_databases

# --- G3 honest delivery -----------------------------------------------------------------------------------------------


async def test_g3_f051_a_lost_250_is_sent_once_more_with_the_same_id_and_bytes(installation: World) -> None:
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        await primed(installation)
        server.fault("dot", "lost", "ok")
        installation.pages.put("/daily", text_page(*NEW))
        _, states = await installation.run()
        assert states == {OutboxState.DEFERRED: 1}
        _, states = await installation.run(minutes=10)
        assert states == {OutboxState.SENT: 1}
        first, second = server.accepted
        assert (first.message_id, first.content) == (second.message_id, second.content)


async def test_g3_f047_a_temporary_refusal_is_retried_with_the_same_bytes(installation: World) -> None:
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        await primed(installation)
        server.fault(f"rcpt {READER}", "450 4.2.1 come back later", "ok")
        installation.pages.put("/daily", text_page(*NEW))
        _, states = await installation.run()
        assert states == {OutboxState.DEFERRED: 1}
        await installation.run(minutes=1)
        assert server.accepted == []
        await installation.run(minutes=10)
        assert len(server.accepted) == 1


async def test_g3_f048_a_refused_recipient_concerns_nobody_else_and_keeps_the_servers_words(
    installation: World,
) -> None:
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        await primed(installation)
        await installation.subscribe("gone@example.org", "*")
        server.fault("rcpt gone@example.org", "550 5.1.1 no such user here")
        installation.pages.put("/daily", text_page(*NEW))
        _, states = await installation.run()
        assert states == {OutboxState.SENT: 1, OutboxState.FAILED: 1}
        async with installation.opened() as running:
            assert "no such user here" in (await running.store.subscriber("gone@example.org")).health


async def test_g3_f057_a_relay_that_refuses_us_blames_no_reader_and_is_not_hammered(installation: World) -> None:
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        await primed(installation)
        await installation.subscribe("second@example.org", "*")
        server.fault("mail", "550 5.7.1 who are you", "ok")
        installation.pages.put("/daily", text_page(*NEW))
        _, states = await installation.run()
        assert states == {}
        assert server.count("MAIL") == 1
        await installation.run(minutes=20)
        assert len(server.accepted) == 2
        async with installation.opened() as running:
            assert (await running.store.subscriber(READER)).health == ""


async def test_g3_f044_a_relay_that_is_down_keeps_the_mail(installation: World) -> None:
    async with post() as server:
        port = server.port
    installation.relay = f"smtp://127.0.0.1:{port}"
    await primed(installation)
    installation.pages.put("/daily", text_page(*NEW))
    _, states = await installation.run()
    assert states == {}
    installation.relay = "maildir:mail"
    await installation.run(minutes=20)
    assert installation.titles(READER, NEW) == [NEW]


async def test_g3_a_message_that_was_given_up_returns_its_papers_to_the_next_digest(installation: World) -> None:
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        await primed(installation)
        server.fault(f"rcpt {READER}", "450 4.2.2 mailbox full")
        installation.pages.put("/daily", text_page(*NEW))
        states: dict[OutboxState, int] = {}
        for _ in range(40):
            _, states = await installation.run(minutes=300)
            if OutboxState.FAILED in states:
                break
        assert states == {OutboxState.FAILED: 1}
        server.fault(f"rcpt {READER}", "ok")
        installation.pages.put("/daily", text_page(*LATE))
        await installation.run()
        (message,) = server.accepted
        assert all(title in message.content for title in [NEW[0], LATE[0]])


async def test_g3_f118_a_reader_who_leaves_while_mail_waits_gets_none(installation: World) -> None:
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        await primed(installation)
        server.fault(f"rcpt {READER}", "450 4.2.1 come back later", "ok")
        installation.pages.put("/daily", text_page(*NEW))
        await installation.run()
        async with installation.opened() as running:
            assert await running.store.unsubscribe(READER, installation.now)
            waiting = {OutboxState.QUEUED, OutboxState.DEFERRED} & (await running.store.depth()).keys()
            assert not waiting, "it is called back, not only stopped later"
        await installation.run(minutes=60)
        assert server.accepted == []
        async with installation.opened() as running:
            reader = await running.store.subscriber(READER)
            assert reader
            await running.store.come_back(reader.subscriber_id, installation.now)
        installation.pages.put("/daily", text_page(*LATE, *NEW))
        await installation.run(minutes=60)
        (message,) = server.accepted
        assert all(title in message.content for title in NEW), "what was called back is owed again"


# --- G6 isolation -----------------------------------------------------------------------------------------------------


async def test_g6_a_template_of_the_operator_that_breaks_does_not_keep_papers_back(installation: World) -> None:
    folder = installation.folder / "templates/email"
    folder.mkdir(parents=True)
    (folder / "digest.txt").write_text("{{ no_such_variable }}")
    installation.extra = 'templates = "templates"\n'
    await primed(installation)
    installation.pages.put("/daily", text_page(*NEW))
    await installation.run()
    assert installation.titles(READER, NEW) == [NEW]


async def test_g6_a_message_that_cannot_be_composed_is_held_and_the_others_leave(installation: World) -> None:
    await primed(installation)
    await installation.subscribe("second@example.org", "*")
    installation.pages.put("/daily", text_page(*NEW))
    async with installation.opened() as running:
        (listing,) = running.config.listings
        await pipeline.poll(listing, running.intake, installation.now)
        async with running.store._database.write() as connection:
            await connection.exec_driver_sql("UPDATE subscriber SET email = 'not an address' WHERE id = 1")
        await pipeline.queue_digests(running.store, running.desk.head, installation.now)
        drained = await pipeline.drain_outbox(running.desk)
    assert drained.states == {OutboxState.HELD: 1, OutboxState.SENT: 1}
    assert installation.titles("second@example.org", NEW) == [NEW]


async def test_g6_poison_titles_reach_the_reader_and_stop_nobody(installation: World) -> None:
    """FAULTS 31-33: control characters, U+2028 and encoded-words in a title are text, in mail and feed."""
    await primed(installation)
    poison = "=?utf-8?q?a=0ABcc:_evil@x?= meets <script>alert(1)</script> and \u2028 \u202e a \x07 bell"
    installation.pages.put("/daily", text_page(poison, *NEW))
    await installation.run()
    (mail,) = installation.mails(READER)
    assert mail["Bcc"] is None
    assert "utf-8?q?a" in text(mail)
    assert NEW[0] in text(mail)
    assert b"alert(1)" in (installation.folder / "feeds/all.rss").read_bytes()
