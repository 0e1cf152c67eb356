"""Header fields of a mail (RFC 5322 2.2) as they stand on the wire: values checked, encoded (RFC 2047) and folded.

Promises: a value holds no line break but those of folding; foreign text cannot be taken for an encoded-word; what must
stay readable for simple parsers (addresses, Message-IDs, List-* URIs) is never encoded. Raises AddressError for a
value that cannot stand in its field.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from email.policy import EmailPolicy

from notifier import present
from notifier.errors import AddressError

LINE_MAX = 998  # octets of a line without CRLF (RFC 5322 2.1.1)
ENCODED_WORD_MAX = 75  # characters of one encoded-word (RFC 2047 2)
ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
MESSAGE_ID = re.compile(r"<[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+>")
LIST_ID = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+")
URI = re.compile(r"(?:https?|mailto):[!#-;=?-Z\[\]_a-z~%]+")
PLAIN_WORDS = re.compile(r"[A-Za-z0-9 !*+/,.;:()'-]*")  # header text that needs no encoding and is no syntax we use


class _Wire(EmailPolicy):
    """Writes header values exactly as given; the library would fold or encode the List-* ones."""

    def header_store_parse(self, name: str, value: str) -> tuple[str, str]:
        if not re.fullmatch(r"[ -~]*(?:\r\n [ -~]+)*", value):
            raise ValueError(f"{name} is not ready for the wire")
        return name, value

    def fold(self, name: str, value: str) -> str:
        return f"{name}: {value}\r\n"

    def fold_binary(self, name: str, value: str) -> bytes:
        return self.fold(name, value).encode("ascii")


WIRE = _Wire(linesep="\r\n", cte_type="7bit", utf8=False, max_line_length=78, raise_on_defect=True)


def checked(pattern: re.Pattern[str], value: str, what: str) -> str:
    """Return `value` if it is what the pattern describes; raises AddressError. Domains must come as A-labels."""
    if not pattern.fullmatch(value) or len(value) > LINE_MAX - 50 or ".." in value:
        raise AddressError(f"{what} {value!r:.200} cannot stand in a mail header")
    return value


def mailbox(name: str, address: str) -> str:
    shown = unencoded(present.clean(name, 100))
    if not shown:
        return address
    return f"{encoded(shown, len('From: '), phrase=True)} <{address}>"


def mailto(address: str) -> str:
    return address if not address or address.startswith("mailto:") else f"mailto:{address}"


def uris(*uris: str) -> str:
    """Return `<uri>, <uri>` of the URIs that are there (RFC 2369 2); raises AddressError for one that is none."""
    return ", ".join(f"<{checked(URI, uri, 'link')}>" for uri in uris if uri)


def unencoded(text: str) -> str:
    """Return header text in which nothing can be taken for an encoded-word, by any version of any parser."""
    return text.replace("=?", "= ?")


def encoded(text: str, used: int, *, phrase: bool = False) -> str:
    """Return text as it may stand in a header (RFC 2047), folded; `used` is the length of the field name so far."""
    if text.isascii() and PLAIN_WORDS.fullmatch(text) and used + len(text) <= 76 and "  " not in text:
        special = phrase and re.search(r"[^A-Za-z0-9 !*+/'-]", text)
        return f'"{text}"' if special else text
    return "\r\n ".join(_encoded_words(text, used))


def _encoded_words(text: str, used: int) -> Iterator[str]:
    """Yield encoded-words that hold whole characters each and fill their lines (RFC 2047 5)."""
    piece = b""
    for character in text:
        octets = character.encode()
        room = min(ENCODED_WORD_MAX, 76 - used) - len("=?utf-8?b??=")
        if piece and -(-len(piece + octets) // 3) * 4 > room:
            yield f"=?utf-8?b?{b64encode(piece).decode()}?="
            piece, used = b"", 1
        piece += octets
    yield f"=?utf-8?b?{b64encode(piece).decode()}?="
