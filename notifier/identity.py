"""Identity: when are two entries, perhaps on two pages in two formats, one paper?

Owns the keys of a paper and the rule that compares two papers that share one. Keys, strongest first:

- `arxiv:<id>` without version (https://info.arxiv.org/help/arxiv_identifier.html); a DataCite DOI of arXiv is this key;
- `doi:<name>`, lower-case, without resolver (DOI Handbook 2.4);
- `title:<letters and digits>`, the title reduced until TeX, Unicode and white space spell it alike.

A strong key decides alone. A title decides only when nothing contradicts it: see `same`.
"""

from __future__ import annotations

import re
import unicodedata

from notifier.model import Paper

# A title this short is often shared ("Editorial", "Reply"): it needs more evidence than being equal.
SHORT_TITLE = 20
ABSTRACT_START = 80  # letters and digits of two abstracts that must agree to count as the same text

_NEW_STYLE = r"\d{4}\.\d{4,5}"
_OLD_STYLE = r"[A-Za-z]+(?:-[A-Za-z]+)?(?:\.[A-Za-z]{2})?/\d{7}"
_ARXIV = re.compile(
    rf"(?:^|arxiv:|arxiv\.|abs/|pdf/|html/|papers/|oai:arxiv\.org:)({_NEW_STYLE}|{_OLD_STYLE})(?:v(\d{{1,3}}))?"
    r"(?=$|[^\w/.-]|\.pdf|\.(?:\s|$))",
    re.IGNORECASE,
)
_COMMON_ARXIV = re.compile(r"(?:https?://arxiv\.org/abs/|/abs/)?(\d\d(?:0[1-9]|1[0-2])\.\d{4,5})(?:v(\d{1,3}))?")
_DOI = re.compile(r"\b(10\.\d{4,9}/[^\s\"<>]+)", re.ASCII)
_ARXIV_DOI = re.compile(rf"10\.48550/arxiv\.({_NEW_STYLE}|{_OLD_STYLE})(?:v\d+)?$", re.IGNORECASE)


def arxiv_id(text: str) -> tuple[str, int | None] | None:
    """Find an arXiv identifier in an id, link or OAI name: (id without version, version if stated), else None."""
    found = _COMMON_ARXIV.fullmatch(text) or _ARXIV.search(text.strip())
    if not found:
        return None
    name, version = found.groups()
    if "/" in name:
        archive, number = name.split("/")
        # An archive's subject class ("math.AG/0601001") is not part of the identifier.
        name = f"{archive.split('.')[0].lower()}/{number}"
    elif not 1 <= int(name[2:4]) <= 12:
        return None
    return name, int(version) if version else None


def doi(text: str) -> str | None:
    """Find a DOI name in text or a resolver link, lower-case; trailing punctuation of a sentence is not part of it."""
    found = _DOI.search(text)
    return found.group(1).rstrip(".,;:)]}'").lower() if found else None


def keys(paper: Paper) -> tuple[str, ...]:
    """Return the identity keys of a paper, strongest first; never empty for a paper that has a title."""
    arxiv, name = _strong(paper)
    found = [f"arxiv:{arxiv}"] if arxiv else []
    if name:
        found.append(f"doi:{name}")
    title = title_key(paper.title_tex or paper.title)
    if title:
        found.append(f"title:{title}")
    return tuple(found) or (f"{paper.source}:{paper.source_key}",)


def same(one: Paper, other: Paper) -> bool:
    """Tell whether two papers that share a key are one.

    Equal arXiv ids or DOIs decide; different arXiv ids decide against. With only the title in common the authors
    must overlap where both name any. A title that is short, that one source lists under two keys of its own
    ("Editorial", "Papers of the week"), or that has two DOIs, says too little: the abstracts must begin alike.
    """
    (one_arxiv, one_doi), (other_arxiv, other_doi) = _strong(one), _strong(other)
    if one_arxiv and other_arxiv:
        return one_arxiv == other_arxiv
    if one_doi and one_doi == other_doi:
        return True
    title = title_key(one.title_tex or one.title)
    if title != title_key(other.title_tex or other.title):
        return False
    listed_apart = one.source == other.source and one.source_key != other.source_key
    if not title:
        return one.source == other.source and not listed_apart
    if len(title) < SHORT_TITLE or listed_apart or (one_doi and other_doi):
        return _same_text(one, other)
    if one.authors and other.authors:
        return bool(_family_names(one) & _family_names(other))
    return True


def _same_text(one: Paper, other: Paper) -> bool:
    """Tell whether both have an abstract and these begin alike."""
    start, start_other = (_letters(paper.abstract)[:ABSTRACT_START] for paper in (one, other))
    return bool(start) and start == start_other


def _strong(paper: Paper) -> tuple[str | None, str | None]:
    """The arXiv id and the DOI; a DataCite DOI of arXiv counts as the former."""
    datacite = _ARXIV_DOI.search(paper.doi) if paper.doi else None
    if datacite:
        return paper.arxiv_id or datacite.group(1).lower(), None
    return paper.arxiv_id, paper.doi


# Commands that only dress their argument; every other command is read by its name, as plain renderings print it.
_DRESS = re.compile(
    r"\\(?:text(?:bf|it|sc|tt|rm|sf|up|sl|normal|superscript|subscript)?|math(?:bf|it|rm|sf|tt|cal|bb|frak|scr)"
    r"|emph|bm|boldsymbol|operatorname|mbox|hbox|left|right)(?![A-Za-z])"
)
_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu "
    "nu xi pi rho sigma sigma tau upsilon phi chi psi omega"
)
_GREEK_NAMES = dict(zip("αβγδεζηθικλμνξπρσςτυφχψω", _GREEK.split(), strict=True))
_SYMBOL_NAMES = _GREEK_NAMES | {"×": "times", "∇": "nabla", "∞": "infty", "→": "to", "∂": "partial", "±": "pm"}
_SYMBOLS = str.maketrans({symbol: f" {name} " for symbol, name in _SYMBOL_NAMES.items()})


def title_key(title: str) -> str:
    """Reduce a title to lower-case letters and digits, alike for TeX source, its Unicode form and its bare rendering.

    Letters of scripts without case or accents are kept, so that a Chinese title has a key too.
    """
    return _letters(_DRESS.sub("", title))


def _letters(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text.casefold().translate(_SYMBOLS)).casefold().translate(_SYMBOLS)
    return "".join(letter for letter in folded if letter.isalnum())


def _family_names(paper: Paper) -> frozenset[str]:
    names = set()
    for author in paper.authors:
        family = author.split(",")[0] if "," in author else author.rsplit(" ", 1)[-1]
        names.add(_letters(family))
    return frozenset(names - {""})
