"""Letters: mails that are no digests go through the same outbox, one for each recipient and key."""

from __future__ import annotations

from datetime import timedelta

from notifier.daemon.opening import Running
from notifier.daemon.steps import poll_due
from notifier.model import Letter, LetterKind, OutboxState
from notifier.pipeline import drain_outbox, post, queue_digests
from notifier.sign import make_key
from tests.world import World, text, text_page

STRANGER = "stranger@example.org"


def confirm(key: str = "confirm 2026-03-02", recipient: str = STRANGER, label: str = "graph reasoning") -> Letter:
    values = {"labels": [label], "confirm_url": "https://papers.example.org/confirm/abc"}
    return Letter(kind=LetterKind.CONFIRM, recipient=recipient, key=key, values=values)


async def posted(running: Running, letter: Letter) -> bool:
    return await post(running.desk, letter, running.clock())


async def test_a_letter_reaches_somebody_who_is_no_subscriber(installation: World) -> None:
    async with installation.opened() as running:
        assert await posted(running, confirm())
        drained = await drain_outbox(running.desk)
    assert drained.states == {OutboxState.SENT: 1}
    [mail] = installation.mails(STRANGER)
    assert mail["Subject"] == "Please confirm your subscription"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "graph reasoning" in text(mail)
    assert "https://papers.example.org/confirm/abc" in text(mail)
    assert not [name for name in mail if name.startswith("List-")]


async def test_a_letter_is_signed_as_digests_are(installation: World) -> None:
    (installation.folder / "dkim.pem").write_bytes(make_key("rsa"))
    installation.extra = '[mail.dkim]\ndomain = "example.org"\nselector = "papers"\nkey = "dkim.pem"\n'
    async with installation.opened() as running:
        await posted(running, confirm())
        await drain_outbox(running.desk)
    [mail] = installation.mails(STRANGER)
    assert "d=example.org; s=papers;" in " ".join(mail["DKIM-Signature"].split())


async def test_there_is_one_letter_for_a_recipient_and_key_even_after_it_was_sent(installation: World) -> None:
    async with installation.opened() as running:
        assert await posted(running, confirm())
        assert not await posted(running, confirm())
        await drain_outbox(running.desk)
        assert not await posted(running, confirm())
        assert await posted(running, confirm("confirm 2026-03-03"))
        assert await posted(running, confirm(recipient="other@example.org"))
        await drain_outbox(running.desk)
    assert len(installation.mails(STRANGER)) == 2
    assert len({mail["Message-ID"] for mail in installation.mails()}) == 3


async def test_letters_leave_before_digests(installation: World) -> None:
    installation.listing("daily", first="owe")
    installation.pages.put("/daily", text_page("A Fictional Paper on Queues"))
    await installation.subscribe("reader@example.org", "*")
    async with installation.opened() as running:
        await poll_due(running)
        await queue_digests(running.store, running.desk.head, running.clock())
        await posted(running, confirm())
        first, second = await running.store.claim("test", running.clock(), timedelta(minutes=5), 5)
    assert (first.kind, second.kind) == ("confirm", "digest")
    assert first.content is not None


async def test_g8_a_letter_gives_foreign_text_no_structure(installation: World) -> None:
    hostile = "<b>x</b>\r\nBcc: everybody@example.org =?utf-8?q?y?= {{ 7 * 7 }}"
    values = {"heading": hostile, "paragraphs": [hostile], "remedy": ""}
    letter = Letter(kind=LetterKind.ALARM, recipient=STRANGER, key="1", values=values)
    async with installation.opened() as running:
        assert await posted(running, letter)
        await drain_outbox(running.desk)
    [mail] = installation.mails(STRANGER)
    assert mail["Bcc"] is None
    assert "49" not in text(mail)
    html = mail.get_body(("html",))
    assert html is not None
    assert "<b>x</b>" not in html.get_content()


async def test_every_kind_of_letter_has_its_templates(installation: World) -> None:
    values = {
        "labels": ["a query"], "confirm_url": "https://papers.example.org/x", "heading": "A heading",
        "paragraphs": ["One.", "Two."], "remedy": "Do this.", "links": [{"text": "Here", "url": "https://example.org/"}],
    }  # fmt: skip
    async with installation.opened() as running:
        for kind in LetterKind:
            assert await posted(running, Letter(kind=kind, recipient=STRANGER, key=kind, values=values))
        await drain_outbox(running.desk)
    assert len(installation.mails(STRANGER)) == len(LetterKind)
