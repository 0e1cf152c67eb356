"""A mail that is joined from pieces says what one says that is rendered as a whole and written as usual."""

from __future__ import annotations

import email
import email.policy
import email.utils
from dataclasses import replace
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any

from fictional import digest, entry, paper
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from notifier import present
from notifier.compose import compose, subject
from notifier.compose.fragments import LABELS_COLUMNS, PREVIEWED, Fragments
from notifier.model import Cadence, Digest, DigestEntry
from notifier.templates import Templates, folder, wrap

FAST = Fragments(Templates())  # kept from one mail to the next: what was made for another must fit here too
OPTIONS: dict[str, Any] = {
    "loader": FileSystemLoader(folder()), "trim_blocks": True, "lstrip_blocks": True, "undefined": StrictUndefined,
    "keep_trailing_newline": True,
}  # fmt: skip
SLOW = {"html": Environment(autoescape=True, **OPTIONS), "txt": Environment(autoescape=False, **OPTIONS)}
for environment in SLOW.values():
    environment.filters["wrap"] = wrap

words = st.text(st.characters(exclude_categories=("Cs",)), max_size=40).map(lambda text: f"x{text}")
names = st.sampled_from(["graph", "LLM OR agents", "=?utf-8?q?x?=", "ключ · слово", "100 % <b>", 'au:"A. Moor"'])
labels = st.lists(names, max_size=3, unique=True).map(tuple)


@st.composite
def entries(draw: st.DrawFn) -> DigestEntry:
    shown = paper(
        draw(st.integers(0, 30)),
        title=draw(words),
        abstract=draw(st.sampled_from(["", "A short one.", "Long = and % odd. " * 60])),
        authors=tuple(draw(st.lists(words, max_size=4))),
    )
    return replace(entry(shown), labels=draw(labels))


@st.composite
def digests(draw: st.DrawFn) -> Digest:
    number = draw(st.integers(1, 10**9))
    return digest(
        entries=tuple(draw(st.lists(entries(), max_size=6))),
        labels=draw(labels),
        cadence=draw(st.sampled_from([Cadence.DAILY, Cadence.WEEKLY, Cadence.IMMEDIATE])),
        timezone=draw(st.sampled_from(["UTC", "Asia/Kathmandu", "America/St_Johns"])),
        message_id=f"<{number}@alerts.example.org>",
        recipient=f"reader{number}@reader.example",
        unsubscribe_url=f"https://alerts.example.org/unsubscribe/{number:072x}",
        web_url=draw(st.sampled_from(["", f"https://alerts.example.org/digests/{number:072x}?a=1&b=%20"])),
        manage_url=draw(st.sampled_from(["", f"https://alerts.example.org/manage/{number:072x}"])),
    )


@settings(max_examples=80, deadline=None)
@given(digests())
def test_g3_joined_from_pieces_a_mail_says_what_one_says_that_was_written_as_a_whole(made: Digest) -> None:
    fast = email.message_from_bytes(compose(made, FAST), policy=email.policy.default)
    slow = email.message_from_bytes(written_as_a_whole(made), policy=email.policy.default)
    for field in {*slow.keys()} - {"Content-Type", "MIME-Version"}:
        assert str(fast[field]) == str(slow[field]), field
    for kind in ("plain", "html"):
        assert content(fast, kind) == content(slow, kind)


def content(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    text = str(body.get_content()).replace("\r\n", "\n").rstrip("\n")
    return text.replace("&#34;", "&quot;").replace("&#39;", "&#x27;")  # two spellings of each; both are read the same


def written_as_a_whole(made: Digest) -> bytes:
    """Render each template with its values, and let the standard library write the message."""
    message = EmailMessage(policy=email.policy.default.clone(max_line_length=998))
    name, address = made.sender
    message["From"] = Address(name, addr_spec=address)
    message["To"] = made.recipient
    message["Subject"] = subject(made)
    message["Date"] = made.date.astimezone(present.timezone(made.timezone))
    message["Message-ID"] = made.message_id
    message["List-Id"] = f"<{made.list_id}>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message["List-Help"] = f"<{made.help_url}>"
    message.set_content(rendered("txt", made))
    message.add_alternative(rendered("html", made), subtype="html")
    return message.as_bytes()


def rendered(kind: str, made: Digest) -> str:
    day = made.date.astimezone(present.timezone(made.timezone)).date()
    papers = [present.paper(e.paper, e.marks, (), e.listings, late=present.late(e.paper, day)) for e in made.entries]
    item = SLOW[kind].get_template(f"email/paper.{kind}")
    shown = [
        item.render(paper=each, reader={"labels": phrase(kind, e.labels)})
        for each, e in zip(papers, made.entries, strict=True)
    ]
    reader = {
        "papers": Markup("").join(map(Markup, shown)), "titles": "", "about": phrase(kind, made.labels),
        "address": made.recipient, "preview": " · ".join(each["title_text"] for each in papers[:PREVIEWED]),
        "unsubscribe_url": made.unsubscribe_url, "web_url": made.web_url, "feed_url": made.feed_url,
        "manage_url": made.manage_url,
    }  # fmt: skip
    return SLOW[kind].get_template(f"email/digest.{kind}").render(digest=present.frame(made, 0), reader=reader)


def phrase(kind: str, labels: tuple[str, ...]) -> str:
    said = " · ".join(present.phrases(labels, present.LABELS_SHOWN))
    return said if kind == "html" else wrap(said, 8, 0, LABELS_COLUMNS)
