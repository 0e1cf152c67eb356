"""From our values to what a template may see: plain dicts, lists, strings and numbers, made safe to show.

Owns the wording that mail, web pages and feeds share (dates, "12 new papers", what an outcome is called) and the last
line of defence for foreign text: whatever a paper, label or reason holds, what comes out has no control character, no
lone surrogate, no bidi override, nothing that XML 1.0 (2.2 Char) forbids, and a bounded length; a link is http or
https or "". It never fails on foreign text. Markup is the template's business: nothing here is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from notifier.model import AnnounceType, Cadence, Coverage, Digest, Marks, Outcome, Paper, Span

Plain = dict[str, Any]  # what templates get: dict, list, str, int, bool - never an object with methods of ours

# --- policy: how much of one thing is shown ---------------------------------------------------------------------------

TITLE_MAX = 300  # characters of a title
ABSTRACT_MAX = 1_600  # characters of an abstract in a mail; arXiv allows 1,920
ABSTRACT_OCTETS = 2_400  # of the same in UTF-8: scripts that take more octets say more with a character, or nearly so
PHRASE_MAX = 160  # characters of a name, label, category, reason
URL_MAX = 1_500  # bytes of a link; beyond it is dropped, not cut
AUTHORS_SHOWN = 5  # before "and n more"
LABELS_SHOWN = 6
MARKS_SHOWN = 24  # marks in one text; a word in every line needs no more
CATEGORIES_SHOWN = 6
BATCHES_SHOWN = 24
LATE_AFTER = timedelta(days=9)  # from the announcement of a paper to its digest; a weekly one takes up to seven
COMBINING_RUN = 4  # combining marks in a row; a letter of a living script needs no more

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

OUTCOME_WORDS = {
    Outcome.FRESH: "read in full",
    Outcome.QUIET: "nothing announced (weekend or holiday)",
    Outcome.WAITING: "no new issue yet",
    Outcome.STALE: "no new issue for longer than usual",
    Outcome.FAILED: "could not be read",
}
RHYTHM = {
    Cadence.IMMEDIATE: "as they appear",
    Cadence.DAILY: "every day",
    Cadence.WEEKLY: "once a week",
    Cadence.FEED: "as a feed",
    Cadence.PAUSED: "not at present",
}
TROUBLE = {Outcome.STALE, Outcome.FAILED}

NO_MARKS = Marks()
REVISED = {AnnounceType.REPLACE, AnnounceType.REPLACE_CROSS}


def digest(value: Digest, *, full: int | None = None, brief: int | None = None) -> Plain:
    """Return what the digest templates see: `full` papers in full, then `brief` titles, the rest only counted.

    None means all. The `papers`, `titles` and `more` of the result always add up to the number of entries.
    """
    zone = timezone(value.timezone)
    day = value.date.astimezone(zone)
    total = len(value.entries)
    end = total if full is None else min(full, total)
    last = total if brief is None else min(end + brief, total)
    papers = [paper(e.paper, e.marks, e.labels, e.listings, n) for n, e in enumerate(value.entries[:last], 1)]
    return {
        "heading": counted(total, "new paper") if total else "No new papers",
        "count": total,
        "day": long_day(day.date()),
        "labels": phrases(value.labels, LABELS_SHOWN),
        "labels_more": max(0, len(value.labels) - LABELS_SHOWN),
        "preview": [p["title_text"] for p in papers[:3]],
        "papers": papers[:end],
        "titles": papers[end:],
        "more": total - last,
        "rhythm": RHYTHM[value.cadence],
        "coverage": coverage(value.coverage, zone),
        "recipient": clean(value.recipient),
        "sender": clean(value.sender[0], PHRASE_MAX) or clean(value.sender[1]),
        "unsubscribe_url": link(value.unsubscribe_url),
        "web_url": link(value.web_url),
        "feed_url": link(value.feed_url),
        "manage_url": link(value.manage_url),
        "help_url": link(value.help_url),
    }


def frame(value: Digest, more: int) -> Plain:
    """Return what the templates of a digest mail see of it besides its papers, the same for all its readers."""
    zone = timezone(value.timezone)
    total = len(value.entries)
    return {
        "heading": counted(total, "new paper") if total else "No new papers",
        "count": total,
        "more": more,
        "day": long_day(value.date.astimezone(zone).date()),
        "rhythm": RHYTHM[value.cadence],
        "coverage": coverage(value.coverage, zone),
        "sender": clean(value.sender[0], PHRASE_MAX) or clean(value.sender[1]),
        "help_url": link(value.help_url),
        "thumbnails": value.thumbnails,
    }


def home(
    batches: Sequence[Coverage],
    papers: Sequence[Paper],
    waiting: Iterable[str],
    feed_url: str,
    met: Sequence[date] = (),
) -> Plain:
    """Return what the first page sees: the last poll of each listing, the newest papers; times in UTC.

    `waiting` names all listings; those without a batch were not read yet. `feed_url` is ours and may be relative.
    `met` are the days on which the papers were first met, shown instead of where they were read.
    """
    days = [[short_day(day)] for day in met] or [[] for _ in papers]
    read = {batch.listing for batch in batches}
    return {
        "coverage": coverage(batches),
        "waiting": phrases((name for name in waiting if name not in read), BATCHES_SHOWN),
        "papers": [paper(each, listings=day) for each, day in zip(papers, days, strict=True)],
        "feed_url": feed_url,
    }


def paper(
    shown: Paper,
    marks: Marks = NO_MARKS,
    labels: Iterable[str] = (),
    listings: Iterable[str] = (),
    number: int = 0,
    *,
    late: bool = False,
    thumbnails: bool = False,
) -> Plain:
    """Return one paper as the templates show it; `number` is its 1-based place in the digest, 0 for none."""
    title = segments(shown.title, marks.title, TITLE_MAX) or [{"text": "(untitled)", "mark": False}]
    return {
        "number": number,
        "title": title,
        "title_text": "".join(part["text"] for part in title),
        "url": link(shown.url),
        "authors": [
            {"text": clean(name, PHRASE_MAX), "mark": name in marks.authors}
            for name in lead(shown.authors, marks.authors)
        ],
        "authors_more": max(0, len(shown.authors) - AUTHORS_SHOWN),
        "facts": facts(shown, listings, late=late),
        "categories": [
            {"text": clean(name, PHRASE_MAX), "mark": name in marks.categories}
            for name in shown.categories[:CATEGORIES_SHOWN]
        ],
        "abstract": segments(shown.abstract, marks.abstract, _abstract_room(shown.abstract)),
        "labels": phrases(labels, LABELS_SHOWN),
        "words": phrases(marks.words, LABELS_SHOWN),
        "links": links(shown),
        "thumbnail": link(shown.thumbnail or "") if thumbnails else "",
        "withdrawn": shown.withdrawn,
    }


def _abstract_room(text: str) -> int:
    """Return how many characters of an abstract are shown."""
    start = text[:ABSTRACT_MAX]
    return (
        ABSTRACT_MAX
        if start.isascii()
        else len(start.encode("utf-8", "replace")[:ABSTRACT_OCTETS].decode("utf-8", "ignore"))
    )


def lead(authors: Sequence[str], marked: Sequence[str]) -> list[str]:
    """Return the authors to name: the first ones, but an author that matched before one that did not."""
    kept = sorted(range(len(authors)), key=lambda place: (authors[place] not in marked, place))[:AUTHORS_SHOWN]
    return [authors[place] for place in sorted(kept)]


def late(shown: Paper, day: date) -> bool:
    """Tell whether a paper was announced so long before the day of its digest that its reader would wonder."""
    return shown.announced_on is not None and day - shown.announced_on > LATE_AFTER


def facts(shown: Paper, listings: Iterable[str] = (), *, late: bool = False) -> list[str]:
    """Return the short facts under a title: where it was listed, its number, version, votes, journal."""
    found = [*listings] or [shown.source]
    if shown.arxiv_id:
        found.append(f"arXiv:{shown.arxiv_id}" + (f"v{shown.version}" if shown.version else ""))
    elif shown.doi:
        found.append(f"doi:{shown.doi}")
    if shown.announce_type in REVISED:
        found.append("revised")
    elif shown.announce_type is AnnounceType.CROSS:
        found.append("cross-listed")
    if late and shown.announced_on:
        found.append(f"late: announced {short_day(shown.announced_on)}")
    found += [text for text in (shown.org, shown.journal_ref) if text]
    if shown.upvotes:
        found.append(counted(shown.upvotes, "upvote"))
    return phrases(found, 8)


def links(shown: Paper) -> list[Plain]:
    """Return the links beyond the title's own: only what the paper states, each target once."""
    seen = {link(shown.url), ""}
    found = []
    for text, url in (
        ("arXiv", f"https://arxiv.org/abs/{shown.arxiv_id}" if shown.arxiv_id else ""),
        ("PDF", shown.pdf_url or ""),
        ("Code", shown.code_url or ""),
        ("Project page", shown.project_url or ""),
        ("DOI", f"https://doi.org/{shown.doi}" if shown.doi and not shown.arxiv_id else ""),
    ):
        target = link(url)
        if target not in seen:
            seen.add(target)
            found.append({"text": text, "url": target})
    return found


