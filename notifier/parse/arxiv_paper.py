"""A paper as arXiv describes it, from the raw words of any of its formats: what they all have in common.

Owns how arXiv's identifiers become links, which words in a comment mean that a paper was withdrawn, and what is a
category (https://arxiv.org/category_taxonomy) among the MSC and ACM classes that some formats mix in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime
from functools import lru_cache

from notifier.identity import arxiv_id, doi
from notifier.model import AnnounceType, Paper, made_paper
from notifier.parse.entries import BadEntry
from notifier.parse.text import ABSTRACT_LIMIT, NAME_LIMIT, NOTE_LIMIT, TITLE_LIMIT, line, reading

SITE = "https://arxiv.org"

_CATEGORY = re.compile(r"[a-z][a-z-]{1,20}(?:\.[A-Za-z][A-Za-z-]{1,20})?")
_WITHDRAWN = re.compile(
    r"(?:(?:this )?(?:paper|article|manuscript|submission) )?(?:has been |is |was )?withdrawn\b", re.IGNORECASE
)
_NEXT_DOI = re.compile(r"[,;\s]+(?=10\.\d{4,9}/)")


def arxiv_paper(
    *,
    source: str,
    identifier: str,
    title: str,
    abstract: str = "",
    version: int | None = None,
    authors: tuple[str, ...] = (),
    categories: Iterable[str] = (),
    primary_category: str = "",
    doi_text: str = "",
    comments: str = "",
    journal_ref: str = "",
    submitter: str = "",
    announce_type: AnnounceType | None = None,
    announced_on: date | None = None,
    published_at: datetime | None = None,
    updated_at: datetime | None = None,
) -> Paper:
    """Make a paper of raw words; `identifier` is any text with an arXiv id. Raises `BadEntry` without one."""
    found = arxiv_id(identifier[:300])
    if not found:
        raise BadEntry(f"an entry without arXiv id ({line(identifier, 60) or line(title, 60)})")
    key, stated_version = found
    shown_title, title_tex = reading(title, TITLE_LIMIT)
    shown_abstract, abstract_tex = reading(abstract, ABSTRACT_LIMIT)
    shown_comments = reading(comments, NOTE_LIMIT)[0] if comments else ""
    shown_journal = reading(journal_ref, NOTE_LIMIT)[0] if journal_ref else ""
    codes = tuple(dict.fromkeys([code for raw in categories if (code := category(raw))]))
    first_doi = doi(_NEXT_DOI.split(doi_text.strip()[:NOTE_LIMIT], maxsplit=1)[0]) if doi_text else None
    return made_paper(
        source=source,
        source_key=key,
        title=shown_title or f"arXiv:{key}",
        url=f"{SITE}/abs/{key}",
        title_tex=title_tex,
        abstract=shown_abstract,
        abstract_tex=abstract_tex,
        arxiv_id=key,
        version=stated_version or version,
        doi=first_doi,
        authors=authors,
        categories=codes,
        primary_category=(primary_category and category(primary_category)) or (codes[0] if codes else None),
        announce_type=announce_type,
        announced_on=announced_on,
        published_at=published_at,
        updated_at=updated_at,
        pdf_url=f"{SITE}/pdf/{key}",
        submitter=(line(submitter, NAME_LIMIT) or None) if submitter else None,
        journal_ref=shown_journal or None,
        comments=shown_comments or None,
        withdrawn=bool(_WITHDRAWN.match(shown_comments) or _WITHDRAWN.match(shown_abstract)),
    )


@lru_cache(maxsize=1_000)
def category(text: str) -> str | None:
    """Return a category code, None for an MSC or ACM class and anything else."""
    code = text.strip()
    return code if _CATEGORY.fullmatch(code) else None


def announcement(text: str) -> AnnounceType | None:
    """Read an announce type (https://info.arxiv.org/help/rss_specifications.html); an unknown one is None."""
    try:
        return AnnounceType(text.strip().lower())
    except ValueError:
        return None
