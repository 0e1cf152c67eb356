"""From a digest to the bytes of one mail (RFC 5322), ready to be stored and offered to a relay as they are.

A message is joined from pieces that were rendered and encoded once for all readers (`fragments`); only the address, the
Message-ID and links are made anew. Promises: equal digest and templates give equal bytes (G3: every attempt offers the
same); CRLF, 7-bit, no line beyond 998 octets; `multipart/alternative` with a complete text and a complete HTML (RFC
2046 5.1.4); the List-* fields of RFC 2369, 2919 and 8058 on one line and never encoded, because receivers read them
with simple parsers; foreign text adds no header, recipient or part (G8). Fields are read again and compared when they
are written, a message's own for each message, and the whole of every message that is the first of its kind.

Fails with AddressError for an address that cannot stand in a header, TemplateError when not even the built-in template
can be rendered, ComposeError when the bytes do not say what was meant.
"""

from __future__ import annotations

import email
import email.policy
import email.utils
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from functools import lru_cache
from html import escape
from itertools import accumulate
from typing import Any, cast

from notifier import present
from notifier.compose.fragments import READER, Fragments, Shown
from notifier.compose.header import (
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
from notifier.compose.quoted import Form, quoted
from notifier.errors import NotifierError
from notifier.model import Blank, Cadence, Digest, Lines, Written, lines

# --- policy -----------------------------------------------------------------------------------------------------------

HTML_BUDGET = 80_000  # octets of the encoded HTML part; Gmail hides what is beyond about 102 kB, the way out included
FULL_MAX = 20  # papers with abstract; then titles only
FULL_MIN = 5  # papers with abstract that stay when titles must go
BRIEF_MAX = 60  # titles; then "n more" with a link
SUBJECT_ABOUT = 50  # characters after count and day, which fill the 40 that phones show
SUBJECT_LABELS = 3
OWN = ("address", "unsubscribe_url", "web_url", "feed_url", "manage_url")  # slots that are each reader's own
FIRST_OWN = 2  # the number of the first of these among a message's own pieces: before them what is above, and fields
OWN_PLACES = tuple(range(FIRST_OWN, FIRST_OWN + len(OWN)))
MARKUP = re.compile(r"""[&<>"']""")
SHEET_OCTETS = 8_000  # of memory for a sheet, beside the pieces on it

BEFORE = b"""\
Content-Type: multipart/alternative;
 boundary="%(boundary)b"

--%(boundary)b
Content-Type: text/plain; charset="utf-8"
Content-Transfer-Encoding: quoted-printable

""".replace(b"\n", b"\r\n")
BETWEEN = b"""
--%(boundary)b
Content-Type: text/html; charset="utf-8"
Content-Transfer-Encoding: quoted-printable

""".replace(b"\n", b"\r\n")
END = b"""
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
    return bytes(write(digest, fragments))


def write(digest: Digest, fragments: Fragments, most: int = 0) -> Written:
    """Return the same message in the lines that it is made of, to be stored and sent without looking at all again.

    With `most` octets that a relay takes, it shows fewer papers, if it must, and links to the others; it may still be
    longer when it shows none.
    """
    room = HTML_BUDGET
    while True:
        message, papers = _write(digest, fragments, room)
        if not most or len(message) <= most or not papers:
            return message
        room -= room // 4


def _write(digest: Digest, fragments: Fragments, room: int) -> tuple[Written, int]:
    """Return the message with its HTML in `room` octets, and how many papers it shows in full or as titles."""
    own = _own(digest)
    sheet, new = _sheet(digest, fragments, own, room)
    fields = _own_fields(digest)
    message = Written(sheet.blank, (b"", _written(fields, digest), *own.pieces))
    if new:
        _verify(bytes(message), sheet.fields, fields, sheet.title, digest)
    return message, sheet.papers


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


Fields = dict[str, str]  # in the order to write them, values ready for the wire


def _own_fields(digest: Digest) -> Fields:
    """Return the header fields that no other message has."""
    fields = {
        "To": checked(ADDRESS, digest.recipient, "recipient"),
        "Message-ID": checked(MESSAGE_ID, digest.message_id, "Message-ID"),
        "List-Unsubscribe": uris(digest.unsubscribe_url, mailto(digest.unsubscribe_mailto)),
        "List-Archive": uris(digest.web_url),
    }
    if not digest.web_url:
        del fields["List-Archive"]
    return fields


def _shared_fields(digest: Digest, title: str) -> tuple[Fields, Fields]:
    """Return the header fields that stand above a message's own ones, and those below them."""
    above = {
        "From": _from(*digest.sender),
        "Subject": encoded(title, len("Subject: ")),
        "Date": email.utils.format_datetime(_local(digest.date, digest.timezone)),
    }
    below = {
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "List-Id": f"<{checked(LIST_ID, digest.list_id.strip('<>'), 'List-Id')}>",
        "List-Help": uris(digest.help_url),
        "Auto-Submitted": "auto-generated",
        "MIME-Version": "1.0",
    }
    return above, {field: value for field, value in below.items() if value}


def _written(fields: Fields, digest: Digest) -> bytes:
    """Return fields as they stand in a message."""
    written = "".join([f"{name}: {value}\r\n" for name, value in fields.items()])
    _verify_fields(written, fields, digest)
    return written.encode("ascii")


def _from(name: str, address: str) -> str:
    return mailbox(name, checked(ADDRESS, address, "sender"))


# --- the two parts ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Own:
    """What only this reader is given: the recipient, and links of which most stand in fields too.

    `pieces` are those of the slots in the order of OWN, then those that the HTML needs written otherwise; `html` has
    the numbers, in the message, of the pieces that stand in the slots of the HTML. `there` says which slots are filled.
    """

    pieces: tuple[bytes, ...]
    html: tuple[int, ...]
    there: tuple[bool, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """All of a message but what is a reader's own, for those who are told the same.

    `about` is what it was written for, by which it is found again; `size` that of its HTML in octets, without the own
    pieces, whose numbers are `own`. `fields` are those of its header, above and below the own ones.
    """

    title: str
    fields: tuple[Fields, Fields]
    blank: Blank
    size: int
    own: tuple[int, ...]
    papers: int
    about: tuple[Any, ...]


def _own(digest: Digest) -> Own:
    given = (
        digest.recipient, digest.unsubscribe_url, digest.web_url, _link(digest.feed_url), _link(digest.manage_url)
    )  # fmt: skip
    pieces = [quoted(value) for value in given]
    html = [*OWN_PLACES]
    if MARKUP.search("".join(given)):
        for slot, value in enumerate(given):
            if (escaped := escape(value)) != value:
                html[slot] = FIRST_OWN + len(pieces)
                pieces.append(quoted(escaped))
    return Own(tuple(pieces), tuple(html), tuple([bool(value) for value in given]))


def _link(uri: str) -> str:
    return uri and checked(URI, uri, "link")


def _sheet(digest: Digest, fragments: Fragments, own: Own, most: int) -> tuple[Sheet, bool]:
    """Return what all who are told the same are told, and whether a frame was made for it just now."""
    new, room = False, most
    # Entries by identity: to compare all that papers say costs more than is saved, and those of a drain are shared.
    about = (digest.entries, digest.coverage, digest.sender, digest.help_url, digest.thumbnails, digest.most,
             digest.list_id)  # fmt: skip
    while True:
        key = (id(digest.entries), digest.labels, digest.date, digest.timezone, digest.cadence, own.html, own.there,
               room)  # fmt: skip
        found = fragments.sheets.get(key)
        if found is None or found.about[0] is not digest.entries or found.about[1:] != about[1:]:
            found, made = _new_sheet(digest, fragments, own, room, about)
            new = new or made
            fragments.sheets.put(key, found, SHEET_OCTETS)
        size = found.size + sum([len(own.pieces[number - FIRST_OWN]) for number in found.own])
        if size <= most or not found.papers:
            return found, new
        room -= max(1_000, size - most)  # the frame takes its part


def _new_sheet(digest: Digest, fragments: Fragments, own: Own, room: int, about: tuple[Any, ...]) -> tuple[Sheet, bool]:
    day = _local(digest.date, digest.timezone).date()
    papers, titles = _fit(digest, fragments, day, room)
    phrase = fragments.phrase(digest.labels)
    preview = fragments.preview(digest, day)
    html, text = (
        {
            "about": [getattr(phrase, part)],
            "preview": preview,
            "papers": [each for piece in papers for each in getattr(piece, part)],
            "titles": [each for piece in titles for each in getattr(piece, part)],
        }
        for part in ("html", "text")
    )
    given = {slot: any(each.octets for each in pieces) for slot, pieces in html.items()}
    given |= dict(zip(OWN, own.there, strict=True))
    more = len(digest.entries) - len(papers) - len(titles)
    frame, new = fragments.frame(digest, tuple([given[slot] for slot in READER]), more, day)
    title = subject(digest)
    fields = _shared_fields(digest, title)
    above, below = (_written(each, digest) for each in fields)
    inner = _filled(frame.html, html, own.html)
    blank = _blank(above, below, _filled(frame.text, text, OWN_PLACES), inner)
    size = sum([len(part.octets) for part in inner if isinstance(part, Lines)])
    gaps = tuple([part for part in inner if isinstance(part, int)])
    return Sheet(title, fields, blank, size, gaps, len(papers) + len(titles), about), new


def _filled(frame: Form, shared: Mapping[str, list[Lines]], own: Sequence[int]) -> list[Lines | int]:
    """Return a frame with what readers share filled in, and the numbers of what they do not."""
    places = dict(zip(OWN, own, strict=True))
    found: list[Lines | int] = []
    for part in frame:
        if isinstance(part, Lines):
            found.append(part)
        elif part in shared:
            found += shared[part]
        else:
            found.append(places[part])
    return found


def _blank(above: bytes, below: bytes, text: Sequence[Lines | int], html: Sequence[Lines | int]) -> Blank:
    """Return the whole of a message around its own pieces."""
    # "=_" cannot occur in quoted-printable, and what stands in the parts makes the bytes repeatable.
    named = Blank.of([*text, *html]).key.hex()[:24]
    boundary = {b"boundary": b"=_" + named.encode()}
    between, end = lines(BETWEEN % boundary), lines(END % boundary)
    return Blank.of([0, lines(above), 1, lines(below + BEFORE % boundary), *text, between, *html, end])


def _fit(digest: Digest, fragments: Fragments, day: date, room: int) -> tuple[list[Shown], list[Shown]]:
    """Return the papers to show in full and those to show as titles, so that their HTML fits into `room` octets."""
    entries = digest.entries[: digest.most]
    full = [fragments.shown(entry, "paper", digest, day) for entry in entries[:FULL_MAX]]
    if len(full) == len(entries) and sum([piece.size for piece in full]) <= room:
        return full, []
    brief = [fragments.shown(entry, "title", digest, day) for entry in entries[: FULL_MAX + BRIEF_MAX]]
    upto_full = [0, *accumulate(piece.size for piece in full)]
    upto_brief = [0, *accumulate(piece.size for piece in brief)]
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


def _verify_fields(written: str, fields: Fields, digest: Digest) -> None:
    """Read the fields again as the simplest parser would and compare; raises ComposeError."""
    lines = written.replace("\r\n ", " ").split("\r\n")
    names = [line.partition(":")[0] for line in lines[:-1]]
    if names != [*fields] or not written.isascii() or "\0" in written or max(map(len, lines)) > LINE_MAX:
        raise ComposeError(digest.message_id, f"fields are {names}")
    if any("\r" in line or "\n" in line for line in lines):
        raise ComposeError(digest.message_id, "a bare CR or LF in a field")


def _verify(content: bytes, shared: tuple[Fields, Fields], own: Fields, title: str, digest: Digest) -> None:
    """Parse the bytes as a receiver would and compare; raises ComposeError."""
    fields = shared[0] | own | shared[1]

    def require(fact: bool, reason: str) -> None:
        if not fact:
            raise ComposeError(digest.message_id, reason)

    rows = content.split(b"\r\n")
    require(content.isascii() and b"\0" not in content, "not 7-bit")
    require(not any(b"\r" in line or b"\n" in line for line in rows), "a bare CR or LF")
    require(max(map(len, rows)) <= LINE_MAX, "a line is too long")
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