def coverage(batches: Sequence[Coverage], zone: tzinfo = UTC) -> Plain:
    """Return what was read, batch by batch, and one sentence for all, which tells a quiet day from a broken one."""
    listings = {batch.listing for batch in batches}  # each has a batch for every day of its page
    troubled = {batch.listing for batch in batches if batch.outcome in TROUBLE}
    if not batches:
        summary = "No listing was read for this digest."
    elif not troubled:
        summary = f"{_some_of(len(listings), len(listings))} {'was' if len(listings) == 1 else 'were'} read."
    else:
        summary = (
            f"{_some_of(len(troubled), len(listings))} had trouble: "
            "papers may be missing here, and will follow as soon as they can be read."
        )
    # Trouble first, so that a long list never hides it.
    ordered = sorted(batches, key=lambda batch: batch.outcome not in TROUBLE)
    return {
        "summary": summary,
        "trouble": bool(troubled),
        "batches": [covered(batch, zone) for batch in ordered[:BATCHES_SHOWN]],
        "more": max(0, len(batches) - BATCHES_SHOWN),
    }


def _some_of(some: int, total: int) -> str:
    """Return "1 of 3 listings"; "The listing", "Both listings" or "All 3 listings" where they are all there are."""
    every = {1: "The listing", 2: "Both listings"}.get(total, f"All {counted(total, 'listing')}")
    return every if some == total else f"{some} of {counted(total, 'listing')}"


