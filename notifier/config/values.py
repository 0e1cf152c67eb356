"""What the value of one option may be: spans, zones, addresses, URLs; each check says what it wants."""

from __future__ import annotations

import difflib
import re
from datetime import time, timedelta
from ipaddress import ip_network
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BeforeValidator,
)

from notifier.address import check_envelope, mailbox
from notifier.errors import AddressError, QueryError
from notifier.mailbox import place
from notifier.query import parse
from notifier.verp import LONGEST_NAME

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _span(value: object) -> object:
    if isinstance(value, str):
        found = _SPAN.fullmatch(value.strip())
        if not found:
            raise ValueError('write a span of time as "90s", "30m", "6h" or "2d"')
        return timedelta(**{_UNITS[found[2]]: float(found[1])})
    if isinstance(value, timedelta):
        return value
    raise ValueError('write a span of time as "90s", "30m", "6h" or "2d"')


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{value!r} is no IANA time zone, such as Europe/Berlin or UTC") from None
    return value


def _http_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as fault:
        raise ValueError(f"not a URL: {fault}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("write a whole URL: http://host/path or https://host/path")
    if parts.username or parts.password or "\\" in value or re.search(r"\s", value):
        raise ValueError("a URL here has no user, password, backslash or white space")
    return value


def _base_url(value: str) -> str:
    value = _http_url(value).rstrip("/")
    if urlsplit(value).query or urlsplit(value).fragment:
        raise ValueError("the base URL has no ? or #")
    return value


def _clock_time(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        return time.fromisoformat(value)
    if isinstance(value, time):
        return value.replace(microsecond=0, tzinfo=None)
    raise ValueError('write a time of day as "08:00"')


def _address(value: str) -> str:
    try:
        return mailbox(value)
    except AddressError as fault:
        raise ValueError(str(fault)) from None


def _address_or_none(value: str) -> str:
    return _address(value) if value else ""


def _sender(value: str) -> str:
    try:
        check_envelope(sender_parts(value)[1])
    except AddressError as fault:
        raise ValueError(f"{fault}: write `Name <address>`") from None
    if re.search(r"[\x00-\x1f\x7f]", value):
        raise ValueError("a sender has no control characters")
    return value


def _return_path(value: str) -> str:
    if not value:
        return ""
    try:
        value = check_envelope(value)
    except AddressError as fault:
        raise ValueError(str(fault)) from None
    name = value.rpartition("@")[0]
    if "+" in name or len(name) > LONGEST_NAME:
        raise ValueError(f'before the @ there is no "+", and at most {LONGEST_NAME} characters: a tag is added')
    return value


def _imap(value: str) -> str:
    if not value:
        return ""
    try:
        place(value)
    except ValueError as fault:
        raise ValueError(str(fault)) from None
    return value


def _query(value: str) -> str:
    try:
        parse(value)
    except QueryError as fault:
        raise ValueError(str(fault)) from None
    return value


def _database(value: str) -> str:
    if not re.match(r"(sqlite:///|postgresql(\+psycopg)?://)", value):
        raise ValueError('write "sqlite:///path/to/notifier.db" or "postgresql://user@host/name"')
    return value


def _listen(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) < 65536:
        raise ValueError('write host:port, such as "127.0.0.1:8080" or "[::1]:8080"')
    return value


def _network(value: str) -> str:
    try:
        return str(ip_network(value))
    except ValueError:
        raise ValueError(f'{value!r} is no address or network: write "127.0.0.1" or "10.0.0.0/8"') from None


Span = Annotated[timedelta, BeforeValidator(_span)]
Zone = Annotated[str, AfterValidator(_zone)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
TimeOfDay = Annotated[time, BeforeValidator(_clock_time)]
Address = Annotated[str, AfterValidator(_address)]
Sender = Annotated[str, AfterValidator(_sender)]
ReturnPath = Annotated[str, AfterValidator(_return_path)]
Mailbox = Annotated[str, AfterValidator(_imap)]
OptionalAddress = Annotated[str, AfterValidator(_address_or_none)]
ListenOn = Annotated[str, AfterValidator(_listen)]
Network = Annotated[str, AfterValidator(_network)]
Query = Annotated[str, AfterValidator(_query)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
DatabaseUrl = Annotated[str, AfterValidator(_database)]


def sender_parts(sender: str) -> tuple[str, str]:
    """Split `Name <address>` or a bare address into (name, address)."""
    found = re.fullmatch(r"\s*(.*?)\s*<([^<>]*)>\s*", sender)
    return (found[1].strip('"'), found[2]) if found else ("", sender.strip())


def near(name: str, names: Any) -> str:
    near = difflib.get_close_matches(name, list(names), 1)
    return f"; did you mean {near[0]}?" if near else ""
