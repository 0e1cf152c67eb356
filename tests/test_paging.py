"""A listing of several pages is one batch, and no page of it is missed in silence."""

from __future__ import annotations

import json

from notifier.model import Outcome
from tests.servers.http import Answer, Request
from tests.world import World, text_page

PAGE = 50  # items of one answer of the Daily Papers API


def items(numbers: range) -> bytes:
    """An answer of the Daily Papers API with fictional papers of these numbers."""
    return json.dumps(
        [
            {
                "title": f"Fictional paper {n} of very many",
                "paper": {
                    "id": f"2603.{n:05}",
                    "title": f"Fictional paper {n} of very many",
                    "summary": f"The invented abstract of number {n}.",
                    "authors": [],
                    "publishedAt": "2026-03-02T00:00:00.000Z",
                    "submittedOnDailyAt": "2026-03-02T06:00:00.000Z",
                },
            }
            for n in numbers
        ]
    ).encode()


def serve(installation: World, count: int) -> None:
    """Serve `count` papers in pages of PAGE, the oldest first."""

    def answer(request: Request) -> Answer:
        page = int(request.target.partition("p=")[2] or 0)
        return Answer(body=items(range(page * PAGE, min(count, (page + 1) * PAGE))))

    installation.pages.otherwise = answer


async def test_g1_what_is_new_on_a_later_page_is_found_although_the_first_shows_nothing_new(
    installation: World,
) -> None:
    installation.listing("api/daily_papers", "hf-daily")
    serve(installation, PAGE)
    await installation.run()
    serve(installation, 3 * PAGE + 7)
    (poll,), _ = await installation.run()
    assert (poll.outcome, poll.new) == (Outcome.FRESH, 2 * PAGE + 7)


async def test_g5_a_listing_that_goes_on_for_ever_fails_instead_of_being_cut(installation: World) -> None:
    installation.listing("api/daily_papers", "hf-daily")
    serve(installation, 100 * PAGE)
    (poll,), _ = await installation.run()
    assert poll.outcome is Outcome.FAILED
    assert "goes on after 20 pages" in poll.reason


async def test_a_site_that_ignores_the_page_number_is_read_once(installation: World) -> None:
    """A day of exactly one full page may be cut, or whole on a site that shows the same page for every number."""
    installation.listing("api/daily_papers", "hf-daily", first="owe")
    installation.pages.otherwise = lambda _request: Answer(body=items(range(PAGE)))
    (poll,), _ = await installation.run()
    assert (poll.outcome, poll.new, len(installation.pages.requests)) == (Outcome.FRESH, PAGE, 2)


async def test_g1_validators_of_one_url_are_not_shown_to_another(installation: World) -> None:
    """A listing that moved must not be answered 304 for a page that was never read."""
    installation.listing("daily")
    installation.pages.put("/daily", text_page("A Fictional Paper on Moving House"), etag='"same"')
    await installation.run()
    installation.pages.put("/moved", text_page("A Fictional Paper on Arriving"), etag='"same"')
    installation.listings = [installation.listings[0].replace("/daily", "/moved")]
    (poll,), _ = await installation.run()
    assert (poll.outcome, poll.new) == (Outcome.FRESH, 1)


async def test_g1_the_feed_shows_what_became_news_after_it_was_only_recorded(installation: World) -> None:
    title = "A Fictional Paper That Was Recorded Early"
    installation.listing("daily")
    installation.pages.put("/daily", text_page("An Unrelated Fictional Paper"))
    await installation.run()
    installation.listing("added")
    installation.pages.put("/added", text_page(title))
    await installation.run()
    installation.pages.put("/daily", text_page(*[f"Fictional Paper {n} of a Long Week" for n in range(120)]))
    await installation.run()
    installation.pages.put("/daily", text_page(title))
    await installation.run()
    assert title in (installation.folder / "feeds/all.rss").read_text()
