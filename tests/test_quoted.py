"""Pieces of quoted-printable: joined in any order they decode to the join of what was encoded."""

from __future__ import annotations

import quopri
import re

from hypothesis import given
from hypothesis import strategies as st

from notifier.compose.quoted import form, quoted

line = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\n")) | st.sampled_from(
    [".", " ", "=", "=\t ", "From here", "%", "%(x)b", "x" * 200, "é" * 80, "\x00"]
)
text = st.lists(line, max_size=6).map("\n".join)


@given(st.lists(text, max_size=5))
def test_joined_pieces_decode_to_the_joined_texts(texts: list[str]) -> None:
    joined = b"".join(map(quoted, texts))
    assert quopri.decodestring(joined).decode() == "".join(texts).replace("\n", "\r\n")
    assert all(len(each) <= 76 and each.isascii() for each in joined.split(b"\r\n"))
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)|[ \t]\r\n", joined)


@given(text, text, text)
def test_a_filled_form_decodes_to_the_filled_text(before: str, value: str, after: str) -> None:
    pieces = [quoted(value) if isinstance(each, str) else each.octets for each in form([before, "slot", after])]
    filled = b"".join(pieces)
    assert quopri.decodestring(filled).decode() == (before + value + after).replace("\n", "\r\n")
