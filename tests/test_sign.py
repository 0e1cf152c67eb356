"""Signatures that other people's verifiers accept, and that notice what a relay must not change (RFC 6376, 8463)."""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from pathlib import Path

import dkim
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from notifier.cli import app
from notifier.sign import Key, KeyUnfit, MessageUnfit, Signer, make_key, read_key, record, simple
from tests.world import World, text_page

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
UNSUBSCRIBE = (
    b"List-Unsubscribe: <https://papers.example.org/unsubscribe/" + b"x" * 120 + b">, <mailto:u@example.org>\r\n"
)
MESSAGE = (
    b"From: Papers <papers@example.org>\r\n"
    b"To: marie@example.org\r\n"
    b"Subject: 2 new papers\r\n on two lines\r\n"
    b"Date: Mon, 02 Mar 2026 12:00:00 +0000\r\n"
    b"Message-ID: <1@example.org>\r\n"
    b"List-Id: <papers.example.org>\r\n" + UNSUBSCRIBE + b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"\r\n"
    b"One  paper\twith  odd \r\n"
    b"\r\n"
    b"space.  \r\n"
    b"\r\n\r\n"
)


@pytest.fixture(scope="module")
def rsa() -> Key:
    return read_key("papers", make_key("rsa"))


@pytest.fixture(scope="module")
def ed25519() -> Key:
    return read_key("papers-ed", make_key("ed25519"))


def verified(message: bytes, *keys: Key) -> list[bool]:
    """Verify each signature, from the top, with a DNS that knows the records of these keys at example.org."""
    zone = {f"{key.selector}._domainkey.example.org.".encode(): record(key).encode() for key in keys}
    return [verified_by(message, index, zone) for index in range(len(keys))]


def verified_by(message: bytes, index: int, zone: dict[bytes, bytes]) -> bool:
    """Ask dkimpy; for Ed25519, which it leaves to one more library, let it find out what was signed."""

    def txt(name: bytes, timeout: int = 5) -> bytes | None:
        return zone.get(name)

    headers, body = dkim.rfc822_parse(message)
    found = [header for header in headers if header[0].lower() == b"dkim-signature"][index]
    tags = dkim.parse_tag_value(found[1])
    if tags[b"a"] == b"rsa-sha256":
        try:
            return bool(dkim.DKIM(message).verify(idx=index, dnsfunc=txt))
        except dkim.ValidationError:  # that of the body
            return False
    policy = dkim.CanonicalizationPolicy.from_c_value(tags[b"c"])
    if b64encode(hashlib.sha256(policy.canonicalize_body(body)).digest()) != tags[b"bh"]:
        return False
    names = [name.strip().lower() for name in tags[b"h"].split(b":")]
    hasher = hashlib.sha256()
    dkim.hash_headers(hasher, policy, policy.canonicalize_headers(headers), names, found, tags)
    published = dkim.parse_tag_value(zone[tags[b"s"] + b"._domainkey." + tags[b"d"] + b"."])
    assert published[b"k"] == b"ed25519"
    try:
        public = Ed25519PublicKey.from_public_bytes(b64decode(published[b"p"]))
        public.verify(b64decode(tags[b"b"]), hasher.digest())
    except InvalidSignature:
        return False
    return True


def test_a_verifier_by_other_people_accepts_both_signatures(rsa: Key, ed25519: Key) -> None:
    signed = Signer("example.org", [rsa, ed25519])(MESSAGE, NOW)
    assert signed.endswith(MESSAGE)
    assert signed.count(b"DKIM-Signature:") == 2
    assert verified(signed, rsa, ed25519) == [True, True]


def test_the_same_bytes_at_the_same_time_are_signed_the_same(rsa: Key, ed25519: Key) -> None:
    sign = Signer("example.org", [rsa, ed25519])
    assert sign(MESSAGE, NOW) == sign(MESSAGE, NOW)


def test_f062_a_long_list_unsubscribe_stays_on_one_line_when_it_is_signed(rsa: Key) -> None:
    assert b"\r\n" + UNSUBSCRIBE in Signer("example.org", [rsa])(MESSAGE, NOW)


