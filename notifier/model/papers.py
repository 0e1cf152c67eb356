"""What pages hold: listings, what was fetched of them, and the papers of one batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

from notifier.model.making import making


class First(StrEnum):
    """What the first poll of a listing means: `record` (G4: everything is old) or `owe` (everything is new)."""

    RECORD = "record"
    OWE = "owe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A page that is polled. `poll` is the time between polls; `name` is unique and never changes its meaning.

    `selectors` are CSS selectors by field, for the format that wants them (`parse.html`). `compare_with` names another
    listing of the same source: what only one of the two shows is reported. `obey_robots` is false when the site gave
    leave to read what its robots.txt forbids.
    """

    name: str
    url: str
    format: str
    poll: timedelta = timedelta(minutes=30)
    stale_after: timedelta = timedelta(days=4)
    most_new: int | None = None  # papers of one poll that are believed to be new; None: as the history suggests
    first: First = First.RECORD
    allow_private: bool = False
    obey_robots: bool = True
    selectors: Mapping[str, str] = field(default_factory=dict, hash=False)
    compare_with: str | None = None


@dataclass(frozen=True, slots=True)
class Validators:
    """HTTP validators exactly as the server sent them (RFC 9110 8.8), None where it sent none."""

    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """How we stand with a host, which is a name, with its port where that is unusual; None: never, or not asked yet.

    No request before `next_request_at` (the gap) nor before `blocked_until` (a pause, for `reason`). `robots` are the
    rules of its robots.txt that concern us, one a line, `crawl_delay` its wish for the gap; believed until
    `robots_until`.
    """

    host: str
    next_request_at: datetime | None = None
    blocked_until: datetime | None = None
    reason: str = ""
    robots: str = ""
    crawl_delay: timedelta = timedelta()
    robots_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One fetched representation: `content` is decoded of any content coding, `charset` is the header's, unchecked."""

    url: str
    content: bytes
    media_type: str = ""
    charset: str | None = None
    validators: Validators = Validators()
    fetched_at: datetime


class AnnounceType(StrEnum):
    """How a listing announces a paper (https://info.arxiv.org/help/rss_specifications.html)."""

    NEW = "new"
    CROSS = "cross"
    REPLACE = "replace"
    REPLACE_CROSS = "replace-cross"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """One paper as one page shows it.

    `title` and `abstract` are readable Unicode for people, on one line each; `title_tex` and `abstract_tex` hold the
    page's own text where it differs (TeX source), else "". `source` is the format that read it, `source_key` the
    page's own identifier within that source. `arxiv_id` has no version, `doi` is lower-case without a resolver.
    Only `source`, `source_key`, `title` and `url` can be required; `url` may be "" for a page that links nothing.
    """

    source: str
    source_key: str
    title: str
    url: str
    title_tex: str = ""
    abstract: str = ""
    abstract_tex: str = ""
    arxiv_id: str | None = None
    version: int | None = None
    doi: str | None = None
    authors: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    primary_category: str | None = None
    announce_type: AnnounceType | None = None
    announced_on: date | None = None
    published_at: datetime | None = None
    updated_at: datetime | None = None
    pdf_url: str | None = None
    thumbnail: str | None = None
    upvotes: int | None = None
    comments_count: int | None = None
    code_url: str | None = None
    project_url: str | None = None
    org: str | None = None
    submitter: str | None = None
    journal_ref: str | None = None
    comments: str | None = None
    withdrawn: bool = False


made_paper = making(Paper)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one page holds, in page order, and what the page says of itself.

    `listed_on` is the day the page names (without a year: None, the text is in `day_text`). `stated` is the number of
    entries the page claims to show here, None when it claims nothing. `skipped` counts entries that could not be read
    alone, with the reason of each in `oddities`. `unknown_keys` counts keys this program does not know. `next_url` is
    where the same listing goes on (paging, a resumption token), None on its last page; `newest_first` is set by a
    format that knows its pages to be in that order, so that a page with nothing unseen ends the reading.
    """

    papers: tuple[Paper, ...]
    listed_on: date | None = None
    day_text: str = ""
    stated: int | None = None
    truncated: bool = False
    skipped: int = 0
    oddities: tuple[str, ...] = ()
    unknown_keys: Mapping[str, int] = field(default_factory=dict)
    next_url: str | None = None
    newest_first: bool = False
