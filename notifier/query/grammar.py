"""Read the subscription language: text to syntax tree, or an error that says where, why and what would do.

Promises: linear time and bounded size (`LENGTH_LIMIT`, `TERM_LIMIT`), no regular expressions from outside, every
failure a `QueryError` with a 1-based column and, where one is found, a valid query close to what was written.
docs/queries.md is the language's definition.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from lark import Lark, Token, Tree, UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from notifier.errors import QueryError
from notifier.query import terms
from notifier.query.nodes import (
    EVERYTHING_WORD,
    NOTHING,
    Everything,
    Query,
    Scope,
    canonical,
    conjunction,
    disjunction,
    leaves,
    negation,
)
from notifier.query.words import parts

LENGTH_LIMIT = 1_000  # characters of a query, as written and in canonical text
TERM_LIMIT = 64  # words and conditions of a query

GRAMMAR = r"""
    ?start: disjunction
    ?disjunction: conjunction (_OR conjunction)*
    ?conjunction: negation (_AND? negation)*
    ?negation: (NOT | MINUS)+ operand  -> negation
        | operand
    ?operand: term
        | "(" disjunction ")"
        | FIELD term                   -> field
        | FIELD "(" disjunction ")"    -> field
    term: WORD | QUOTED | NEAR | EXACT | STAR | VOTES

    _OR.9: /OR(?=[\s()]|$)/
    _AND.9: /AND(?=[\s()]|$)/
    NOT.9: /NOT(?=[\s()]|$)/
    VOTES.8: /upvotes\s*[<>=]+\s*\d+(?=[\s()]|$)/i
    FIELD.7: /[A-Za-z]+:(?!\/\/)/
    EXACT.6: /="[^"]*"|=[^\s()"]+/
    NEAR.6: /"[^"]*"~\d+/
    QUOTED.5: /"[^"]*"/
    STAR.5: /\*(?=[\s()]|$)/
    MINUS.4: /-(?=[^\s])/
    WORD: /(?!(?:AND|OR|NOT)(?:[\s()]|$))[^\s()"=*-][^\s()"]*/

    %ignore /\s+/
"""
EXPECTED = {  # what a person calls the grammar's terminals
    "WORD": "a word",
    "LPAR": '"("',
    "RPAR": '")"',
    "_OR": "OR",
    "$END": "the end",
}
# Typographic quotes, full-width punctuation and control characters, each replaced one for one: columns stay right.
_PLAIN = str.maketrans(
    dict.fromkeys("“”„‟«»＂", '"')
    | {"（": "(", "）": ")", "：": ":", "＝": "=", "＊": "*", "−": "-", "－": "-", "\u3000": " "}
    | {chr(code): " " for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}
)


@cache
def _parser() -> Lark:
    """Build the parser from the grammar, when the first query is read."""
    return Lark(GRAMMAR, parser="lalr", propagate_positions=True)


def parse(text: str) -> Query:
    """Return the normal form of a query; raise `QueryError` with column, reason and the nearest valid query."""
    try:
        return _parse(text)
    except _Misread as misread:
        reason, column = misread.reason, misread.start + 1
        suggestion = next((fixed for fixed in misread.repairs() if _is_valid(fixed)), None)
    raise QueryError(text[:LENGTH_LIMIT], column, reason, suggestion)


class _Misread(Exception):
    """What is wrong with `text` at [start, end), and by what it might be replaced."""

    def __init__(self, text: str, start: int, end: int, reason: str, replacement: str | None = None) -> None:
        self.text, self.start, self.end, self.reason, self.replacement = text, start, end, reason, replacement
        super().__init__(reason)

    def repairs(self) -> Iterator[str]:
        """Yield texts that may be valid, the closest first."""
        text = self.text[:LENGTH_LIMIT]
        before, after = text[: self.start], text[self.end :]
        if self.replacement is not None:
            yield " ".join(f"{before}{self.replacement}{after}".split())
        if text.count('"') % 2:
            yield text + '"'
        if (missing := text.count("(") - text.count(")")) > 0:
            yield text.rstrip() + ")" * missing
        yield re.sub(r"(?:\s*(?:\b(?:AND|OR|NOT)|[-&|+=:(]+))+\s*$", "", text)
        yield " ".join(f"{before}{after}".split())
        yield re.sub(r"^\s*(?:(?:AND|OR)\s+)+", "", text)
        yield f"* {text}"
        yield " ".join(part.surface for part in parts(text)[:8])


def _is_valid(text: str) -> bool:
    try:
        _parse(text)
    except _Misread:
        return False
    return True


def _parse(text: str) -> Query:
    if len(text) > LENGTH_LIMIT:
        raise _Misread(text, LENGTH_LIMIT, len(text), f"expected at most {LENGTH_LIMIT:,} characters")
    plain = text.translate(_PLAIN)
    if not plain.strip():
        raise _Misread(plain, 0, 0, "expected a word, or * for everything", "*")
    try:
        tree = _parser().parse(plain)
    except UnexpectedInput as error:
        raise _explained(plain, error) from None
    _check_size(plain, tree)
    if plain.strip().casefold() == EVERYTHING_WORD:
        return Everything()
    query = _build(plain, tree, None)
    if query == NOTHING:
        raise _Misread(plain, 0, len(plain), "this can never match", None)
    if not any(asked for _, asked in leaves(query)):
        raise _Misread(plain, 0, 0, "expected at least one term that is not excluded", "* ")
    if len(canonical(query)) > LENGTH_LIMIT:
        raise _Misread(plain, 0, len(plain), f"expected at most {LENGTH_LIMIT:,} characters once written out")
    return query


def _explained(text: str, error: UnexpectedInput) -> _Misread:
    """Turn the parser's complaint into words."""
    expected = "a word"
    if isinstance(error, UnexpectedToken):
        names = error.accepts or error.expected
        expected = "a word" if "WORD" in names else " or ".join(EXPECTED[name] for name in EXPECTED if name in names)
        if error.token.type == "$END":
            return _Misread(text, len(text), len(text), f"expected {expected} before the end")
        start = error.token.start_pos or 0
        return _Misread(text, start, start + len(error.token), f'expected {expected} before "{_short(error.token)}"')
    assert isinstance(error, UnexpectedCharacters), "the lexer and the parser raise nothing else"
    start = error.pos_in_stream or 0
    if text[start] == '"':
        return _Misread(text, start, start + 1, 'expected a closing "')
    if text[start] == "-":
        return _Misread(text, start, start + 1, "expected the excluded word right after the minus sign")
    return _Misread(text, start, start + 1, f'expected {expected} instead of "{text[start]}"')