def covered(batch: Coverage, zone: tzinfo) -> Plain:
    """Return one batch in words: "90 of 90 read, 73 new", or why there is nothing new; never both for one thing."""
    read = f"{batch.read} of {batch.stated} read" if batch.stated is not None else f"{batch.read} read"
    polled = batch.polled_at.astimezone(zone)
    last = f"; last batch {short_day(batch.fresh_at.astimezone(zone).date())}" if batch.fresh_at else ""
    reason = "" if batch.outcome is Outcome.FRESH else clean(batch.reason, PHRASE_MAX)
    return {
        "listing": clean(batch.listing, PHRASE_MAX),
        "day": short_day(batch.listed_on or polled.date()),
        "polled_at": f"{short_day(polled.date())}, {polled:%H:%M %Z}",
        "counts": f"{read}, {batch.new} new" if (batch.read or batch.stated) and (batch.new or not reason) else "",
        "outcome": str(batch.outcome),
        "words": OUTCOME_WORDS[batch.outcome] + last,
        "reason": reason,
        "trouble": batch.outcome in TROUBLE,
    }


# --- words ------------------------------------------------------------------------------------------------------------


def counted(number: int, noun: str) -> str:
    """Return "1 paper", "12 papers", "1,204 papers"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def long_day(day: date) -> str:
    """Return "Saturday, 21 November 2026", whatever the locale of the process."""
    return f"{DAYS[day.weekday()]}, {day.day} {MONTHS[day.month - 1]} {day.year}"


def short_day(day: date) -> str:
    """Return "21 Nov 2026"."""
    return f"{day.day} {MONTHS[day.month - 1][:3]} {day.year}"


def timezone(name: str) -> tzinfo:
    """Return the IANA zone, or UTC when this machine does not know it: a wrong clock is better than no digest."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


