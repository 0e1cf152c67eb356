"""From a digest to the bytes of one mail (RFC 5322), ready to be stored and offered to a relay as they are.

Promises: equal digest and templates give equal bytes (G3: every attempt offers the same); CRLF, 7-bit, no line beyond
998 octets; `multipart/alternative` with a complete text and a complete HTML (RFC 2046 5.1.4); the List-* fields of RFC
2369, 2919 and 8058 on one line and never encoded, because receivers read them with simple parsers; foreign text
adds no header, recipient or part (G8). What was written is parsed again and compared before it leaves.

Fails with AddressError for an address that cannot stand in a header, TemplateError when not even the built-in template
can be rendered, ComposeError when the bytes do not say what was meant.
"""

from __future__ import annotations

import email
import email.policy
import email.utils
import hashlib
from email.headerregistry import Address
from email.message import EmailMessage
from typing import cast

from notifier import present
from notifier.errors import NotifierError
from notifier.header import (
    ADDRESS,
    LINE_MAX,
    LIST_ID,
    MESSAGE_ID,
    WIRE,
    checked,
    encoded,
    mailbox,
    mailto,
    unencoded,
    uris,
)
from notifier.model import Cadence, Digest
from notifier.templates import Templates

# --- policy -----------------------------------------------------------------------------------------------------------

HTML_BUDGET = 80_000  # octets of the encoded HTML part; Gmail hides what is beyond about 102 kB, the way out included
FULL_MAX = 20  # papers with abstract; then titles only
FULL_MIN = 5  # papers with abstract that stay when titles must go
BRIEF_MAX = 60  # titles; then "n more" with a link
SUBJECT_MAX = 90  # characters; phones show about 40, and those hold count and day
SUBJECT_LABELS = 3


class ComposeError(NotifierError):
    """The bytes of a message do not say what was meant; nothing was sent. `message_id` names the message."""

    def __init__(self, message_id: str, reason: str) -> None:
        self.message_id = message_id
        self.reason = reason
        super().__init__(f"{message_id}: {reason}")


def compose(digest: Digest, templates: Templates) -> bytes:
    """Return the digest as one message for its one recipient; see the module for what is promised and raised."""
    headers = _headers(digest)
    text, html = _fit(digest, templates)
    message = EmailMessage(policy=WIRE)
    for name, value in headers.items():
        message[name] = value
    message.set_content(text, subtype="plain", charset="utf-8", cte=_shorter(text))
    message.add_alternative(html, subtype="html", charset="utf-8", cte=_shorter(html))
    # "=_" cannot occur in quoted-printable, and the digest of the Message-ID makes the bytes repeatable.
    message.set_boundary("=_" + hashlib.sha256(digest.message_id.encode()).hexdigest()[:24])
    content = message.as_bytes()
    _verify(content, digest, headers)
    return content


def subject(digest: Digest) -> str:
    """Return "12 new papers · 21 Nov 2026 · graph reasoning, LLM": count and day first, no two days alike."""
    at = digest.date.astimezone(present.timezone(digest.timezone))
    count = len(digest.entries)
    what = present.counted(count, "new paper") if count else "No new papers"
    when = present.short_day(at.date())
    if digest.cadence is Cadence.IMMEDIATE:  # several a day: Gmail would fold equal subjects into one thread
        when += f", {at:%H:%M}"
    if digest.cadence is Cadence.WEEKLY:
        when = f"week to {when}"
    head = f"{what} · {when}"
    labels = present.phrases(digest.labels, SUBJECT_LABELS)
    left = len(digest.labels) - len(labels)
    about = ", ".join(labels) + (f" + {left} more" if left > 0 and labels else "")
    return unencoded(present.clean(f"{head} · {about}" if about else head, SUBJECT_MAX))


# --- header fields ----------------------------------------------------------------------------------------------------


