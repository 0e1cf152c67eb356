"""What is written about an event: one line, no address, no structure of a page; and where it goes."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from notifier import log
from notifier.errors import RelayTrouble
from notifier.model import OutboxState


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket in the journal's place, to which the log goes."""
    logger = logging.getLogger("notifier")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "journal"))
        receiver.settimeout(5)
        handler = log._Journal(tmp_path / "journal")
        level = logger.level
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        yield receiver
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()


def test_the_journal_gets_each_value_as_a_field_with_the_priority(journal: socket.socket) -> None:
    log.settled("reader@example.org", "<1.a@example.org>", OutboxState.DEFERRED, 450, "4.2.0 busy")
    entry = journal.recv(65536).decode()
    assert entry.splitlines() == [
        'MESSAGE=settled to=r***@example.org id=<1.a@example.org> state=deferred code=450 reply="4.2.0 busy"',
        "PRIORITY=4",
        "SYSLOG_IDENTIFIER=notifier",
        "NOTIFIER_EVENT=settled",
        "NOTIFIER_TO=r***@example.org",
        "NOTIFIER_ID=<1.a@example.org>",
        "NOTIFIER_STATE=deferred",
        "NOTIFIER_CODE=450",
        "NOTIFIER_REPLY=4.2.0 busy",
    ]


def test_g8_an_address_in_the_words_of_a_server_is_shortened_and_a_line_break_is_written_out(
    journal: socket.socket,
) -> None:
    words = "550 <reader@example.org>: unknown\nPRIORITY=0\r\x1b[2J"
    log.relay_trouble(RelayTrouble("mail.example.org", words, code=550))
    entry = journal.recv(65536).decode()
    assert "reader@" not in entry
    assert "<r***@example.org>" in entry
    assert [line for line in entry.splitlines() if line.startswith("PRIORITY")] == ["PRIORITY=3"]
    assert "\\nPRIORITY=0\\r\\x1b[2J" in entry


def test_g8_a_traceback_is_below_its_event_indented_and_without_addresses(journal: socket.socket) -> None:
    try:
        raise ValueError("a title\n<0>kernel: of reader@example.org\x1b[31m")
    except ValueError as fault:
        log.step_failed("poll", fault)
    entry = journal.recv(65536)
    name, rest = entry.split(b"\n", 1)
    assert name == b"MESSAGE"
    size, text = int.from_bytes(rest[:8], "little"), rest[8:]
    first, *below = text[:size].decode().split("\n")
    assert first.startswith('step_failed step=poll fault="ValueError: a title\\n<0>kernel: of r***@example.org')
    assert below
    assert all(line.startswith("    ") for line in below)
    assert b"reader@" not in entry
    assert b"\x1b" not in entry


def test_f098_a_journal_that_is_full_or_gone_holds_up_nothing(journal: socket.socket, tmp_path: Path) -> None:
    for _ in range(5000):  # nobody reads
        log.stopping("SIGTERM")
    journal.close()
    (tmp_path / "journal").unlink()
    log.stopping("SIGTERM")


def test_lines_carry_a_priority_only_when_standard_error_is_the_journals_stream(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from notifier import log; log.JOURNAL = pathlib.Path('/nowhere'); "
        "log.setup(); log.stopping('SIGTERM')"
    )
    read, write = os.pipe()
    file = os.fstat(write)
    for stream, expected in ((f"{file.st_dev}:{file.st_ino}", b"<6>stopping signal=SIGTERM"), ("1:2", b" INFO ")):
        subprocess.run([sys.executable, "-c", code], stderr=write, env={**os.environ, "JOURNAL_STREAM": stream})
        assert expected in os.read(read, 4096)
    os.close(read)
    os.close(write)


def test_every_event_is_heard_with_its_values() -> None:
    events: list[tuple[str, dict[str, object]]] = []
    log.heard.append(lambda event, values: events.append((event, dict(values))))
    try:
        log.queued(3)
        log.recovered(0, 0)
        log.stopping("SIGTERM")
    finally:
        log.heard.pop()
    assert events == [("digests_queued", {"due": 3}), ("stopping", {"signal": "SIGTERM"})]
