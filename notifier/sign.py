"""DKIM signatures over the bytes of a message (RFC 6376, 8301; Ed25519 of RFC 8463), and the keys they are made with.

The canonical form is dkimpy's (`relaxed/simple`), the signature OpenSSL's, by `cryptography`: dkimpy's own RSA is pure
Python and costs thirty times as much. Fields are folded anew by relays and are therefore relaxed; of a body in
quoted-printable no relay touches the white space, and to look at it would cost half as much as the signature.

Promises: the message follows its signatures unchanged, byte for byte; equal bytes, keys and time give equal
signatures, for RSA (PKCS #1 v1.5) and Ed25519 are deterministic. Fields of lists are oversigned, so that a relay can
neither change nor add one (RFC 6376 5.4, 8.15). Pure. Raises KeyUnfit for a key that cannot be used, MessageUnfit for
bytes that are no message.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import dkim
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from notifier.errors import NotifierError

# --- policy -----------------------------------------------------------------------------------------------------------

RSA_BITS = 2048  # RFC 8301 3.2: verifiers need not take longer ones
# Signed as often as they stand in the message, and once more, so that none can be added.
OVERSIGNED = (
    *(b"from", b"to", b"subject", b"date", b"message-id", b"reply-to"),
    *(b"mime-version", b"content-type", b"content-transfer-encoding"),
    *(b"list-id", b"list-unsubscribe", b"list-unsubscribe-post", b"list-help"),
    *(b"list-archive", b"list-owner", b"list-post", b"list-subscribe"),
)
SIGNED = (b"feedback-id", b"auto-submitted")  # as often as they stand there
LINE = 72  # octets of a line of a signature

_CANONICAL = dkim.CanonicalizationPolicy.from_c_value(b"relaxed/simple")


class KeyUnfit(NotifierError):
    """A private key that cannot sign mail; the message names the remedy."""


class MessageUnfit(NotifierError):
    """Bytes that are no message."""


@dataclass(frozen=True, slots=True)
class Key:
    """A private key, and the selector under which its public half is published."""

    selector: str
    private: RSAPrivateKey | Ed25519PrivateKey

    @property
    def algorithm(self) -> str:
        """Its name in a record (RFC 6376 3.6.1, RFC 8463 4)."""
        return "rsa" if isinstance(self.private, RSAPrivateKey) else "ed25519"


def read_key(selector: str, pem: bytes) -> Key:
    """Return the key of a PEM text (PKCS #8 or PKCS #1, no passphrase)."""
    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise KeyUnfit(f"no private key in PEM ({error}): make one with `notifier dkim-key FILE`") from None
    if isinstance(private, Ed25519PrivateKey):
        return Key(selector, private)
    if not isinstance(private, RSAPrivateKey):
        raise KeyUnfit("neither an RSA nor an Ed25519 key: make one with `notifier dkim-key FILE`")
    if private.key_size < RSA_BITS:
        raise KeyUnfit(f"an RSA key of {private.key_size} bits is refused by large receivers: {RSA_BITS} are needed")
    return Key(selector, private)


def make_key(algorithm: str) -> bytes:
    """Return a new private key as PEM; `algorithm` is "rsa" or "ed25519"."""
    private = Ed25519PrivateKey.generate() if algorithm == "ed25519" else generate_private_key(65537, RSA_BITS)
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def record(key: Key) -> str:
    """Return the text of the TXT record of SELECTOR._domainkey.DOMAIN (RFC 6376 3.6.1; RFC 8463 4.2)."""
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    bare = key.private.public_key().public_bytes(
        *(form if key.algorithm == "rsa" else (Encoding.Raw, PublicFormat.Raw))
    )
    return f"v=DKIM1; k={key.algorithm}; p={b64encode(bare).decode()}"


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs for a domain, once with each key."""

    domain: str
    keys: Sequence[Key]

    def __call__(self, content: bytes, now: datetime) -> bytes:
        """Return the message (CRLF) with its signatures on top, signed as of `now`."""
        end = content.find(b"\r\n\r\n") + 2
        if end < 2:
            raise MessageUnfit("the message has no end of its header")
        try:
            headers, _ = dkim.rfc822_parse(content[:end])
        except dkim.DKIMException as error:
            raise MessageUnfit(str(error)) from None
        headers = _CANONICAL.canonicalize_headers(headers)
        names, shown = _names(tuple(name for name, _ in headers))
        hashed = b"".join(name + b":" + value for name, value in dkim.select_headers(headers, names))
        body = b64encode(hashlib.sha256(simple(content[end + 2 :])).digest())
        top = [self._signature(key, shown, hashed, body, now) for key in self.keys]
        return b"".join([*top, content])

    def _signature(self, key: Key, names: str, hashed: bytes, body: bytes, now: datetime) -> bytes:
        """Return one DKIM-Signature field."""
        field = (
            f"DKIM-Signature: v=1; a={key.algorithm}-sha256; c=relaxed/simple; d={self.domain};\r\n"
            f" s={key.selector}; t={int(now.timestamp())};\r\n"
            f" h={names};\r\n"
            f" bh={body.decode()};\r\n"
            f" b="
        ).encode("ascii")
        name, _, value = field.partition(b":")
        ((name, value),) = _CANONICAL.canonicalize_headers([(name, value)])
        covered = hashed + name + b":" + value.rstrip()
        if isinstance(key.private, RSAPrivateKey):
            signature = key.private.sign(covered, PKCS1v15(), SHA256())
        else:
            signature = key.private.sign(hashlib.sha256(covered).digest())  # RFC 8463 3: over the hash
        text = b64encode(signature)
        lines = [text[start : start + LINE] for start in range(0, len(text), LINE)]
        return field + b"\r\n ".join(lines) + b"\r\n"


def simple(body: bytes) -> bytes:
    """Return the simple form of a body with CRLF lines (RFC 6376 3.4.3): empty lines at the end do not count."""
    end = len(body)
    while body.endswith(b"\r\n", 0, end):
        end -= 2
    return body[:end] + b"\r\n"


@lru_cache(maxsize=64)
def _names(present: tuple[bytes, ...]) -> tuple[list[bytes], str]:
    """Return the fields to sign, each as often as it is signed, and the same as an h= tag over several lines."""
    names = [name for name in OVERSIGNED for _ in range(present.count(name) + 1)]
    names += [name for name in SIGNED for _ in range(present.count(name))]
    text = ":".join(name.decode() for name in names)
    return names, re.sub(rf"(.{{1,{LINE - 4}}}:)(?=.)", "\\1\r\n  ", text)