def test_a_signature_has_short_lines_and_is_plain_text(rsa: Key, ed25519: Key) -> None:
    signed = Signer("example.org", [rsa, ed25519])(MESSAGE, NOW)
    top = signed.removesuffix(MESSAGE)
    assert top.isascii()
    assert max(map(len, top.split(b"\r\n"))) <= 78


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"Subject: 2", b"Subject: 3"),
        (b"One  paper", b"Two papers"),
        (b"To: marie@", b"To: paul@"),
        (b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", b""),
        (b"MIME-Version", b"List-Unsubscribe: <https://elsewhere.example/>\r\nMIME-Version"),
        (b"MIME-Version", b"List-Help: <https://elsewhere.example/>\r\nMIME-Version"),
        (b"MIME-Version", b"From: somebody@elsewhere.example\r\nMIME-Version"),
        (b"MIME-Version", b"Subject: other\r\nMIME-Version"),
    ],
)
def test_what_a_relay_must_not_change_or_add_breaks_the_signature(
    rsa: Key, ed25519: Key, before: bytes, after: bytes
) -> None:
    signed = Signer("example.org", [rsa, ed25519])(MESSAGE, NOW)
    changed = signed.replace(before, after)
    assert changed != signed
    assert verified(changed, rsa, ed25519) == [False, False]


def test_what_relays_do_to_space_and_to_the_top_leaves_the_signature_good(rsa: Key, ed25519: Key) -> None:
    signed = Signer("example.org", [rsa, ed25519])(MESSAGE, NOW)
    changed = b"Received: from here\r\n" + signed.replace(b"papers\r\n on two", b"papers on two") + b"\r\n"
    assert verified(changed, rsa, ed25519) == [True, True]


@given(st.lists(st.text(alphabet="a \t.", max_size=8), max_size=8))
def test_the_simple_body_is_that_of_dkimpy(lines: list[str]) -> None:
    body = "".join(f"{line}\r\n" for line in lines).encode()
    policy = dkim.CanonicalizationPolicy.from_c_value(b"relaxed/simple")
    assert simple(body) == policy.canonicalize_body(body)


def test_bytes_that_are_no_message_are_not_signed(rsa: Key) -> None:
    for content in (b"", b"Subject: no end\r\n", b"no header at all\r\n\r\n"):
        with pytest.raises(MessageUnfit):
            Signer("example.org", [rsa])(content, NOW)


def test_a_key_that_receivers_would_refuse_is_refused_here(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
    from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as elliptic
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    def pem(key: object) -> bytes:
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())  # type: ignore[attr-defined, no-any-return]

    with pytest.raises(KeyUnfit, match="1024 bits"):
        read_key("s", pem(generate_private_key(65537, 1024)))
    with pytest.raises(KeyUnfit, match="neither"):
        read_key("s", pem(elliptic(SECP256R1())))
    with pytest.raises(KeyUnfit, match="no private key"):
        read_key("s", b"nothing")


# --- as the operator sees it ------------------------------------------------------------------------------------------


def command(*arguments: str | Path) -> tuple[int, str]:
    ended = CliRunner().invoke(app, [str(each) for each in arguments])
    return ended.exit_code, ended.output


def test_a_key_is_made_for_our_eyes_only_and_never_over_another(tmp_path: Path) -> None:
    file = tmp_path / "dkim.pem"
    assert command("dkim-key", file)[0] == 0
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    code, said = command("dkim-key", file)
    assert code != 0
    assert "exists" in said
    assert file.read_bytes() == before


async def test_a_digest_is_signed_with_the_keys_that_are_named_and_the_record_verifies_it(
    installation: World,
) -> None:
    folder = installation.folder
    assert command("dkim-key", folder / "dkim.pem")[0] == 0
    assert command("dkim-key", folder / "ed.pem", "--kind", "ed25519")[0] == 0
    installation.listing("daily")
    installation.extra = (
        '[mail.dkim]\ndomain = "example.org"\nselector = "papers"\nkey = "dkim.pem"\n'
        'ed25519_selector = "papers-ed"\ned25519_key = "ed.pem"\n'
    )
    installation.pages.put("/daily", text_page("A paper of yesterday"))
    await installation.subscribe("marie@example.org", "*")
    await installation.run()
    installation.pages.put("/daily", text_page("A paper of today", "A paper of yesterday"))
    await installation.run(minutes=60)
    (file,) = folder.glob("mail/new/*")
    sent = file.read_bytes().partition(b"\nDKIM-Signature")
    message = (b"DKIM-Signature" + sent[2]).replace(b"\n", b"\r\n")
    code, zone = command("dkim-record", "--config", folder / "config.toml")
    assert code == 0
    records = {}
    for line in zone.splitlines():
        name, _, strings = line.partition(" IN TXT ")
        records[name.encode()] = "".join(re.findall(r'"([^"]*)"', strings)).encode()
    assert len(records) == 2
    assert [verified_by(message, index, records) for index in (0, 1)] == [True, True]
