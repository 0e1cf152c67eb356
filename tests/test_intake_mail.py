"""From the return path back to the reader: mail that comes back is taken in from a Maildir and over IMAP."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from notifier.daemon.steps import take_in
from notifier.errors import MailboxTrouble
from notifier.mailbox import Mailbox, mailbox
from notifier.mailbox.maildir import Maildir
from notifier.model import Bounce, BounceKind, SubscriberState
from tests.servers.imap import Imap, imap
from tests.servers.smtp import Post, post
from tests.world import World, text_page

READER, OTHER = "ada@reader.example", "bob@reader.example"
BOUNCES = '[bounces]\naddress = "bounces@example.org"\nmaildir = "returns"\n'
RETURN_PATH = re.compile(r"bounces\+b[a-z2-7]+-[a-z2-7]{16}@example\.org")


def dsn(to: str, status: str = "5.1.1", about: str = READER, number: int = 0) -> bytes:
    """Return a delivery report as a relay writes it."""
    return (
        f"Return-Path: <>\nFrom: MAILER-DAEMON@relay.example\nTo: {to}\nSubject: Undelivered\n"
        f"Message-ID: <{number}.report@relay.example>\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
        "--b\nContent-Type: text/plain\n\nIt did not arrive.\n"
        "--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; relay.example\n\n"
        f"Final-Recipient: rfc822; {about}\nAction: failed\nStatus: {status}\n\n--b--\n"
    ).encode()


def arrive(folder: Path, content: bytes, name: str = "1.report") -> None:
    """Deliver a mail to a Maildir."""
    for part in ("tmp", "new", "cur"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "tmp" / name).write_bytes(content)
    (folder / "tmp" / name).rename(folder / "new" / name)


def files(folder: Path) -> list[str]:
    """Return the names of all mails of a Maildir."""
    return sorted(file.name for file in folder.glob("*/*"))


async def held(installation: World) -> list[Bounce]:
    async with installation.opened() as running:
        return await running.store.bounces(100)


async def state(installation: World, email: str = READER) -> SubscriberState:
    async with installation.opened() as running:
        found = await running.store.subscriber(email)
    assert found is not None
    return found.state


@pytest.fixture
async def relay(installation: World) -> AsyncIterator[Post]:
    """A relay that takes everything; a listing, and a reader of it."""
    async with post() as server:
        installation.relay = f"smtp://127.0.0.1:{server.port}"
        installation.listing("papers", first="owe")
        installation.pages.put("/papers", text_page("Fictional Returns"))
        await installation.subscribe(READER, "*")
        yield server


async def test_g3_a_relay_that_takes_mail_and_returns_it_later_ends_in_suppression(
    installation: World, relay: Post
) -> None:
    installation.extra += BOUNCES
    for day in range(5):
        installation.pages.put("/papers", text_page(f"Fictional Returns, Part {day}", day=f"Mar {2 + day}"))
        await installation.run(minutes=24 * 60)
        assert RETURN_PATH.fullmatch(relay.accepted[-1].sender)
        assert len(relay.accepted) == day + 1
        arrive(installation.folder / "returns", dsn(relay.accepted[-1].sender), f"{day}.report")
    assert await state(installation) is SubscriberState.CONFIRMED
    await installation.run(minutes=24 * 60)
    assert await state(installation) is SubscriberState.SUPPRESSED
    installation.pages.put("/papers", text_page("Fictional Returns, the Last", day="Mar 10"))
    await installation.run(minutes=24 * 60)
    assert len(relay.accepted) == 5


async def test_what_was_taken_in_is_marked_as_seen_and_nothing_is_deleted(installation: World, relay: Post) -> None:
    installation.extra += BOUNCES
    await installation.run()
    returns = installation.folder / "returns"
    arrive(returns, dsn(relay.accepted[0].sender))
    await installation.run()
    await installation.run()
    assert files(returns) == ["1.report:2,S"]
    assert [(bounce.kind, bounce.email, bounce.counted) for bounce in await held(installation)] == [
        (BounceKind.HARD, READER, True)
    ]


async def test_a_crash_between_storing_and_marking_does_nothing_twice(installation: World, relay: Post) -> None:
    installation.extra += BOUNCES
    await installation.run()
    returns = installation.folder / "returns"
    arrive(returns, dsn(relay.accepted[0].sender))
    await installation.run()
    (returns / "cur/1.report:2,S").rename(returns / "new/1.report")
    await installation.run(minutes=24 * 60)
    assert len(await held(installation)) == 1


async def test_f065_a_forged_report_suppresses_nobody(installation: World, relay: Post) -> None:
    installation.extra += BOUNCES
    await installation.run()
    forged = relay.accepted[0].sender.replace("-", "-a")[:-13] + "@example.org"
    for number in range(10):
        arrive(installation.folder / "returns", dsn(forged, number=number), f"{number}.report")
        await installation.run(minutes=24 * 60)
    assert await state(installation) is SubscriberState.CONFIRMED
    assert {bounce.email for bounce in await held(installation)} == {None}


async def test_f119_an_empty_mail_to_the_address_of_list_unsubscribe_ends_all_mail(
    installation: World, relay: Post
) -> None:
    installation.extra += BOUNCES
    await installation.run()
    found = re.search(r"<mailto:([^>]+)>", relay.accepted[0].content)
    assert found is not None
    arrive(installation.folder / "returns", f"From: {READER}\nTo: {found[1]}\n\n".encode())
    await installation.run()
    assert await state(installation) is SubscriberState.UNSUBSCRIBED


async def test_f119_a_complaint_without_a_name_is_known_by_the_message_that_it_brings_back(
    installation: World, relay: Post
) -> None:
    installation.extra += BOUNCES
    await installation.subscribe(OTHER, "*")
    await installation.run()
    (theirs,) = [mail for mail in relay.accepted if mail.recipients == [READER]]
    complaint = (
        b"From: loop@mailbox.example\nTo: abuse@example.org\nContent-Type: multipart/report; boundary=b\n\n"
        b"--b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nOriginal-Rcpt-To: redacted\n\n"
        b"--b\nContent-Type: message/rfc822\n\n" + theirs.content.encode("latin-1") + b"\n--b--\n"
    )
    arrive(installation.folder / "returns", complaint)
    await installation.run()
    assert await state(installation) is SubscriberState.SUPPRESSED
    assert await state(installation, OTHER) is SubscriberState.CONFIRMED


async def test_g6_a_mailbox_that_is_not_there_stops_nothing_else(installation: World, relay: Post) -> None:
    installation.extra += BOUNCES
    await installation.run()
    assert len(relay.accepted) == 1


async def test_without_a_bounce_address_mail_leaves_from_the_from_address(installation: World, relay: Post) -> None:
    await installation.run()
    assert relay.accepted[0].sender == "papers@example.org"
    assert "mailto:" not in relay.accepted[0].content


# --- Maildir ----------------------------------------------------------------------------------------------------------


async def test_a_maildir_hands_over_the_oldest_first_and_what_nobody_has_seen(tmp_path: Path) -> None:
    for age, name in enumerate(["third", "second", "first"]):
        arrive(tmp_path, name.encode(), name)
        os.utime(tmp_path / "new" / name, (1_000 - age, 1_000 - age))
    (tmp_path / "new/second").rename(tmp_path / "cur/second:2,R")
    (tmp_path / "cur/old:2,S").write_bytes(b"old")
    taken: list[bytes] = []

    async def take(content: bytes) -> None:
        taken.append(content)

    assert await Maildir(tmp_path).read(take) == 3
    assert taken == [b"first", b"second", b"third"]
    assert files(tmp_path) == ["first:2,S", "old:2,S", "second:2,RS", "third:2,S"]


async def test_a_maildir_keeps_what_could_not_be_taken(tmp_path: Path) -> None:
    arrive(tmp_path, b"a mail")

    async def take(_content: bytes) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        await Maildir(tmp_path).read(take)
    assert (tmp_path / "new/1.report").exists()


# --- IMAP -------------------------------------------------------------------------------------------------------------


class Marks:
    """Remembers in memory what the store remembers."""

    def __init__(self) -> None:
        self.mark: tuple[int, int] | None = None

    async def mailbox_mark(self, _mailbox: str) -> tuple[int, int] | None:
        return self.mark

    async def set_mailbox_mark(self, _mailbox: str, validity: int, uid: int) -> None:
        self.mark = (validity, uid)


def over(server: Imap, marks: Marks, password: str = "secret") -> Mailbox:
    found = mailbox(maildir=None, imap=f"imap://bounces@127.0.0.1:{server.port}/INBOX", password=password, marks=marks)
    assert found is not None
    return found


async def taken_from(box: Mailbox) -> list[bytes]:
    taken: list[bytes] = []

    async def take(content: bytes) -> None:
        taken.append(content)

    await box.read(take)
    return taken


async def test_imap_hands_over_what_nobody_has_seen_then_what_is_new() -> None:
    async with imap({"bounces": "secret"}) as server:
        marks = Marks()
        server.add(b"seen by somebody", seen=True)
        server.add(b"first")
        server.add(b"second")
        assert await taken_from(over(server, marks)) == [b"first", b"second"]
        assert await taken_from(over(server, marks)) == []
        server.add(b"third", seen=True)  # by a person, before we looked
        assert await taken_from(over(server, marks)) == [b"third"]
        assert [mail.seen for mail in server.mails] == [True] * 4


async def test_imap_starts_anew_where_the_mailbox_was_made_anew() -> None:
    async with imap({"bounces": "secret"}) as server:
        marks = Marks()
        server.add(b"first")
        await taken_from(over(server, marks))
        server.validity += 1
        server.mails.clear()
        server.add(b"another", uid=1)
        assert await taken_from(over(server, marks)) == [b"another"]


async def test_imap_keeps_what_could_not_be_taken() -> None:
    async with imap({"bounces": "secret"}) as server:
        server.add(b"a mail")
        marks = Marks()

        async def take(_content: bytes) -> None:
            raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            await over(server, marks).read(take)
        assert (server.mails[0].seen, marks.mark) == (False, None)


async def test_imap_trouble_names_the_mailbox_and_the_servers_words() -> None:
    async with imap({"bounces": "secret"}) as server:
        with pytest.raises(MailboxTrouble, match=r"bounces at 127\.0\.0\.1.*wrong password"):
            await taken_from(over(server, Marks(), password="another"))
    with pytest.raises(MailboxTrouble, match="refused"):
        await taken_from(over(server, Marks()))


async def test_bounces_are_taken_in_over_imap(installation: World, relay: Post) -> None:
    async with imap({"bounces": "secret"}) as server:
        installation.extra += BOUNCES.replace(
            'maildir = "returns"',
            f'imap = "imap://bounces@127.0.0.1:{server.port}/INBOX"\npassword = "secret"',
        )
        await installation.run()
        server.add(dsn(relay.accepted[0].sender))
        async with installation.opened() as running:
            await take_in(running)
    assert [(bounce.kind, bounce.email) for bounce in await held(installation)] == [(BounceKind.HARD, READER)]


def test_a_report_of_no_mail_is_no_mailbox() -> None:
    assert mailbox(maildir=None, imap="", password="", marks=Marks()) is None
