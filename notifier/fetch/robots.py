"""What a robots.txt says to us (RFC 9309): bytes -> the few lines that concern us -> may this path be asked.

Promises to be quick whatever the file holds: its first ROBOTS_BYTES are read and MOST_RULES rules kept, and a pattern
is matched without backtracking. Nothing in it is an error; what cannot be read is skipped, as the RFC wants.

The rule with the longest path wins and `*` and `$` are patterns, as RFC 9309 2.2 demands and site owners rely on; the
standard library's reader (Python 3.11 to 3.14) takes the first rule and takes patterns literally.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import quote

from notifier.fetch.manners import LONGEST_GAP

ROBOTS_BYTES = 512 * 1024  # read of one file; RFC 9309 2.5 asks for 500 KiB at least
MOST_RULES = 2000
LONGEST_PATH = 2000  # characters of a rule


@dataclass(slots=True)
class _Group:
    """The lines for one crawler; `named` when it is mentioned at all."""

    named: bool = False
    rules: list[str] = field(default_factory=list)
    crawl_delay: timedelta = timedelta()


def robots(content: bytes, product: str) -> tuple[str, timedelta]:
    """Return the rules for the crawler `product`, one a line (`disallow /x`), and its Crawl-delay, at most a minute.

    The groups that name it count, else those for `*`. No rules mean that everything is allowed.
    """
    ours, everyones = _Group(), _Group()
    current: list[_Group] = []
    is_naming = False
    for each in re.split(r"[\r\n]+", content[:ROBOTS_BYTES].decode("utf-8-sig", "replace")):
        key, _, value = each.partition("#")[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if key == "user-agent":
            current = current if is_naming else []
            is_naming = True
            token = re.match(r"\*|[A-Za-z_-]*", value)
            named = {"*": everyones, product.lower(): ours}.get(token[0].lower() if token else "")
            if named is not None:
                named.named = True
                current.append(named)
        elif key in ("allow", "disallow", "crawl-delay"):
            is_naming = False
            for group in current:
                _add(group, key, value)
    chosen = ours if ours.named else everyones
    return "\n".join(chosen.rules), chosen.crawl_delay


def forbidding(rules: str, target: str) -> str | None:
    """Return the rule that forbids `target` (path and query), None when it may be asked. On a tie `allow` wins."""
    target, strongest = _normal(target), (0, True, "")
    for rule in rules.splitlines():
        kind, _, path = rule.partition(" ")
        if _matches(path, target):
            strongest = max(strongest, (len(path), kind == "allow", path))
    _, allowed, path = strongest
    return None if allowed else f"Disallow: {path}"


def _add(group: _Group, key: str, value: str) -> None:
    if key == "crawl-delay":
        try:
            seconds = float(value)
        except ValueError:
            return
        if math.isfinite(seconds) and seconds > 0:
            group.crawl_delay = timedelta(seconds=math.ceil(min(seconds, LONGEST_GAP.total_seconds())))
    elif value.startswith(("/", "*")) and len(value) <= LONGEST_PATH and len(group.rules) < MOST_RULES:
        group.rules.append(f"{key} {_normal(value)}")


def _normal(path: str) -> str:
    """Return `path` in one spelling: percent-encoded but for what needs no encoding (RFC 9309 2.2.2)."""

    def octet(found: re.Match[str]) -> str:
        letter = chr(int(found[1], 16))
        return letter if re.match(r"[A-Za-z0-9._~-]", letter) else found[0].upper()

    printable = "".join(chr(code) for code in range(0x21, 0x7F))
    return re.sub(r"%([0-9A-Fa-f]{2})", octet, quote(path, safe=printable))


def _matches(pattern: str, target: str) -> bool:
    """Tell whether `target` begins with `pattern`, in which `*` is anything and a last `$` is the end."""
    is_whole = pattern.endswith("$")
    first, *pieces = pattern.removesuffix("$").split("*")
    if not target.startswith(first):
        return False
    if is_whole and not pieces:
        return target == first
    at = len(first)
    last = pieces.pop() if is_whole else ""
    for piece in pieces:
        at = target.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return not is_whole or (target.endswith(last) and len(target) - len(last) >= at)
