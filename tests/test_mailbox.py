"""Through a real Postfix into a real Dovecot and back: what a reader's mail program gets is what was composed."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from email import message_from_bytes, policy

import dkim
import pytest

from notifier.deliver import relay
from notifier.model import Envelope, Verdict
from notifier.sign import make_key, read_key, record
from tests.servers.mailbox import NEEDED, Mailboxes, mailboxes
from tests.world import World, text_page

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def post_office() -> Iterator[Mailboxes]:
    """Postfix and Dovecot, required with CI=true; elsewhere the test is skipped without them or without root."""
    missing = [str(program) for program in NEEDED if not program.exists()]
    if missing or os.geteuid() != 0:
        why = f"needs root and the packages postfix, dovecot-imapd, dovecot-lmtpd ({' '.join(missing) or 'not root'})"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    with mailboxes() as here:
        yield here


def message(number: int) -> bytes:
    return (
        b"From: Papers <papers@mailbox.test>\r\nTo: irene@mailbox.test\r\nSubject: %d new papers\r\n"
        b"Date: Mon, 02 Mar 2026 12:00:00 +0000\r\nMessage-ID: <%d@mailbox.test>\r\n"
        b"List-Unsubscribe: <https://papers.example.org/unsubscribe/" + b"x" * 150 + b">\r\n\r\n"
        b".\r\n..\r\n.a line that starts with a dot\r\n" + b"y" * 998 + b"\r\n\r\n"
    ) % (number, number)


async def test_f034_f062_many_messages_over_pipelined_connections_arrive_as_they_are(post_office: Mailboxes) -> None:
    mail = relay(f"smtp://127.0.0.1:{post_office.port}", connections=4)
    sent = [message(number) for number in range(24)]

    async def in_doubt() -> None:
        return None

    replies = await asyncio.gather(
        *(mail.offer(Envelope("", "papers@mailbox.test", "irene@mailbox.test", each), in_doubt) for each in sent)
    )
    await mail.close()
    assert {reply.verdict for reply in replies} == {Verdict.SENT}
    found = await asyncio.to_thread(post_office.read, "irene@mailbox.test", len(sent))
    bare = [received[received.index(b"From: Papers") :] for received in found]
    assert sorted(bare) == sorted(sent)


async def test_f048_postfix_refuses_a_recipient_and_the_connection_goes_on(post_office: Mailboxes) -> None:
    mail = relay(f"smtp://127.0.0.1:{post_office.port}", connections=1)

    async def verdict(recipient: str) -> Verdict:
        async def in_doubt() -> None:
            return None

        return (await mail.offer(Envelope("", "papers@mailbox.test", recipient, message(0)), in_doubt)).verdict

    found = [await verdict(f"{who}@mailbox.test") for who in ("ada", "nobody", "ada")]
    await mail.close()
    assert found == [Verdict.SENT, Verdict.REFUSED_RECIPIENT, Verdict.SENT]


async def test_a_signed_digest_is_read_over_imap_as_it_was_composed(
    post_office: Mailboxes, installation: World
) -> None:
    reader = "marie@mailbox.test"
    key = make_key("rsa")
    (installation.folder / "dkim.pem").write_bytes(key)
    installation.relay = f"smtp://127.0.0.1:{post_office.port}"
    installation.extra = '[mail.dkim]\ndomain = "example.org"\nselector = "papers"\nkey = "dkim.pem"\n'
    installation.listing("daily")
    installation.pages.put("/daily", text_page("A paper of yesterday"))
    await installation.subscribe(reader, "*")
    await installation.run()
    installation.pages.put("/daily", text_page("Élan vital: σ-algebras by night", "A paper of yesterday"))
    await installation.run(minutes=60)

    (received,) = await asyncio.to_thread(post_office.read, reader)
    mail = message_from_bytes(received, policy=policy.default)
    assert mail["To"] == reader
    assert "1 new paper" in mail["Subject"]
    body = mail.get_body(("plain",))
    assert body is not None
    assert "Élan vital: σ-algebras by night" in " ".join(body.get_content().split())
    (way_out,) = re.findall(rb"^List-Unsubscribe: (.*)\r\n(?![ \t])", received, re.MULTILINE)
    assert re.fullmatch(rb"<https?://[^ ]+>.*", way_out)
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in received
    published = {b"papers._domainkey.example.org.": record(read_key("papers", key)).encode()}

    def txt(name: bytes, timeout: int = 5) -> bytes | None:
        return published.get(name)

    assert dkim.DKIM(received).verify(dnsfunc=txt)
