"""From a letter (a mail that is no digest) to the bytes of one message (RFC 5322), ready to be queued.

Its text template says the subject in its first line; what follows the first empty line is the body. Promises: equal
letter, instant and templates give equal bytes; CRLF, 7-bit; a complete text and a complete HTML part; no List-* field,
because a letter belongs to no list; marked as written by a program (RFC 3834 5), so that nobody's absence note answers.
Raises AddressError, or TemplateError when not even the built-in template can be rendered.
"""

from __future__ import annotations

import email.utils
import hashlib
from datetime import datetime
from email.message import EmailMessage

from notifier import present
from notifier.compose.header import ADDRESS, MESSAGE_ID, WIRE, checked, encoded, mailbox, unencoded
from notifier.model import Letter
from notifier.templates import Templates

SUBJECT_MAX = 120  # characters
LANGUAGE = "en"


def compose_letter(
    letter: Letter, message_id: str, sender: tuple[str, str], base_url: str, templates: Templates, date: datetime
) -> bytes:
    """Return the letter as one message for its one recipient; `sender` is (display name, address)."""
    values = {**letter.values, "recipient": letter.recipient, "sender": sender[0], "base_url": base_url}
    subject, _, text = templates.text(f"email/{letter.kind}.txt", values).lstrip("\n").partition("\n\n")
    subject = unencoded(present.clean(subject, SUBJECT_MAX))
    html = templates.html(f"email/{letter.kind}.html", {**values, "subject": subject})
    name, address = sender
    message = EmailMessage(policy=WIRE)
    message["From"] = mailbox(name, checked(ADDRESS, address, "sender"))
    message["To"] = checked(ADDRESS, letter.recipient, "recipient")
    message["Subject"] = encoded(subject, len("Subject: "))
    message["Date"] = email.utils.format_datetime(date)
    message["Message-ID"] = checked(MESSAGE_ID, message_id, "Message-ID")
    message["Auto-Submitted"] = "auto-generated"
    message["MIME-Version"] = "1.0"
    message.set_content(text, subtype="plain", charset="utf-8", cte=_encoding(text))
    message.add_alternative(html, subtype="html", charset="utf-8", cte="quoted-printable")
    # "=_" cannot occur in quoted-printable, and the digest of the Message-ID makes the bytes repeatable.
    message.set_boundary("=_" + hashlib.sha256(message_id.encode()).hexdigest()[:24])
    return message.as_bytes()


def _encoding(text: str) -> str:
    """Return the transfer encoding that keeps text readable where it can."""
    plain = text.isascii() and "\r" not in text and all(len(line) < 79 for line in text.split("\n"))
    return "7bit" if plain else "quoted-printable"
