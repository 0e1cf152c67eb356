"""Digest: a queued message -> all that its mail says, best papers first.

Pure: the marks are found from the papers and the queries that hit them, so that a digest can be made again at any time
and says the same. What readers share is found once for all of them: the marks of the last papers are remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from notifier.errors import QueryError
from notifier.match import forget_readings, marks, united
from notifier.model import Digest, DigestEntry, Marks, OutboxId, Paper, QueryId, QueuedMessage
from notifier.query import Query, parse
from notifier.verp import Purpose, tagged

MOST_MARKS = 2_000  # marks remembered, of a paper by one or by several queries: with the paper about 4 kB each
MOST_QUERIES = 5_000
MOST_SAID = 2_000  # what readers are told, remembered: with its entries about 3 kB each

Said = tuple[tuple[DigestEntry, ...], tuple[str, ...]]

_SAID: dict[tuple[int, Any], tuple[Any, Said]] = {}
_MARKED: dict[tuple[int, tuple[str, ...]], tuple[Paper, Marks]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterhead:
    """What all digests of this installation share; `link(purpose, token)` makes a person's link.

    `bounces` is the mailbox that reports come back to; "" when nobody reads any. `most` papers are shown in a digest,
    with pictures if there are to be `thumbnails`.
    """

    base_url: str
    sender: tuple[str, str]
    link: Callable[[str, str], str]
    bounces: str = ""
    most: int = 80
    thumbnails: bool = False

    def return_path(self, number: OutboxId) -> str:
        """Return the envelope sender of a message: one of its own where reports are read (VERP)."""
        return tagged(self.bounces, Purpose.BOUNCE, number, self.link) if self.bounces else self.sender[1]

    def unsubscribe_mailto(self, number: OutboxId) -> str:
        """Return the address that ends all mail to whom a message went to; "" where nobody reads such mail."""
        return tagged(self.bounces, Purpose.UNSUBSCRIBE, number, self.link) if self.bounces else ""

    @property
    def domain(self) -> str:
        """The right side of Message-IDs and of the List-Id."""
        return self.sender[1].rpartition("@")[2]


def digest(message: QueuedMessage, head: Letterhead) -> Digest:
    """Return the digest of a queued message; a query that no longer parses marks nothing but loses no paper."""
    entries, labels = _said(message)
    copy = f"{head.link('digest', message.token)}-{message.outbox_id}"
    leave = head.link("unsubscribe", message.token)
    return Digest(
        message_id=message.message_id,
        date=message.queued_at,
        sender=head.sender,
        recipient=message.recipient,
        timezone=message.timezone,
        cadence=message.cadence,
        entries=entries,
        labels=labels,
        coverage=message.coverage,
        list_id=f"papers.{head.domain}",
        unsubscribe_url=f"{head.base_url}/unsubscribe/{leave}",
        unsubscribe_mailto=head.unsubscribe_mailto(message.outbox_id),
        web_url=f"{head.base_url}/digests/{copy}",
        feed_url=f"{head.base_url}/feeds/private/{head.link('feed', message.feed)}.atom",
        manage_url=f"{head.base_url}/manage/{head.link('manage', message.token)}",
        help_url=f"{head.base_url}/",
        most=head.most,
        thumbnails=head.thumbnails,
    )


def _said(message: QueuedMessage) -> Said:
    """Return the entries, best first, and the labels of all of them; the same ones for all who are told the same.

    Found again by identity, as those who are told the same were loaded with the same papers: to compare all that papers
    say costs more than what is saved.
    """
    queries = tuple(message.queries.items())
    key = (id(message.papers), queries)
    if (known := _SAID.get(key)) is not None and known[0] is message.papers:
        return known[1]
    labels = {query_id: _label(*texts) for query_id, texts in queries}
    entries = [
        DigestEntry(
            paper=paper,
            marks=_marked(paper, tuple([message.queries[hit][1] for hit in hits if hit in message.queries])),
            labels=tuple([labels[hit] for hit in hits if hit in labels]),
            listings=listings,
        )
        for paper, hits, listings in message.papers
    ]
    carried: set[QueryId] = {hit for _, hits, _ in message.papers for hit in hits}
    said = (
        tuple(sorted(entries, key=_rank)),
        tuple([label for query_id, label in labels.items() if query_id in carried]),
    )
    if len(_SAID) >= MOST_SAID:
        _SAID.clear()
    _SAID[key] = (message.papers, said)
    return said


def _rank(entry: DigestEntry) -> tuple[bool, int, float]:
    """Matched in the title first, then by votes, then the newest; equal ones stay in the order they were met."""
    published = entry.paper.published_at
    return not entry.marks.title, -(entry.paper.upvotes or 0), -published.timestamp() if published else 0.0


def _label(typed: str, canonical: str) -> str:
    """What a reader calls a query: as they typed it, but for the sign that stands for everything."""
    return "everything" if canonical == "*" else typed


def forget_marks() -> None:
    """Forget what queries mark in papers, and the papers."""
    _SAID.clear()
    _MARKED.clear()
    _marks.cache_clear()
    _same.cache_clear()
    forget_readings()


def _marked(paper: Paper, texts: tuple[str, ...]) -> Marks:
    """Return what queries mark in a paper; found again by identity, as `_said`."""
    key = (id(paper), texts)
    if (known := _MARKED.get(key)) is not None and known[0] is paper:
        return known[1]
    if len(_MARKED) >= MOST_MARKS:
        _MARKED.clear()
    _MARKED[key] = (paper, found := _same(_marks(paper, texts)))
    return found


@lru_cache(MOST_MARKS)
def _same(marks: Marks) -> Marks:
    """Return the first marks that were equal to these: what different queries mark alike is shown by one piece."""
    return marks


@lru_cache(MOST_MARKS)
def _marks(paper: Paper, texts: tuple[str, ...]) -> Marks:
    """Return what queries mark in a paper, put together from what each of them marks for all who asked it."""
    if len(texts) > 1:
        return united([_marks(paper, (text,)) for text in texts], paper)
    return marks([query for query in map(_parsed, texts) if query], paper)


@lru_cache(MOST_QUERIES)
def _parsed(text: str) -> Query | None:
    try:
        return parse(text)
    except QueryError:
        return None
