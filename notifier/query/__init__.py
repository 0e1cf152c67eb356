"""The subscription language: text to a frozen query, and back to the one canonical text of its meaning.

`parse` reads what a subscriber wrote and raises `errors.QueryError`; `canonical` writes it, and reading that again
gives the same query. What the words mean for a text is `notifier.match`; docs/queries.md defines both.
"""

from __future__ import annotations

from notifier.query.grammar import parse
from notifier.query.nodes import Query, canonical

__all__ = ["Query", "canonical", "parse"]
