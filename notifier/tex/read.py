"""Reading: one tolerant pass from left to right that leaves alone what it does not know."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from functools import cache, lru_cache
from typing import NamedTuple

from notifier.tex.symbols import (
    ACCENTS,
    DOUBLE_STRUCK,
    ESCAPED,
    NOTHING,
    OPERATORS,
    OVER,
    SMALL_LETTERS_LIMIT,
    SPACES,
    SUBSCRIPTS,
    SUPERSCRIPTS,
    UNSHOWN,
    symbols,
)

MATH_LIMIT = 500  # code points between two dollars; more is prose about money
FORMULAS_KEPT = 2_000
DEPTH_LIMIT = 20  # groups inside groups; deeper ones are shown as they are

_SIGNS = ("\\", "$", "^", "_", "{", "}")  # where a step is taken; what is between them is plain
_NAME = re.compile(r"[A-Za-z]+\*?")
_WINDOWS_PATH = re.compile(r"(?<=[A-Za-z]:)\\\S*|(?<!\S)\\\\\w[\w.-]*\\\S+")
_OPTION = re.compile(r"\s*\[[^\[\]]{0,100}\](?=\s*\{)")
_ACCENTED = re.compile(r"\s*\{\s*(\\[ij]\b|[^\W\d_]?)\s*\}|\s*(\\[ij])(?![A-Za-z])\s?|([^\W\d_])")
_ACCENTED_AFTER_NAME = re.compile(r"\s*\{\s*\\?[^\W\d_]\s*\}|\s+[^\W\d_](?!\w)")
_AFTER_APOSTROPHE = re.compile(r"(?<=[A-Za-z]\\')(?:s|t|re|ll|ve|d|m)(?![A-Za-z\\])")
_BARE_POWER = re.compile(r"[-+]?\d+|\*|[A-Z](?![A-Za-z])")
_BARE_INDEX = re.compile(r"(?<=\b[A-Z]_)\d(?!\w)")
_ONE_WORD = re.compile(r"[\w.∗⋆⊙⊕∞]+")
_SETLIKE = re.compile(r"[,:;\"'|]|^\s|\s$")
_TEX_IN_MATH = re.compile(r"\\[A-Za-z]|[\^{]|\w_")
_PROSE = re.compile(
    r"[A-Za-z]{2,}[,;]?\s+[A-Za-z]{2,}|(?<![A-Za-z])(?:and|to|or|per|for|from|of|in|with|the|is)(?![A-Za-z])"
)
_CITATION = "\x08"  # stands for something unshown: it takes the space before it away


class _Scope(NamedTuple):
    """What is being read: up to where, in math or in text, inside how many groups."""

    end: int
    math: bool = False
    depth: int = 0

    def inner(self, end: int, *, math: bool | None = None) -> _Scope:
        return _Scope(end, self.math if math is None else math, self.depth + 1)


_Read = tuple[str, int]  # the text read, and the position after it


class Reader:
    """One left-to-right pass over a source. Every step moves forward and groups are bounded, which bounds the time."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.signs = _signs(source)
        self.closing = _matching_braces(source, self.signs) if "{" in source else {}

    def read(self) -> str:
        text = self._span(0, _Scope(len(self.source)))
        while "  " in text:
            text = text.replace("  ", " ")
        return text.strip(" ")

    def formula(self) -> str:
        """Read a source that is math between two signs."""
        return self._span(1, _Scope(len(self.source) - 1, math=True, depth=1)).strip(" ")

    def _span(self, at: int, scope: _Scope) -> str:
        out: list[str] = []
        source, signs, end = self.source, self.signs, scope.end
        while at < end:
            sign = signs[bisect_left(signs, at)]
            if sign > at:
                if sign >= end:
                    if not out:
                        return source[at:end]  # as most groups are
                    sign = end
                out.append(source[at:sign])
                at = sign
                continue
            text, at = _STEPS[source[at]](self, at, scope)
            if text == _CITATION:
                if out:
                    out[-1] = out[-1].rstrip(" ")
                continue
            out.append(text)
        return "".join(out)

    def _dollar(self, at: int, scope: _Scope) -> _Read:
        if scope.math:
            return "", at + 1
        mark = "$$" if self.source.startswith("$$", at) else "$"
        start, limit = at + len(mark), min(scope.end, at + MATH_LIMIT)
        close = self.source.find(mark, start, limit)
        while close > 0 and self.source[close - 1] == "\\":
            close = self.source.find(mark, close + 1, limit)
        content, after = self.source[start:close], close + len(mark)
        if close < 0 or not _is_math(content, self.source[after : after + 1]):
            return "$", at + 1
        if self.signs[bisect_left(self.signs, start)] >= close:  # no markup
            return content.strip(" "), after
        if not scope.depth:
            return _formula(content), after
        return self._span(start, scope.inner(close, math=True)).strip(" "), after

    def _brace(self, at: int, scope: _Scope) -> _Read:
        close = self.closing.get(at, scope.end)
        if close >= scope.end:  # this brace has no partner here
            return ("" if scope.math else self.source[at]), at + 1
        if scope.depth >= DEPTH_LIMIT:
            return self.source[at : close + 1], close + 1
        inner = self._span(at + 1, scope.inner(close))
        markup_first = self.source[at + 1] in "\\$"
        if not scope.math and not markup_first and self.source[at + 1] != "{" and _SETLIKE.search(inner):
            return "{" + inner + "}", close + 1
        return inner.strip(" ") if markup_first else inner, close + 1

    def _script(self, at: int, scope: _Scope) -> _Read:
        """Read `^` or `_`. Outside dollars only what can hardly be anything else: web sites eat dollars, not carets."""
        sign, start = self.source[at], at + 1
        following = self.source[start : start + 1] if start < scope.end else ""
        if following == "{" and self.closing.get(start, scope.end) < scope.end and scope.depth < DEPTH_LIMIT:
            close = self.closing[start]
            return _small(self._span(start + 1, scope.inner(close, math=True)).strip(), sign), close + 1
        if following == "\\" and (scope.math or sign == "^"):
            text, after = self._macro(start, scope.inner(scope.end, math=True))
            return _small(text.strip(), sign), after
        if scope.math:
            return (_small(following, sign), start + 1) if following.strip(" $}") else (sign, start)
        pattern = _BARE_POWER if sign == "^" else _BARE_INDEX
        bare = pattern.match(self.source, start, scope.end)
        if bare and (self.source[at - 1 : at].isalnum() or self.source[at - 1 : at] in (")", "]", "}")):
            return _small(bare[0], sign), bare.end()
        return sign, start

    def _macro(self, at: int, scope: _Scope) -> _Read:
        name = _NAME.match(self.source, at + 1, scope.end)
        if scope.math:
            symbol = _plain_symbols().get(name[0]) if name else None
            if name and symbol and not self.source.startswith("{", name.end()):
                return symbol, self._spaces(name.end(), scope) if symbol.isalpha() else name.end()
        elif path := _WINDOWS_PATH.match(self.source, at, scope.end):
            return path[0], path.end()
        return self._named(name[0].rstrip("*"), at, name.end(), scope) if name else self._escape(at, scope)

    def _escape(self, at: int, scope: _Scope) -> _Read:
        """Read a backslash before something that is no letter of a name."""
        sign = self.source[at + 1 : at + 2] if at + 1 < scope.end else ""
        if sign in ("(", "[") and not scope.math:
            close = self.source.find("\\" + {"(": ")", "[": "]"}[sign], at + 2, min(scope.end, at + MATH_LIMIT))
            if close < 0:
                return sign, at + 2
            return self._span(at + 2, scope.inner(close, math=True)).strip(" "), close + 2
        if sign in ACCENTS and not (scope.math and sign in ".="):
            return self._accent(sign, at + 2, scope)
        if sign in ESCAPED:
            return ESCAPED[sign], at + 2
        lone = not sign.isascii() or ((sign.isdigit() and not self.source[at - 1 : at].strip()) or at == 0)
        return ("" if sign and lone else "\\"), at + 1

    def _accent(self, sign: str, at: int, scope: _Scope) -> _Read:
        """Read the letter under an accent: braced, a dotless i or j, or the next letter."""
        found = _ACCENTED.match(self.source, at, scope.end)
        letter = "".join(filter(None, found.groups())) if found else ""
        if not found or not letter:
            return ("" if sign.isalpha() else sign), found.end() if found else at
        if sign == "'" and found[3] and _AFTER_APOSTROPHE.match(self.source, at, scope.end):
            return "'", at  # an apostrophe that some tool escaped
        return unicodedata.normalize("NFC", letter.removeprefix("\\") + ACCENTS[sign]), found.end()

    def _named(self, name: str, at: int, after: int, scope: _Scope) -> _Read:
        """Read the macro `name`, whose backslash is at `at` and whose name ends at `after`."""
        if name in ACCENTS and _ACCENTED_AFTER_NAME.match(self.source, after, scope.end):
            return self._accent(name, self._spaces(after, scope), scope)
        if name in OVER:
            return self._over(OVER[name], after, scope)
        if name in _READ_BY_NAME:
            return _READ_BY_NAME[name](self, after, scope)
        if name in SPACES:
            return " ", after
        if name in NOTHING:
            invisible = name in ("left", "right") and self.source.startswith(".", after)
            return "", self._spaces(after + invisible, scope)
        if name in UNSHOWN:
            return _CITATION, self._argument(after, scope)[1]
        symbol = symbols().get(name)
        if symbol is not None:
            return self._symbol(name, symbol, at, after, scope)
        text, behind = self._argument(after, scope)
        if text:
            return text, behind
        literal = not scope.math and (len(name) == 1 or self.source[at - 1 : at].isalnum())
        return ("\\" + name if literal else name), behind

    def _symbol(self, name: str, symbol: str, at: int, after: int, scope: _Scope) -> _Read:
        if self.source.startswith("{}", after):
            return symbol, min(after + 2, scope.end)
        if name in OPERATORS:
            before = " " if at and self.source[at - 1].isalnum() else ""
            behind = self.source[after : after + 1]
            return before + symbol + (" " if behind.isalnum() or behind == "\\" else ""), after
        # TeX eats the space after any macro; after an operator it is kept, because it shows how the line is read.
        return symbol, self._spaces(after, scope) if symbol.isalpha() else after

    def _spaces(self, at: int, scope: _Scope) -> int:
        while at < scope.end and self.source[at] == " ":
            at += 1
        return min(at, scope.end)

    def _group(self, at: int, scope: _Scope) -> tuple[int, int] | None:
        """Find the braced argument at `at`: the start and end of its inside."""
        at = self._spaces(at, scope)
        close = self.closing.get(at, scope.end)
        return (at + 1, close) if close < scope.end else None

    def _argument(self, at: int, scope: _Scope, *, math: bool | None = None) -> _Read:
        """Read an argument, and skip optional ones in brackets before it; without one: ("", at)."""
        close = self.closing.get(at, scope.end)
        if close < scope.end:
            start = at + 1  # as most are
        else:
            option = _OPTION.match(self.source, at, scope.end)
            group = self._group(option.end() if option else at, scope)
            if not group:
                return "", at
            start, close = group
        if scope.depth >= DEPTH_LIMIT:
            return self.source[start:close], close + 1
        return self._span(start, scope.inner(close, math=math)), close + 1

    # Macros that need more than "keep the argument".

    def _over(self, mark: str, at: int, scope: _Scope) -> _Read:
        text, after = self._argument(at, scope, math=True)
        if after == at:
            start = self._spaces(at, scope)
            if start >= scope.end or not self.source[start].isalpha():
                return "", at
            text, after = self.source[start], start + 1
        return (unicodedata.normalize("NFC", text + mark) if len(text) == 1 else text), after

    def _frac(self, at: int, scope: _Scope) -> _Read:
        over, middle = self._argument(at, scope, math=True)
        under, after = self._argument(middle, scope, math=True)
        return f"{_one_term(over)}/{_one_term(under)}" if over and under else over, after

    def _sqrt(self, at: int, scope: _Scope) -> _Read:
        text, after = self._argument(at, scope, math=True)
        return f"√{_one_term(text)}", after

    def _double_struck(self, at: int, scope: _Scope) -> _Read:
        text, after = self._argument(at, scope)
        return DOUBLE_STRUCK.get(text, text), after

    def _plain_words(self, at: int, scope: _Scope) -> _Read:
        return self._argument(at, scope, math=False)

    def _url(self, at: int, scope: _Scope) -> _Read:
        group = self._group(at, scope)
        return (_ESCAPED_IN_LINK.sub(r"\1", self.source[group[0] : group[1]]), group[1] + 1) if group else ("", at)

    def _href(self, at: int, scope: _Scope) -> _Read:
        target, middle = self._url(at, scope)
        text, after = self._argument(middle, scope, math=False)
        text = text.strip()
        if not target or not text or "://" in text or text.lower().endswith("url"):
            return target or text, after
        return f"{text} ({target})", after

    def _colored(self, at: int, scope: _Scope) -> _Read:
        return self._argument(self._argument(at, scope)[1], scope)

    def _footnote(self, at: int, scope: _Scope) -> _Read:
        text, after = self._argument(at, scope, math=False)
        return (f" ({text.strip()})" if text.strip() else ""), after


