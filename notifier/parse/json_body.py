"""A page that is JSON, and words for what stands in it where something else should.

Promises a value for well-formed JSON (RFC 8259) in any encoding `charset` reads, and `PageError` for anything else: a
body cut off, a page of HTML, numbers or nesting that cost the decoder its limits.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from notifier.errors import PageError
from notifier.model import Page
from notifier.parse.charset import decode
from notifier.parse.markup import what_it_is
from notifier.parse.text import line

LARGEST_COUNT = 1_000_000_000  # of anything a page counts; more is a mistake


def json_body(page: Page) -> tuple[Any, tuple[str, ...]]:
    """Read a page as JSON: (value, oddities of its encoding)."""
    decoded = decode(page)
    text = decoded.text.lstrip("\ufeff \t\r\n")
    try:
        return json.loads(text), decoded.oddities
    except json.JSONDecodeError as bad:
        if not text.startswith(("[", "{")):
            raise PageError(f"the body is not JSON; found {what_it_is(text)}") from None
        ends = "ends early" if bad.pos >= len(text.rstrip()) - 1 or "Unterminated" in bad.msg else "is broken"
        raise PageError(f"JSON {ends} at character {bad.pos} of {len(text)} ({bad.msg})") from None
    except (ValueError, RecursionError) as bad:
        raise PageError(f"JSON cannot be read ({type(bad).__name__})") from None


def describe(found: object) -> str:
    """Name what was found, with an error's own words if it has any."""
    if not isinstance(found, dict):
        return _KINDS.get(type(found), "nothing")
    for key in ("error", "message", "errors", "detail"):
        if words := error_words(found.get(key)):
            return f"{key}: {words!r}"
    return "an object with " + ", ".join(line(key, 30) for key in sorted(found)[:6]) if found else "an empty object"


_KINDS = {str: "text", list: "a list", bool: "a boolean", int: "a number", float: "a number"}


def error_words(found: object) -> str:
    """Return the words of an error, however deep a service wraps them; "" if there are none."""
    for _ in range(4):
        if isinstance(found, list) and found:
            found = found[0]
        elif isinstance(found, dict):
            found = next((found[key] for key in ("message", "name", "detail", "status") if found.get(key)), None)
        else:
            break
    return line(found, 100)


def whole(found: object) -> int | None:
    """Read a count, written as a number or as digits; None for anything else."""
    if isinstance(found, str) and found.isascii() and found.isdigit() and len(found) <= 10:
        found = int(found)
    if isinstance(found, int) and not isinstance(found, bool) and 0 <= found <= LARGEST_COUNT:
        return found
    return None


def texts(found: object) -> list[str]:
    """Return the strings of a list, or a string alone as a list of one."""
    if isinstance(found, str):
        return [found]
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def objects(found: object) -> list[dict[str, Any]]:
    """Return the objects of a list, without what is none."""
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def unknown(keys: Iterable[str], known: frozenset[str]) -> list[str]:
    return [key for key in keys if key not in known]
