"""What a mail that came back is taken for: golden mails of fictional people, hostile bytes, and real mails.

A file of tests/bounces says in its name what it is: `<kind>-<what is special>.eml`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.bounce import bounce
from notifier.bounce.words import blame
from notifier.model import BounceKind
from notifier.verp import TAG

GOLDEN = sorted((Path(__file__).resolve().parent / "bounces").glob("*.eml"))
DAEMON = b"From: mailer-daemon@relay.example\n"
REPORT = b"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n"
# What a reader of these mails takes each for; a refusal is one that names us, our address or what we wrote.
CAPTURED = {
    BounceKind.HARD: (
        "lhost-amazonses-02 lhost-gmail-01 lhost-office365-02 lhost-office365-04 lhost-outlook-02 lhost-postfix-02 "
        "lhost-postfix-04 lhost-qmail-02 lhost-sendmail-02 lhost-x1-02 lhost-x2-02 lhost-x3-02 rfc3464-01 rhost-aol-04 "
        "rhost-apple-04 rhost-facebook-04 rhost-franceptt-02 rhost-google-02 rhost-gsuite-02 rhost-gsuite-04 "
        "rhost-kddi-01 rhost-microsoft-02 rhost-nttdocomo-02 rhost-yahooinc-03"
    ),
    BounceKind.SOFT: (
        "lhost-outlook-04 lhost-x2-04 lhost-x4-01 lhost-x6-01 rfc3464-04 rhost-aol-02 rhost-messagelabs-03 "
        "rhost-outlook-01 rhost-outlook-03"
    ),
    BounceKind.REFUSED: (
        "lhost-exim-01 lhost-exim-03 lhost-gmail-04 lhost-qmail-04 lhost-sendmail-04 rhost-apple-02 rhost-cox-01 "
        "rhost-franceptt-04 rhost-godaddy-03 rhost-google-04 rhost-messagelabs-01 rhost-microsoft-04 rhost-mimecast-02 "
        "rhost-spectrum-01 rhost-tencent-02 rhost-yahooinc-01 rhost-zoho-02 rhost-zoho-04"
    ),
    BounceKind.COMPLAINT: "arf-02",
    BounceKind.DELAYED: "lhost-x1-04",
    BounceKind.AUTOREPLY: "rfc3834-02 rfc3834-04",
    BounceKind.UNKNOWN: "is-not-bounce-02",
}


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_f065_a_mail_is_taken_for_what_it_is(file: Path) -> None:
    assert bounce(file.read_bytes()).kind == file.stem.partition("-")[0]


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_line_ends_make_no_difference(file: Path) -> None:
    assert bounce(file.read_bytes().replace(b"\n", b"\r\n")) == bounce(file.read_bytes())


@pytest.mark.parametrize(
    "name", ["hard-standard", "hard-exim", "soft-qmail", "hard-exchange", "hard-gmail", "complaint"]
)
def test_a_report_names_its_recipient_its_message_and_where_our_tags_are(name: str) -> None:
    report = bounce(next(file for file in GOLDEN if file.stem == name).read_bytes())
    assert (report.recipient, report.message_id) == ("ada@reader.example", "<0f3a.digest@papers.example>")
    assert [found[1] for found in TAG.finditer(report.went_from)] == ["b", "u"]


def test_of_several_recipients_the_mildest_counts_because_ours_was_forwarded_to_them() -> None:
    both = REPORT + b"".join(
        b"Final-Recipient: rfc822; %s@reader.example\nAction: failed\nStatus: %s\n\n" % each
        for each in ((b"home", b"5.1.1"), (b"work", b"4.4.1"))
    )
    assert bounce(both).kind is BounceKind.SOFT


def test_what_a_person_writes_is_no_report_however_it_reads() -> None:
    words = b"\n\nFinal-Recipient: rfc822; ada@reader.example\nAction: failed\nStatus: 5.1.1\n"
    assert bounce(b"From: eve@elsewhere.example\nSubject: Undelivered Mail" + words).kind is BounceKind.UNKNOWN


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        ("5.1.1", "", BounceKind.HARD),
        ("", "550 No such user here", BounceKind.HARD),
        ("", "550 Mailbox unavailable", BounceKind.HARD),
        ("", "550 5.1.1 user unknown; see https://reader.example/spam-policy", BounceKind.HARD),
        ("5.1.1", "550 5.1.1 blocked using a list", BounceKind.REFUSED),
        ("5.7.1", "550 5.7.1 anything", BounceKind.REFUSED),
        ("5.7.134", "550 5.7.134 the mailbox is restricted", BounceKind.HARD),
        ("", "554 transaction failed", BounceKind.SOFT),
        ("", "connected to 192.0.2.5.1 and gave up", BounceKind.UNKNOWN),
        ("4.2.1", "450 4.2.1 user is receiving mail too quickly", BounceKind.SOFT),
        ("5.0.0", "552 5.2.2 over quota", BounceKind.SOFT),
    ],
)
def test_who_is_to_blame(status: str, words: str, kind: BounceKind) -> None:
    assert blame(status, words)[0] is kind


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 1000,
        b"From: " + b"(" * 20_000 + b"\nTo: " + b"(" * 20_000 + b"\n\n",
        DAEMON + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(5000)),
        DAEMON + b"Content-Type: MESSAGE/\n rfc822\n\n" * 5000,
        DAEMON + b"Content-Type: message/partial\n\n" * 5000,
        DAEMON + b'Content-Type: text/plain; charset="\xff\x00none"\n\n550 5.1.1 user unknown \xff',
        DAEMON + b"Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n" + b"!!!" * 10_000,
        DAEMON + b"Content-Type: text/plain" + b";" * 100_000 + b"\n\nx",
    ],
    ids=["empty", "nul", "parentheses", "multiparts", "messages", "partial", "charset", "base64", "semicolons"],
)
def test_f066_hostile_bytes_are_unknown_and_cost_no_more_than_others(content: bytes) -> None:
    assert bounce(content).kind is BounceKind.UNKNOWN


@pytest.mark.parametrize(
    "content",
    [
        REPORT + b"Action: failed\nStatus: 5.1.1\nFinal-Recipient: rfc822; a@reader.example\n\n" * 20_000,
        DAEMON + b"\n" + b"status: 5.1.1\n" * 20_000,
        DAEMON + b"\n550 " + b"user " * 100_000,
        DAEMON + b"\n" + b"a@a." * 60_000,
        DAEMON + b"\n" + b"-----\n" * 40_000,
    ],
    ids=["recipients", "fields", "words", "addresses", "rules"],
)
def test_f066_a_report_that_repeats_itself_without_end_is_read_in_part(content: bytes) -> None:
    assert len(bounce(content).diagnostic) <= 2_000


@given(st.binary(max_size=400), st.sampled_from([b"", DAEMON, REPORT, DAEMON + REPORT, DAEMON + b"\n"]))
def test_f066_no_bytes_make_it_fail(content: bytes, before: bytes) -> None:
    bounce(before + content)


@pytest.mark.captures
def test_real_bounces_are_taken_for_what_they_are(captures: Path) -> None:
    wanted = {name: kind for kind, names in CAPTURED.items() for name in names.split()}
    files = sorted((captures / "captures/bounces").glob("*.eml"))
    found = {file.stem.partition("__")[2]: bounce(file.read_bytes()).kind for file in files}
    assert set(found) == set(wanted)
    print(f"\n{'kind':12}{'mails':>6}{'right':>6}{'wrong':>6}{'unknown':>8}")
    for kind in CAPTURED:
        taken = Counter(found[name] for name in found if wanted[name] is kind)
        unknown = 0 if kind is BounceKind.UNKNOWN else taken[BounceKind.UNKNOWN]
        print(f"{kind:12}{taken.total():6}{taken[kind]:6}{taken.total() - taken[kind] - unknown:6}{unknown:8}")
    assert {name: kind for name, kind in found.items() if kind is not wanted[name]} == {}
