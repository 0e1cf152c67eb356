"""Mail addresses: what may stand in an envelope, and how one is shown in a log.

Owns the only decision of what an address is: a dot-atom local part in ASCII, and a domain name as A-labels in lower
case (RFC 5321 4.1.2, RFC 5890). Quoted local parts and domain literals are legal mail but not accepted here: nobody
reads digests there, and both have a history of smuggled commands. Nothing is looked up in the DNS.

Promises: what `mailbox` returns passes `check_envelope`, which trusts nobody and is called again right before an
address is written to a relay. Fails with `AddressError` alone; its text is safe to show and to log.
"""

from __future__ import annotations

import re

from email_validator import EmailNotValidError, validate_email

from notifier.errors import AddressError

LONGEST_ADDRESS = 254  # RFC 5321 4.5.3.1.3, less the angle brackets of the path
LONGEST_LOCAL_PART = 64  # RFC 5321 4.5.3.1.1

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_ENVELOPE_ADDRESS = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@({_LABEL}(?:\.{_LABEL})*)", re.ASCII | re.IGNORECASE)


def mailbox(text: str) -> str:
    """Return `text` as an envelope address: local part as written, domain as A-labels in lower case.

    Surrounding white space is dropped. Domains that no public mail system can reach (one label, `.local`, `.test`)
    are refused. Raises AddressError with a reason for the person who typed it.
    """
    text = text.strip()
    if len(text) > LONGEST_ADDRESS:
        raise AddressError(f"an address has at most {LONGEST_ADDRESS} characters")
    local, at, _domain = text.rpartition("@")
    if at and local and not local.isascii():
        raise AddressError("the part before the @ must be plain ASCII: most mail systems cannot deliver to others")
    try:
        valid = validate_email(
            text,
            allow_smtputf8=False,
            allow_quoted_local=False,
            allow_domain_literal=False,
            check_deliverability=False,
        )
    except EmailNotValidError as error:
        raise AddressError(_printable(str(error))) from None
    return check_envelope(valid.ascii_email or "")


def check_envelope(address: str) -> str:
    """Return `address` if it can be written between the angle brackets of an SMTP command as it is.

    Raises AddressError for anything else: white space, controls, brackets, quotes, non-ASCII, an empty address.
    """
    match = _ENVELOPE_ADDRESS.fullmatch(address)
    if match is None or len(address) > LONGEST_ADDRESS or len(match[1]) > LONGEST_LOCAL_PART:
        raise AddressError(f"{display(address)} cannot be used as an envelope address")
    return address


def display(address: str) -> str:
    """Return `address` shortened for logs (`m***@example.org`): one line of printable ASCII, whatever it holds."""
    local, at, domain = address.rpartition("@")
    if not at:
        return _printable(address[:1]) + "***"
    return _printable(local[:1]) + "***@" + _printable(domain[:LONGEST_ADDRESS])


def _printable(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if " " <= c <= "~" else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
