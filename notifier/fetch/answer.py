"""What a server answers: a page, another place, "unchanged", or trouble; read with bounded memory.

Follows RFC 9110 for status codes and content codings, RFC 1952 for gzip. A body is never held beyond the limit, on the
wire or decoded, and `gzip` is the only coding that is inflated, piece by piece.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

import httpx

from notifier.errors import FetchError
from notifier.fetch.manners import error_pause, is_rate_exceeded, used_up
from notifier.fetch.request import checked
from notifier.fetch.session import Client
from notifier.fetch.trouble import line, trouble, words
from notifier.model import Listing, Page, Validators

PIECE = 64 * 1024  # decoded bytes inflated at once
ERROR_BYTES = 2048  # of an error page, read for its first words
ERROR_WORDS = 120  # characters of them shown
LONGEST_VALIDATOR = 1024  # a longer ETag is not kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A page, or where it went, or neither: 304. `rest` is how long the host wants no further request."""

    page: Page | None = None
    moved_to: httpx.URL | None = None
    rest: timedelta | None = None


async def answer(
    client: Client, listing: Listing, url: httpx.URL, known: Validators, response: httpx.Response
) -> Answer:
    """Read a response whose head is there; raises FetchError for every status that is no page."""
    status, headers = response.status_code, response.headers
    rest = used_up(headers, client.clock())
    if status == 304:
        if known == Validators():
            raise trouble(listing, "304 Not Modified, but nothing was asked conditionally", status=status)
        return Answer(rest=rest)
    if status in (301, 302, 303, 307, 308):
        if not headers.get("location"):
            raise trouble(listing, f"{_status(response)} without a Location", status=status)
        return Answer(moved_to=checked(listing, headers["location"], url), rest=rest)
    if status not in (200, 203):
        raise await _error_status(client, listing, response)
    content = await _body(client, listing, response)
    if is_rate_exceeded(content):
        pause = error_pause(status, headers, content, client.clock())
        raise FetchError(listing.url, "Rate exceeded.", status=status, retry_after=pause)
    media_type, _, parameters = headers.get("content-type", "").partition(";")
    charset = re.search(r'(?i)(?:^|;)\s*charset\s*=\s*"?([^\s;"]+)', parameters)
    page = Page(
        url=str(url),
        content=content,
        media_type=media_type.strip().lower(),
        charset=charset[1] if charset else None,
        validators=Validators(_validator(response, b"etag"), _validator(response, b"last-modified")),
        fetched_at=client.clock(),
    )
    return Answer(page=page, rest=rest)


async def _body(client: Client, listing: Listing, response: httpx.Response) -> bytes:
    content = bytearray()
    async with aclosing(_decoded(listing, response, client.most_bytes)) as pieces:
        async for piece in pieces:
            content += piece
            if len(content) > client.most_bytes:
                raise trouble(listing, f"more than {client.most_bytes} bytes", status=response.status_code)
    return bytes(content)


async def _decoded(listing: Listing, response: httpx.Response, most_bytes: int) -> AsyncGenerator[bytes, None]:
    """Yield the body without its content coding, in pieces that cannot be bombs (RFC 9110 8.4, RFC 1952)."""
    status = response.status_code
    coding = ", ".join(response.headers.get_list("content-encoding")).strip().lower()
    if coding in ("", "identity"):
        async for chunk in response.aiter_raw():
            yield chunk
        return
    if coding not in ("gzip", "x-gzip"):
        raise trouble(listing, f"the content coding {line(coding)[:40]!r} was not asked for", status=status)
    received, member = 0, zlib.decompressobj(wbits=31)
    async for chunk in response.aiter_raw():
        rest = chunk
        received += len(chunk)
        if received > most_bytes:
            raise trouble(listing, f"more than {most_bytes} bytes", status=status)
        while rest:
            if member.eof:
                member = zlib.decompressobj(wbits=31)  # a gzip file may have several members
            try:
                piece = member.decompress(rest, PIECE)
            except zlib.error as error:
                raise trouble(listing, f"the gzip body is damaged: {words(error)}", status=status) from None
            if piece:
                yield piece
            rest = member.unconsumed_tail or member.unused_data
    if received and not member.eof:
        raise trouble(listing, "the gzip body ends early", status=status)


async def _error_status(client: Client, listing: Listing, response: httpx.Response) -> FetchError:
    """Return what an error status means, with the first words of its page."""
    start = bytearray()
    try:
        async with aclosing(_decoded(listing, response, client.most_bytes)) as pieces:
            async for piece in pieces:
                start += piece
                if len(start) >= ERROR_BYTES:
                    break
    except (FetchError, httpx.HTTPError):
        pass  # the status is the news
    text = re.sub(r"(?is)<(script|style|head)\b.*?</\1>|<[^>]*>", " ", start[:ERROR_BYTES].decode("utf-8", "replace"))
    said = line(text)[:ERROR_WORDS]
    reason = _status(response) + (f": {said}" if said else "")
    pause = error_pause(response.status_code, response.headers, bytes(start), client.clock())
    return FetchError(listing.url, reason, status=response.status_code, retry_after=pause)


def _validator(response: httpx.Response, name: bytes) -> str | None:
    """Return a validator as it was sent, byte for byte (latin-1)."""
    for key, text in response.headers.raw:
        if key.lower() == name and 0 < len(text) <= LONGEST_VALIDATOR:
            return text.decode("latin-1")
    return None


def _status(response: httpx.Response) -> str:
    return f"{response.status_code} {line(response.reason_phrase)}".strip()
