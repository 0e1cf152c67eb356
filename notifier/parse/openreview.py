"""OpenReview's API, `api2.openreview.net/notes` (and the older `api.openreview.net/notes`): JSON.

Written from OpenReview's documentation and its Python client, not from a recorded answer: every key but a note's id
is optional here. `notes` are submissions, and also reviews and comments when they were asked for: what replies to
another note is no paper and is left out. API 2 wraps each field of `content` as `{"value": ...}`, the older one does
not. Instants are milliseconds since 1970. `count` counts all notes of the request, over all its pages; only on the
last page does that say how many this page shows.

Specified at https://docs.openreview.net/reference/api-v2 (landmark: an object with a list `notes`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from notifier.errors import PageError
from notifier.model import Batch, Page, Paper
from notifier.parse.entries import BadEntry, Entries
from notifier.parse.json_body import describe, json_body, texts, unknown, whole
from notifier.parse.text import ABSTRACT_LIMIT, NAME_LIMIT, NOTE_LIMIT, TITLE_LIMIT, line, link, names, reading

FORMAT = "openreview"
SITE = "https://openreview.net"

_KEY = re.compile(r"[A-Za-z0-9_-]{3,64}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WITHDRAWN = re.compile(r"\bwithdrawn\b|\bretracted\b", re.IGNORECASE)
_KNOWN = frozenset({
    "id", "forum", "number", "cdate", "mdate", "pdate", "odate", "ddate", "tcdate", "tmdate", "tddate", "version",
    "invitation", "invitations", "parentInvitations", "domain", "signatures", "readers", "nonreaders", "writers",
    "replyto", "content", "details", "license", "original", "referent", "externalId", "externalIds", "apiVersion",
    "edges",
})  # fmt: skip

_Json = Mapping[str, Any]


def openreview(page: Page) -> Batch:
    """Read one page of notes."""
    found, oddities = json_body(page)
    notes = found.get("notes") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(notes, list):
        raise PageError(f"an object with a list of notes was expected, found {describe(found)}")
    count, offset = whole(found.get("count")), _offset(page.url)
    if count is not None and not notes and count > offset:
        raise PageError(f"the page says that there are {count} notes and shows none after the first {offset}")
    entries = Entries(oddities)
    for note in notes:
        try:
            if _is_paper(note):
                entries.add(_paper(note, entries))
            else:
                entries.leave_out("a reply or a deleted note")
        except BadEntry as bad:
            entries.skip(bad)
    end = offset + len(notes)
    goes_on = count is not None and count > end
    return entries.batch(
        stated=None if count is None or goes_on else max(0, count - offset),
        next_url=_next_url(page.url, end) if goes_on else None,
    )


def _offset(url: str) -> int:
    return whole(dict(parse_qsl(urlsplit(url).query)).get("offset")) or 0


def _next_url(url: str, offset: int) -> str | None:
    parts = urlsplit(url)
    query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != "offset"]
    return link(urlunsplit(parts._replace(query=urlencode([*query, ("offset", str(offset))]))))


def _is_paper(note: Any) -> bool:
    """Tell a submission from what replies to one; raises `BadEntry` for what is no note."""
    if not isinstance(note, dict) or not isinstance(note.get("id"), str) or not _KEY.fullmatch(note["id"]):
        raise BadEntry("a note without id")
    return not note.get("replyto") and note.get("forum") in (None, note["id"]) and not note.get("ddate")


def _paper(note: _Json, entries: Entries) -> Paper:
    key = note["id"]
    content = note["content"] if isinstance(note.get("content"), dict) else {}
    entries.unknown(unknown(note, _KNOWN))
    title, title_tex = reading(_value(content, "title"), TITLE_LIMIT)
    if not title:
        entries.note(f"a note without title: {key}")
    abstract, abstract_tex = reading(_value(content, "abstract"), ABSTRACT_LIMIT)
    area = line(_value(content, "primary_area"), NAME_LIMIT)
    venue = line(_value(content, "venue"), NOTE_LIMIT)
    keywords = texts(_value(content, "keywords"))
    if len(keywords) == 1:  # the older form is one string
        keywords = re.split("[,;]", keywords[0])
    return Paper(
        source=FORMAT,
        source_key=key,
        title=title or f"OpenReview {key}",
        url=f"{SITE}/forum?id={key}",
        title_tex=title_tex,
        abstract=abstract,
        abstract_tex=abstract_tex,
        authors=names(texts(_value(content, "authors"))),
        categories=tuple(dict.fromkeys(names([area, *keywords]))),
        primary_category=area or None,
        published_at=_instant(note.get("pdate")) or _instant(note.get("odate")) or _instant(note.get("cdate")),
        updated_at=_instant(note.get("mdate")),
        pdf_url=link(_value(content, "pdf"), SITE),
        comments=venue or None,
        withdrawn=bool(_WITHDRAWN.search(venue)),
    )


def _value(content: _Json, key: str) -> object:
    """Return a field of `content` in either form."""
    found = content.get(key)
    return found.get("value") if isinstance(found, dict) else found


def _instant(found: object) -> datetime | None:
    if not isinstance(found, int | float) or isinstance(found, bool):
        return None
    try:
        return _EPOCH + timedelta(milliseconds=found)
    except (OverflowError, ValueError):
        return None
