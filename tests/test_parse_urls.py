"""Where a listing goes on, and where it shows a past day."""

from __future__ import annotations

from datetime import date

import pytest

from notifier.parse import past

DAY = date(2026, 4, 20)


@pytest.mark.parametrize(
    ("url", "format", "expected"),
    [
        (
            "https://huggingface.co/api/daily_papers",
            "hf-daily",
            ("https://huggingface.co/api/daily_papers?date=2026-04-20", "hf-daily"),
        ),
        (
            "https://huggingface.co/api/daily_papers?limit=100",
            "hf-daily",
            ("https://huggingface.co/api/daily_papers?limit=100&date=2026-04-20", "hf-daily"),
        ),
        ("https://huggingface.co/papers", "hf-daily", ("https://huggingface.co/papers/date/2026-04-20", "hf-daily")),
        (
            "https://arxiv.org/list/cs.CL/new",
            "arxiv-list",
            ("https://arxiv.org/catchup/cs.CL/2026-04-20?abs=True", "arxiv-list"),
        ),
        (
            "https://rss.arxiv.org/rss/cs.CL",
            "arxiv-feed",
            ("https://arxiv.org/catchup/cs.CL/2026-04-20?abs=True", "arxiv-list"),
        ),
        ("https://huggingface.co/api/daily_papers?date=2026-04-17", "hf-daily", None),
        ("https://rss.arxiv.org/rss/cs.CL+cs.LG", "arxiv-feed", None),
        ("https://example.org/feed.xml", "feed", None),
        ("https://example.org/daily.txt", "daily-papers-text", None),
    ],
)
def test_a_past_day_is_found_where_the_listing_keeps_one(url: str, format: str, expected: object) -> None:
    assert past(url, format, DAY) == expected
