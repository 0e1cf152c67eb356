"""What a digest mail is on the wire, and what it says to its reader."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage

import pytest
from fictional import NOW, coverage, digest, entry, paper

from notifier.compose import compose, subject
from notifier.compose.fragments import Fragments
from notifier.errors import AddressError
from notifier.model import Cadence, Digest, Outcome
from notifier.templates import Templates

TEMPLATES = Fragments(Templates())


def parsed(content: bytes) -> EmailMessage:
    return email.message_from_bytes(content, policy=email.policy.default)


def part_of(content: bytes, kind: str) -> str:
    part = parsed(content).get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def text_of(content: bytes) -> str:
    return part_of(content, "plain")


def html_of(content: bytes) -> str:
    return part_of(content, "html")


def both(made: Digest) -> tuple[str, str]:
    content = compose(made, TEMPLATES)
    return text_of(content), html_of(content)


# --- the wire ---------------------------------------------------------------------------------------------------------


def test_the_same_digest_gives_the_same_bytes_and_other_papers_another_boundary() -> None:
    first = compose(digest(), Fragments(Templates()))
    assert compose(digest(), Fragments(Templates())) == first
    other = compose(digest(5), TEMPLATES)
    assert parsed(other).get_boundary() != parsed(first).get_boundary()


def test_a_mail_holds_a_text_and_then_an_html_that_say_the_same() -> None:
    content = compose(digest(3), TEMPLATES)
    assert [part.get_content_type() for part in parsed(content).walk()] == [
        "multipart/alternative",
        "text/plain",
        "text/html",
    ]
    for shown in (" ".join(text_of(content).split()), html_of(content)):
        for number in range(3):
            assert f"https://arxiv.org/abs/2611.{10000 + number}" in shown
            assert "Ilse Quandt" in shown
        for url in (
            digest().unsubscribe_url,
            digest().web_url,
            digest().feed_url,
            digest().manage_url,
            digest().help_url,
        ):
            assert url in shown
        assert "90 of 90 read, 73 new" in shown
        assert "nothing announced (weekend or holiday)" in shown


def test_the_header_fields_are_these_in_this_order() -> None:
    message = parsed(compose(digest(), TEMPLATES))
    assert message.keys() == [
        "From",
        "Subject",
        "Date",
        "To",
        "Message-ID",
        "List-Unsubscribe",
        "List-Archive",
        "List-Unsubscribe-Post",
        "List-Id",
        "List-Help",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
    ]
    assert message["From"] == "Paper alerts <alerts@example.org>"
    assert message["To"] == "ada@reader.example"
    assert message["Date"] == "Sat, 21 Nov 2026 08:00:00 +0100"
    assert message["Message-ID"] == "<42.7.walk@alerts.example.org>"
    assert message["List-Id"] == "<digest.alerts.example.org>"
    assert message["Auto-Submitted"] == "auto-generated"


def test_f061_the_bytes_are_seven_bit_with_crlf_and_short_lines() -> None:
    nasty = paper(title="Ünïcödé " * 30, abstract="漢字 " * 500 + "\n.\nFrom nobody\n" + "x" * 3000)
    content = compose(digest(entries=(entry(nasty),)), TEMPLATES)
    assert content.isascii()
    lines = content.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert max(map(len, lines)) <= 998
    body = content.split(b"\r\n\r\n", 1)[1]
    assert max(map(len, body.split(b"\r\n"))) <= 78


def test_f062_a_long_list_unsubscribe_stays_on_one_line_unencoded() -> None:
    url = "https://alerts.example.org/unsubscribe/" + "aZ9_-" * 60
    content = compose(digest(unsubscribe_url=url), TEMPLATES)
    line = f"\r\nList-Unsubscribe: <{url}>, <mailto:unsubscribe+k3Jx9@example.org>\r\n"
    assert line.encode() in content
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in content


def test_a_mailto_with_or_without_its_scheme_is_the_same_link() -> None:
    bare = compose(digest(unsubscribe_mailto="off@example.org"), TEMPLATES)
    assert compose(digest(unsubscribe_mailto="mailto:off@example.org"), TEMPLATES) == bare


def test_without_an_unsubscribe_mailbox_the_https_link_stands_alone() -> None:
    message = parsed(compose(digest(unsubscribe_mailto=""), TEMPLATES))
    assert message["List-Unsubscribe"] == f"<{digest().unsubscribe_url}>"


@pytest.mark.parametrize(
    "address",
    [
        "ada@münchen.example",
        "ada@reader.example\r\nBcc: eve@x.example",
        "ada@reader.example, eve@x.example",
        "Ada <ada@reader.example>",
        '"a b"@reader.example',
        "ada@reader..example",
        "ada",
        "",
    ],
)
def test_f064_an_address_that_cannot_stand_in_a_header_is_refused(address: str) -> None:
    with pytest.raises(AddressError):
        compose(digest(recipient=address), TEMPLATES)
    with pytest.raises(AddressError):
        compose(digest(sender=("Alerts", address)), TEMPLATES)


def test_f064_an_international_domain_in_its_ascii_form_is_written_as_it_is() -> None:
    content = compose(digest(recipient="ada@xn--mnchen-3ya.example"), TEMPLATES)
    assert b"\r\nTo: ada@xn--mnchen-3ya.example\r\n" in content


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "https://x.example/> <a", "https://x.example/\r\nBcc: e@x.example"]
)
def test_a_list_link_that_is_no_link_is_refused(url: str) -> None:
    with pytest.raises(AddressError):
        compose(digest(unsubscribe_url=url), TEMPLATES)


@pytest.mark.parametrize(
    "name", ["Zoë’s „alerts“", 'A "quoted", name <x@y.example>', "=?utf-8?q?a=0ABcc:_x@y.example?=", ""]
)
def test_a_sender_name_is_shown_as_it_is_and_nothing_else(name: str) -> None:
    message = parsed(compose(digest(sender=(name, "alerts@example.org")), TEMPLATES))
    (address,) = message["From"].addresses
    assert address.addr_spec == "alerts@example.org"
    assert address.display_name == name.replace("=?", "= ?")


# --- the subject ------------------------------------------------------------------------------------------------------


def test_the_subject_carries_count_date_and_labels() -> None:
    assert subject(digest(3)) == "3 new papers · 21 Nov 2026 · graph AND reasoning, LLM"
    assert subject(digest(2, labels=())) == "2 new papers · 21 Nov 2026"
    assert subject(digest(0, labels=())) == "No new papers · 21 Nov 2026"
    assert subject(digest(2, labels=("a", "b", "c", "d", "e"))) == "2 new papers · 21 Nov 2026 · a, b, c + 2 more"


def test_a_single_paper_is_named_by_its_title() -> None:
    assert subject(digest(1)) == "1 new paper · 21 Nov 2026 · Walking the Lattice: Graph Reasoning Without a Map"
    long = digest(entries=(entry(paper(4)),))
    assert subject(long).endswith("· Beyond the Seventh Digit: Arithmetic in Sparse Mi…")


def test_the_day_of_the_subject_is_the_readers_own() -> None:
    late = NOW.replace(hour=23, minute=30)
    assert "22 Nov 2026" in subject(digest(date=late))
    assert "21 Nov 2026" in subject(digest(date=late, timezone="America/New_York"))
    assert "21 Nov 2026" in subject(digest(date=late, timezone="Mars/Olympus_Mons"))


def test_no_two_digests_of_one_reader_share_a_subject() -> None:
    days = {subject(digest(date=NOW + timedelta(days=n))) for n in range(800)}
    assert len(days) == 800
    at_once = {subject(digest(cadence=Cadence.IMMEDIATE, date=NOW + timedelta(minutes=n))) for n in range(0, 600, 10)}
    assert len(at_once) == 60
    assert subject(digest(cadence=Cadence.WEEKLY)).startswith("3 new papers · week to 21 Nov 2026")


def test_a_long_subject_is_cut_and_arrives_as_written() -> None:
    made = digest(labels=("überraschend lange Wörter " * 8,))
    assert len(subject(made)) <= 91
    assert parsed(compose(made, TEMPLATES))["Subject"] == subject(made)
    for line in compose(made, TEMPLATES).split(b"\r\n\r\n")[0].split(b"\r\n"):
        assert len(line) <= 78 or line.startswith(b"List-")


# --- what the reader sees ---------------------------------------------------------------------------------------------


def test_matched_words_are_marked_and_the_subscription_is_named() -> None:
    text, html = both(digest(1))
    assert re.search(r"<mark[^>]*>Graph Reasoning</mark>", html)
    assert re.search(r"<mark[^>]*>graph reasoning</mark>", html)
    assert "    matches: graph AND reasoning\n    found by: graph, reasoning\n" in text


def test_many_authors_become_the_first_few_and_a_count() -> None:
    crowd = paper(authors=tuple(f"Author {n}" for n in range(500)))
    text, html = both(digest(entries=(entry(crowd),)))
    for shown in (" ".join(text.split()), html):
        assert "Author 4 and 495 more" in shown
        assert "Author 5," not in shown


def test_an_author_who_matched_is_named_even_at_the_end_of_a_long_list() -> None:
    crowd = paper(authors=tuple(f"Author {n}" for n in range(500)))
    matched = entry(crowd)
    matched = replace(matched, marks=replace(matched.marks, authors=("Author 321",)))
    _, html = both(digest(entries=(matched,)))
    assert re.search(r"<mark[^>]*>Author 321</mark>", html)


def test_a_withdrawn_paper_says_so() -> None:
    text, html = both(digest(entries=(entry(paper(withdrawn=True)),)))
    assert "WITHDRAWN" in text
    assert "Withdrawn" in html


def test_trouble_with_a_listing_is_said_at_the_top_and_by_name() -> None:
    bad = coverage("bioRxiv neuroscience", Outcome.FAILED, reason="the server answered 503", read=0, stated=None, new=0)
    text, html = both(digest(coverage=(coverage("Daily papers"), bad)))
    summary = "1 of 2 listings had trouble"
    assert text.index(summary) < text.index("Walking the Lattice")
    assert html.index(summary) < html.index("https://arxiv.org/abs/2611.10000")
    for shown in (" ".join(text.split()), re.sub(r"<[^>]*>", "", html)):
        assert "bioRxiv neuroscience, 20 Nov 2026: could not be read (the server answered 503)" in shown


@pytest.mark.parametrize(
    ("troubled", "said"),
    [
        ((), "Both listings were read."),
        (("Daily papers",), "1 of 2 listings had trouble"),
        (("Daily papers", "bioRxiv neuroscience"), "Both listings had trouble"),
    ],
)
def test_a_listing_that_showed_several_days_is_counted_once(troubled: tuple[str, ...], said: str) -> None:
    names = ("Daily papers", "bioRxiv neuroscience")
    read = [coverage(name, polled_at=NOW - timedelta(days=day)) for name in names for day in (2, 1)]
    failed = [coverage(name, Outcome.FAILED, reason="the server answered 503") for name in troubled]
    for shown in both(digest(coverage=(*read, *failed))):
        assert said in " ".join(shown.split())


def test_one_listing_that_failed_after_it_was_read_is_named_as_one() -> None:
    read, failed = coverage("Daily papers"), coverage("Daily papers", Outcome.FAILED, reason="the server answered 503")
    assert "The listing was read." in html_of(compose(digest(coverage=(read, read)), TEMPLATES))
    assert "The listing had trouble: " in html_of(compose(digest(coverage=(read, failed)), TEMPLATES))


def test_a_digest_without_papers_still_says_what_was_read() -> None:
    text, html = both(digest(0))
    assert text.startswith("No new papers\n")
    assert "No new papers" in html
    assert "90 of 90 read" in html


def test_the_way_out_stands_before_the_first_paper_and_at_the_end() -> None:
    for shown in both(digest(3)):
        first, last = shown.index(digest().unsubscribe_url), shown.rindex(digest().unsubscribe_url)
        assert first < shown.index("https://arxiv.org/abs/2611.10000") < last


@pytest.mark.parametrize("script", ["graph reasoning ", "графовое рассуждение ", "图推理 "])
def test_five_hundred_papers_fit_the_budget_and_are_all_accounted_for(script: str) -> None:
    long = tuple(entry(paper(n, abstract=script * 300, title=script * 8)) for n in range(500))
    content = compose(digest(entries=long), TEMPLATES)
    part = parsed(content).get_body(("html",))
    assert part is not None
    assert len(part.as_bytes()) < 80_500  # the budget and the headers of the part
    html, text = html_of(content), text_of(content)
    in_full = html.count("<h2 dir=")
    titles = len(re.findall(r"<li dir=", html))
    (more,) = re.findall(r">([\d,]+) more on the web page", html)
    assert in_full >= 5
    assert in_full + titles + int(more) == 500
    assert len(re.findall(r"^    https://arxiv.org/abs/", text, re.MULTILINE)) == in_full + titles
    assert f"\n{more} more on the web page of this digest:" in text


def test_the_text_is_wrapped_and_only_a_link_may_be_longer() -> None:
    text, _ = both(digest(5))
    assert [line for line in text.splitlines() if len(line) > 78 and "https://" not in line] == []


def test_the_html_asks_for_nothing_from_the_network() -> None:
    _, html = both(digest(25))
    assert re.findall(r"<(?:img|script|link|iframe|object|form|video|base)\b|@import|url\(|background=", html) == []