def _check_size(text: str, tree: Tree[Token] | Token) -> None:
    if isinstance(tree, Token):
        return
    count = 0
    for term in tree.find_data("term"):
        token = term.children[0]
        assert isinstance(token, Token)
        count += max(1, len(token.split())) if token.type in ("QUOTED", "NEAR", "EXACT") else 1
    if count > TERM_LIMIT:
        raise _Misread(text, 0, len(text), f"expected at most {TERM_LIMIT} terms, not {count}")


def _build(text: str, tree: Tree[Token] | Token, field: str | None) -> Query:
    """Build the tree's normal form; `field` is the field that the tree stands in."""
    assert isinstance(tree, Tree), "terms are wrapped in a rule of their own"
    if tree.data == "disjunction":
        return disjunction([_build(text, part, field) for part in tree.children])
    if tree.data == "conjunction":
        return conjunction([_build(text, part, field) for part in tree.children])
    if tree.data == "negation":
        query = _build(text, tree.children[-1], field)
        return query if len(tree.children) % 2 else negation(query)
    token = tree.children[0]
    assert isinstance(token, Token)
    start, end = token.start_pos or 0, token.end_pos or 0
    try:
        if tree.data == "field":
            if field is not None:
                raise terms.TermError(f"{field}: already says where to look, expected a word", "")
            return _build(text, tree.children[1], terms.field_named(token[:-1]))
        return _term(token, field)
    except terms.TermError as error:
        raise _Misread(text, start, end, error.reason, error.replacement) from None


def _term(token: Token, field: str | None) -> Query:
    """Read one term in its field."""
    read = terms.FIELDS[field] if field else None
    if token.type in ("STAR", "VOTES") and field:
        raise terms.TermError(f"expected a value for {field}:", "")
    if read:
        if token.type == "NEAR":
            raise terms.TermError(f"~ counts words of the text, not of {field}:", token.rpartition("~")[0])
        return read(token.removeprefix("=").strip('"'))
    scope = Scope(field or "")
    match token.type:
        case "STAR":
            return Everything()
        case "VOTES":
            return terms.votes(token)
        case "NEAR":
            return terms.near(token, scope)
        case "EXACT":
            return terms.exact(token[1:].strip('"'), scope)
        case "QUOTED":
            return terms.quoted(token.strip('"'), scope)
    if re.match(r"[A-Za-z]+:(?!//)", token):
        raise terms.TermError(f"expected a word for {field}:, not another field", token.partition(":")[2])
    return terms.bare(token, scope)


def _short(token: str) -> str:
    return token if len(token) <= 20 else f"{token[:20]}..."
