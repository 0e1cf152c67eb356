"""UTF-8 that was taken for Windows-1252 is put right, and text that was right stays as it is."""

from __future__ import annotations

import pytest

from notifier.mojibake import mended
from notifier.parse.text import line

RIGHT = [
    "Étude des marées fictives",
    "«CAFÉ» und „Ä“: a study",
    "São Paulo’s naïve façade",
    "潮の満ち引きについて",
    "ωTest: α ± β",
    "Plain ASCII",
    "Ã",
    "",
]


@pytest.mark.parametrize("right", RIGHT)
def test_right_text_stays_as_it_is(right: str) -> None:
    assert mended(right) == right
    assert line(right, 100) == right


@pytest.mark.parametrize("right", RIGHT)
def test_what_was_read_byte_by_byte_is_read_as_it_was_meant(right: str) -> None:
    raw = right.encode()
    once = "".join(
        chr(byte) if byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else bytes([byte]).decode("cp1252") for byte in raw
    )
    assert mended(raw.decode("latin-1")) == mended(once) == right
    assert mended(raw.decode("latin-1").encode().decode("latin-1")) == right
