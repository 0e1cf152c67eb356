"""Messages in whole lines: what they share is checked and stored once, and every message is what it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fictional import digest
from hypothesis import given
from hypothesis import strategies as st

from notifier.compose import compose, write
from notifier.fragments import Fragments
from notifier.model import Run, Written, lines, stuffed, unfit, unpacked
from notifier.templates import Templates

line = st.sampled_from([b"", b".", b"..", b". a dot", b"plain", b"x" * 80, b"." * 70]).map(lambda text: text + b"\r\n")
octets = st.lists(line, max_size=5).map(b"".join)
part = octets | st.lists(octets, max_size=4).map(lambda some: Run.of([lines(each) for each in some]))


@given(st.lists(part, max_size=6))
def test_f034_a_message_in_parts_leaves_and_is_stored_as_one_in_one_piece(parts: list[bytes | Run]) -> None:
    message = Written(tuple(parts))
    known = {each.key: each for each in message.shared()}
    assert message.wire() == stuffed(bytes(message))
    assert len(message) == len(bytes(message))
    assert bytes(unpacked(message.packed(), known)) == bytes(message)
    assert unfit(message) is None


@pytest.mark.parametrize("own", [b"no end", b"a bare\nLF\r\n", "é\r\n".encode(), b"\0\r\n", b"x" * 999 + b"\r\n"])
def test_g8_neither_own_nor_shared_lines_may_be_what_servers_read_differently(own: bytes) -> None:
    assert unfit(Written((b"A: b\r\n", own, b"the end\r\n")))
    with pytest.raises(ValueError, match="cannot be shared"):
        lines(own)


def test_a_packed_message_that_is_cut_short_is_none() -> None:
    packed = Written((b"A: b\r\n", Run.of([lines(b"x" * 70 + b"\r\n")]))).packed()
    with pytest.raises(ValueError, match="cut short"):
        unpacked(packed[:-1], {})


def test_two_readers_of_the_same_papers_share_nearly_all_that_they_are_sent() -> None:
    fragments, papers = Fragments(Templates()), digest(12)
    ada, ben = (write(replace(papers, recipient=f"{name}@reader.example"), fragments) for name in ("ada", "ben"))
    assert bytes(ben) == compose(replace(papers, recipient="ben@reader.example"), Fragments(Templates()))
    assert {each.key for each in ada.shared()} == {each.key for each in ben.shared()}
    assert len(ben.packed()) < len(ben) / 4
