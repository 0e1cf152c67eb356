"""The policy of a subscription: papers once, cross-lists too, or later versions too."""

from __future__ import annotations

from notifier.model import Versions
from tests.world import World, text

NEW, CROSS, REVISED = "new@example.org", "cross@example.org", "revised@example.org"
SECTIONS = {"new": "New submissions", "cross": "Cross submissions", "replace": "Replacement submissions"}


def arxiv_page(day: str, **papers: tuple[int, ...]) -> str:
    """An arXiv listing of fictional papers by section: new, cross, replace."""
    lists = ""
    for kind, numbers in papers.items():
        entries = "".join(
            f'<dt><a href ="/abs/2603.{n:05}" title="Abstract">arXiv:2603.{n:05}</a>{note(kind)}</dt>'
            f"<dd><div class='meta'><div class='list-title mathjax'><span class='descriptor'>Title:</span>"
            f" Fictional listing paper {n}</div><div class='list-authors'><a>Ada Quill</a></div>"
            f"<div class='list-subjects'><span class='primary-subject'>Tides (phys.TI)</span></div>"
            f"<p class='mathjax'>An invented abstract for number {n}.</p></div></dd>"
            for n in numbers
        )
        count = len(numbers)
        lists += f"<dl id='articles'><h3>{SECTIONS[kind]} (showing {count} of {count} entries)</h3>{entries}</dl>"
    return f"<html><body><div id='dlpage'><h3>Showing new listings for {day}</h3>{lists}</div></body></html>"


def note(kind: str) -> str:
    return {"cross": "(cross-list from cs.LG)", "replace": "(replaced)"}.get(kind, "")


def got(installation: World, reader: str) -> list[list[int]]:
    """The papers of each mail to a reader."""
    shown = [text(mail) for mail in installation.mails(reader)]
    return [[n for n in range(1, 10) if f"Fictional listing paper {n} " in each] for each in shown]


async def watched(installation: World) -> None:
    installation.listing("list", "arxiv-list")
    installation.pages.put("/list", arxiv_page("Monday, 2 March 2026", new=(1,)))
    for reader, versions in ((NEW, Versions.NEW), (CROSS, Versions.CROSS), (REVISED, Versions.REVISED)):
        await installation.subscribe(reader, "*", versions=versions)
    await installation.run()


async def test_each_policy_gets_what_it_asks_for(installation: World) -> None:
    await watched(installation)
    installation.pages.put("/list", arxiv_page("Tuesday, 3 March 2026", new=(2,), cross=(3,), replace=(1, 4)))
    await installation.run()
    assert got(installation, NEW) == [[2]]
    assert got(installation, CROSS) == [[2, 3]]
    assert got(installation, REVISED) == [[1, 2, 3, 4]]


async def test_a_paper_that_was_only_cross_listed_is_owed_when_it_is_announced_as_new(installation: World) -> None:
    await watched(installation)
    installation.pages.put("/list", arxiv_page("Tuesday, 3 March 2026", cross=(3,)))
    await installation.run()
    installation.listing("other", "arxiv-list", first="owe")
    installation.pages.put("/other", arxiv_page("Tuesday, 3 March 2026", new=(3,)))
    await installation.run()
    await installation.run()
    assert got(installation, NEW) == [[3]]
    assert got(installation, CROSS) == [[3]]


async def test_each_revision_is_sent_once_to_who_asked_and_to_nobody_else(installation: World) -> None:
    await watched(installation)
    for day in ("Tuesday, 3 March 2026", "Wednesday, 4 March 2026"):
        installation.pages.put("/list", arxiv_page(day, new=(), replace=(1,)))
        await installation.run()
        await installation.run()
    assert got(installation, REVISED) == [[1], [1]]
    assert got(installation, NEW) == got(installation, CROSS) == []
