"""Symbols: what macros, accents and small letters of TeX stand for, mostly from the tables of pylatexenc."""

from __future__ import annotations

import re
from functools import cache

from pylatexenc.latex2text import get_default_latex_context_db
from pylatexenc.latexencode import get_builtin_uni2latex_dict


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


ESCAPED = {c: c for c in "%&_#${}|"} | dict.fromkeys(",;: >\n", " ") | dict.fromkeys("!-/@()[]", "") | {"\\": " "}
ACCENTS = {
    "'": "\u0301", "`": "\u0300", "^": "\u0302", '"': "\u0308", "~": "\u0303", "=": "\u0304", ".": "\u0307",
    "u": "\u0306", "v": "\u030c", "H": "\u030b", "c": "\u0327", "k": "\u0328", "r": "\u030a", "d": "\u0323",
    "b": "\u0331", "t": "\u0361",
}  # fmt: skip
OVER = {
    "hat": "\u0302", "widehat": "\u0302", "tilde": "\u0303", "widetilde": "\u0303", "bar": "\u0304", "dot": "\u0307",
    "ddot": "\u0308", "vec": "\u20d7", "check": "\u030c", "breve": "\u0306", "acute": "\u0301", "grave": "\u0300",
    "mathring": "\u030a", "overline": "\u0304",
}  # fmt: skip
SUPERSCRIPTS = dict(zip(
    "0123456789+-−=()abcdefghijklmnoprstuvwxyzABDEGHIJKLMNOPRTUVWαβγδθ*′∗†‡°∘⊤T⋆",
    "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᴬᴮᴰᴱᴳᴴᴵᴶᴷᴸᴹᴺᴼᴾᴿᵀᵁⱽᵂᵅᵝᵞᵟᶿ*′*†‡°°ᵀᵀ⋆", strict=True,
))  # fmt: skip
SUBSCRIPTS = dict(zip(
    "0123456789+-−=()aehijklmnoprstuvxβγρφχ",
    "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ", strict=True,
))  # fmt: skip
SMALL_LETTERS_LIMIT = {"^": 2, "_": 1}  # "10ᵗʰ" is legible, "Eᵢₛₒ" is not

DOUBLE_STRUCK = dict(zip("CHNPQRZ", "ℂℍℕℙℚℝℤ", strict=True))
NOTHING = _words(
    "left right middle big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr displaystyle textstyle scriptstyle "
    "limits nolimits rm it bf em tt sc sf sl cal small large Large footnotesize normalfont bfseries itshape "
    "ttfamily scshape rmfamily noindent centering protect xspace allowbreak nobreak mathstrut null relax "
    "ensuremath nonumber leavevmode"
)
SPACES = _words("quad qquad newline linebreak par smallskip medskip bigskip space hfill thinspace enspace")
UNSHOWN = _words("cite citep citet citealp label ref eqref vspace hspace color thanks vskip nocite begin end")
_OWN = {
    "deg": "°", "degree": "°", "textdegree": "°", "LaTeX": "LaTeX", "TeX": "TeX", "eg": "e.g.", "ie": "i.e.",
    "etc": "etc.", "etal": "et al.", "textgreater": ">", "textless": "<", "textbackslash": "\\", "gt": ">", "lt": "<",
    "textasciitilde": "~", "textasciicircum": "^", "textunderscore": "_", "prime": "′", "ne": "≠", "item": "•",
    "phi": "φ", "varphi": "φ", "epsilon": "ε", "bullet": "•", "ldots": "…", "dots": "…", "textemdash": "—",
    "textendash": "–", "slash": "/", "colon": ":", "textbar": "|", "vert": "|", "Vert": "‖",
    "lbrace": "{", "rbrace": "}",
    "today": "today", "bmod": "mod", "ast": "∗", "star": "⋆", "textquotesingle": "'", "textmu": "μ", "micro": "μ",
}  # fmt: skip
OPERATORS = _words(
    "log ln lg exp sin cos tan cot sec csc sinh cosh tanh arcsin arccos arctan max min sup inf lim limsup "
    "liminf arg argmax argmin det dim ker deg gcd Pr hom mod"
)
COMMANDS = (
    NOTHING | SPACES | UNSHOWN | set(OVER)
    | _words("textbf textit texttt textsc textrm text emph mathrm mathbf mathcal mathbb frac sqrt url href footnote")
)  # fmt: skip


@cache
def symbols() -> dict[str, str]:
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
    for unread in (NOTHING | SPACES | UNSHOWN | set(OVER)) & set(found):
        del found[unread]
    return found | {name: name for name in OPERATORS - {"deg"}} | _OWN
