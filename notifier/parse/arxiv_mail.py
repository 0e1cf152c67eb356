r"""arXiv's announcement in plain text: the daily mail, and the past-week file with `/* day */` between its days.

Entries stand between rules of hyphens, each opened by a line `\\`; a second `\\` ends its fields, a third its abstract.
`%-%-%-` opens the cross-lists, `%%--%%--` the replacements, `%%%---%%%` ends the mail. Landmarks: "received from", the
days of submission, and that end (a mail without it was cut off); or the first day of a past-week file. Where the
subject counts both ("13 new + 5 crosses received"), these and the replacements read are `Batch.stated`. A mail with its
end and without entries is a quiet day.

Replacements and past-week files have no abstract, and versions are never named. The mail is dated in GMT, which makes
its date the day that arXiv's pages give. Ids of the 1990s stand without their archive, which is then the subject's.

Facts from arXiv's own reader of these files (github.com/arXiv/arxiv-browse, parse_new_listing_file.py).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime

from notifier.errors import PageError
from notifier.identity import arxiv_id
from notifier.model import AnnounceType, Batch, Page, Paper
from notifier.parse.arxiv_paper import arxiv_paper
from notifier.parse.byline import byline
from notifier.parse.charset import decode
from notifier.parse.dates import day_first, stamp, utc
from notifier.parse.entries import BadEntry, Entries
from notifier.parse.markup import what_it_is
from notifier.parse.text import line

FORMAT = "arxiv-mail"
LINES_LIMIT = 500_000  # a day of all archives together has 60,000

_SECTIONS = {"%-%-%-": AnnounceType.CROSS, "%%--%%--": AnnounceType.REPLACE}
_END = "%%%---%%%---"
_RULE = re.compile(r"\n(?:-{60,}+[^\S\n]*(?=\n|\Z)|(?:%-%-%-|%%--%%--|%%%---%%%---)[^\n]*)")
_MARK = re.compile(r"\\\\\s*(?:$|\( )")
_DAY = re.compile(r"/\*.*\*/")
_RECEIVED = re.compile(r"^ *received from +\S", re.MULTILINE)
_DATE = re.compile(r"^Date:(.*)$", re.MULTILINE)
_SUBJECT = re.compile(r"^Subject:\s*(?P<archive>[a-z]+(?:-[a-z]+)?)?.*$", re.MULTILINE)
_COUNTS = re.compile(r"\b(\d{1,5}) new \+\s+(\d{1,5}) crosses received")
_ID = re.compile(r"(?:arXiv:|Paper:)\s*(?P<id>\S{1,40})(?P<cross>\s*\(\*cross-listing\*\))?", re.IGNORECASE)
_OLD_NUMBER = re.compile(r"\d{7}")
_REPLACED = re.compile(r"replaced with revised version\s+(.*)")
_FIELD = re.compile(r"([A-Z][A-Za-z]*(?:-[A-Za-z]+)*):(?:\s+(.*)|$)")
_SIZE = re.compile(r"\s*\(\d+\s*kb.*$", re.IGNORECASE)
_KNOWN = {
    "Date", "Title", "Author", "Authors", "Categories", "Comments", "Journal-ref", "DOI", "From", "Paper", "Subj-class",
    "Report-no", "MSC-class", "ACM-class", "License", "Proxy",
}  # fmt: skip


def arxiv_mail(page: Page) -> Batch:
    """Read an announcement mail or a past-week file."""
    decoded = decode(page)
    text = decoded.text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
    received, week = _RECEIVED.search(text), _first_day(text)
    if not received and not week:
        raise PageError(f"neither 'received from' nor a day of a past-week file; found {what_it_is(text)}")
    if text.count("\n") >= LINES_LIMIT:
        raise PageError(f"more than {LINES_LIMIT} lines")
    if received and f"\n{_END}" not in text:
        raise PageError("cut off: no line %%%---%%%--- at the end")
    head = text[: received.start()] if received else ""
    dated, subject = _DATE.search(head), _SUBJECT.search(head)
    moment = utc(stamp(dated[1])) if dated else None
    archive = (subject["archive"] or "") if subject else ""
    entries = Entries(decoded.oddities)
    day, newest, kinds, cut = moment.date() if moment else None, None, Counter[AnnounceType](), False
    for section, block in _blocks(text):
        heading = _day_of(block)
        if heading:
            day = heading
            newest = max(newest or day, day)
        elif block and _MARK.match(block[0]):
            kinds[section] += 1
            marks = _marks(block)
            cut = len(marks) < 2
            try:
                entries.add(_paper(block, marks, section, day, archive, entries))
            except BadEntry as bad:
                entries.skip(bad)
        elif any(one.startswith("arXiv:") for one in block):
            kinds[section] += 1
            entries.skip(f"an entry without its opening line ({line(block[0], 60)})")
    if not entries.papers and not received:
        raise PageError("days without entries: the layout has changed")
    counts = _COUNTS.search(subject[0]) if subject else None
    replaced = kinds[AnnounceType.REPLACE]
    return entries.batch(
        listed_on=newest or day,
        stated=int(counts[1]) + int(counts[2]) + replaced if counts else None if entries.papers else 0,
        truncated=cut,
    )


def _first_day(text: str) -> date | None:
    """Return the first day of a past-week file, which begins with it."""
    return next((day for _, block in _blocks(text[:2_000]) if (day := _day_of(block))), None)


def _blocks(text: str) -> Iterator[tuple[AnnounceType, list[str]]]:
    """Cut the text at its rules: the lines between two of them, and in which section."""
    text = f"\n{text}"
    section, start = AnnounceType.NEW, 0
    for rule in _RULE.finditer(text):
        yield section, _lines(text[start : rule.start()])
        start, sign = rule.end(), rule[0][1:]
        if sign.startswith(_END):
            return
        section = next((kind for opening, kind in _SECTIONS.items() if sign.startswith(opening)), section)
    yield section, _lines(text[start:])


def _lines(block: str) -> list[str]:
    """Split a block into lines, without the blank ones that it begins with."""
    lines = block.split("\n")
    begins = next((at for at, one in enumerate(lines) if one and not one.isspace()), len(lines))
    return lines[begins:]


def _day_of(block: list[str]) -> date | None:
    return day_first(block[1]) if len(block) > 1 and _MARK.match(block[0]) and _DAY.match(block[1]) else None


def _marks(block: list[str]) -> list[int]:
    """Return which lines are the two backslashes around the parts of an entry."""
    return [at for at, one in enumerate(block) if one.startswith("\\\\") and _MARK.match(one)]


def _paper(
    block: list[str], marks: list[int], section: AnnounceType, day: date | None, archive: str, entries: Entries
) -> Paper:
    """Read one entry, from its opening line on; raises `BadEntry` for one that was cut off or has no id."""
    if len(marks) < 2:
        raise BadEntry(f"an entry without end ({line(' '.join(block[1:2]), 60)})")
    head = block[1 : marks[1]]
    named = next((found for one in head if one[:1] in "aApP" and (found := _ID.match(one))), None)
    if not named:
        raise BadEntry(f"an entry without arXiv id ({line(' '.join(head), 60)})")
    replaced = next((found[1] for one in head if one.startswith("re") and (found := _REPLACED.match(one))), None)
    fields = _fields(head)
    entries.unknown(name for name in fields if name not in _KNOWN)
    cross = bool(named["cross"]) or section is AnnounceType.CROSS
    key = named["id"]
    if not arxiv_id(key) and _OLD_NUMBER.fullmatch(key):
        key = f"{archive}/{key}"
    return arxiv_paper(
        source=FORMAT,
        identifier=key,
        title=fields.get("Title", ""),
        abstract=" ".join(one.strip() for one in block[marks[1] + 1 : marks[-1]]),
        authors=byline(fields.get("Authors") or fields.get("Author", "")),
        categories=fields.get("Categories", "").split(),
        doi_text=fields.get("DOI", ""),
        comments=fields.get("Comments", ""),
        journal_ref=fields.get("Journal-ref", ""),
        announce_type=_kind(cross, replaced is not None or section is AnnounceType.REPLACE),
        announced_on=day,
        published_at=_submitted(fields.get("Date", "")),
        updated_at=_submitted(replaced or ""),
    )


def _fields(head: list[str]) -> dict[str, str]:
    """Read "Name: value" lines; a line that begins with blanks continues the one before."""
    fields: dict[str, list[str]] = {}
    name = ""
    for one in head:
        if one[:1] not in " \t":
            found = _FIELD.match(one)
            if found and found[1] not in fields:
                name = found[1]
                fields[name] = [found[2] or ""]
        elif name and (more := one.strip()):
            fields[name].append(more)
    return {name: " ".join(values) for name, values in fields.items()}


def _submitted(text: str) -> datetime | None:
    """Read "Mon, 4 May 2026 09:00:06 GMT   (324kb,D)"."""
    return utc(stamp(_SIZE.sub("", text[:100])))


def _kind(cross: bool, replaced: bool) -> AnnounceType:
    if replaced:
        return AnnounceType.REPLACE_CROSS if cross else AnnounceType.REPLACE
    return AnnounceType.CROSS if cross else AnnounceType.NEW
