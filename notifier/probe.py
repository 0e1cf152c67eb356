"""Probe: what would a listing with this URL and format read? One polite fetch, nothing recorded.

Without a format every format but `html` (which needs selectors) tries to read the page, and the best one is taken: the
one that finds the most entries and, of these, the most fields in each paper; of equals the more special. Parsing is
confined as it is for polls. Raises FetchError when there is no page, and PageError when no format can read it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from urllib.parse import urlsplit

from rich.markup import escape

from notifier.confine import Worker
from notifier.diff import diff
from notifier.errors import FetchError, PageError
from notifier.fetch import Client, fetch
from notifier.model import Batch, Diff, Listing, Page, Paper, PaperId, Seen, Track, Validators
from notifier.parse import FORMATS, past
from notifier.rhythm import ANNOUNCED

SHOWN = 3  # papers
MOST_KEYS = 12  # unknown ones, and oddities
LONGEST_VALUE = 160  # characters of a field
GENERAL = "feed"  # reads what special formats read too, and finds less in it
FOUND = "; found "  # before what a page is, in the reasons of `PageError`
ADVICE = "selectors read it as html: --selector item=CSS --selector title=CSS"
UNTOLD = ("source", "source_key", "title_tex", "abstract_tex")  # fields that say nothing to a reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What one page gave: the listing with the format that read it; `others` read it too, but less of it."""

    listing: Listing
    page: Page
    batch: Batch
    verdict: Diff
    others: tuple[str, ...] = ()


async def probe(client: Client, worker: Worker, listing: Listing, now: datetime) -> Probe:
    """Fetch a listing once and read it; a listing whose format is "" is read by the format that fits best."""
    page = await _page(client, listing)
    if listing.format:
        try:
            batch = await worker.parse(page, listing.format, listing.selectors)
        except PageError as trouble:
            if listing.format == "html":
                raise
            raise PageError(
                f"not read as {listing.format}: {trouble.reason}; without --format every one is tried"
            ) from None
        return Probe(listing=listing, page=page, batch=batch, verdict=_verdict(batch, now))
    read, refused = await _try_all(worker, page)
    if not read:
        raise PageError(_refusal(refused))
    best = max(read, key=lambda name: (*_fit(read[name]), name != GENERAL))
    batch, others = read[best], tuple(name for name in read if name != best)
    return Probe(
        listing=replace(listing, format=best), page=page, batch=batch, verdict=_verdict(batch, now), others=others
    )


async def _page(client: Client, listing: Listing) -> Page:
    """Fetch the page; when it is refused for a time, say until when: there is no next poll to wait for it."""
    try:
        page = await fetch(client, listing, Validators())
    except FetchError as refusal:
        if refusal.status is None or refusal.retry_after is None:
            raise
        until = client.clock() + refusal.retry_after
        reason = f"{refusal.reason}; not to be asked again before {until:%Y-%m-%d %H:%M} UTC"
        raise FetchError(listing.url, reason, status=refusal.status, retry_after=refusal.retry_after) from None
    assert page is not None, "a request without validators is never answered 304"
    return page


async def _try_all(worker: Worker, page: Page) -> tuple[dict[str, Batch], list[tuple[str, str]]]:
    """Read a page in every format: the batches by format, and why the other formats cannot."""
    read: dict[str, Batch] = {}
    refused = []
    for name in FORMATS:
        if name == "html":
            continue
        try:
            read[name] = await worker.parse(page, name, {})
        except PageError as trouble:
            refused.append((name, trouble.reason))
    return read, refused


def _refusal(refused: Sequence[tuple[str, str]]) -> str:
    """Say what the page is, once, and what each format misses in it: what is said of a single format first."""
    said = [(name, *reason.partition(FOUND)[::2]) for name, reason in refused]
    what = Counter(found for _, _, found in said if found).most_common(1)
    page = what[0][0] if what else ""
    missed: dict[str, list[str]] = {}
    for name, reason, found in said:
        missed.setdefault(reason if found in ("", page) else f"{reason}{FOUND}{found}", []).append(name)
    advice = f"; {ADVICE}" if "HTML" in page else ""
    reasons = "".join(f"\n  {', '.join(names)}: {reason}" for reason, names in sorted(missed.items(), key=_together))
    return f"no format reads this page{f', {page}' if page else ''}{advice}{reasons}"


