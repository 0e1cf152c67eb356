"""Choosing a relay by URL, what a reply means, and the bytes between the outbox and the wire."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.deliver import check, relay
from notifier.deliver.reply import Stage, enhanced, one_line, verdict
from notifier.deliver.route import MaildirRoute, SmtpRoute, route
from notifier.model import Verdict
from notifier.model.lines import stuffed, unfit


@pytest.mark.parametrize(
    ("url", "leads_to"),
    [
        ("maildir:/var/mail/papers", MaildirRoute(Path("/var/mail/papers"))),
        ("maildir:///var/mail/papers", MaildirRoute(Path("/var/mail/papers"))),
        ("maildir:mail", MaildirRoute(Path("mail"))),
        ("smtp://localhost", SmtpRoute(host="localhost", port=25, tls=False, starttls=False)),
        ("smtp://127.0.0.1:2525/", SmtpRoute(host="127.0.0.1", port=2525, tls=False, starttls=False)),
        ("smtp://[::1]", SmtpRoute(host="::1", port=25, tls=False, starttls=False)),
        ("smtp://Mail.example.org:587", SmtpRoute(host="mail.example.org", port=587, tls=False, starttls=True)),
        ("smtps://mail.example.org", SmtpRoute(host="mail.example.org", port=465, tls=True, starttls=False)),
    ],
)
def test_a_url_says_where_the_relay_is_and_whether_it_must_be_encrypted(url: str, leads_to: object) -> None:
    assert route(url) == leads_to
    check(url)


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("", "maildir:PATH, smtp://"),
        ("mail.example.org", "maildir:PATH, smtp://"),
        ("http://mail.example.org", "maildir:PATH, smtp://"),
        ("smtp:mail.example.org", "maildir:PATH, smtp://"),
        ("maildir:", "maildir:/var/lib"),
        ("maildir:///", "maildir:/var/lib"),
        ("smtp://", "names no host"),
        ("smtp://:25", "names no host"),
        ("smtp://mail example.org", "names no host"),
        ("smtp://mail.example.org:0", "names no host"),
        ("smtp://mail.example.org:99999", "cannot be read"),
        ("smtp://[::1", "cannot be read"),
        ("smtp://user:secret@mail.example.org", "settings of their own"),
        ("smtp://mail.example.org/inbox", "ends after the port"),
        ("smtps://mail.example.org?x", "ends after the port"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused_with_the_remedy(url: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy) as caught:
        check(url)
    assert "secret" not in str(caught.value)


def test_f060_a_password_is_never_sent_in_clear_text_to_another_machine() -> None:
    with pytest.raises(ValueError, match="not sent unencrypted"):
        check("smtp://mail.example.org", user="marie", password="secret", starttls=False)
    check("smtp://mail.example.org", user="marie", password="secret")
    check("smtp://localhost", user="marie", password="secret")
    check("smtp://mail.example.org", starttls=False)


def test_user_and_password_come_together_and_starttls_not_with_smtps() -> None:
    with pytest.raises(ValueError, match="set both or none"):
        check("smtps://mail.example.org", user="marie")
    with pytest.raises(ValueError, match="encrypted from the start"):
        check("smtps://mail.example.org", starttls=True)


def test_a_password_is_in_no_representation_of_a_route() -> None:
    chosen = route("smtps://mail.example.org", user="marie", password="secret")
    assert "secret" not in repr(chosen) + str(chosen)
    assert str(chosen) == "smtps://mail.example.org:465"


def test_files_and_names_that_cannot_be_used_are_found_before_connecting(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for file in ("empty.pem", "missing.pem"):
        with pytest.raises(ValueError, match="name a PEM file"):
            relay("smtps://mail.example.org", ca_file=tmp_path / file)
    with pytest.raises(ValueError, match="our name in EHLO"):
        relay("smtps://mail.example.org", hello="two words")


@pytest.mark.parametrize(
    ("stage", "code", "text", "meaning"),
    [
        (Stage.RCPT, 450, "", Verdict.DEFERRED),
        (Stage.RCPT, 450, "4.7.1 greylisted", Verdict.DEFERRED),
        (Stage.RCPT, 550, "no such user", Verdict.REFUSED_RECIPIENT),
        (Stage.RCPT, 550, "5.7.1 relaying denied", None),
        (Stage.RCPT, 550, "5.7.134 members only", Verdict.REFUSED_RECIPIENT),
        (Stage.RCPT, 550, "5.7.13 who knows", None),
        (Stage.RCPT, 354, "what", None),
        (Stage.DATA, 250, "what", None),
        (Stage.DOT, 550, "5.7.134 members only", None),
        (Stage.DOT, 554, "5.6.0 content", Verdict.REFUSED_MESSAGE),
        (Stage.DOT, 554, "see 5.7.1 of our rules", Verdict.REFUSED_MESSAGE),
        (Stage.DOT, 421, "closing", Verdict.DEFERRED),
        (Stage.MAIL, 452, "4.3.1 full", None),
        (Stage.MAIL, 552, "", Verdict.REFUSED_MESSAGE),
        (Stage.MAIL, 550, "5.1.8 sender", None),
        (Stage.DATA, 503, "5.5.1 sequence", None),
    ],
)
def test_the_first_digit_decides_unless_the_reply_is_about_us(
    stage: Stage, code: int, text: str, meaning: Verdict | None
) -> None:
    assert verdict(stage, code, text) == meaning


@given(st.sampled_from(Stage), st.integers(-1, 999), st.text(max_size=20))
def test_no_refusal_reads_as_sent_or_in_doubt(stage: Stage, code: int, text: str) -> None:
    assert verdict(stage, code, text) not in (Verdict.SENT, Verdict.IN_DOUBT)


def test_an_enhanced_code_stands_at_the_start_and_is_whole() -> None:
    assert [enhanced(t) for t in ("5.7.1 no", "5.7.1", "5.7.1.2 no", "5.7.1234", "no 5.7.1", "6.1.1 no")] == [
        *("5.7.1", "5.7.1", "", "", "", "")
    ]


@given(st.text(st.characters(), max_size=2000))
def test_words_become_one_printable_line(text: str) -> None:
    assert one_line(text).isprintable()
    assert len(one_line(text)) <= 500


@given(st.lists(st.text("ab. ", max_size=6).map(str.encode), max_size=8))
def test_f034_dot_stuffing_can_be_undone_and_hides_every_dot_line(lines: list[bytes]) -> None:
    content = b"".join(line + b"\r\n" for line in lines)
    wire = stuffed(content)
    assert b"\r\n.\r\n" not in b"\r\n" + wire
    assert b"".join(line.removeprefix(b".") for line in wire.splitlines(keepends=True)) == content


@given(st.binary(max_size=30))
def test_f034_what_is_fit_has_crlf_lines_of_7_bit_text_alone(content: bytes) -> None:
    if unfit(content) is None:
        assert content.isascii()
        assert content.endswith(b"\r\n")
        assert content.replace(b"\r\n", b"").translate(None, b"\r\n\0") == content.replace(b"\r\n", b"")
