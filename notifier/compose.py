"""From a digest to the bytes of one mail (RFC 5322), ready to be stored and offered to a relay as they are.

A message is joined from pieces that were rendered and encoded once for all readers (`fragments`); only header fields
and links are made anew. Promises: equal digest and templates give equal bytes (G3: every attempt offers the same);
CRLF, 7-bit, no line beyond 998 octets; `multipart/alternative` with a complete text and a complete HTML (RFC 2046
5.1.4); the List-* fields of RFC 2369, 2919 and 8058 on one line and never encoded, because receivers read them with
simple parsers; foreign text adds no header, recipient or part (G8). The fields of every message are read again and
compared before it leaves, and the whole of every message that is the first of its kind.

Fails with AddressError for an address that cannot stand in a header, TemplateError when not even the built-in template
can be rendered, ComposeError when the bytes do not say what was meant.
"""

from __future__ import annotations

import email
import email.policy
import email.utils
import hashlib
from collections.abc import Iterator
from datetime import date, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from functools import lru_cache
from html import escape
from itertools import accumulate
from typing import cast

from notifier import present
from notifier.errors import NotifierError
from notifier.fragments import READER, Fragments, Pair
from notifier.header import (
    ADDRESS,
    LINE_MAX,
    LIST_ID,
    MESSAGE_ID,
    URI,
    checked,
    encoded,
    mailbox,
    mailto,
    unencoded,
    uris,
)
from notifier.model import Cadence, Digest
from notifier.quoted import quoted

# --- policy -----------------------------------------------------------------------------------------------------------

HTML_BUDGET = 80_000  # octets of the encoded HTML part; Gmail hides what is beyond about 102 kB, the way out included
FULL_MAX = 20  # papers with abstract; then titles only
FULL_MIN = 5  # papers with abstract that stay when titles must go
BRIEF_MAX = 60  # titles; then "n more" with a link
SUBJECT_ABOUT = 50  # characters after count and day, which fill the 40 that phones show
SUBJECT_LABELS = 3
SLOTS = tuple(name.encode() for name in READER)

MESSAGE = b"""\
%(fields)b\
Content-Type: multipart/alternative;
 boundary="%(boundary)b"

--%(boundary)b
Content-Type: text/plain; charset="utf-8"
Content-Transfer-Encoding: quoted-printable

%(text)b
--%(boundary)b
Content-Type: text/html; charset="utf-8"
Content-Transfer-Encoding: quoted-printable

%(html)b
--%(boundary)b--
""".replace(b"\n", b"\r\n")


class ComposeError(NotifierError):
    """The bytes of a message do not say what was meant; nothing was sent. `message_id` names the message."""

    def __init__(self, message_id: str, reason: str) -> None:
        self.message_id = message_id
        self.reason = reason
        super().__init__(f"{message_id}: {reason}")


def compose(digest: Digest, fragments: Fragments) -> bytes:
    """Return the digest as one message for its one recipient; see the module for what is promised and raised."""
    title = subject(digest)
    fields = _fields(digest, title)
    body, new = _body(digest, fragments)
    # "=_" cannot occur in quoted-printable, and the digest of the Message-ID makes the bytes repeatable.
    boundary = b"=_" + hashlib.sha256(digest.message_id.encode()).hexdigest()[:24].encode()
    written = "".join([f"{name}: {value}\r\n" for name, value in fields.items()])
    _verify_fields(written, fields, digest)
    content = MESSAGE % {
        b"fields": written.encode("ascii"), b"boundary": boundary, b"text": body.text, b"html": body.html,
    }  # fmt: skip
    if new:
        _verify(content, fields, title, digest)
    return content


def subject(digest: Digest) -> str:
    """Return "12 new papers · 21 Nov 2026 · graph reasoning, LLM": count and day first, no two days alike.

    A single paper is named by its title, which says more than what it was found by.
    """
    at = _local(digest.date, digest.timezone)
    count = len(digest.entries)
    what = present.counted(count, "new paper") if count else "No new papers"
    when = present.short_day(at.date())
    if digest.cadence is Cadence.IMMEDIATE:  # several a day: Gmail would fold equal subjects into one thread
        when += f", {at:%H:%M}"
    if digest.cadence is Cadence.WEEKLY:
        when = f"week to {when}"
    about = _about(digest.labels) if count != 1 else _headline(digest.entries[0].paper.title)
    return f"{what} · {when} · {about}" if about else f"{what} · {when}"


@lru_cache(maxsize=10_000)
def _about(labels: tuple[str, ...]) -> str:
    """Return the labels as a subject names them: a few, then how many more."""
    shown = present.phrases(labels, SUBJECT_LABELS)
    left = len(labels) - len(shown)
    about = ", ".join(shown) + (f" + {left} more" if left > 0 and shown else "")
    return unencoded(present.clean(about, SUBJECT_ABOUT))


@lru_cache(maxsize=1_000)
def _headline(title: str) -> str:
    return unencoded(present.clean(title, SUBJECT_ABOUT))


@lru_cache(maxsize=1_000)
def _local(moment: datetime, timezone: str) -> datetime:
    return moment.astimezone(present.timezone(timezone))


# --- header fields ----------------------------------------------------------------------------------------------------


