"""Repair: what is decided by pattern alone before reading: lost or doubled backslashes, dashes and quotes."""

from __future__ import annotations

import re

from notifier.tex.symbols import COMMANDS, symbols

_STYLES = (
    "text(?:bf|it|tt|sc|rm|sf|up|md|sl|normal)|math(?:bf|it|tt|cal|rm|sf|bb|frak|scr)|boldsymbol|emph|operatorname"
)
_LOST_BACKSLASH = re.compile(rf"(?<![A-Za-z\\])(?=(?:{_STYLES})\{{)")
STYLE_BEGINS = ("text", "math", "boldsymbol", "emph", "operatorname")
_LOST_DEGREE = re.compile(r"\^\{?\\?circ\b\}?|\{\\deg\}")
_DOUBLED_BACKSLASH = re.compile(r"\\\\(?=([A-Za-z]+))")
# Begins with a letter that the engine can search for, as all of the next do; what is before it comes second.
_LOST_HREF = re.compile(r"(h(?<![{\w]h)ttps?://[^\s{}\\]{4,300}+) ?\{([^{}\\]{1,300})\}")
_DASHES = re.compile(
    r"""h(?P<url>ttps?://[^\s{}$]+)
      | \\(?P<macro>url\{[^{}]*\})
      | -(?:(?P<em>(?<![-!<]-)--(?![->]))
          | (?P<en>(?<=\s-)-(?=\s)|(?<![-\s!<\\]-)-(?![->])))
      | ~(?P<tie>(?<=[\w.,;:)\]}$%]~)(?=\S))
      | `(?:(?P<quoted>`(?P<words>(?>(?:[^`']|'(?!')){1,300}))'')
          | (?P<single>(?<![\w`\\]`)(?P<word>[^`'\s][^`'\n]{0,60})'(?![\w'])))""",
    re.VERBOSE,
)


def repaired(source: str) -> str:
    """Undo what web sites do to TeX: backslashes doubled or eaten, `\\href` gone from before its arguments."""
    braced = "{" in source
    if braced and "://" in source:
        source = _LOST_HREF.sub(lambda m: m[1] if "://" in m[2] else f"{m[2]} ({m[1]})", source)
    escaped = "\\" in source
    if escaped and "\\\\" in source:
        source = _DOUBLED_BACKSLASH.sub(lambda m: "\\" if m[1] in symbols() or m[1] in COMMANDS else m[0], source)
    if ("^" in source and "circ" in source) or (escaped and "\\deg" in source):
        source = _LOST_DEGREE.sub("°", source)
    if braced and any(_is_lost(begin, source) for begin in STYLE_BEGINS if begin in source):
        source = _LOST_BACKSLASH.sub(r"\\", source)
    return source


def _is_lost(begin: str, source: str) -> bool:
    """Tell whether a macro's name may stand somewhere without its backslash."""
    return source.count(begin) > source.count(f"\\{begin}")


def typography(source: str) -> str:
    """Replace dashes, ties and quotation marks, not within links."""
    if "~" not in source and "`" not in source and "--" not in source:
        return source

    def replace(found: re.Match[str]) -> str:
        match found.lastgroup:
            case "em":
                return "—"
            case "en":
                return "–"
            case "tie":
                before, after = source[found.start() - 1], source[found.end()]
                return "~" if before.isdigit() and after.isdigit() else " "
            case "quoted" | "words":
                return f"“{found['words']}”"
            case "single" | "word":
                return f"‘{found['word']}’"
        return found[0]

    return _DASHES.sub(replace, source)
