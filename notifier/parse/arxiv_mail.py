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
from notifier.model import AnnounceType, Batch, Page, Paper
from notifier.parse.arxiv_paper import arxiv_paper
from notifier.parse.byline import byline
from notifier.parse.charset import decode
from notifier.parse.dates import common_stamp, day_first, stamp, utc
from notifier.parse.entries import BadEntry, Entries
from notifier.parse.markup import what_it_is
from notifier.parse.text import line

FORMAT = "arxiv-mail"
NEWLINE = "\n"
LINES_LIMIT = 500_000  # a day of all archives together has 60,000

_SECTIONS = {"%-%-%-": AnnounceType.CROSS, "%%--%%--": AnnounceType.REPLACE}
_END = "%%%---%%%---"
_RULE = re.compile(r"\n(?:-{60,}+[^\S\n]*(?=\n|\Z)|(?:%-%-%-|%%--%%--|%%%---%%%---)[^\n]*)")
# Within a block every line stands behind its newline: the letter that these patterns are searched by.
_BLANK_LINES = re.compile(r"(?:\n[^\S\n]*+(?=\n))+")
_MARK = re.compile(r"\n\\\\[^\S\n]*(?:(?=\n|\Z)|\( [^\n]*)")
_DAY = re.compile(r"\n/\*.*\*/.*")
_RECEIVED = re.compile(r"^ *received from +\S", re.MULTILINE)
_DATE = re.compile(r"^Date:(.*)$", re.MULTILINE)
_SUBJECT = re.compile(r"^Subject:\s*(?P<archive>[a-z]+(?:-[a-z]+)?)?.*$", re.MULTILINE)
_COUNTS = re.compile(r"\b(\d{1,5}) new \+\s+(\d{1,5}) crosses received")
_ID = re.compile(r"\n(?:arXiv:|Paper:)[^\S\n]*(?P<id>\S{1,40})(?P<cross>[^\S\n]*\(\*cross-listing\*\))?", re.IGNORECASE)
_OLD_NUMBER = re.compile(r"\d{7}")
_REPLACED = re.compile(r"\nreplaced with revised version[^\S\n]*(.*)")
_FIELD = re.compile(r"\n([A-Z][A-Za-z]*(?:-[A-Za-z]+)*):(?![^\s])([^\n]*+(?:\n(?:[ \t][^\n]*+|[^\S\n]*+(?=\n|\Z)))*+)")
_SIZE = re.compile(r"\s*\(\d+\s*kb.*", re.IGNORECASE | re.DOTALL)
_KNOWN = {
    "Date", "Title", "Author", "Authors", "Categories", "Comments", "Journal-ref", "DOI", "From", "Paper", "Subj-class",
    "Report-no", "MSC-class", "ACM-class", "License", "Proxy",
}  # fmt: skip


def arxiv_mail(page: Page) -> Batch:
    """Read an announcement mail or a past-week file."""
    decoded = decode(page)
    text = decoded.text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
    received, week = _RECEIVED.search(text) if "received from " in text else None, _first_day(text)
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
        marks = list(_MARK.finditer(block))
        if marks and not marks[0].start():
            heading = _day_of(block, marks[0].end())
            if heading:
                day = heading
                newest = max(newest or day, day)
                continue
            kinds[section] += 1
            cut = len(marks) < 2
            try:
                entries.add(_paper(block, marks, section, day, archive, entries))
            except BadEntry as bad:
                entries.skip(bad)
        elif "\narXiv:" in block:
            kinds[section] += 1
            entries.skip(f"an entry without its opening line ({line(block.split(NEWLINE, 2)[1], 60)})")
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
    blocks = (block for _, block in _blocks(text[:2_000]))
    return next((day for block in blocks if (mark := _MARK.match(block)) and (day := _day_of(block, mark.end()))), None)


def _blocks(text: str) -> Iterator[tuple[AnnounceType, str]]:
    """Cut the text at its rules: the lines between two of them, each behind its newline, and in which section."""
    text = f"\n{text}"
    section, start = AnnounceType.NEW, 0
    for rule in _RULE.finditer(text):
        yield section, _without_blank_lines(text[start : rule.start()])
        start, sign = rule.end(), rule[0][1:]
        if sign[0] == "%":
            if sign.startswith(_END):
                return
            section = next((kind for opening, kind in _SECTIONS.items() if sign.startswith(opening)), section)
    yield section, _without_blank_lines(text[start:])


def _without_blank_lines(block: str) -> str:
    """Leave out the blank lines that a block begins with."""
    begins = _BLANK_LINES.match(block)
    return block[begins.end() :] if begins else block


def _day_of(block: str, behind: int) -> date | None:
    """Read the day of a past-week file, whose second line it is; the first one ends at `behind`."""
    second = _DAY.match(block, behind)
    return day_first(second[0]) if second else None


def _paper(
    block: str, marks: list[re.Match[str]], section: AnnounceType, day: date | None, archive: str, entries: Entries
) -> Paper:
    """Read one entry, from its opening line on; raises `BadEntry` for one that was cut off or has no id."""
    if len(marks) < 2:
        raise BadEntry(f"an entry without end ({line(' '.join(block.split(NEWLINE, 3)[2:3]), 60)})")
    head = block[marks[0].end() : marks[1].start()]
    named = _ID.search(head)
    if not named:
        raise BadEntry(f"an entry without arXiv id ({line(head, 60)})")
    replaced = _REPLACED.search(head) if "\nreplaced" in head else None
    fields = _fields(head, entries)
    cross = bool(named["cross"]) or section is AnnounceType.CROSS
    key = named["id"]
    if _OLD_NUMBER.fullmatch(key):
        key = f"{archive}/{key}"
    return arxiv_paper(
        source=FORMAT,
        identifier=key,
        title=fields.get("Title", ""),
        abstract=block[marks[1].end() : marks[-1].start()],
        authors=byline(fields.get("Authors") or fields.get("Author", "")),
        categories=fields.get("Categories", "").split(),
        doi_text=fields.get("DOI", ""),
        comments=fields.get("Comments", ""),
        journal_ref=fields.get("Journal-ref", ""),
        announce_type=_kind(cross, replaced is not None or section is AnnounceType.REPLACE),
        announced_on=day,
        published_at=_submitted(fields.get("Date", "")),
        updated_at=_submitted(replaced[1]) if replaced else None,
    )


def _fields(head: str, entries: Entries) -> dict[str, str]:
    """Read "Name: value" lines; a line that begins with blanks continues the one before."""
    fields: dict[str, str] = {}
    for name, value in _FIELD.findall(head):
        fields.setdefault(name, value.strip())
    if not fields.keys() <= _KNOWN:
        entries.unknown(name for name in fields if name not in _KNOWN)
    return fields


def _submitted(text: str) -> datetime | None:
    """Read "Mon, 4 May 2026 09:00:06 GMT   (324kb,D)"."""
    return utc(common_stamp(text.partition("(")[0].strip()) or stamp(_SIZE.sub("", text[:100])))


def _kind(cross: bool, replaced: bool) -> AnnounceType:
    if replaced:
        return AnnounceType.REPLACE_CROSS if cross else AnnounceType.REPLACE
    return AnnounceType.CROSS if cross else AnnounceType.NEW