def _headers(digest: Digest) -> dict[str, str]:
    """Return the header fields in the order to write them, values ready for the wire."""
    name, address = digest.sender
    fields = {
        "From": mailbox(name, checked(ADDRESS, address, "sender")),
        "To": checked(ADDRESS, digest.recipient, "recipient"),
        "Subject": encoded(subject(digest), len("Subject: ")),
        "Date": email.utils.format_datetime(digest.date.astimezone(present.timezone(digest.timezone))),
        "Message-ID": checked(MESSAGE_ID, digest.message_id, "Message-ID"),
        "List-Id": f"<{checked(LIST_ID, digest.list_id.strip('<>'), 'List-Id')}>",
        "List-Unsubscribe": uris(digest.unsubscribe_url, mailto(digest.unsubscribe_mailto)),
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "List-Help": uris(digest.help_url),
        "List-Archive": uris(digest.web_url),
        "Auto-Submitted": "auto-generated",
        "MIME-Version": "1.0",
    }
    return {field: value for field, value in fields.items() if value}


# --- the two parts ----------------------------------------------------------------------------------------------------


def _fit(digest: Digest, templates: Templates) -> tuple[str, str]:
    """Return text and HTML with as many papers in full, then titles, as the budget holds."""
    full = min(FULL_MAX, len(digest.entries))
    brief = min(BRIEF_MAX, len(digest.entries) - full)
    while True:
        values = {"digest": present.digest(digest, full=full, brief=brief)}
        html = templates.html("email/digest.html", values)
        size = _encoded_size(html)
        if size <= HTML_BUDGET or not full + brief:
            return templates.text("email/digest.txt", values), html
        full, brief = _fewer(full, brief, HTML_BUDGET / size, len(digest.entries))


def _fewer(full: int, brief: int, share: float, total: int) -> tuple[int, int]:
    """Return smaller numbers: abstracts go first (their papers become titles), then titles, then the last abstracts."""
    if full > FULL_MIN:
        full = max(FULL_MIN, min(full - 1, int(full * share)))
        return full, min(BRIEF_MAX, total - full)
    return (full, min(brief - 1, int(brief * share))) if brief else (full - 1, 0)


def _encoded_size(text: str) -> int:
    """Return the octets of the text in the shorter of the two transfer encodings, line breaks included."""
    return min(_sizes(text))


def _shorter(text: str) -> str:
    """Return the transfer encoding that needs fewer octets; Latin text stays readable in quoted-printable."""
    quoted, base64 = _sizes(text)
    return "quoted-printable" if quoted <= base64 else "base64"


def _sizes(text: str) -> tuple[int, int]:
    octets = text.encode()
    special = sum(octets.count(byte) for byte in b"=\t") + sum(1 for byte in octets if byte > 126)
    quoted = len(octets) + 2 * special
    return quoted + quoted // 73 * 3 + octets.count(b"\n"), (len(octets) + octets.count(b"\n")) * 4 // 3 * 78 // 76


# --- the last look ----------------------------------------------------------------------------------------------------


def _verify(content: bytes, digest: Digest, headers: dict[str, str]) -> None:
    """Parse the bytes as a receiver would and compare; raises ComposeError."""

    def require(fact: bool, reason: str) -> None:
        if not fact:
            raise ComposeError(digest.message_id, reason)

    lines = content.split(b"\r\n")
    require(content.isascii() and b"\0" not in content, "not 7-bit")
    require(not any(b"\r" in line or b"\n" in line for line in lines), "a bare CR or LF")
    require(max(map(len, lines)) <= LINE_MAX, "a line is too long")
    parsed = email.message_from_bytes(content, policy=email.policy.default)
    require(parsed.keys() == [*headers, "Content-Type"], f"headers are {parsed.keys()}")
    require(_addresses(parsed, "To") == [digest.recipient], "another recipient")
    require(_addresses(parsed, "From") == [digest.sender[1]], "another sender")
    require(str(parsed["Subject"]) == subject(digest), "another subject")
    require(str(parsed["Message-ID"]) == digest.message_id, "another Message-ID")
    parts = [part.get_content_type() for part in parsed.walk()]
    require(parts == ["multipart/alternative", "text/plain", "text/html"], f"parts are {parts}")
    for name in (name for name in headers if name.startswith("List-")):
        require(b"\r\n%s: %s\r\n" % (name.encode(), headers[name].encode()) in content, f"{name} was changed")


def _addresses(message: EmailMessage, name: str) -> list[str]:
    found = cast("tuple[Address, ...]", message[name].addresses)
    return [address.addr_spec for address in found]
