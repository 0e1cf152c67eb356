"""Messages in whole lines: what they share is checked and stored once, and every message is what it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fictional import digest
from hypothesis import given
from hypothesis import strategies as st

from notifier.compose import compose, write
from notifier.compose.fragments import Fragments
from notifier.model import Blank, Lines, Written, lines, stuffed, unfit
from notifier.model.lines import blank, blank_name, keys, unpacked
from notifier.templates import Templates

line = st.sampled_from([b"", b".", b"..", b". a dot", b"plain", b"x" * 80, b"." * 70]).map(lambda text: text + b"\r\n")
octets = st.lists(line, max_size=5).map(b"".join)
own = st.tuples(octets, octets, octets)
part = st.integers(0, 2) | octets.map(lines)


def opened(packed: bytes, message: Written, *, apart: bool) -> bytes:
    """Return the bytes of a packed message, whose lines, and blank if it is apart, are where it says."""
    known, name = {each.key: each for each in message.blank.shared()}, blank_name(packed)
    stored = message.blank.packed if apart else name[1:]
    assert set(keys(stored)) == set(known)
    return bytes(unpacked(packed, {name: blank(stored, known)}))


@given(st.lists(part, max_size=8), own, st.booleans())
def test_f034_a_message_in_parts_leaves_and_is_stored_as_one_in_one_piece(
    parts: list[Lines | int], own: tuple[bytes, ...], apart: bool
) -> None:
    message = Written(Blank.of(parts), own)
    assert bytes(message) == b"".join([own[each] if isinstance(each, int) else each.octets for each in parts])
    assert message.wire() == stuffed(bytes(message))
    assert len(message) == len(bytes(message))
    assert opened(message.packed(apart=apart), message, apart=apart) == bytes(message)
    assert unfit(message) is None


@pytest.mark.parametrize("own", [b"no end", b"a bare\nLF\r\n", "é\r\n".encode(), b"\0\r\n", b"x" * 999 + b"\r\n"])
def test_g8_neither_own_nor_shared_lines_may_be_what_servers_read_differently(own: bytes) -> None:
    assert unfit(Written(Blank.of([0, lines(b"shared\r\n"), 1]), (b"A: b\r\n", own, b"the end\r\n")))
    with pytest.raises(ValueError, match="cannot be shared"):
        lines(own)


def test_a_packed_message_that_is_cut_short_is_none() -> None:
    message = Written(Blank.of([0, lines(b"x" * 70 + b"\r\n")]), (b"A: b\r\n",))
    with pytest.raises(ValueError, match="cut short"):
        keys(message.packed()[:-1].partition(b":")[2])
    with pytest.raises(ValueError, match="cut short"):
        blank_name(message.packed()[:10])


def test_lines_that_stand_above_a_message_are_lines_of_it() -> None:
    message = Written(Blank.of([0, lines(b"From: a\r\n"), 1]), (b"", b"To: b\r\n")).below(b"Signed: yes\r\n")
    assert bytes(message) == b"Signed: yes\r\nFrom: a\r\nTo: b\r\n"


def test_two_readers_of_the_same_papers_share_nearly_all_that_they_are_sent() -> None:
    fragments, papers = Fragments(Templates()), digest(12)
    ada, ben = (write(replace(papers, recipient=f"{name}@reader.example"), fragments) for name in ("ada", "ben"))
    assert bytes(ben) == compose(replace(papers, recipient="ben@reader.example"), Fragments(Templates()))
    assert ada.blank is ben.blank
    assert len(ben.packed()) < len(ben) / 4
    assert len(ben.packed(apart=True)) < len(ben) / 20
