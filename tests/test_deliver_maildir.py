"""Filing messages in a Maildir: whole, durable, never twice, and readable by what reads Maildirs."""

from __future__ import annotations

import asyncio
import errno
import mailbox
import os
import resource
import time
from pathlib import Path

import pytest

from notifier.deliver import relay
from notifier.errors import AddressError, RelayTrouble
from notifier.model import Envelope, Verdict

MESSAGE = b"From: papers@example.org\r\nMessage-ID: <1@example.org>\r\nSubject: news\r\n\r\nOne.\r\n.\r\nTwo.\r\n"


def envelope(
    recipient: str = "marie@example.org", *, message_id: str = "<1@example.org>", content: bytes = MESSAGE
) -> Envelope:
    return Envelope(message_id=message_id, sender="bounces@example.org", recipient=recipient, content=content)


async def nothing() -> None:
    """Mark nothing in doubt."""


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def test_a_message_is_filed_with_the_headers_of_a_delivery_agent_and_lf(tmp_path: Path) -> None:
    reply = await relay(f"maildir:{tmp_path}/mail").offer(envelope(), nothing)
    assert (reply.verdict, reply.code) == (Verdict.SENT, 250)
    (name,) = files(tmp_path / "mail")
    assert name.startswith("new/")
    assert (tmp_path / "mail" / name).read_bytes() == (
        b"Return-Path: <bounces@example.org>\nDelivered-To: marie@example.org\n" + MESSAGE.replace(b"\r\n", b"\n")
    )


async def test_the_mail_program_of_the_standard_library_reads_it(tmp_path: Path) -> None:
    mail = relay(f"maildir:{tmp_path}")
    for recipient in ("marie@example.org", "paul@example.org"):
        await mail.offer(envelope(recipient), nothing)
    await mail.close()
    read = mailbox.Maildir(tmp_path, create=False)
    assert sorted(str(message["Delivered-To"]) for message in read) == ["marie@example.org", "paul@example.org"]
    assert {str(message["Subject"]) for message in read} == {"news"}


async def test_f051_the_same_message_again_replaces_the_first(tmp_path: Path) -> None:
    for _ in range(2):
        assert (await relay(f"maildir:{tmp_path}").offer(envelope(), nothing)).verdict is Verdict.SENT
    assert len(files(tmp_path)) == 1
    await relay(f"maildir:{tmp_path}").offer(envelope(message_id="<2@example.org>"), nothing)
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize("flags", [":2,", ":2,S", ":2,FRS"])
async def test_f051_a_message_that_was_already_read_does_not_come_back(tmp_path: Path, flags: str) -> None:
    mail = relay(f"maildir:{tmp_path}")
    await mail.offer(envelope(), nothing)
    (name,) = files(tmp_path)
    (tmp_path / name).rename(tmp_path / "cur" / (Path(name).name + flags))
    assert (await mail.offer(envelope(), nothing)).verdict is Verdict.SENT
    assert files(tmp_path) == ["cur/" + Path(name).name + flags]


async def test_in_doubt_is_marked_when_the_bytes_are_there_and_the_name_is_not(tmp_path: Path) -> None:
    seen: list[str] = []

    async def look() -> None:
        seen.extend(files(tmp_path))

    await relay(f"maildir:{tmp_path}").offer(envelope(), look)
    assert [name.split("/")[0] for name in seen] == ["tmp"]


@pytest.mark.parametrize("how", [OSError(errno.ENOSPC, "No space left on device"), asyncio.CancelledError()])
async def test_nothing_is_filed_when_the_doubt_cannot_be_marked(tmp_path: Path, how: BaseException) -> None:
    async def fail() -> None:
        raise how

    with pytest.raises(type(how)):
        await relay(f"maildir:{tmp_path}").offer(envelope(), fail)
    assert files(tmp_path) == []


async def test_a_full_disk_is_trouble_with_the_relay_and_leaves_nothing(tmp_path: Path) -> None:
    mail = relay(f"maildir:{tmp_path}")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))  # like a full disk: the write fails in the middle
    try:
        with pytest.raises(RelayTrouble, match="cannot file the message: File too large") as caught:
            await mail.offer(envelope(), nothing)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not caught.value.permanent
    assert files(tmp_path) == []
    assert (await mail.offer(envelope(), nothing)).verdict is Verdict.SENT


async def test_a_folder_that_cannot_be_made_is_trouble_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RelayTrouble, match=r"Not a directory.*file"):
        await relay(f"maildir:{tmp_path}/file/mail").offer(envelope(), nothing)


async def test_a_folder_that_was_moved_away_is_made_again_at_the_second_try(tmp_path: Path) -> None:
    mail = relay(f"maildir:{tmp_path}/mail")
    await mail.offer(envelope(), nothing)
    (tmp_path / "mail").rename(tmp_path / "archive")
    with pytest.raises(RelayTrouble):
        await mail.offer(envelope(), nothing)
    assert (await mail.offer(envelope(), nothing)).verdict is Verdict.SENT


async def test_what_a_crash_left_long_ago_is_cleared_and_what_is_new_stays(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    for name, age in (("old", 40 * 3600), ("young", 3600)):
        (tmp_path / "tmp" / name).write_text("half a mess")
        os.utime(tmp_path / "tmp" / name, (time.time() - age,) * 2)
    await relay(f"maildir:{tmp_path}").offer(envelope(), nothing)
    assert [name for name in files(tmp_path) if name.startswith("tmp/")] == ["tmp/young"]


async def test_f063_an_address_cannot_add_a_header_and_a_bad_message_is_refused(tmp_path: Path) -> None:
    mail = relay(f"maildir:{tmp_path}")
    with pytest.raises(AddressError):
        await mail.offer(envelope("a@b.example\nBcc: x@y.example"), nothing)
    assert (await mail.offer(envelope(content=b"bare\n"), nothing)).verdict is Verdict.REFUSED_MESSAGE
    assert files(tmp_path) == []
