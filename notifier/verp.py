"""VERP: one return path per message, signed, so that what comes back names its recipient with certainty.

    bounces+b3k-q5hzx2mdw4ylt7ae@example.org    reports about message 3k (base32) come here: the envelope sender
    bounces+u3k-...@example.org                 any mail to it unsubscribes whom the message went to (RFC 2369)

Both are tags after the "+" of one mailbox (RFC 5233), in lower case and digits, for some relays change the case. The
signature is derived from a link of the installation; it proves that whoever wrote had the message before them. Pure.
"""

from __future__ import annotations

import hmac
import re
from base64 import b32encode
from collections.abc import Callable
from enum import StrEnum
from hashlib import sha256

SIGNATURE = 16  # characters of 5 bits: 80 bits, and every guess costs a mail
LONGEST_NAME = 30  # characters before the "+"; with the tag they are at most 64 (RFC 5321 4.5.3.1.1)
DIGITS = "abcdefghijklmnopqrstuvwxyz234567"  # RFC 4648 6, in lower case
TAG = re.compile(rf"\+([bu])([{DIGITS}]{{1,12}})-([{DIGITS}]{{{SIGNATURE}}})(?=@)", re.IGNORECASE)

Link = Callable[[str, str], str]


class Purpose(StrEnum):
    """What an address is for: where reports come back to, or where asking to leave goes."""

    BOUNCE = "b"
    UNSUBSCRIBE = "u"


def tagged(address: str, purpose: Purpose, number: int, link: Link) -> str:
    """Return `address` with the signed tag of a message; `number` is its place in the outbox."""
    name, _, domain = address.rpartition("@")
    return f"{name}+{purpose}{_written(number)}-{_signature(purpose, number, link)}@{domain}"


def number_in(text: str, purpose: Purpose, link: Link) -> int | None:
    """Return the message that the first rightly signed tag in `text` names, None if there is none."""
    for found in TAG.finditer(text):
        kind, written, signature = found[1].lower(), found[2].lower(), found[3].lower()
        number = _read(written)
        if kind == purpose and hmac.compare_digest(signature, _signature(purpose, number, link)):
            return number
    return None


def _signature(purpose: Purpose, number: int, link: Link) -> str:
    return b32encode(sha256(link(f"verp-{purpose}", str(number)).encode()).digest()).decode().lower()[:SIGNATURE]


def _written(number: int) -> str:
    digits = ""
    while number or not digits:
        number, digit = divmod(number, 32)
        digits = DIGITS[digit] + digits
    return digits


def _read(written: str) -> int:
    number = 0
    for digit in written:
        number = number * 32 + DIGITS.index(digit)
    return number
