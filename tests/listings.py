"""Small pages of three formats, with the titles and abstracts that a test asks for."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

from notifier.errors import PageError
from notifier.model import Batch, Page
from notifier.parse import parse

GOLDEN = Path(__file__).resolve().parent / "golden"
ABSTRACT = "Ploughs are loud. We measure how loud, in three fields, and offer the measurements to any gull that asks."


def page(content: bytes | str, *, url: str = "https://listing.example/", charset: str | None = None) -> Page:
    raw = content.encode() if isinstance(content, str) else content
    return Page(url=url, content=raw, charset=charset, fetched_at=datetime(2026, 5, 4, 8, 17, tzinfo=UTC))


def text_page(*papers: tuple[str, str]) -> str:
    """Return a `daily-papers-text` page of titles and abstracts; that of world.py has abstracts of its own."""
    body = "\n\n".join(f"{title}\n\n{abstract}" for title, abstract in papers)
    return f"new\n\nDaily Papers\n\nbyAK and the research community\n\nAug 6\n\n{body}\n"


def api_page(*titles: str, **paper: object) -> str:
    """Return an `hf-daily` answer with these titles, and what else each paper has."""
    items = [{"paper": {"id": f"2605.{n:05}", "title": title, **paper}} for n, title in enumerate(titles, start=1)]
    return json.dumps(items)


def listing_page(title: str, *, head: str = "") -> str:
    """Return an `arxiv-list` page of one paper."""
    return f"""<!DOCTYPE html><html><head>{head}<title>x</title></head><body><div id='dlpage'>
        <h3>Showing new listings for Friday, 3 March 2023</h3>
        <dl id='articles'><h3>New submissions (showing 1 of 1 entries)</h3>
        <dt><a href ="/abs/2303.00001" title="Abstract">x</a></dt>
        <dd><div class='list-title'><span class='descriptor'>Title:</span>{title}</div></dd></dl>
        </div></body></html>"""


def arxiv_feed(*numbers: int) -> str:
    """A feed of arXiv with fictional papers of these numbers."""
    items = "".join(
        f"<item><title>Fictional paper {number}</title><link>https://arxiv.org/abs/2603.{number:05}</link>"
        f'<guid isPermaLink="false">oai:arXiv.org:2603.{number:05}v1</guid><category>cs.CL</category>'
        f"<description>arXiv:2603.{number:05}v1 Announce Type: new \nAbstract: An invented abstract.</description>"
        "<arxiv:announce_type>new</arxiv:announce_type><dc:creator>Ada Quill</dc:creator></item>"
        for number in numbers
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0" xmlns:arxiv="http://arxiv.org/schemas/atom" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>cs.CL updates on arXiv.org</title>'
        "<link>http://rss.arxiv.org/rss/cs.CL</link><description>cs.CL updates on the arXiv.org e-print archive."
        f"</description>{items}</channel></rss>"
    )


def seconds(content: str, format: str) -> tuple[float, Batch | PageError]:
    """Parse a page; return the processor seconds that it took, and what came out."""
    start = time.process_time()
    try:
        found: Batch | PageError = parse(page(content), format)
    except PageError as error:
        found = error
    return time.process_time() - start, found
