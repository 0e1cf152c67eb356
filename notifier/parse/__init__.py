"""Page bytes to a `Batch`: the papers a page lists, in its order, and what the page says of itself.

`parse` promises: a `Batch` for a page of the format - also for one that is right and empty - and `PageError` for
anything else: an error page with status 200, a login wall, a page cut off, another site's page. One entry that cannot
be read is skipped, counted and named; the others are kept. Everything in a paper is clean (`notifier.parse.text`).
It reaches no network, file or clock.

To add a format:

1. Write `notifier/parse/<format>.py` with one public function of that name, which takes a `Page` and returns a `Batch`.
   Its docstring says where the format is specified, which landmarks make a page this format's page, and what it lacks.
2. Get the text from `charset.decode`, the tree of an HTML page from `markup.tree`, that of an XML page from
   `xml.document`; pass every title and abstract through `text.reading`, other words through `text.line`, links
   through `text.link`, ids through `notifier.identity`.
3. Collect papers in `entries.Entries`: `add`, `skip` (an entry that cannot be read), `note` (an oddity), then `batch`.
   Fill in `stated` if the page says how many entries it shows: it is what tells a quiet day from a parser gone blind.
4. Add it to `FORMATS` under the name users write in the configuration.
5. Add pages to `tests/golden/<name>/` - fictional papers, one page for each thing that can be odd - each with
   `<page>.expected.json`. The tests in `tests/test_parse.py` find them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from notifier.model import Batch, Page
from notifier.parse.arxiv_api import arxiv_api
from notifier.parse.arxiv_feed import arxiv_feed
from notifier.parse.arxiv_list import arxiv_list
from notifier.parse.arxiv_mail import arxiv_mail
from notifier.parse.biorxiv import biorxiv
from notifier.parse.crossref import crossref
from notifier.parse.daily_papers_text import daily_papers_text
from notifier.parse.feed import feed
from notifier.parse.hf_daily import hf_daily
from notifier.parse.html import html, selector_problems
from notifier.parse.oai_pmh import oai_pmh
from notifier.parse.openreview import openreview
from notifier.parse.urls import past

__all__ = ["FORMATS", "parse", "past", "selector_problems"]

FORMATS: Mapping[str, Callable[[Page], Batch]] = {
    "arxiv-api": arxiv_api,
    "arxiv-feed": arxiv_feed,
    "arxiv-list": arxiv_list,
    "arxiv-mail": arxiv_mail,
    "biorxiv": biorxiv,
    "crossref": crossref,
    "daily-papers-text": daily_papers_text,
    "feed": feed,
    "hf-daily": hf_daily,
    "html": html,
    "oai-pmh": oai_pmh,
    "openreview": openreview,
}


def parse(page: Page, format: str, selectors: Mapping[str, str] | None = None) -> Batch:
    """Read a page as `format`, a name of `FORMATS`; raises `PageError` for anything that is not such a page.

    `selectors` are for the format "html" alone; `selector_problems` finds what is wrong with them before any page.
    """
    return html(page, selectors) if format == "html" else FORMATS[format](page)
