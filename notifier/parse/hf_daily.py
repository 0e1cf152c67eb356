"""Hugging Face Daily Papers: the JSON of `/api/daily_papers`, or the HTML page that carries the same items.

The API answers a list of items; the page holds them in the `data-props` of the element whose `data-target` is
"DailyPapers" (its class and place in the tree change, the target does not). Landmark: a list of objects, each with a
`paper`. The page without that attribute is an error, not read from its visible cards: those have no abstracts, and a
paper recorded without one would be seen without ever having been matched by its words.

Keys come and go (some twenty times in two years): every key but `paper.id` is optional, unknown ones are counted.
The day of a paper is `paper.submittedOnDailyAt`; its date `paper.publishedAt` - the top-level `publishedAt` is New York
clock time written as UTC and never used.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from datetime import date
from typing import Any
from urllib.parse import quote, urlsplit

from notifier.errors import PageError
from notifier.identity import arxiv_id
from notifier.model import Batch, Page, Paper
from notifier.parse.charset import decode
from notifier.parse.dates import instant
from notifier.parse.entries import BadEntry, Entries
from notifier.parse.markup import tree, what_it_is
from notifier.parse.text import ABSTRACT_LIMIT, NAME_LIMIT, TITLE_LIMIT, line, link, names, reading
from notifier.parse.urls import query_number, with_query

FORMAT = "hf-daily"
SITE = "https://huggingface.co"
PAGE_SIZE = 50  # items in one answer; a day with exactly so many may have more
LARGEST_COUNT = 1_000_000_000  # of votes or comments; more is a mistake

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}")
_DAY_IN_URL = re.compile(r"(?:[?&]date=|/papers/date/)(\d{4}-\d{2}-\d{2})(?![\d-])")
_KNOWN = frozenset({
    "paper", "publishedAt", "title", "summary", "mediaUrl", "mediaUrls", "numComments", "thumbnail", "submittedBy",
    "isAuthorParticipating", "organization", "submitterOrganization", "upvoted",
})  # fmt: skip
_KNOWN_IN_PAPER = frozenset({
    "id", "authors", "publishedAt", "title", "summary", "upvotes", "discussionId", "projectPage", "githubRepo",
    "githubStars", "githubRepoAddedBy", "ai_summary", "ai_keywords", "ai_summary_model", "submittedOnDailyAt",
    "submittedOnDailyBy", "mediaUrls", "organization",
})  # fmt: skip

_Json = Mapping[str, Any]


def hf_daily(page: Page) -> Batch:
    """Read a day of Daily Papers, as JSON or as the HTML page."""
    decoded = decode(page)
    text = decoded.text.lstrip("\ufeff \t\r\n")
    items, day = _from_html(text) if text.startswith("<") else (_json(text, "the body"), None)
    if not isinstance(items, list):
        raise PageError(f"a list of papers was expected, found {_describe(items)}")
    if items and not any(isinstance(item, dict) for item in items):
        raise PageError(f"a list of papers was expected, found a list of {len(items)} {_kind(items[0])}")
    entries = Entries(decoded.oddities)
    days: Counter[date] = Counter()
    for item in items:
        try:
            paper = _paper(item, entries)
        except BadEntry as bad:
            entries.skip(bad)
            continue
        entries.add(paper)
        if paper.announced_on:
            days[paper.announced_on] += 1
    listed_on = days.most_common(1)[0][0] if days else day or _day_in(page.url)
    if len(days) > 1:
        entries.note(f"{len(days)} different days on one page")
    full = len(items) >= query_number(page.url, "limit", PAGE_SIZE)
    more = with_query(page.url, {"p": query_number(page.url, "p", 0) + 1}) if full and "/api/" in page.url else None
    return entries.batch(listed_on=listed_on, truncated=full, next_url=more)


def _from_html(text: str) -> tuple[Any, date | None]:
    """Take the items and the day out of the page's `DailyPapers` element."""
    island = tree(text).css_first('[data-target="DailyPapers"]')
    props = island.attributes.get("data-props") if island else None
    if not props:
        raise PageError(f'no element with data-target="DailyPapers" and data-props; found {what_it_is(text)}')
    found = _json(props, "data-props")
    if not isinstance(found, dict) or "dailyPapers" not in found:
        raise PageError(f"data-props without dailyPapers, found {_describe(found)}")
    moment = instant(found.get("date"))
    return found["dailyPapers"], moment.date() if moment else None


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as bad:
        if not text.startswith(("[", "{")):
            raise PageError(f"{what} is not JSON; found {what_it_is(text)}") from None
        ends = "ends early" if bad.pos >= len(text.rstrip()) - 1 or "Unterminated" in bad.msg else "is broken"
        raise PageError(f"{what}: JSON {ends} at character {bad.pos} of {len(text)} ({bad.msg})") from None
    except (ValueError, RecursionError) as bad:
        raise PageError(f"{what}: JSON cannot be read ({type(bad).__name__})") from None


