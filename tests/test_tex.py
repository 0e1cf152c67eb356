"""TeX in titles and abstracts reads as a person would want it to, and what is not TeX stays as it is."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from notifier.tex import readable
from notifier.tex.accents import accented
from notifier.tex.read import Reader
from notifier.tex.repair import repaired, typography


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("$\\textbf{S}^2$IP-LLM", "S²IP-LLM"),
        ("$\\tau$-bench", "τ-bench"),
        ("$τ$-bench", "τ-bench"),
        ("Allo{SR}$^2$", "AlloSR²"),
        ("SL$^{2}$A", "SL²A"),
        ("SGG-R$^{\\rm 3}$", "SGG-R³"),
        ("360$^\\circ$ and 90{\\deg} views", "360° and 90° views"),
        ("$\\nabla^2$DFT", "∇²DFT"),
        ("LLM$\\times$Map", "LLM×Map"),
        ("in $O(n \\log n)$ and $\\mathcal{O}(u\\log n)$ time", "in O(n log n) and O(u log n) time"),
        ("$x_1$, $x_i$, $x_{i+1}$, $E_{\\rm iso}$", "x₁, xᵢ, xᵢ₊₁, E_iso"),
        ("$10^{15}$ and $2^{-n}$ and $e^{-2x}$", "10¹⁵ and 2⁻ⁿ and e⁻²ˣ"),
        ("$\\frac{a}{b+1}$ of $\\sqrt{n}$", "a/(b+1) of √n"),
        ("$\\mathbb{R}^d$, $\\hat{k}$, $\\dot M$", "ℝᵈ, k̂, Ṁ"),
        ("their \\( O(n^3) \\) cost", "their O(n³) cost"),
        ("$10\\,000\\,\\mathrm{km}$, 20.98\\,dB", "10 000 km, 20.98 dB"),
        ("$M_\\odot\\gtrsim10^9$", "M_⊙≳10⁹"),
        ("$V(\\phi)=\\lambda \\phi^4/4!$", "V(φ)=λφ⁴/4!"),
        ("$\\left( x \\right)$", "( x )"),
        ("a ratio $< 1$ at $p < 0.05$", "a ratio < 1 at p < 0.05"),
    ],
)
def test_mathematics_reads_as_unicode(source: str, expected: str) -> None:
    assert readable(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Caf\\'e, Erd\\H{o}s, na\\\"{\\i}ve", "Café, Erdős, naïve"),
        ('Fran\\c{c}ois, \\v{S}koda, \\"Ust\\"un, vis-\\`a-vis', "François, Škoda, Üstün, vis-à-vis"),
        ("\\AA ngstr\\\"om, \\O re, Stra\\ss e, \\L{}\\'od\\'z", "Ångström, Øre, Straße, Łódź"),
        ("an object\\'s size, don\\'t", "an object's size, don't"),
        ("Schr\\ödinger", "Schrödinger"),
    ],
)
def test_accents_read_as_letters(source: str, expected: str) -> None:
    assert readable(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("\\textsc{Foo} and \\emph{bar}, {\\it baz}, \\textbf{\\textit{qux}}", "Foo and bar, baz, qux"),
        ("Public~Safety -- a---b -- Mean--Variance", "Public Safety – a—b – Mean–Variance"),
        ("``quoted'' and `single'", "“quoted” and ‘single’"),
        ("50\\% of Q\\&A \\#1 in m\\_vIoU", "50% of Q&A #1 in m_vIoU"),
        ("as shown~\\cite{gull2020, plough1999}, and", "as shown, and"),
        ("code\\footnote{https://x.example}.", "code (https://x.example)."),
        ("at \\url{https://x.example/a\\_b}", "at https://x.example/a_b"),
        ("at \\href{https://x.example/a}{https://x.example/a}", "at https://x.example/a"),
        ("see \\href{https://x.example/a}{our page}", "see our page (https://x.example/a)"),
        ("\\textcolor{red}{Warning}", "Warning"),
        ("(\\eg, gulls; \\ie birds)", "(e.g., gulls; i.e. birds)"),
        ("A Network\\ for Gulls \\& Ploughs", "A Network for Gulls & Ploughs"),
        ("\\begin{itemize}\\item one \\item two\\end{itemize}", "• one • two"),
    ],
)
def test_markup_in_text_leaves_the_text(source: str, expected: str) -> None:
    assert readable(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("We propose \\ours, \\MoIR{} and {\\name}.", "We propose ours, MoIR and name."),
        ("\\unheardof{some words} stay", "some words stay"),
        ("\\method-trained", "method-trained"),
    ],
)
def test_a_macro_of_the_authors_own_keeps_its_argument_or_its_name(source: str, expected: str) -> None:
    assert readable(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("R^textbf{2AI}", "R²ᴬᴵ"),
        ("via texttt{D}ual-texttt{H}ead", "via Dual-Head"),
        (r"emph{\'a}", "á"),
        ("360^circ Panorama", "360° Panorama"),
        (
            "A^2FM, UFO^3, X^{2}-Gaussian, V_{0.5}, UI2Code^N: x, FaSTA^*: y",
            "A²FM, UFO³, X²-Gaussian, V_0.5, UI2Codeᴺ: x, FaSTA*: y",
        ),
        ("{\\\\it media} and $\\\\lambda$", "media and λ"),
        ("code at https://x.example/a{https://x.example/a}.", "code at https://x.example/a."),
        ("get https://x.example/a{the code}", "get the code (https://x.example/a)"),
        ("valued at \\1 million", "valued at 1 million"),
    ],
)
def test_markup_that_a_site_has_damaged_is_still_read(source: str, expected: str) -> None:
    assert readable(source) == expected


@pytest.mark.parametrize(
    "text",
    [
        "from $5 and $10 to $200k or $1M",
        "costs of $3M to $300M+ in 5 years, and <$0.30/M tokens",
        "Fixing 7,400 Bugs for 1$: Cheap",
        "for $15-40 USD, $50-$100/month or $5/$10",
        "at 5 $ or 6 $ more, in $US or in C$ too",
        f"a lone $x{'.' * 600}$ dollar",
        "100% of C:\\Users\\alice\\tex and \\\\server\\share\\x",
        "a regex \\d+ or \\n in code",
        "snake_case, model_2 and x_1",
        "~145 words, about ~9 tokens, 10~20",
        "https://x.example/~joe/a--b",
        "run --verbose; <!-- x -->",
        "the set {a, b} and {-1, 0, 1}",
        "use `cat.n.01` here",
        "pass^k and a^b",
        "π_RL and V_AI",
        "{",
        "}",
        "$",
        "^",
        "\\",
        "plain text, nothing more.",
        "",
    ],
)
def test_what_is_not_markup_stays_as_it_is(text: str) -> None:
    assert readable(text) == text


@given(st.text(st.characters() | st.sampled_from("\\${}^_~`'-()[]aR2 "), max_size=200))
def test_no_text_breaks_the_reader(source: str) -> None:
    assert len(readable(source)) <= 4 * len(source) + 40


@given(st.text(st.characters(exclude_characters="\\$^{}~`-_")))
def test_text_without_markup_is_returned_as_it_is(source: str) -> None:
    assert readable(source) is source


PIECES = [
    "\\'", "\\`", '\\"', "\\^", "\\~", "\\=", "\\.", "{\\'e}", "{\\^c}", '\\"{o}', "\\'i", "{", "}", "$", "^", "circ",
    "C:", "Bob", "s", "t", "re", " ", "-", "--", "`", "'", "_", "\\", "\\i", "\\v", "\\alpha", "é", "$x_1$", "$\\mu$",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=10).map("".join))
@example("\\^circ").via("a degree, no accent")
@example("Bob\\'s").via("an apostrophe, no accent")
def test_accents_are_read_the_quick_way_as_they_are_the_long_way(source: str) -> None:
    assert accented(source) in (None, Reader(typography(repaired(source))).read())


@pytest.mark.parametrize(
    "attack",
    ["{", "}", "$", "$ ", "\\", "^", "^{", "_{", "\\(", "\\frac{", "^\\hat", "``", "a~", "$a b ", "\\href{",
     "https://a{b ", "\\[ $", "\\text{$", "a$\u0301\u0323", "\\cite{", "\\'{", "\\\\it", "textbf{", "{a "],
)  # fmt: skip
def test_a_hundred_thousand_of_anything_cost_less_than_a_few_seconds(attack: str) -> None:
    start = time.process_time()
    readable(attack * 100_000)
    readable(attack * 50_000 + "}" * 50_000)
    assert time.process_time() - start < 5


def test_text_without_markup_is_read_at_megabytes_a_second() -> None:
    text = "A gull follows a plough, and the plough does not mind. " * 20_000
    start = time.process_time()
    assert readable(text) is text
    took = time.process_time() - start
    print(f"{len(text) / 1e6:.1f} MB in {took * 1e3:.1f} ms")
    assert took < 1