_ESCAPED_IN_LINK = re.compile(r"\\([%#&_~{}])")
_STEPS = {
    "\\": Reader._macro, "$": Reader._dollar, "^": Reader._script, "_": Reader._script,
    "{": Reader._brace, "}": Reader._brace,
}  # fmt: skip
_READ_BY_NAME = {
    "frac": Reader._frac, "dfrac": Reader._frac, "tfrac": Reader._frac, "nicefrac": Reader._frac,
    "sqrt": Reader._sqrt, "mathbb": Reader._double_struck, "url": Reader._url, "path": Reader._url,
    "href": Reader._href, "text": Reader._plain_words, "textrm": Reader._plain_words,
    "mbox": Reader._plain_words, "hbox": Reader._plain_words,
    "textcolor": Reader._colored, "colorbox": Reader._colored, "footnote": Reader._footnote,
}  # fmt: skip


@lru_cache(maxsize=FORMULAS_KEPT)
def _formula(content: str) -> str:
    """Read what stands between two dollars; a page says the same few over and over."""
    return Reader(f"${content}$").formula()


@cache
def _plain_symbols() -> dict[str, str]:
    """Symbols whose names mean nothing else, and which are no words."""
    other = NOTHING | SPACES | UNSHOWN | OPERATORS | set(OVER) | set(ACCENTS) | set(_READ_BY_NAME)
    return {name: symbol for name, symbol in symbols().items() if name not in other}


