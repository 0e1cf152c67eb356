"""Where a listing goes on, and where it shows a past day: the URLs that only a format knows.

`past` serves back-filling: after an outage the days that were missed are read from there, in the format given.
arXiv's catch-up pages reach back 90 days (https://info.arxiv.org/help/catchup.html; the URL is that of arXiv's own
open-source routes); Daily Papers has every day (https://huggingface.co/docs/hub/en/api).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

_ARXIV_LIST = re.compile(r"/list/([A-Za-z][A-Za-z.-]*)/(?:new|recent|pastweek)/?")
_ARXIV_FEED = re.compile(r"/(?:rss|atom)/([A-Za-z][A-Za-z.-]*)/?")


def with_query(url: str, changes: Mapping[str, object]) -> str:
    """Return a URL with these parameters of its query set."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True)) | {key: str(value) for key, value in changes.items()}
    return urlunsplit(parts._replace(query=urlencode(query), fragment=""))


def query_number(url: str, name: str, otherwise: int) -> int:
    """Return a parameter of the query as a number of up to six digits."""
    value = dict(parse_qsl(urlsplit(url).query)).get(name, "")
    return int(value) if re.fullmatch(r"\d{1,6}", value) else otherwise


def past(url: str, format: str, day: date) -> tuple[str, str] | None:
    """Return the (URL, format) of what a listing showed on a past day; None for a listing that keeps no past."""
    parts = urlsplit(url)
    if format == "hf-daily" and not re.search(r"(?:^|&)(?:date|week|month)=", parts.query):
        if parts.path.rstrip("/") == "/api/daily_papers":
            return with_query(url, {"date": day.isoformat()}), format
        if parts.path.rstrip("/") == "/papers":
            return urlunsplit(parts._replace(path=f"/papers/date/{day.isoformat()}", query="", fragment="")), format
    found = _ARXIV_LIST.fullmatch(parts.path) if format == "arxiv-list" else None
    if found:
        page = urlunsplit(parts._replace(path=f"/catchup/{found[1]}/{day.isoformat()}", query="", fragment=""))
        return with_query(page, {"abs": "True"}), "arxiv-list"
    found = _ARXIV_FEED.fullmatch(parts.path) if format == "arxiv-feed" and parts.netloc == "rss.arxiv.org" else None
    if found:
        return f"https://arxiv.org/catchup/{found[1]}/{day.isoformat()}?abs=True", "arxiv-list"
    return None
