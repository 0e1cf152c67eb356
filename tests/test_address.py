"""Addresses: what is accepted, what is refused with which words, and what a log shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.address import check_envelope, display, mailbox
from notifier.errors import AddressError


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("marie@example.org", "marie@example.org"),
        ("  marie@example.org\n", "marie@example.org"),
        ("Marie.Curie+papers@Example.ORG", "Marie.Curie+papers@example.org"),
        ("o'neil@example.org", "o'neil@example.org"),
        ("marie@bücher.example.org", "marie@xn--bcher-kva.example.org"),
        ("marie@BÜCHER.example.org", "marie@xn--bcher-kva.example.org"),
    ],
)
def test_an_address_is_stored_with_its_local_part_as_written_and_its_domain_as_a_labels(
    typed: str, stored: str
) -> None:
    assert mailbox(typed) == stored


def test_f064_a_homograph_domain_is_stored_as_the_a_label_that_gives_it_away() -> None:
    assert mailbox("info@pаypal.com") == "info@xn--pypal-4ve.com"  # the first a is Cyrillic


@pytest.mark.parametrize(
    "typed",
    [
        "",
        " ",
        "marie",
        "@example.org",
        "marie@",
        "marie@example.org, paul@example.org",
        "Marie <marie@example.org>",
        "<marie@example.org>",
        '"marie curie"@example.org',
        "marie@[192.0.2.1]",
        "marie@localhost",
        "marie@mail.local",
        "marie@example..org",
        ".marie@example.org",
        "marie@-example.org",
        "marie@exa mple.org",
        "marie@example.org\0",
        "marie" * 13 + "@example.org",
        "marie@" + "a." * 130 + "org",
    ],
)
def test_what_is_not_one_plain_address_is_refused(typed: str) -> None:
    with pytest.raises(AddressError):
        mailbox(typed)


def test_a_local_part_that_needs_smtputf8_is_refused_with_the_reason() -> None:
    with pytest.raises(AddressError, match="before the @ must be plain ASCII"):
        mailbox("münchen@example.org")


@pytest.mark.parametrize(
    "address",
    [
        "a@b.example\r\nRCPT TO:<x@example.org>",
        "a@b.example> SIZE=1",
        "a@b.example SIZE=1",
        "<a@b.example>",
        "a@b.example\n",
        "a\t@b.example",
        "a@bücher.example",
        "a@b@c.example",
        "",
    ],
)
def test_f063_an_address_that_would_change_an_smtp_command_is_refused(address: str) -> None:
    with pytest.raises(AddressError) as caught:
        check_envelope(address)
    assert "\n" not in str(caught.value)


@given(st.text(st.sampled_from("aB0.@<> \r\n\"é-+'\x00"), max_size=30))
def test_whatever_is_accepted_fits_an_smtp_command(text: str) -> None:
    try:
        address = mailbox(text)
    except AddressError:
        return
    assert check_envelope(address) == address
    assert address.isascii() and address.isprintable() and not set(address) & set('<> "')


def test_a_log_shows_the_first_letter_and_the_domain() -> None:
    assert display("marie@example.org") == "m***@example.org"
    assert display("marie") == "m***"
    assert display("\r\nmarie\x1b@exam\nple.org") == r"\r***@exam\nple.org"