def _describe(found: Any) -> str:
    """Name what stands where a list of papers should, with an error's own words if it has any."""
    if not isinstance(found, dict):
        return _kind(found)
    for key in ("error", "message"):
        if isinstance(found.get(key), str):
            return f"{key}: {line(found[key], 100)!r}"
    return "an object with " + ", ".join(line(key, 30) for key in sorted(found)[:6]) if found else "an empty object"


def _kind(found: Any) -> str:
    kinds = {str: "strings", dict: "objects", list: "lists", bool: "booleans", int: "numbers", float: "numbers"}
    return kinds.get(type(found), "nulls")


def _paper(item: Any, entries: Entries) -> Paper:
    """Read one item; raises `BadEntry` without an object and an id."""
    if not isinstance(item, dict) or not isinstance(item.get("paper"), dict):
        raise BadEntry("an item without paper")
    paper: _Json = item["paper"]
    identifier = paper.get("id")
    if not isinstance(identifier, str) or not _KEY.fullmatch(identifier):
        raise BadEntry("a paper without id")
    entries.unknown(key for key in item if key not in _KNOWN)
    entries.unknown(f"paper.{key}" for key in paper if key not in _KNOWN_IN_PAPER)
    arxiv = arxiv_id(identifier)
    key = arxiv[0] if arxiv else identifier
    title, title_tex = reading(_better_title(paper.get("title"), item.get("title")), TITLE_LIMIT)
    if not title:
        entries.note(f"a paper without title: {key}")
    abstract, abstract_tex = reading(paper.get("summary") or item.get("summary"), ABSTRACT_LIMIT)
    listed = instant(paper.get("submittedOnDailyAt"))
    return Paper(
        source=FORMAT,
        source_key=key,
        title=title or (f"arXiv:{key}" if arxiv else key),
        url=f"{SITE}/papers/{quote(key)}",
        title_tex=title_tex,
        abstract=abstract,
        abstract_tex=abstract_tex,
        arxiv_id=key if arxiv else None,
        version=arxiv[1] if arxiv else None,
        authors=_authors(paper.get("authors")),
        announced_on=listed.date() if listed else None,
        published_at=instant(paper.get("publishedAt")),
        pdf_url=f"https://arxiv.org/pdf/{key}" if arxiv else None,
        thumbnail=link(item.get("thumbnail"), SITE),
        upvotes=_count(paper.get("upvotes")),
        comments_count=_count(item.get("numComments")),
        code_url=link(_first_line(paper.get("githubRepo"))),
        project_url=link(_first_line(paper.get("projectPage"))),
        org=_name(item.get("organization"))
        or _name(paper.get("organization"))
        or _name(item.get("submitterOrganization")),
        submitter=_name(paper.get("submittedOnDailyBy")) or _name(item.get("submittedBy")),
    )


def _better_title(stored: object, shown: object) -> object:
    """Choose between the item's two renderings of its title: one of them may have lost its backslashes and dollars."""
    if not isinstance(stored, str) or not stored.strip():
        return shown
    if isinstance(shown, str) and _tex_signs(shown) > _tex_signs(stored):
        return shown
    return stored


def _tex_signs(title: str) -> int:
    return title.count("\\") + title.count("$")


def _authors(found: object) -> tuple[str, ...]:
    """Read the names in order, without authors that their page hides."""
    if not isinstance(found, list):
        return ()
    shown = [author for author in found if isinstance(author, dict) and author.get("hidden") is not True]
    return names([author["name"] for author in shown if isinstance(author.get("name"), str)])


def _name(found: object) -> str | None:
    """Read the name of a person or an organisation, the full one if there is one."""
    if not isinstance(found, dict):
        return line(found, NAME_LIMIT) or None
    return next((name for key in ("fullname", "name", "user") if (name := line(found.get(key), NAME_LIMIT))), None)


def _first_line(found: object) -> str | None:
    return found.strip().split("\n", 1)[0] if isinstance(found, str) else None


def _count(found: object) -> int | None:
    whole = isinstance(found, int) and not isinstance(found, bool)
    return found if whole and isinstance(found, int) and 0 <= found <= LARGEST_COUNT else None


def _day_in(url: str) -> date | None:
    """Read the day that a request names, in its query or its path."""
    try:
        parts = urlsplit(url)
        found = _DAY_IN_URL.search(f"{parts.path}?{parts.query}")
        return date.fromisoformat(found[1]) if found else None
    except ValueError:
        return None
