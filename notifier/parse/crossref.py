"""Crossref's REST API, `api.crossref.org/works` (also `/members/<id>/works`, `/journals/<issn>/works`): JSON.

`message.items` are works of any kind; posted content (preprints) and the journal article it becomes are two DOIs.
Landmark: `message-type` "work-list" with a list of items. `title` is a list that may be empty and may hold HTML or
MathML; `abstract` is JATS or missing; a date is `date-parts`, down to the day only if its publisher knew it:
`[[2015]]` and `[[null]]` occur. `published_at` is the first date that has its day. With a cursor in the request the
answer carries the next one; a page shorter than `items-per-page` is the last.

Specified at https://github.com/CrossRef/rest-api-doc and https://api.crossref.org/swagger-ui/index.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from notifier.errors import PageError
from notifier.identity import arxiv_id, doi
from notifier.model import Batch, Page, Paper
from notifier.parse.entries import BadEntry, Entries
from notifier.parse.fragment import plain
from notifier.parse.json_body import describe, json_body, objects, texts, unknown, whole
from notifier.parse.text import ABSTRACT_LIMIT, NAME_LIMIT, NOTE_LIMIT, TITLE_LIMIT, line, link, names, reading

FORMAT = "crossref"
RESOLVER = "https://doi.org"

_DATES = ("posted", "published-online", "published", "published-print", "issued")  # the first with a day counts
_SAME_WORK = ("has-preprint", "is-same-as", "is-identical-to", "is-version-of")
_WITHDRAWN = frozenset({"retraction", "withdrawal", "removal"})
_KNOWN = frozenset({
    "DOI", "URL", "ISBN", "ISSN", "abstract", "accepted", "aliases", "alternative-id", "approved", "archive",
    "article-number", "assertion", "author", "award", "award-start", "chair", "clinical-trial-number",
    "component-number", "container-title", "content-created", "content-domain", "content-updated", "created",
    "degree", "deposited", "description", "edition-number", "editor", "event", "free-to-read", "funder",
    "group-title", "indexed", "institution", "is-referenced-by-count", "isbn-type", "issn-type", "issue",
    "issue-title", "issued", "journal-issue", "language", "license", "link", "member", "original-title", "page",
    "part-number", "posted", "prefix", "proceedings-subject", "project", "published", "published-online",
    "published-other", "published-print", "publisher", "publisher-location", "reference", "reference-count",
    "references-count", "relation", "resource", "review", "score", "short-container-title", "short-title", "source",
    "special-numbering", "standards-body", "status", "subject", "subtitle", "subtype", "title", "translator", "type",
    "update-policy", "update-to", "updated-by", "version", "volume",
})  # fmt: skip

_Work = Mapping[str, Any]


def crossref(page: Page) -> Batch:
    """Read one page of works."""
    found, oddities = json_body(page)
    message = found.get("message") if isinstance(found, dict) and found.get("message-type") == "work-list" else None
    works = message.get("items") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(works, list):
        raise PageError(f'"message-type": "work-list" with a list of items was expected, found {describe(found)}')
    entries = Entries(oddities)
    for work in works:
        try:
            entries.add(_paper(work, entries))
        except BadEntry as bad:
            entries.skip(bad)
    return entries.batch(stated=_stated(message, page.url), next_url=_next_url(message, len(works), page.url))


def _stated(message: _Work, url: str) -> int | None:
    """Work out how many works this page shows: known for pages by offset, and for the first one by cursor."""
    total, rows = whole(message.get("total-results")), whole(message.get("items-per-page"))
    cursor = dict(parse_qsl(urlsplit(url).query)).get("cursor", "*")
    if total is None or rows is None or cursor != "*":
        return None
    query = message.get("query")
    start = whole(query.get("start-index")) if isinstance(query, dict) else None
    return max(0, min(rows, total - (start or 0)))


def _next_url(message: _Work, number: int, url: str) -> str | None:
    cursor, rows = message.get("next-cursor"), whole(message.get("items-per-page"))
    if not isinstance(cursor, str) or not cursor or number == 0 or (rows is not None and number < rows):
        return None
    parts = urlsplit(url)
    query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != "cursor"]
    return link(urlunsplit(parts._replace(query=urlencode([*query, ("cursor", cursor)]))))


def _paper(work: Any, entries: Entries) -> Paper:
    """Read one work; raises `BadEntry` without a DOI."""
    name = doi(work["DOI"]) if isinstance(work, dict) and isinstance(work.get("DOI"), str) else None
    if name is None:
        raise BadEntry("a work without DOI")
    entries.unknown(unknown(work, _KNOWN))
    title, title_tex = reading(_title(work), TITLE_LIMIT)
    if not title:
        entries.note(f"a work without title: {name}")
    abstract, abstract_tex = reading(plain(work.get("abstract")), ABSTRACT_LIMIT)
    subjects = tuple(dict.fromkeys(names([*texts(work.get("group-title")), *texts(work.get("subject"))])))
    return Paper(
        source=FORMAT,
        source_key=name,
        title=title or f"doi:{name}",
        url=link(work.get("URL")) or link(f"{RESOLVER}/{name}") or "",
        title_tex=title_tex,
        abstract=abstract,
        abstract_tex=abstract_tex,
        arxiv_id=_arxiv(work.get("relation")),
        doi=name,
        authors=names([_name(author) for author in objects(work.get("author"))]),
        categories=subjects,
        primary_category=subjects[0] if subjects else None,
        published_at=next((day for key in _DATES if (day := _day(work.get(key)))), None),
        pdf_url=_pdf(work.get("link")),
        org=next(iter(names(texts([one.get("name") for one in objects(_as_list(work.get("institution")))]))), None),
        journal_ref=_journal(work),
        withdrawn=any(
            update.get("type") in _WITHDRAWN for update in objects(work.get("updated-by")) if _is_text(update, "type")
        ),
    )


def _title(work: _Work) -> str:
    """Return the first title, and the subtitle after a colon unless the title holds it."""
    title = next(iter(texts(work.get("title"))), "").strip()
    subtitle = next(iter(texts(work.get("subtitle"))), "").strip()
    whole_title = f"{title}: {subtitle}" if title and subtitle and subtitle.lower() not in title.lower() else title
    return plain(whole_title)


def _name(author: _Work) -> str:
    """Return "Given Family", or the name of an organisation."""
    parts = [author[key] for key in ("given", "family", "suffix") if _is_text(author, key)]
    return " ".join(parts) if parts else author["name"] if _is_text(author, "name") else ""


def _day(found: object) -> datetime | None:
    """Read `date-parts` that go down to the day."""
    parts = found.get("date-parts") if isinstance(found, dict) else None
    first = parts[0] if isinstance(parts, list) and parts else None
    numbers = [number for part in first if (number := whole(part)) is not None] if isinstance(first, list) else []
    if len(numbers) != 3:
        return None
    try:
        return datetime(numbers[0], numbers[1], numbers[2], tzinfo=UTC)
    except ValueError:
        return None


def _arxiv(relation: object) -> str | None:
    """Find the arXiv id of the same work, for it is one paper to a reader."""
    if not isinstance(relation, dict):
        return None
    for kind in _SAME_WORK:
        for other in objects(relation.get(kind)):
            text = other["id"] if _is_text(other, "id") else ""
            if (other.get("id-type") == "arxiv" or "arxiv" in text.lower()) and (found := arxiv_id(text[:200])):
                return found[0]
    return None


def _pdf(links: object) -> str | None:
    pdfs = [one for one in objects(links) if one.get("content-type") == "application/pdf"]
    return next((url for one in pdfs if (url := link(one.get("URL")))), None)


def _journal(work: _Work) -> str | None:
    """Return "Journal volume (issue), page" as far as it is known."""
    journal = line(plain(next(iter(texts(work.get("container-title"))), "")), NAME_LIMIT)
    if not journal:
        return None
    volume, issue, page = (line(work.get(key), 50) for key in ("volume", "issue", "page"))
    written = f"{journal} {volume}".strip() + (f" ({issue})" if issue else "") + (f", {page}" if page else "")
    return line(written, NOTE_LIMIT)


def _as_list(found: object) -> object:
    return [found] if isinstance(found, dict) else found


def _is_text(found: _Work, key: str) -> bool:
    return isinstance(found.get(key), str)
