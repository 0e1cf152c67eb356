"""What a relay's words mean: the one table of who is to blame for an SMTP reply.

Follows RFC 5321 4.2 (the first digit decides), RFC 3463 and the IANA registry of enhanced status codes, and Microsoft's
list for Exchange Online. Pure; never fails.
"""

from __future__ import annotations

import re
from enum import Enum

from notifier.model import Verdict

LONGEST_TEXT = 500  # characters kept of a server's words

# Wherever they come, these are about us: bad sequence, and everything about AUTH and encryption (RFC 5321, RFC 4954).
OURS = {503, 530, 534, 535, 538}
# X.7.* is security and policy: the sender is unwanted, so every recipient would be told the same - except for these.
RECIPIENTS_OWN_POLICY = {
    *("5.7.2", "5.7.17", "5.7.18"),  # list expansion prohibited; mailbox or domain changed its owner
    *("5.7.124", "5.7.129", "5.7.133", "5.7.134", "5.7.135", "5.7.136"),  # Exchange: closed to outside senders
}


class Stage(Enum):
    """Which of our commands was answered; the value is what people call it."""

    RSET = "RSET"
    MAIL = "MAIL FROM"
    RCPT = "RCPT TO"
    DATA = "DATA"
    DOT = "the message"


def verdict(stage: Stage, code: int, text: str) -> Verdict | None:
    """Return what a reply that does not accept says of the message, None when it is trouble with us.

    `text` starts with the enhanced status code if the server sends them.
    """
    kind, detail = code // 100, enhanced(text)
    if code in OURS or kind not in (4, 5):
        return None
    if stage is Stage.MAIL:
        return Verdict.REFUSED_MESSAGE if code == 552 or detail == "5.3.4" else None  # its SIZE (RFC 1870 6.1)
    if kind == 4:
        return Verdict.DEFERRED
    if detail.startswith("5.7.") and not (stage is Stage.RCPT and detail in RECIPIENTS_OWN_POLICY):
        return None
    return Verdict.REFUSED_RECIPIENT if stage is Stage.RCPT else Verdict.REFUSED_MESSAGE


def enhanced(text: str) -> str:
    """Return the enhanced status code (RFC 3463) that `text` starts with, "" if there is none."""
    match = re.match(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?![0-9.])", text)
    return match[0] if match else ""


def one_line(text: str) -> str:
    """Return a server's words as one printable line of bounded length."""
    words = " ".join(text[: 4 * LONGEST_TEXT].split())
    if words.isprintable():
        return words[:LONGEST_TEXT]
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in words)[:LONGEST_TEXT]
