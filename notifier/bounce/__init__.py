"""Read a mail that came back: its bytes -> what it says became of a message, and about whom.

Reports in their standard form come first: delivery status (RFC 3464) and complaints (RFC 5965), each in a report (RFC
6522). Then automatic replies (RFC 3834), then reports that mail servers write in their own words, by the tables in
`notifier.bounce.words`. What nothing fits is UNKNOWN.

Everything in a mail is the claim of a stranger. Whom it may count against is not decided here: `Report.came_to` and
`went_from` are where a signed tag is looked for. Promises: it never fails, whatever the bytes; its cost is bounded by
MOST_BYTES and MOST_PARTS. Pure.
"""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator
from email.message import Message
from itertools import islice

from notifier.bounce.words import ANSWERS, COPY_BEGINS, DAEMON, DAEMON_SUBJECT, NOT_YET, PERHAPS_DAEMON, blame, enhanced
from notifier.model import BounceKind, Report

__all__ = ["bounce"]

MOST_BYTES = 131_072  # of a mail; what a report says is at its beginning
MOST_PARTS = 40
MOST_NESTED = 30  # multipart fields in a whole mail: reports have a handful, and the parser is recursive
MOST_RECIPIENTS = 20  # of one report
MOST_TEXT = 16_384  # characters of what a report says in words
LONGEST_FIELD = 2_000