def _signs(source: str) -> list[int]:
    """Return where the signs stand that mean something, in order, and the end; `find` is fast between them."""
    places = [len(source)]
    for sign in _SIGNS:
        at = source.find(sign)
        while at >= 0:
            places.append(at)
            at = source.find(sign, at + 1)
    places.sort()
    return places


def _matching_braces(source: str, signs: list[int]) -> dict[int, int]:
    """Map each `{` to its `}`; escaped and unmatched ones are in no pair."""
    pairs: dict[int, int] = {}
    open_at: list[int] = []
    escaped = -1
    for at in signs[:-1]:
        sign = source[at]
        if at == escaped:
            continue
        if sign == "\\":
            escaped = at + 1
        elif sign == "{":
            open_at.append(at)
        elif sign == "}" and open_at:
            pairs[open_at.pop()] = at
    return pairs


def _is_math(content: str, after: str) -> bool:
    """Tell math between two dollars from prose between two amounts of money."""
    if not content.strip() or (content[0].isdigit() and after.isdigit()):
        return False
    if _TEX_IN_MATH.search(content):
        return not (content[0].isdigit() and content[-1] == " ")
    if content[0] == " " or content[-1] == " ":
        return content[0] == content[-1] and not _PROSE.search(content)
    return not _PROSE.search(content)


def _small(text: str, sign: str) -> str:
    """Write a superscript or subscript small; where Unicode lacks a letter of it, after its sign."""
    table = SUPERSCRIPTS if sign == "^" else SUBSCRIPTS
    if len(text) == 1 and (small := table.get(text)):
        return small
    if table.keys() >= set(text) and sum(map(str.isalpha, text)) <= SMALL_LETTERS_LIMIT[sign]:
        return "".join(table[letter] for letter in text)
    return f"{sign}{text}" if _ONE_WORD.fullmatch(text) else f"{sign}({text})"


def _one_term(text: str) -> str:
    text = text.strip()
    return text if re.fullmatch(r"\w*[⁰-₟¹²³]*", text) else f"({text})"
