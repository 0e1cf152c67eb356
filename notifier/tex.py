"""TeX markup in titles and abstracts to Unicode that a person reads: `$\\tau$-bench` becomes `τ-bench`.

Owns pylatexenc, of which only the tables of macro names are used: abstracts are not documents. They mix TeX with money
("$5 and $10"), percentages, file paths, set braces, macros of the author's own that nobody defines (`\\ours`), and
markup whose backslashes and dollars a web site has eaten ("R^textbf{2AI}"). So one tolerant pass reads from left to
right and leaves alone what it does not know: an unknown macro keeps its argument, or else its name. It never raises,
its time is proportional to the length, and text without markup comes back as it is.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import NamedTuple

from pylatexenc.latex2text import get_default_latex_context_db
from pylatexenc.latexencode import get_builtin_uni2latex_dict

MATH_LIMIT = 500  # code points between two dollars; more is prose about money
DEPTH_LIMIT = 20  # groups inside groups; deeper ones are shown as they are

_SIGNS = ("\\", "$", "^", "{", "}", "~", "--", "`", "_")  # text without any of these has no markup


def readable(source: str) -> str:
    """Turn TeX markup into readable Unicode; text without any is returned unchanged."""
    for sign in _SIGNS:
        if sign in source:
            return _Reader(_typography(_repaired(source))).read()
    return source


# --- before reading: what is decided by pattern alone ---------------------------------------------------------------

_STYLES = (
    "text(?:bf|it|tt|sc|rm|sf|up|md|sl|normal)|math(?:bf|it|tt|cal|rm|sf|bb|frak|scr)|boldsymbol|emph|operatorname"
)
_LOST_BACKSLASH = re.compile(rf"(?<![A-Za-z\\])(?=(?:{_STYLES})\{{)")
_LOST_DEGREE = re.compile(r"\^\{?\\?circ\b\}?|\{\\deg\}")
_DOUBLED_BACKSLASH = re.compile(r"\\\\(?=([A-Za-z]+))")
_LOST_HREF = re.compile(r"(?<![{\w])(https?://[^\s{}\\]{4,300}+) ?\{([^{}\\]{1,300})\}")
_DASHES = re.compile(
    r"""(?=[h\\`~-])  # looked at first, because this runs over every character
        (?:(?P<url>https?://[^\s{}$]+|\\url\{[^{}]*\})
      | (?P<em>(?<![-!<])---(?![->]))
      | (?P<en>(?<=\s)--(?=\s)|(?<![-\s!<\\])--(?![->]))
      | (?P<tie>(?<=[\w.,;:)\]}$%])~(?=\S))
      | (?P<quoted>``(?P<words>(?>(?:[^`']|'(?!')){1,300}))'')
      | (?P<single>(?<![\w`\\])`(?P<word>[^`'\s][^`'\n]{0,60})'(?![\w'])))""",
    re.VERBOSE,
)


def _repaired(source: str) -> str:
    """Undo what web sites do to TeX: backslashes doubled or eaten, `\\href` gone from before its arguments."""
    braced = "{" in source
    if braced and "://" in source:
        source = _LOST_HREF.sub(lambda m: m[1] if "://" in m[2] else f"{m[2]} ({m[1]})", source)
    source = _DOUBLED_BACKSLASH.sub(lambda m: "\\" if m[1] in _symbols() or m[1] in _COMMANDS else m[0], source)
    source = _LOST_DEGREE.sub("°", source)
    return _LOST_BACKSLASH.sub(r"\\", source) if braced else source


def _typography(source: str) -> str:
    """Replace dashes, ties and quotation marks, not within links."""
    if not any(sign in source for sign in ("--", "~", "`")):
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


# --- tables ---------------------------------------------------------------------------------------------------------


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_ESCAPED = {c: c for c in "%&_#${}|"} | dict.fromkeys(",;: >\n", " ") | dict.fromkeys("!-/@()[]", "") | {"\\": " "}
_ACCENTS = {
    "'": "\u0301", "`": "\u0300", "^": "\u0302", '"': "\u0308", "~": "\u0303", "=": "\u0304", ".": "\u0307",
    "u": "\u0306", "v": "\u030c", "H": "\u030b", "c": "\u0327", "k": "\u0328", "r": "\u030a", "d": "\u0323",
    "b": "\u0331", "t": "\u0361",
}  # fmt: skip
_OVER = {
    "hat": "\u0302", "widehat": "\u0302", "tilde": "\u0303", "widetilde": "\u0303", "bar": "\u0304", "dot": "\u0307",
    "ddot": "\u0308", "vec": "\u20d7", "check": "\u030c", "breve": "\u0306", "acute": "\u0301", "grave": "\u0300",
    "mathring": "\u030a", "overline": "\u0304",
}  # fmt: skip
_SUPERSCRIPTS = dict(zip(
    "0123456789+-−=()abcdefghijklmnoprstuvwxyzABDEGHIJKLMNOPRTUVWαβγδθ*′∗†‡°∘⊤T⋆",
    "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᴬᴮᴰᴱᴳᴴᴵᴶᴷᴸᴹᴺᴼᴾᴿᵀᵁⱽᵂᵅᵝᵞᵟᶿ*′*†‡°°ᵀᵀ⋆", strict=True,
))  # fmt: skip
_SUBSCRIPTS = dict(zip(
    "0123456789+-−=()aehijklmnoprstuvxβγρφχ",
    "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ", strict=True,
))  # fmt: skip
_SMALL_LETTERS_LIMIT = {"^": 2, "_": 1}  # "10ᵗʰ" is legible, "Eᵢₛₒ" is not

_DOUBLE_STRUCK = dict(zip("CHNPQRZ", "ℂℍℕℙℚℝℤ", strict=True))
_NOTHING = _words(
    "left right middle big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr displaystyle textstyle scriptstyle "
    "limits nolimits rm it bf em tt sc sf sl cal small large Large footnotesize normalfont bfseries itshape "
    "ttfamily scshape rmfamily noindent centering protect xspace allowbreak nobreak mathstrut null relax "
    "ensuremath nonumber leavevmode"
)
_SPACES = _words("quad qquad newline linebreak par smallskip medskip bigskip space hfill thinspace enspace")
_UNSHOWN = _words("cite citep citet citealp label ref eqref vspace hspace color thanks vskip nocite begin end")
_OWN = {
    "deg": "°", "degree": "°", "textdegree": "°", "LaTeX": "LaTeX", "TeX": "TeX", "eg": "e.g.", "ie": "i.e.",
    "etc": "etc.", "etal": "et al.", "textgreater": ">", "textless": "<", "textbackslash": "\\", "gt": ">", "lt": "<",
    "textasciitilde": "~", "textasciicircum": "^", "textunderscore": "_", "prime": "′", "ne": "≠", "item": "•",
    "phi": "φ", "varphi": "φ", "epsilon": "ε", "bullet": "•", "ldots": "…", "dots": "…", "textemdash": "—",
    "textendash": "–", "slash": "/", "colon": ":", "textbar": "|", "vert": "|", "Vert": "‖",
    "lbrace": "{", "rbrace": "}",
    "today": "today", "bmod": "mod", "ast": "∗", "star": "⋆", "textquotesingle": "'", "textmu": "μ", "micro": "μ",
}  # fmt: skip
_OPERATORS = _words(
    "log ln lg exp sin cos tan cot sec csc sinh cosh tanh arcsin arccos arctan max min sup inf lim limsup "
    "liminf arg argmax argmin det dim ker deg gcd Pr hom mod"
)
_COMMANDS = (
    _NOTHING | _SPACES | _UNSHOWN | set(_OVER)
    | _words("textbf textit texttt textsc textrm text emph mathrm mathbf mathcal mathbb frac sqrt url href footnote")
)  # fmt: skip


@cache
def _symbols() -> dict[str, str]:
    """Names of macros that stand for a symbol: pylatexenc's two tables, then our own choices."""
    found: dict[str, str] = {}
    for code, macro in get_builtin_uni2latex_dict().items():
        name = re.fullmatch(r"\\(?:ensuremath\{\\)?([A-Za-z]+)\}?", macro)
        if name:
            found.setdefault(name[1], chr(code))
    for spec in get_default_latex_context_db().iter_macro_specs():
        if isinstance(spec.simplify_repl, str) and len(spec.simplify_repl) <= 2:
            found[spec.macroname] = spec.simplify_repl
    found = {name: text for name, text in found.items() if len(name) > 1 or name in "oOlLijPS"}
    for unread in (_NOTHING | _SPACES | _UNSHOWN | set(_OVER)) & set(found):
        del found[unread]
    return found | {name: name for name in _OPERATORS - {"deg"}} | _OWN


# --- reading --------------------------------------------------------------------------------------------------------

_PLAIN = re.compile(r"[^\\$^_{}]+")
_NAME = re.compile(r"[A-Za-z]+\*?")
_WINDOWS_PATH = re.compile(r"(?<=[A-Za-z]:)\\\S*|(?<!\S)\\\\\w[\w.-]*\\\S+")
_OPTION = re.compile(r"\s*\[[^\[\]]{0,100}\](?=\s*\{)")
_ACCENTED = re.compile(r"\s*\{\s*(\\[ij]\b|[^\W\d_]?)\s*\}|\s*(\\[ij])(?![A-Za-z])\s?|([^\W\d_])")
_ACCENTED_AFTER_NAME = re.compile(r"\s*\{\s*\\?[^\W\d_]\s*\}|\s+[^\W\d_](?!\w)")
_AFTER_APOSTROPHE = re.compile(r"(?<=[A-Za-z]\\')(?:s|t|re|ll|ve|d|m)(?![A-Za-z\\])")
_BARE_POWER = re.compile(r"[-+]?\d+|\*|[A-Z](?![A-Za-z])")
_BARE_INDEX = re.compile(r"(?<=\b[A-Z]_)\d(?!\w)")
_SETLIKE = re.compile(r"[,:;\"'|]|^\s|\s$")
_TEX_IN_MATH = re.compile(r"\\[A-Za-z]|[\^{]|\w_")
_PROSE = re.compile(
    r"[A-Za-z]{2,}[,;]?\s+[A-Za-z]{2,}|(?<![A-Za-z])(?:and|to|or|per|for|from|of|in|with|the|is)(?![A-Za-z])"
)
_MANY_SPACES = re.compile(r" {2,}")
_CITATION = "\x08"  # stands for something unshown: it takes the space before it away


class _Scope(NamedTuple):
    """What is being read: up to where, in math or in text, inside how many groups."""

    end: int
    math: bool = False
    depth: int = 0

    def inner(self, end: int, *, math: bool | None = None) -> _Scope:
        return _Scope(end, self.math if math is None else math, self.depth + 1)


_Read = tuple[str, int]  # the text read, and the position after it


class _Reader:
    """One left-to-right pass over a source. Every step moves forward and groups are bounded, which bounds the time."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.closing = _matching_braces(source)

    def read(self) -> str:
        text = self._span(0, _Scope(len(self.source)))
        return _MANY_SPACES.sub(" ", text).strip(" ")

    def _span(self, at: int, scope: _Scope) -> str:
        out: list[str] = []
        while at < scope.end:
            plain = _PLAIN.match(self.source, at, scope.end)
            if plain:
                out.append(plain[0])
                at = plain.end()
                continue
            text, at = _STEPS[self.source[at]](self, at, scope)
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
        if close < 0 or not _is_math(self.source[start:close], self.source[close + len(mark) : close + len(mark) + 1]):
            return "$", at + 1
        return self._span(start, scope.inner(close, math=True)).strip(" "), close + len(mark)

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
        path = None if scope.math else _WINDOWS_PATH.match(self.source, at, scope.end)
        if path:
            return path[0], path.end()
        name = _NAME.match(self.source, at + 1, scope.end)
        return self._named(name[0].rstrip("*"), at, name.end(), scope) if name else self._escape(at, scope)

    def _escape(self, at: int, scope: _Scope) -> _Read:
        """Read a backslash before something that is no letter of a name."""
        sign = self.source[at + 1 : at + 2] if at + 1 < scope.end else ""
        if sign in ("(", "[") and not scope.math:
            close = self.source.find("\\" + {"(": ")", "[": "]"}[sign], at + 2, min(scope.end, at + MATH_LIMIT))
            if close < 0:
                return sign, at + 2
            return self._span(at + 2, scope.inner(close, math=True)).strip(" "), close + 2
        if sign in _ACCENTS and not (scope.math and sign in ".="):
            return self._accent(sign, at + 2, scope)
        if sign in _ESCAPED:
            return _ESCAPED[sign], at + 2
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
        return unicodedata.normalize("NFC", letter.removeprefix("\\") + _ACCENTS[sign]), found.end()

    def _named(self, name: str, at: int, after: int, scope: _Scope) -> _Read:
        """Read the macro `name`, whose backslash is at `at` and whose name ends at `after`."""
        if name in _ACCENTS and _ACCENTED_AFTER_NAME.match(self.source, after, scope.end):
            return self._accent(name, self._spaces(after, scope), scope)
        if name in _OVER:
            return self._over(_OVER[name], after, scope)
        if name in _READ_BY_NAME:
            return _READ_BY_NAME[name](self, after, scope)
        if name in _SPACES:
            return " ", after
        if name in _NOTHING:
            invisible = name in ("left", "right") and self.source.startswith(".", after)
            return "", self._spaces(after + invisible, scope)
        if name in _UNSHOWN:
            return _CITATION, self._argument(after, scope)[1]
        symbol = _symbols().get(name)
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
        if name in _OPERATORS:
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
        option = _OPTION.match(self.source, at, scope.end)
        group = self._group(option.end() if option else at, scope)
        if not group:
            return "", at
        if scope.depth >= DEPTH_LIMIT:
            return self.source[group[0] : group[1]], group[1] + 1
        return self._span(group[0], scope.inner(group[1], math=math)), group[1] + 1

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
        return _DOUBLE_STRUCK.get(text, text), after

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
    "\\": _Reader._macro, "$": _Reader._dollar, "^": _Reader._script, "_": _Reader._script,
    "{": _Reader._brace, "}": _Reader._brace,
}  # fmt: skip
_READ_BY_NAME = {
    "frac": _Reader._frac, "dfrac": _Reader._frac, "tfrac": _Reader._frac, "nicefrac": _Reader._frac,
    "sqrt": _Reader._sqrt, "mathbb": _Reader._double_struck, "url": _Reader._url, "path": _Reader._url,
    "href": _Reader._href, "text": _Reader._plain_words, "textrm": _Reader._plain_words,
    "mbox": _Reader._plain_words, "hbox": _Reader._plain_words,
    "textcolor": _Reader._colored, "colorbox": _Reader._colored, "footnote": _Reader._footnote,
}  # fmt: skip


def _matching_braces(source: str) -> dict[int, int]:
    """Map each `{` to its `}`; escaped and unmatched ones are in no pair."""
    pairs: dict[int, int] = {}
    open_at: list[int] = []
    for found in re.finditer(r"\\.|[{}]", source, re.DOTALL):
        if found[0] == "{":
            open_at.append(found.start())
        elif found[0] == "}" and open_at:
            pairs[open_at.pop()] = found.start()
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
    table = _SUPERSCRIPTS if sign == "^" else _SUBSCRIPTS
    if all(letter in table for letter in text) and sum(map(str.isalpha, text)) <= _SMALL_LETTERS_LIMIT[sign]:
        return "".join(table[letter] for letter in text)
    return f"{sign}{text}" if re.fullmatch(r"[\w.∗⋆⊙⊕∞]+", text) else f"{sign}({text})"


def _one_term(text: str) -> str:
    text = text.strip()
    return text if re.fullmatch(r"\w*[⁰-₟¹²³]*", text) else f"({text})"
