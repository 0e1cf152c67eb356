"""A Daily Papers API on loopback that shows fictional papers, day by day."""

from __future__ import annotations

import json

from tests.servers.http import Answer, Request
from tests.world import World


def day_page(day: str, *numbers: int) -> bytes:
    """A day of the Daily Papers API with fictional papers of these numbers."""
    items = [
        {
            "title": f"Fictional paper {number} for the day {day}",
            "paper": {
                "id": f"2603.{number:05}",
                "title": f"Fictional paper {number} for the day {day}",
                "summary": f"An abstract, wholly invented, about the matter of number {number}.",
                "authors": [{"name": "Ada Quill", "hidden": False}],
                "publishedAt": f"{day}T00:00:00.000Z",
                "submittedOnDailyAt": f"{day}T06:00:00.000Z",
                "upvotes": number,
            },
            "numComments": 0,
        }
        for number in numbers
    ]
    return json.dumps(items).encode()


class Days:
    """A Daily Papers API: without a date it shows the newest day, with one that day."""

    def __init__(self, installation: World) -> None:
        self.days: dict[str, bytes] = {}
        self.broken: set[str] = set()
        installation.pages.otherwise = self.answer

    def answer(self, request: Request) -> Answer:
        asked = request.target.partition("date=")[2] or max(self.days)
        if asked in self.broken:
            return Answer(status=500, body=b"trouble")
        body = self.days.get(asked, b"[]")
        return Answer(body=body, headers=(("Content-Type", "application/json"),))