def _together(missed: tuple[str, list[str]]) -> int:
    return len(missed[1])


def _fit(batch: Batch) -> tuple[int, float]:
    """How well a format fits its page: the entries found, and the fields found in a paper on average."""
    found = sum(len(_found(paper)) for paper in batch.papers)
    return len(batch.papers) + batch.skipped, found / max(len(batch.papers), 1)


def _verdict(batch: Batch, now: datetime) -> Diff:
    """Judge the batch as the first poll would."""
    return diff(batch, Seen({}, PaperId(0)), Track(records_only=True), now)


def _found(paper: Paper) -> dict[str, object]:
    """The fields of a paper that hold something."""
    values = {f.name: getattr(paper, f.name) for f in fields(Paper) if f.name not in UNTOLD}
    return {name: value for name, value in values.items() if value not in (None, "", (), False)}


# --- for people -------------------------------------------------------------------------------------------------------


def lines(seen: Probe) -> Iterator[str]:
    """Say it in lines of rich markup; leading spaces are the indent of a line's continuation too."""
    batch, listing = seen.batch, seen.listing
    kind = f" ({seen.page.media_type})" if seen.page.media_type else ""
    size = f"{len(seen.page.content):,} bytes{escape(kind)}"
    yield f"{escape(seen.page.url)}: {size}, read as [bold]{listing.format}[/bold]"
    if seen.others:
        yield f"  rather than as {', '.join(seen.others)}, which finds less in it"
    yield f"outcome: [bold]{seen.verdict.outcome}[/bold], {escape(seen.verdict.reason)}"
    stated = "no count on the page" if batch.stated is None else f"{batch.stated} stated"
    cut = ", perhaps cut" if batch.truncated else ""
    yield f"papers: {len(batch.papers)} read, {stated}, {batch.skipped} skipped{cut}"
    yield f"day: {batch.listed_on or escape(batch.day_text) or 'none on the page'}"
    yield f"polled: {_rhythm(listing)}"
    yield f"days missed in an outage: {'read later' if _keeps_past(listing) else 'cannot be read later'}"
    if batch.next_url:
        yield f"goes on at {escape(batch.next_url)}"
    counts = Counter(name for paper in batch.papers for name in _found(paper))
    if counts:
        yield "fields: " + ", ".join(f"{name} {count}" for name, count in counts.items())
    for oddity in batch.oddities[:MOST_KEYS]:
        yield f"[yellow]odd:[/yellow] {escape(oddity)}"
    if batch.unknown_keys:
        most = Counter(batch.unknown_keys).most_common(MOST_KEYS)
        yield "unknown keys: " + escape(", ".join(f"{key} {count}" for key, count in most))
    for paper in batch.papers[:SHOWN]:
        yield ""
        yield f"[bold]{escape(paper.title)}[/bold]"
        found = {name: value for name, value in _found(paper).items() if name != "title"}
        yield from (f"  {name}: {escape(_short(_plain(value)))}" for name, value in found.items())


def table(listing: Listing) -> str:
    """Return the [[listing]] table of config.toml for a listing."""
    rows = {"name": _toml(listing.name), "url": _toml(listing.url), "format": _toml(listing.format)}
    if listing.allow_private:
        rows["allow_private"] = "true"
    if listing.selectors:
        pairs = ", ".join(f"{field} = {_toml(written)}" for field, written in listing.selectors.items())
        rows["selectors"] = f"{{ {pairs} }}"
    return "\n".join(["[[listing]]", *(f"{key} = {value}" for key, value in rows.items())])


def name_of(url: str) -> str:
    """Make a listing's name of its URL, of the characters and the length that a name may have."""
    parts = urlsplit(url)
    words = re.sub(r"[^\w.:/+-]+", " ", f"{parts.netloc.removeprefix('www.')}{parts.path}".rstrip("/"))
    return words.strip()[:100].strip() or "listing"


def _rhythm(listing: Listing) -> str:
    if listing.format in ANNOUNCED:
        return "around arXiv's announcements, else at least every 6 hours"
    return f"every {listing.poll.total_seconds() / 60:g} minutes"


def _keeps_past(listing: Listing) -> bool:
    return past(listing.url, listing.format, date(2026, 3, 2)) is not None


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE].rstrip()}.. ({len(text):,} characters)"


def _toml(text: str) -> str:
    """Return a TOML basic string: JSON's escapes are among TOML's, as long as characters stay whole."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