def _fields(digest: Digest, title: str) -> dict[str, str]:
    """Return the header fields in the order to write them, values ready for the wire."""
    fields = {
        "From": _from(*digest.sender),
        "To": checked(ADDRESS, digest.recipient, "recipient"),
        "Subject": _subject(title),
        "Date": _date(digest.date, digest.timezone),
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


@lru_cache(maxsize=10)
def _from(name: str, address: str) -> str:
    return mailbox(name, checked(ADDRESS, address, "sender"))


@lru_cache(maxsize=1_000)
def _date(moment: datetime, timezone: str) -> str:
    return email.utils.format_datetime(_local(moment, timezone))


@lru_cache(maxsize=10_000)
def _subject(title: str) -> str:
    return encoded(title, len("Subject: "))


# --- the two parts ----------------------------------------------------------------------------------------------------


def _body(digest: Digest, fragments: Fragments) -> tuple[Pair, bool]:
    """Return both parts, and whether their frame was made just now."""
    day = _local(digest.date, digest.timezone).date()
    links = _links(digest)
    room = HTML_BUDGET
    while True:
        papers, titles = _fit(digest, fragments, day, room)
        html, text = (
            {
                **links[part],
                b"about": getattr(fragments.phrase(digest.labels), part),
                b"preview": fragments.preview(digest, day),
                b"papers": b"".join([getattr(piece, part) for piece in papers]),
                b"titles": b"".join([getattr(piece, part) for piece in titles]),
            }
            for part in ("html", "text")
        )
        more = len(digest.entries) - len(papers) - len(titles)
        frame, new = fragments.frame(digest, tuple([bool(html[slot]) for slot in SLOTS]), more, day)
        body = Pair(frame.html % html, frame.text % text)
        if len(body.html) <= HTML_BUDGET or not papers:
            return body, new
        room = min(room, HTML_BUDGET) - max(1_000, len(body.html) - HTML_BUDGET)  # the frame takes its part


def _links(digest: Digest) -> dict[str, dict[bytes, bytes]]:
    """Return what only this reader is given, by part and slot. The recipient and most links stand in fields too."""
    own = {
        b"address": digest.recipient,
        b"unsubscribe_url": digest.unsubscribe_url,
        b"web_url": digest.web_url,
        b"feed_url": digest.feed_url and checked(URI, digest.feed_url, "link"),
        b"manage_url": digest.manage_url and checked(URI, digest.manage_url, "link"),
    }
    return {
        "html": {slot: quoted(escape(value)) for slot, value in own.items()},
        "text": {slot: quoted(value) for slot, value in own.items()},
    }


def _fit(digest: Digest, fragments: Fragments, day: date, room: int) -> tuple[list[Pair], list[Pair]]:
    """Return the papers to show in full and those to show as titles, so that their HTML fits into `room` octets."""
    entries = digest.entries[: digest.most]
    full = [fragments.shown(entry, "paper", digest, day) for entry in entries[:FULL_MAX]]
    if len(full) == len(entries) and sum([len(piece.html) for piece in full]) <= room:
        return full, []
    brief = [fragments.shown(entry, "title", digest, day) for entry in entries[: FULL_MAX + BRIEF_MAX]]
    upto_full = [0, *accumulate(len(piece.html) for piece in full)]
    upto_brief = [0, *accumulate(len(piece.html) for piece in brief)]
    for papers, titles in _choices(len(entries)):
        if upto_full[papers] + upto_brief[papers + titles] - upto_brief[papers] <= room:
            return full[:papers], brief[papers : papers + titles]
    return [], []


def _choices(total: int) -> Iterator[tuple[int, int]]:
    """Yield how many papers to show in full and how many as titles, the best choice first.

    Abstracts go first (their papers become titles), then titles, then the last abstracts.
    """
    most, least = min(FULL_MAX, total), min(FULL_MIN, total)
    yield from ((full, min(BRIEF_MAX, total - full)) for full in range(most, least, -1))
    yield from ((least, brief) for brief in range(min(BRIEF_MAX, total - least), 0, -1))
    yield from ((full, 0) for full in range(least, 0, -1))


# --- the last look ----------------------------------------------------------------------------------------------------


def _verify_fields(written: str, fields: dict[str, str], digest: Digest) -> None:
    """Read the fields again as the simplest parser would and compare; raises ComposeError."""
    lines = written.replace("\r\n ", " ").split("\r\n")
    names = [line.partition(":")[0] for line in lines[:-1]]
    if names != [*fields] or not written.isascii() or "\0" in written or max(map(len, lines)) > LINE_MAX:
        raise ComposeError(digest.message_id, f"fields are {names}")
    if any("\r" in line or "\n" in line for line in lines):
        raise ComposeError(digest.message_id, "a bare CR or LF in a field")


def _verify(content: bytes, fields: dict[str, str], title: str, digest: Digest) -> None:
    """Parse the bytes as a receiver would and compare; raises ComposeError."""

    def require(fact: bool, reason: str) -> None:
        if not fact:
            raise ComposeError(digest.message_id, reason)

    lines = content.split(b"\r\n")
    require(content.isascii() and b"\0" not in content, "not 7-bit")
    require(not any(b"\r" in line or b"\n" in line for line in lines), "a bare CR or LF")
    require(max(map(len, lines)) <= LINE_MAX, "a line is too long")
    parsed = email.message_from_bytes(content, policy=email.policy.default)
    require(parsed.keys() == [*fields, "Content-Type"], f"fields are {parsed.keys()}")
    require(_addresses(parsed, "To") == [digest.recipient], "another recipient")
    require(_addresses(parsed, "From") == [digest.sender[1]], "another sender")
    require(str(parsed["Subject"]) == title, "another subject")
    require(str(parsed["Message-ID"]) == digest.message_id, "another Message-ID")
    parts = [part.get_content_type() for part in parsed.walk()]
    require(parts == ["multipart/alternative", "text/plain", "text/html"], f"parts are {parts}")
    for name in (name for name in fields if name.startswith("List-")):
        require(b"\r\n%s: %s\r\n" % (name.encode(), fields[name].encode()) in content, f"{name} was changed")


def _addresses(message: EmailMessage, name: str) -> list[str]:
    found = cast("tuple[Address, ...]", message[name].addresses)
    return [address.addr_spec for address in found]
