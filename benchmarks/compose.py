"""Composing: messages a second, ours beside the usual way and beside the limit, in one run.

    python benchmarks/compose.py [READERS]

The usual way renders the same templates for each message and builds an EmailMessage. Ours is measured in two worlds:
readers who all have the same hits, and readers with hits, marks and labels of their own. The limit joins bytes that
lie ready, as many and as long as ours.
"""

from __future__ import annotations

import email.policy
import email.utils
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from fictional import digest, entry, paper
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from notifier import present
from notifier.compose import compose, subject
from notifier.compose.fragments import Fragments
from notifier.model import Digest
from notifier.templates import Templates, folder, wrap

PAPERS = 12  # in a digest
POOL = 300  # new papers of a day
OPTIONS: dict[str, Any] = {"loader": FileSystemLoader(folder()), "trim_blocks": True, "lstrip_blocks": True}
SECONDS = 3.0  # of each measurement


def readers(count: int, *, alike: bool) -> list[Digest]:
    """Return a digest for each reader: the same hits for all, or hits and labels of their own."""
    chance = random.Random(20261121)
    pool = [entry(paper(number), "graph AND reasoning") for number in range(POOL)]
    made, same = [], tuple(pool[:PAPERS])  # the program, too, hands the same entries to all who are told the same
    for number in range(count):
        chosen = same if alike else chance.sample(pool, PAPERS)
        labels = ("graph AND reasoning",) if alike else (f"graph AND word{number}", f"LLM {number % 50}")
        own = tuple(replace(each, labels=(labels[place % len(labels)],)) for place, each in enumerate(chosen))
        made.append(
            digest(
                entries=same if alike else own,
                labels=labels,
                message_id=f"<{number:032x}@alerts.example.org>",
                recipient=f"reader{number}@reader.example",
                unsubscribe_url=f"https://alerts.example.org/unsubscribe/{number:072x}",
                web_url=f"https://alerts.example.org/digests/{number:072x}-{number}",
            )
        )
    return made


def usual(digests: Sequence[Digest]) -> Callable[[Digest], bytes]:
    """Return the usual way: each part rendered anew, the message written by the standard library.

    In its favour: what the templates see is prepared beforehand, and nothing is checked.
    """
    kinds = {"html": Environment(autoescape=True, **OPTIONS), "txt": Environment(autoescape=False, **OPTIONS)}
    for environment in kinds.values():
        environment.filters["wrap"] = wrap
    seen = {
        made.message_id: (
            [present.paper(e.paper, e.marks, (), e.listings) for e in made.entries],
            present.frame(made, 0),
        )
        for made in digests
    }

    def render(kind: str, made: Digest) -> str:
        environment, (papers, frame) = kinds[kind], seen[made.message_id]
        item = environment.get_template(f"email/paper.{kind}")
        shown = "".join(
            item.render(paper=each, reader={"labels": " · ".join(e.labels)})
            for each, e in zip(papers, made.entries, strict=True)
        )
        reader = {
            "papers": Markup(shown), "titles": "", "about": " · ".join(made.labels), "address": made.recipient,
            "preview": " · ".join(each["title_text"] for each in papers[:3]), "web_url": made.web_url,
            "unsubscribe_url": made.unsubscribe_url, "feed_url": made.feed_url,
        }  # fmt: skip
        return environment.get_template(f"email/digest.{kind}").render(digest=frame, reader=reader)

    def write(made: Digest) -> bytes:
        message = EmailMessage(policy=email.policy.SMTP)
        message["From"], message["To"] = made.sender[1], made.recipient
        message["Subject"], message["Message-ID"] = subject(made), made.message_id
        message["Date"] = email.utils.format_datetime(made.date)
        message["List-Unsubscribe"] = f"<{made.unsubscribe_url}>"
        message.set_content(render("txt", made))
        message.add_alternative(render("html", made), subtype="html")
        return message.as_bytes()

    return write


def rate(work: Callable[[Digest], bytes], made: Sequence[Digest]) -> float:
    """Return messages a second."""
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        work(made[done % len(made)])
        done += 1
    return done / (time.perf_counter() - began)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    templates = Templates()
    some = readers(200, alike=True)
    slow = rate(usual(some), some)
    print(f"usual way                {slow:>9,.0f}/s   1.0")
    for alike in (True, False):
        made, fragments = readers(count, alike=alike), Fragments(templates)
        size = len(compose(made[0], fragments))
        for each in made:
            compose(each, fragments)
        ours = rate(lambda each: compose(each, fragments), made)  # noqa: B023
        name = "same hits" if alike else "hits of their own"
        print(f"ours, {name:<18} {ours:>9,.0f}/s {ours / slow:>6.1f}   {size:,} octets a message")
    pieces = [b"x" * (size // 40)] * 40
    limit = rate(lambda _each: b"".join(pieces), made)
    print(f"limit: joining octets    {limit:>9,.0f}/s {limit / slow:>6.1f}")


if __name__ == "__main__":
    main()
