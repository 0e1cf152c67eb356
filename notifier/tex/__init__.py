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


def readable(source: str) -> str:
    """Turn TeX markup into readable Unicode; text without any is returned unchanged."""
    if not _has_markup(source):
        return source
    text = accented(source) if "\\" in source and "$" not in source else None
    return Reader(typography(repaired(source))).read() if text is None else text


def _has_markup(source: str) -> bool:
    return (
        "\\" in source or "$" in source or "{" in source or "^" in source or "_" in source
        or "~" in source or "`" in source or "--" in source or "}" in source
    )  # fmt: skip