SENT_TO = ("Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "X-Delivered-To", "To")
OUR_FIELDS = ("Return-Path", "X-Return-Path", "List-Unsubscribe", "Sender", "Errors-To")
ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
MESSAGE_ID = re.compile(r"<[^<>\s]{3,200}>")
DSN_FIELDS = re.compile(
    r"^(final-recipient|original-recipient|action|status|diagnostic-code):((?:[^\n]*)(?:\n[ \t]+[^\n]*){0,20})",
    re.IGNORECASE | re.MULTILINE,
)
FEEDBACK = {  # RFC 5965 7.3, RFC 6430, RFC 6591
    "abuse": BounceKind.COMPLAINT, "fraud": BounceKind.COMPLAINT, "opt-out": BounceKind.COMPLAINT,
    "opt-out-list": BounceKind.COMPLAINT, "other": BounceKind.COMPLAINT, "virus": BounceKind.COMPLAINT,
    "auth-failure": BounceKind.REFUSED, "dmarc": BounceKind.REFUSED, "not-spam": BounceKind.DELIVERED,
}  # fmt: skip
# Of several recipients, the mildest: ours was forwarded to them, and gets its mail if one of them does.
MILDEST_FIRST = (
    BounceKind.DELIVERED, BounceKind.DELAYED, BounceKind.REFUSED, BounceKind.SOFT, BounceKind.HARD,
)  # fmt: skip


def bounce(content: bytes) -> Report:
    """Return what a mail says; UNKNOWN for everything that is no report, or none that can be read."""
    content = content[:MOST_BYTES].replace(b"\r\n", b"\n")
    if content.lower().count(b"multipart/") + content.lower().count(b"message/rfc822") > MOST_NESTED:
        return Report(kind=BounceKind.UNKNOWN, diagnostic="too deeply nested to be a report")
    try:
        return _read(email.message_from_bytes(content, policy=email.policy.compat32), content)
    except Exception as fault:  # the parser of the standard library, on what no mail server wrote
        return Report(kind=BounceKind.UNKNOWN, diagnostic=f"cannot be read: {type(fault).__name__}")


def _read(mail: Message, content: bytes) -> Report:
    parts = _parts(mail)
    body = _text(content.partition(b"\n\n")[2]) if mail.is_multipart() or _is_report(mail) else _payload(mail)
    found = (
        _complaint(parts)
        or _status_report(parts, body if _from_daemon(mail) or _is_report(mail) else "")
        or _own_words(mail, parts, body)
        or _automatic(mail)
        or Report(kind=BounceKind.UNKNOWN, diagnostic=_field(mail, "Subject"))
    )
    original = _original(parts, body)
    return Report(
        kind=found.kind,
        recipient=found.recipient,
        status=found.status,
        diagnostic=_one_line(found.diagnostic),
        message_id=next(iter(MESSAGE_ID.findall(original.get("message-id", ""))), ""),
        came_to=" ".join(_field(mail, name) for name in SENT_TO),
        went_from=" ".join(original.get(name.lower(), "") for name in OUR_FIELDS),
    )


# --- standard reports -------------------------------------------------------------------------------------------------


def _complaint(parts: list[Message]) -> Report | None:
    for part in parts:
        if _media_type(part) == "message/feedback-report":
            fields = _fields(_payload(part))
            kind = FEEDBACK.get(fields.get("feedback-type", "").lower().strip(), BounceKind.UNKNOWN)
            words = f"{fields.get('feedback-type', '')} reported by {fields.get('user-agent', 'an unnamed program')}"
            recipient = fields.get("original-rcpt-to", "") or fields.get("removal-recipient", "")
            return Report(kind=kind, recipient=_address(recipient), diagnostic=words)
    return None


def _status_report(parts: list[Message], body: str) -> Report | None:
    """Read the fields of a delivery status: in their own part, else wherever they stand in a broken report."""
    human = _human(parts, body)
    for part in parts:
        if _media_type(part) in ("message/delivery-status", "message/global-delivery-status"):
            found = _by_fields(_payload(part), human)
            if found:
                return found
    return _by_fields(body, human)


def _by_fields(text: str, human: str) -> Report | None:
    reports = [
        report
        for group in islice(_groups(text), MOST_RECIPIENTS)
        if (report := _of_recipient(group, human)) is not None
    ]
    return min(reports, key=lambda report: MILDEST_FIRST.index(report.kind), default=None)


def _groups(text: str) -> Iterator[dict[str, str]]:
    """Yield the fields of each recipient: a group ends where one of its fields comes again, or at a blank line."""
    for block in re.split(r"\n[ \t]*\n", text[: 4 * MOST_TEXT]):
        group: dict[str, str] = {}
        for found in DSN_FIELDS.finditer(block):
            name, value = found[1].lower(), _one_line(found[2])
            if name in group and {"action", "status"} & set(group):
                yield group
                group = {}
            group[name] = value
        if {"action", "status"} <= set(group) or {"final-recipient", "status"} <= set(group):
            yield group


def _of_recipient(group: dict[str, str], human: str) -> Report | None:
    action = group.get("action", "failed").split()[:1]
    status = enhanced(group.get("status", ""))
    words = re.sub(r"^\s*[\w-]+\s*;\s*", "", group.get("diagnostic-code", ""))
    recipient = _address(group.get("original-recipient", "")) or _address(group.get("final-recipient", ""))
    kind = {
        "delayed": BounceKind.DELAYED,
        "delivered": BounceKind.DELIVERED,
        "relayed": BounceKind.DELIVERED,
        "expanded": BounceKind.DELIVERED,
    }.get("".join(action).lower().rstrip(";,"))
    if kind is None:
        kind, status = blame(status, words or human)
    return Report(kind=kind, recipient=recipient, status=status, diagnostic=words or human[:LONGEST_FIELD])


# --- reports in the words of a server ---------------------------------------------------------------------------------


def _own_words(mail: Message, parts: list[Message], body: str) -> Report | None:
    if not _from_daemon(mail):
        return None
    human = _human(parts, body)
    named = _address(_field(mail, "X-Failed-Recipients")) or _failed_address(human, _field(mail, "To"))
    if NOT_YET.search(_field(mail, "Subject")) or NOT_YET.search(human):
        return Report(kind=BounceKind.DELAYED, recipient=named, diagnostic=human)
    answers = [found[0] for found in ANSWERS.finditer(human)]
    words = " ".join(answers) or human
    kind, status = blame("", words)
    if kind in (BounceKind.UNKNOWN, BounceKind.SOFT):
        around, _ = blame("", human)
        kind = around if kind is BounceKind.UNKNOWN or around is BounceKind.REFUSED else kind
    if kind is BounceKind.UNKNOWN:
        return None
    return Report(kind=kind, recipient=named, status=status, diagnostic=words[:LONGEST_FIELD])


def _failed_address(text: str, sender: str) -> str:
    """Return the first address in a report that is neither whom it is sent to nor who keeps the server."""
    for found in ADDRESS.finditer(text):
        if found[0] not in sender and not DAEMON.match(found[0]) and not PERHAPS_DAEMON.match(found[0]):
            return found[0]
    return ""


def _from_daemon(mail: Message) -> bool:
    """Tell whether a mail server wrote this, so that its words may be believed to be about a delivery."""
    sender = _field(mail, "From")
    if _field(mail, "X-Failed-Recipients") or DAEMON.search(sender):
        return True
    return bool(PERHAPS_DAEMON.search(sender) and DAEMON_SUBJECT.search(_field(mail, "Subject")))


def _is_report(mail: Message) -> bool:
    return _media_type(mail) == "multipart/report"


def _automatic(mail: Message) -> Report | None:
    """Recognise an automatic reply (RFC 3834), and what programs send that do not follow it."""
    subject = _field(mail, "Subject")
    said = _field(mail, "Auto-Submitted").lower()
    marked = (said and not said.startswith("no")) or any(
        mail[name] is not None for name in ("X-Autoreply", "X-Autorespond", "X-Auto-Response-Suppress", "X-AutoReply")
    )
    if marked or re.match(r"auto[-_]?reply", _field(mail, "Precedence"), re.IGNORECASE) or AWAY.match(subject):
        return Report(kind=BounceKind.AUTOREPLY, diagnostic=subject)
    return None


AWAY = re.compile(
    r"\W*(?:auto(?:matic)?[- ]?(?:reply|response)|out of (?:the )?office|automatische antwort|abwesen|"
    r"r[eé]ponse automatique|absence du bureau|respuesta autom|fuera de la oficina|risposta automatica|"
    r"automatisch antwoord|автоответ|自動返信|自动回复)",
    re.IGNORECASE,
)


# --- pieces -----------------------------------------------------------------------------------------------------------


def _parts(mail: Message) -> list[Message]:
    """Return the mail and the parts of it in their order, of the returned message too, at most MOST_PARTS."""
    found: list[Message] = []
    waiting = [mail]
    while waiting and len(found) < MOST_PARTS:
        part = waiting.pop(0)
        found.append(part)
        payload = part.get_payload()
        if isinstance(payload, list):
            waiting[:0] = [each for each in payload if isinstance(each, Message)]
    return found


def _media_type(part: Message) -> str:
    """Return the media type alone; a parameter without its semicolon is not part of it."""
    return (part.get_content_type().split() or ["text/plain"])[0]


def _human(parts: list[Message], body: str) -> str:
    """Return what the report says in words, without the copy of the message."""
    text = ""
    for part in parts:
        if _media_type(part) == "text/plain" and not part.is_multipart():
            text = _payload(part)
            break
        if _media_type(part) == "message/rfc822":
            break
    text = text or body
    text = COPY_BEGINS.split(text[: 4 * MOST_TEXT], maxsplit=1)[0]
    return _one_line(text, MOST_TEXT)


def _original(parts: list[Message], body: str) -> dict[str, str]:
    """Return the header fields of the message that came back, by their lower-case names; the first of each."""
    for part in parts[1:]:
        payload = part.get_payload()
        if _media_type(part) in ("message/rfc822", "message/global") and isinstance(payload, list) and payload:
            return _header(payload[0])
        if _media_type(part) in ("text/rfc822-headers", "message/global-headers"):
            return _fields(_payload(part))
    cut = COPY_BEGINS.split(body[: 4 * MOST_TEXT], maxsplit=1)
    return _fields(cut[1]) if len(cut) > 1 else {}


def _header(message: object) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in message.items() if isinstance(message, Message) else ():
        fields.setdefault(name.lower(), _one_line(str(value)))
    return fields


def _fields(text: str) -> dict[str, str]:
    """Read `Name: value` lines with their continuations; blank lines between them do not matter."""
    fields: dict[str, str] = {}
    for found in re.finditer(r"^([A-Za-z][A-Za-z0-9-]{1,40}):([^\n]*(?:\n[ \t]+[^\n]+){0,20})", text, re.MULTILINE):
        fields.setdefault(found[1].lower(), _one_line(found[2]))
    return fields


def _payload(part: Message) -> str:
    """Return the text of a part, whatever its charset and transfer encoding claim."""
    payload = part.get_payload()
    if isinstance(payload, list):  # message/delivery-status is read as a list of header blocks
        return "\n\n".join(str(block) for block in payload if isinstance(block, Message))
    decoded = part.get_payload(decode=True)
    return _text(decoded if isinstance(decoded, bytes) else b"", part.get_content_charset() or "utf-8")


def _text(content: bytes, charset: str = "utf-8") -> str:
    try:
        text = content.decode(charset, "replace")
    except (LookupError, ValueError):
        text = content.decode("latin-1")
    return text.replace("\r\n", "\n")


def _field(mail: Message, name: str) -> str:
    """Return the values of a header field on one line, undecoded and bounded."""
    return _one_line(" ".join(str(value) for value in mail.get_all(name, [])[:5]))


def _address(text: str) -> str:
    found = ADDRESS.search(text)
    return found[0] if found else ""


def _one_line(text: str, most: int = LONGEST_FIELD) -> str:
    words = " ".join(text[: 2 * most].split())
    return "".join(character if character.isprintable() else "?" for character in words)[:most]
