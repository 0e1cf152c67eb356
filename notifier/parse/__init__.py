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
4. Add it to `FORMATS` under the name that users write in the configuration, and to the list in `config.example.toml`.
5. Add pages to `tests/golden/<name>/`: fictional papers, one page for each thing that can be odd, and one that must be
   refused. `tests/test_parse_golden.py` finds them, and shows what was read: when that is right, save it as
   `<page>.expected.json`. `tests/test_parse.py` tries every format with pages that are not its own.
6. Try the real page: `notifier check-listing URL --format <name> --contact you@example.org`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import cast

from notifier.model import Batch, Page
from notifier.parse.urls import past

__all__ = ["FORMATS", "load", "parse", "past", "selector_problems"]

# Name in the configuration -> the module that holds the function of the same name. A module is imported when the first
# page of its format is parsed: only the parser's worker process pays for the parsing libraries.
FORMATS: Mapping[str, str] = {
    "arxiv-api": "arxiv_api",
    "arxiv-feed": "arxiv_feed",
    "arxiv-list": "arxiv_list",
    "arxiv-mail": "arxiv_mail",
    "biorxiv": "biorxiv",
    "crossref": "crossref",
    "daily-papers-text": "daily_papers_text",
    "feed": "feed",
    "hf-daily": "hf_daily",
    "html": "html",
    "oai-pmh": "oai_pmh",
    "openreview": "openreview",
}


def parse(page: Page, format: str, selectors: Mapping[str, str] | None = None) -> Batch:
    """Read a page as `format`, a name of `FORMATS`; raises `PageError` for anything that is not such a page.

    `selectors` are for the format "html" alone; `selector_problems` finds what is wrong with them before any page.
    """
    if format == "html":
        from notifier.parse.html import html

        return html(page, selectors)
    name = FORMATS[format]
    return cast(Callable[[Page], Batch], getattr(import_module(f"notifier.parse.{name}"), name))(page)


def load() -> None:
    """Import the modules of all formats now, rather than with the first page of each."""
    for name in FORMATS.values():
        import_module(f"notifier.parse.{name}")


def selector_problems(selectors: Mapping[str, str]) -> list[str]:
    """Return what is wrong with the selectors of a listing of the format "html", in sentences that name the key."""
    from notifier.parse import html

    return html.selector_problems(selectors)
