"""Answers of arXiv's search interface, `export.arxiv.org/api/query`: Atom with the counts of OpenSearch 1.1.

Landmarks: `feed` with `totalResults`, `startIndex` and `itemsPerPage`. They say how many entries are on this page,
which is `Batch.stated` (arXiv is known to answer with an empty page now and then), and whether the next `start` has
more, which is `Batch.next_url`. An unknown id is an answer without entries; an error is an entry whose id is under
`arxiv.org/api/errors`, served with status 200 or 400, and is a `PageError`.

A paper is as of its newest version (`id` ends in v<n>, `published` is version 1, `updated` this one). A search
announces nothing, so there is no announce type, no announcement day and no day of the page.

Specified by https://info.arxiv.org/help/api/user-manual.html.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

from notifier.errors import PageError
from notifier.model import Batch, Page, Paper
from notifier.parse.arxiv_paper import arxiv_paper
from notifier.parse.byline import person
from notifier.parse.dates import instant
from notifier.parse.entries import BadEntry, Entries
from notifier.parse.text import line, names
from notifier.parse.xml import Parts, attribute, document, first, local, parts

FORMAT = "arxiv-api"

_ERROR = re.compile(r"^https?://(?:export\.)?arxiv\.org/api/errors", re.IGNORECASE)
_KNOWN = {
    "id", "title", "summary", "published", "updated", "author", "category", "primary_category", "link", "comment",
    "doi", "journal_ref",
}  # fmt: skip


def arxiv_api(page: Page) -> Batch:
    """Read one page of search results."""
    found = document(page)
    feed = parts(found.root)
    total, start, size = (_count(feed, name) for name in ("totalResults", "startIndex", "itemsPerPage"))
    if local(found.root) != "feed" or total is None:
        raise PageError(
            f"no Atom feed with totalResults: <{line(local(found.root), 40)}> {line(first(feed, 'title'), 80)}"
        )
    entries = Entries(found.oddities)
    for entry in feed.get("entry", ()):
        shown = parts(entry)
        if _ERROR.match(first(shown, "id")):
            raise PageError(f"arXiv answers with an error: {line(first(shown, 'summary', 'title'), 200)}")
        entries.unknown(name for name in shown if name not in _KNOWN)
        try:
            entries.add(_paper(shown))
        except BadEntry as bad:
            entries.skip(bad)
    start, size = start or 0, total if size is None else size
    more = start + size < total and bool(entries.papers)
    return entries.batch(
        stated=max(0, min(size, total - start)),
        next_url=_at(page.url, start + size) if more else None,
        newest_first="sortOrder=descending" in page.url and "sortBy=relevance" not in page.url,
    )


def _count(feed: Parts, name: str) -> int | None:
    text = first(feed, name).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _paper(shown: Parts) -> Paper:
    """Read one entry; raises `BadEntry` without an arXiv id."""
    authors = [person(first(parts(author), "name")) for author in shown.get("author", ())]
    return arxiv_paper(
        source=FORMAT,
        identifier=first(shown, "id"),
        title=first(shown, "title"),
        abstract=first(shown, "summary"),
        authors=names(authors),
        categories=[attribute(one, "term") for one in shown.get("category", ())],
        primary_category=next((attribute(one, "term") for one in shown.get("primary_category", ())), ""),
        doi_text=first(shown, "doi"),
        comments=first(shown, "comment"),
        journal_ref=first(shown, "journal_ref"),
        published_at=instant(first(shown, "published")),
        updated_at=instant(first(shown, "updated")),
    )


def _at(url: str, start: int) -> str:
    """Return the same search from another `start`, its other parameters as they were written."""
    address = urlsplit(url)
    kept = [one for one in address.query.split("&") if one and not one.startswith("start=")]
    return urlunsplit(address._replace(query="&".join([*kept, f"start={start}"]), fragment=""))
