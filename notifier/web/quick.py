"""Quick answers: feeds that are ready, and their 304s, straight from the connection.

Readers ask for the same few feeds all day. For them `quick` makes a protocol that reads a request by itself when it
is as plain as a reader's is: GET or HEAD of a feed on the shelf, HTTP/1.1, all of it there and nothing behind it, no
body, each header once. Whatever is not exactly that goes the long way through h11 and the application, which is the
one to judge it; a request that is read here can be read in no other way there. The answer is the same, but for the
work. What waits to be sent to a slow reader is one feed, not one for each request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import h11

from notifier.publish import Copy
from notifier.web.feeds import answer, has_it, takes_gzip
from notifier.web.limits import HEADERS
from notifier.web.pace import PUBLIC
from notifier.web.patience import Patient
from notifier.web.site import Site

MOST_REQUEST = 4096  # bytes; a reader's is a few hundred
REQUESTS = 500  # whose meaning is remembered
ANSWERS = 30  # that are kept whole at once
# RFC 9112 3 and 5, without what is obsolete: no white space before the colon, no folded line.
_REQUEST = re.compile(
    rb"(GET|HEAD) (/feeds/[A-Za-z0-9/._~%-]+) HTTP/1\.1\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]++:[\x21-\x7e\x80-\xff \t]*+\r\n)++)\r\n"  # and nothing to go back over
)
_LONG_WAY = {b"content-length", b"transfer-encoding", b"upgrade", b"expect", b"te", b"trailer", b"sec-fetch-dest"}


def quick(site: Site) -> type[Patient]:
    """Return the protocol of the connections of a site."""
    answers = _Answers()

    class Quick(Patient):
        """HTTP/1.1 with a short way to the feeds that are ready."""

        def data_received(self, data: bytes) -> None:
            """Take some bytes: answer them if they are a plain request for a feed."""
            if not data.startswith((b"GET /feeds/", b"HEAD /feeds/")) or not self._is_idle() or not self._answer(data):
                super().data_received(data)

        def _is_idle(self) -> bool:
            """Tell whether these are the first bytes of a request, and all answers before it are on their way."""
            connection: Any = self.conn
            return (
                connection.our_state is h11.IDLE
                and connection.their_state is h11.IDLE
                and (self.cycle is None or self.cycle.response_complete)
                and not self.transport.get_write_buffer_size()
                and not self.transport.is_closing()
                and not connection.trailing_data[0]
            )

        def _answer(self, data: bytes) -> bool:
            asked = _asked(data) if len(data) <= MOST_REQUEST else None
            copy = site.shelf.public.get(asked.path) if asked else None
            if asked is None or copy is None or not self._keeps_pace(asked.headers):
                return False
            known = has_it(asked.headers, copy)
            self.rest()
            self.transport.write(answers.whole(asked, copy, known, self.server_state.default_headers))
            self.server_state.total_requests += 1
            if asked.last:
                self.transport.close()
            return True

        def _keeps_pace(self, headers: Mapping[bytes, bytes]) -> bool:
            """Count the reader; one who asks too often goes the long way, which counts again and says no."""
            peer = self.client[0] if self.client else ""
            household = site.guard.household(peer, headers.get(b"x-forwarded-for", b"").decode("latin-1"))
            return household is None or not site.pace.take(PUBLIC, household, site.clock())

    return Quick


@dataclass(frozen=True, slots=True)
class _Asked:
    """A plain request: `bodiless` for HEAD, `compressed` where gzip is taken, `last` of its connection."""

    path: str
    bodiless: bool
    headers: Mapping[bytes, bytes]
    compressed: bool
    last: bool


@lru_cache(maxsize=REQUESTS)
def _asked(data: bytes) -> _Asked | None:
    """Return what these bytes ask for, None when that is not for the short way; readers repeat themselves."""
    found = _REQUEST.fullmatch(data)
    headers = _headers(found[3]) if found else None
    if found is None or headers is None:
        return None
    compressed = takes_gzip(headers.get(b"accept-encoding", b""))
    last = headers.get(b"connection", b"").lower() == b"close"
    return _Asked(found[2].decode("ascii"), found[1] == b"HEAD", headers, compressed, last)


class _Answers:
    """The answers of this second: they differ in what was asked for, and many ask for the same."""

    def __init__(self) -> None:
        self._second: object = None
        self._made: dict[tuple[str, bool, bool, bool, bool], tuple[Copy, bytes]] = {}

    def whole(self, asked: _Asked, copy: Copy, known: bool, second: Sequence[tuple[bytes, bytes]]) -> bytes:
        """Return an answer; `second` are the headers with the date, which uvicorn makes anew each second."""
        if second is not self._second or len(self._made) > ANSWERS:
            self._second, self._made = second, {}
        key = asked.path, asked.compressed, asked.bodiless, asked.last, known
        made = self._made.get(key)
        if made is None or made[0] is not copy:
            body = b"" if known or asked.bodiless else copy.gzipped if asked.compressed else copy.body
            date = b"".join([b"%b: %b\r\n" % pair for pair in second])
            end = b"connection: close\r\n\r\n" if asked.last else b"\r\n"
            head = _head(copy, compressed=asked.compressed, known=known)
            made = self._made[key] = copy, b"".join((head, date, end, body))
        return made[1]


def _headers(lines: bytes) -> dict[bytes, bytes] | None:
    """Return headers by name, None when this request is not for the short way."""
    found: dict[bytes, bytes] = {}
    for line in lines.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        name = name.lower()
        if name in found or name in _LONG_WAY:
            return None
        found[name] = value.strip(b" \t")
    plain = b"host" in found and found.get(b"connection", b"keep-alive").lower() in (b"keep-alive", b"close")
    return found if plain else None


def _head(copy: Copy, *, compressed: bool, known: bool) -> bytes:
    """Return the status line and the headers that an answer has whenever it is given, as bytes."""
    asked = {b"accept-encoding": b"gzip"} if compressed else {}
    status, headers, _ = answer(copy, {**asked, b"if-none-match": b"*"} if known else asked)
    fixed = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
    lines += [name + b": " + value for name, value in [*headers, *fixed]]
    return b"\r\n".join(lines) + b"\r\n"
