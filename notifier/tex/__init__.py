"""TeX markup in titles and abstracts to Unicode that a person reads: `$\\tau$-bench` becomes `τ-bench`.

Owns pylatexenc, of which only the tables of macro names are used: abstracts are not documents. They mix TeX with money
("$5 and $10"), percentages, file paths, set braces, macros of the author's own that nobody defines (`\\ours`), and
markup whose backslashes and dollars a web site has eaten ("R^textbf{2AI}"). So one tolerant pass reads from left to
right and leaves alone what it does not know: an unknown macro keeps its argument, or else its name. It never raises,
its time is proportional to the length, and text without markup comes back as it is.
"""

from __future__ import annotations

from notifier.tex.accents import accented
from notifier.tex.read import Reader
from notifier.tex.repair import repaired, typography

_SIGNS = ("\\", "$", "^", "{", "}", "~", "`", "_", "--")  # text without any of these has no markup


def readable(source: str) -> str:
    """Turn TeX markup into readable Unicode; text without any is returned unchanged."""
    for sign in _SIGNS:
        if sign in source:
            text = accented(source) if sign == "\\" and "$" not in source else None
            if text is not None:
                return text
            return Reader(typography(repaired(source))).read()
    return source
