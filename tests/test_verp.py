"""The signed return path: what it names, and what nobody can make up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.address import check_envelope
from notifier.verp import LONGEST_NAME, Purpose, number_in, tagged


def link(purpose: str, token: str) -> str:
    return f"{token}-signed-for-{purpose}"


def foreign(purpose: str, token: str) -> str:
    return f"{token}-signed-elsewhere-for-{purpose}"


@given(st.integers(0, 2**60 - 1))
def test_an_address_names_its_message_even_where_the_case_was_changed(number: int) -> None:
    address = tagged("bounces@example.org", Purpose.BOUNCE, number, link)
    assert number_in(address, Purpose.BOUNCE, link) == number
    assert number_in(f"Delivered-To: {address.upper()}", Purpose.BOUNCE, link) == number


def test_the_longest_address_can_stand_in_an_envelope() -> None:
    check_envelope(tagged("b" * LONGEST_NAME + "@example.org", Purpose.UNSUBSCRIBE, 2**60 - 1, link))


def test_an_address_for_one_thing_is_not_one_for_another() -> None:
    address = tagged("bounces@example.org", Purpose.BOUNCE, 7, link)
    assert number_in(address, Purpose.UNSUBSCRIBE, link) is None
    assert number_in(address.replace("+b", "+u"), Purpose.UNSUBSCRIBE, link) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bounces@example.org",
        "bounces+bh-aaaaaaaaaaaaaaaa@example.org",
        tagged("bounces@example.org", Purpose.BOUNCE, 7, foreign),
        tagged("bounces@example.org", Purpose.BOUNCE, 7, link).replace("+bh-", "+bi-"),
        "+b" + "7" * 100_000 + "-" + "a" * 16 + "@example.org",
    ],
    ids=lambda text: text[:40] or "nothing",
)
def test_f065_a_tag_that_we_did_not_sign_names_nothing(text: str) -> None:
    assert number_in(text, Purpose.BOUNCE, link) is None


def test_a_right_tag_is_found_among_wrong_ones() -> None:
    wrong = tagged("bounces@example.org", Purpose.BOUNCE, 3, foreign)
    assert number_in(f"{wrong}, {tagged('b@example.org', Purpose.BOUNCE, 4, link)}", Purpose.BOUNCE, link) == 4
