"""One string that names all creators of a paper, as feeds give it: "Ada One, Bo Two" or "One, A. B., Two, C.".

Which of the two it is shows in the initials. Nothing here raises.
"""

from __future__ import annotations

import re

from notifier.parse.byline import LENGTH_LIMIT, byline
from notifier.parse.text import names

_INITIALS = re.compile(r"(?:[A-Za-z]{1,3}\.[ -]?){1,6}|[A-Z]{1,3}")


def creators(text: str) -> tuple[str, ...]:
    """Split a string into names, in order; initials stay with the family name before them."""
    text = text[:LENGTH_LIMIT]
    if ";" in text:
        return names([part.strip() for part in text.split(";")])
    parts = [part.strip() for part in text.split(",")]
    if not any(_INITIALS.fullmatch(part) for part in parts[1:]):
        return byline(text)
    found: list[str] = []
    for part in filter(None, parts):
        if found and "," not in found[-1] and _INITIALS.fullmatch(part):
            found[-1] = f"{found[-1]}, {part}"
        else:
            found.append(part)
    return names(found)