# --- foreign text -----------------------------------------------------------------------------------------------------

# Controls, surrogates, bidi embeddings, overrides and isolates, zero-width space, BOM, tags, noncharacters.
DROPPED = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ufdd0-\ufdef\U000e0000-\U000e007f"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
    + "]"
)
BREAKS = re.compile(r"[\s\x85\u2028\u2029]+")
COMBINING = re.compile(
    "([\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u064b-\u065f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
    f"{{{COMBINING_RUN}}})"
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u064b-\u065f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+"
)


def clean(text: str, limit: int = 20_000) -> str:
    """Return `text` on one line with nothing in it but characters to read, at most `limit` of them, "…" when cut."""
    return tidy(text[: 4 * limit], limit).strip()


def tidy(text: str, limit: int) -> str:
    """Do what `clean` does, but keep a space at either end: pieces of one text are cleaned one by one."""
    plain = text.isprintable() and "  " not in text  # as stored text is: nothing to drop and no line to break
    kept = text if plain else BREAKS.sub(" ", DROPPED.sub("", text))
    if not kept.isascii():
        kept = COMBINING.sub(r"\1", kept)
    return kept if len(kept) <= limit else kept[: limit - 1].rstrip() + "…"


def phrases(texts: Iterable[str], limit: int) -> list[str]:
    """Return the first `limit` of `texts`, cleaned, without empty ones."""
    found = (clean(text, PHRASE_MAX) for text in texts)
    return [text for text, _ in zip((t for t in found if t), range(limit), strict=False)]


def segments(text: str, spans: Sequence[Span], limit: int) -> list[Plain]:
    """Return `text` cut at the spans, cleaned, at most `limit` characters: `[{"text": ..., "mark": bool}, ...]`.

    Spans that leave the text or overlap are clipped: a wrong mark must never cost a reader the paper.
    """
    pieces: list[Plain] = []
    at, room = 0, limit
    for start, end in [*joined(text, spans)[:MARKS_SHOWN], (len(text), len(text))]:
        begin = max(at, min(start, len(text)))
        stop = max(begin, min(end, len(text)))
        for piece, mark in ((text[at:begin], False), (text[begin:stop], True)):
            shown = tidy(piece[: 4 * limit], room) if room > 0 else ""
            if shown:
                pieces.append({"text": shown, "mark": mark})
                room -= len(shown)
        at = stop
    return trimmed(pieces)


def joined(text: str, spans: Sequence[Span]) -> list[Span]:
    """Return the spans, those that only white space separates as one: "graph reasoning" is one mark, not two."""
    found: list[Span] = []
    for start, end in spans:
        if found and text[found[-1][1] : start].isspace():
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def trimmed(pieces: list[Plain]) -> list[Plain]:
    """Return the pieces without white space at the two ends of the whole."""
    if pieces:
        pieces[0]["text"] = pieces[0]["text"].lstrip()
        pieces[-1]["text"] = pieces[-1]["text"].rstrip()
    return [piece for piece in pieces if piece["text"]]


def link(url: str) -> str:
    """Return `url` as an ASCII http(s) URL without user name or odd characters, else "" (RFC 3986)."""
    if not url or len(url) > URL_MAX:
        return ""
    try:
        ascii_url = quote(url, safe="%/?#[]:;=&+$,~!'()*@._-")
        parts = urlsplit(ascii_url)
        _ = parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or "%" in parts.netloc:
        return ""
    return ascii_url if len(ascii_url) <= URL_MAX else ""


def instant(moment: datetime) -> str:
    """Return "21 Nov 2026, 08:00 UTC" for an aware instant."""
    at = moment.astimezone(UTC)
    return f"{short_day(at.date())}, {at:%H:%M} UTC"
