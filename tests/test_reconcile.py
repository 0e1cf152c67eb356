"""Reconciliation: two listings of one source are compared, and what only one of them shows is said."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

import pytest

from notifier.config import load
from notifier.errors import ConfigError
from notifier.intake.reconcile import in_words, reconcile
from notifier.model import Comparison
from tests.world import World, text_page

OLD = "An Old Fictional Paper on Lighthouses"
BOTH = "A Fictional Paper That Both Show"
ON_PAGE = "A Fictional Paper That Only the Page Shows"
ON_FEED = "A Fictional Paper That Only the Feed Shows"
HOUR = 60


@pytest.fixture
async def pair(installation: World) -> World:
    """A page that is compared with a feed; both were read once, and showed the same."""
    installation.listing("page", compare_with="feed")
    installation.listing("feed")
    show(installation, page=[OLD], feed=[OLD])
    await installation.run()
    return installation


def show(world: World, **listings: list[str]) -> None:
    """Let listings show these titles."""
    for name, titles in listings.items():
        world.pages.put(f"/{name}", text_page(*titles))


async def compared(world: World) -> Comparison:
    """Compare now."""
    async with world.opened() as running:
        page = next(each for each in running.config.listings if each.name == "page")
        found = await reconcile(running.store, page, world.now)
    assert found is not None
    return found


def titles(comparison: Comparison) -> tuple[list[str], list[str]]:
    """The titles that only the page showed, and those that only the feed showed."""
    sides = (comparison.only_listing, comparison.only_other)
    one, other = ([stored.paper.title for stored in side] for side in sides)
    return one, other


async def test_what_only_one_of_two_listings_showed_is_found_after_twelve_hours(pair: World) -> None:
    show(pair, page=[BOTH, ON_PAGE], feed=[BOTH, ON_FEED])
    await pair.run()
    assert (await compared(pair)).agree  # too early to say
    pair.now += timedelta(hours=13)
    found = await compared(pair)
    assert titles(found) == ([ON_PAGE], [ON_FEED])
    assert in_words(found) == "page and feed differ: 1 only on page, 1 only on feed"
    pair.now += timedelta(hours=48)
    assert in_words(await compared(pair)) == "page and feed agree"


async def test_the_slower_listing_has_time_to_follow(pair: World) -> None:
    show(pair, page=[BOTH, OLD])
    await pair.run()
    show(pair, feed=[BOTH, OLD])
    await pair.run(minutes=11 * HOUR)
    await pair.run(minutes=4 * HOUR)
    assert (await compared(pair)).agree


async def test_what_was_shown_before_both_had_been_read_says_nothing(installation: World) -> None:
    installation.listing("page", compare_with="feed")
    installation.listing("feed")
    show(installation, page=[OLD], feed=[])
    installation.pages.put("/feed", b"trouble", status=500)
    await installation.run()
    show(installation, page=[ON_PAGE, OLD])
    await installation.run()
    show(installation, page=[BOTH, ON_PAGE, OLD], feed=[BOTH])
    await installation.run()
    installation.now += timedelta(hours=13)
    assert (await compared(installation)).agree


async def test_two_listings_that_were_never_read_agree(installation: World) -> None:
    installation.listing("page", compare_with="feed")
    installation.listing("feed")
    assert (await compared(installation)).agree


async def test_a_difference_is_logged_once_a_day(pair: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="notifier")
    show(pair, page=[BOTH, ON_PAGE], feed=[BOTH])
    await pair.run()  # on Monday at noon
    warned = []
    for _ in range(4):  # every seven hours
        await pair.run(minutes=7 * HOUR)
        warned.append([line for line in caplog.messages if line.startswith("listings_differ")])
    assert [len(lines) for lines in warned] == [0, 1, 1, 1]
    assert warned[1] == ["listings_differ listing=page other=feed only_listing=1 only_other=0"]


async def test_a_listing_that_fails_is_compared_all_the_same(pair: World, caplog: pytest.LogCaptureFixture) -> None:
    show(pair, page=[BOTH, ON_PAGE], feed=[BOTH])
    await pair.run()
    pair.pages.put("/page", b"trouble", status=500)
    await pair.run(minutes=24 * HOUR)
    assert any(line.startswith("listings_differ") for line in caplog.messages)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ("fede", "listing 'page': compare_with: there is no listing 'fede'; did you mean feed?"),
        ("page", "listing 'page': compare_with names the listing itself"),
    ],
)
def test_a_listing_is_compared_only_with_another_one_that_exists(tmp_path: Path, other: str, says: str) -> None:
    listing = '[[listing]]\nname = "{}"\nurl = "https://example.org/"\nformat = "feed"\n'
    path = tmp_path / "config.toml"
    path.write_text(
        'contact = "me@example.org"\n' + listing.format("page") + f'compare_with = "{other}"\n' + listing.format("feed")
    )
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert says in str(caught.value)
