"""The engine against a slow evaluator written straight from docs/queries.md, on random queries and texts.

The evaluator knows nothing of the engine: it has its own idea of words, boundaries and Boolean logic, over a small
vocabulary chosen for its traps (compounds, function words, plurals, digits, single letters).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from notifier.errors import QueryError
from notifier.match import Corpus, QuerySet, explain, marks, match
from notifier.model import Paper, QueryId
from notifier.query import canonical, parse

SINGULAR = {
    "fine": "fine", "tuning": "tuning", "finetuning": "finetuning", "graph": "graph", "graphs": "graph",
    "in": "in", "formation": "formation", "information": "information", "bio": "bio", "gas": "gas", "biogas": "biogas",
    "gpt": "gpt", "4": "4", "gpt4": "gpt4", "llm": "llm", "llms": "llm", "plan": "plan", "e": "e", "plane": "plane",
    "planes": "plane", "study": "study", "studies": "study", "the": "the", "of": "of", "state": "state", "art": "art",
    "analyses": "analysis", "analysis": "analysis",
}  # fmt: skip
FUNCTION = {"in", "the", "of"}
SPELLED = [*SINGULAR, "LLMs", "Graphs", "GPT", "Fine", "The", "In"]


@dataclass(frozen=True)
class Token:
    word: str
    spelled: str
    hyphen: bool  # a hyphen, not a space, stands before it


def loose(first: Token, second: Token) -> bool:
    """Whether nothing at all may stand between two words."""
    if second.hyphen:
        return True
    return not ({first.word, second.word} & FUNCTION) and not (len(second.word) == 1 and second.word.isalpha())


def has_word(tokens: list[Token], key: str) -> bool:
    for i, token in enumerate(tokens):
        run = token.word
        if run == key or (i + 1 < len(tokens) and run + tokens[i + 1].word == key and loose(token, tokens[i + 1])):
            return True
        for other in tokens[i + 1 : i + 4]:
            if not other.hyphen:
                break
            run += other.word
            if run == key:
                return True
    return False


def boundaries(tokens: list[Token]) -> dict[int, bool]:
    """Offset in the letters -> whether what stands there is loose."""
    found, offset = {}, 0
    for before, token in pairwise(tokens):
        offset += len(before.word)
        found[offset] = loose(before, token)
    return found


def has_phrase(tokens: list[Token], phrase: list[Token]) -> bool:
    wanted, known = "".join(token.word for token in phrase), boundaries(phrase)
    for i in range(len(tokens)):
        for j in range(i + 1, len(tokens) + 1):
            if "".join(token.word for token in tokens[i:j]) == wanted:
                here = boundaries(tokens[i:j])
                alone = set(known) ^ set(here)
                if all(known.get(offset, here.get(offset)) for offset in alone):
                    return True
    return False


def has_near(tokens: list[Token], words: set[str], distance: int) -> bool:
    places: dict[str, list[int]] = {word: [] for word in words}
    for i in range(len(tokens)):
        for word in words:
            if tokens[i].word == word or any(
                has_word(tokens[i:j], word) and starts(tokens[i:j], word) for j in (i + 2, i + 3, i + 4)
            ):
                places[word].append(i)
    return any(
        all(any(start <= place <= start + distance for place in found) for found in places.values())
        for start in range(len(tokens))
    )


def starts(tokens: list[Token], key: str) -> bool:
    return has_word(tokens, key) and not has_word(tokens[1:], key)


def cut(text: str) -> list[Token]:
    tokens = []
    for chunk in text.replace(",", " ").split():
        for place, spelled in enumerate(chunk.split("-")):
            tokens.append(Token(SINGULAR[spelled.lower()], spelled, place > 0))
    return tokens


def has_exact(text: str, spelled: str) -> bool:
    return any(token.spelled == spelled for token in cut(text))


def has_prefix(text: str, key: str) -> bool:
    for chunk in text.replace(",", " ").split():
        pieces = [piece.lower() for piece in chunk.split("-")]
        for i in range(len(pieces)):
            for j in range(i + 1, min(i + 4, len(pieces)) + 1):
                if ("".join(SINGULAR[piece] for piece in pieces[i : j - 1]) + pieces[j - 1]).startswith(key):
                    return True
    return False


def holds(query: tuple, paper: Paper) -> bool:  # type: ignore[type-arg]
    kind, *rest = query
    if kind in ("and", "or"):
        return (all if kind == "and" else any)(holds(part, paper) for part in rest)
    if kind == "not":
        return not holds(rest[0], paper)
    if kind == "votes":
        return paper.upvotes is not None and paper.upvotes >= rest[0]
    if kind == "cat":
        return any(name == rest[0] or name.startswith(rest[0] + ".") for name in paper.categories)
    value, scope = rest[0], rest[1]
    texts = {"": [paper.title, paper.abstract], "title:": [paper.title], "abstract:": [paper.abstract]}[scope]
    if kind == "exact":
        return any(has_exact(text, value) for text in texts)
    if kind == "prefix":
        return any(has_prefix(text, value) for text in texts)
    tokens = cut(value)
    if kind == "near":
        return any(has_near(cut(text), {token.word for token in tokens}, rest[2]) for text in texts)
    if len(tokens) == 1:
        return any(has_word(cut(text), tokens[0].word) for text in texts)
    if len(tokens) == 2 and loose(tokens[0], Token(tokens[1].word, "", hyphen=False)):
        return any(has_word(cut(text), tokens[0].word + tokens[1].word) for text in texts)
    return any(has_phrase(cut(text), tokens) for text in texts)


def written(query: tuple) -> str:  # type: ignore[type-arg]
    kind, *rest = query
    if kind == "and":
        return "(" + " AND ".join(map(written, rest)) + ")"
    if kind == "or":
        return "(" + " OR ".join(map(written, rest)) + ")"
    if kind == "not":
        return "NOT " + written(rest[0])
    if kind == "votes":
        return f"upvotes>={rest[0]}"
    if kind == "cat":
        return f"cat:{rest[0]}"
    value, scope = rest[0], rest[1]
    return scope + {"text": f'"{value}"', "exact": f"={value}", "prefix": f"{value}*"}.get(
        kind, f'"{value}"~{rest[-1]}'
    )


words = st.sampled_from(SPELLED)
gaps = st.sampled_from([" ", " ", " ", "-", ", "])
scopes = st.sampled_from(["", "", "title:", "abstract:"])


@st.composite
def texts(draw: st.DrawFn, most: int = 12) -> str:
    size = draw(st.integers(0, most))
    return "".join(draw(words) + draw(gaps) for _ in range(size)).rstrip(" ,-")


@st.composite
def phrases(draw: st.DrawFn) -> str:
    size = draw(st.sampled_from([1, 1, 2, 2, 3, 4]))
    return "".join(draw(words) + draw(st.sampled_from([" ", " ", "-"])) for _ in range(size)).rstrip(" -")


leaves = st.one_of(
    st.tuples(st.just("text"), phrases(), scopes),
    st.tuples(st.just("text"), phrases(), scopes),
    st.tuples(st.just("exact"), words, scopes),
    st.tuples(
        st.just("prefix"), st.sampled_from(["fin", "finet", "gra", "grap", "inf", "stud", "studi", "gpt"]), scopes
    ),
    st.tuples(
        st.just("near"), st.sampled_from(["graph llm", "plan fine art", "study gpt4"]), scopes, st.integers(1, 4)
    ),
    st.tuples(st.just("votes"), st.integers(0, 3)),
    st.tuples(st.just("cat"), st.sampled_from(["cs", "cs.CL", "stat"])),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.just("and"), inner, inner),
        st.tuples(st.just("or"), inner, inner, inner),
        st.tuples(st.just("and"), inner, inner, inner),
        st.tuples(st.just("not"), inner),
    ),
    max_leaves=8,
)
papers = st.builds(
    lambda title, abstract, votes, categories: Paper(
        source="s", source_key="k", title=title, abstract=abstract, url="", upvotes=votes, categories=tuple(categories)
    ),
    texts(6),
    texts(),
    st.none() | st.integers(0, 3),
    st.lists(st.sampled_from(["cs.CL", "cs.LG", "stat.ML"]), max_size=2),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(papers, min_size=1, max_size=6), st.lists(trees, min_size=1, max_size=4))
def test_the_engine_finds_what_the_slow_evaluator_finds(batch: list[Paper], queries: list[tuple]) -> None:  # type: ignore[type-arg]
    # Every query gets one term that is asked for; that also keeps it from meaning nothing at all.
    asked = [("or", query, ("text", "biogas", "")) for query in queries]
    known = {}
    for number, query in enumerate(asked):
        known[QueryId(number)] = parse(written(query))
    expected = {
        (number, place)
        for number, query in enumerate(asked)
        for place, paper in enumerate(batch)
        if holds(query, paper)
    }
    assert {(hit.query, hit.paper) for hit in match(batch, known)} == expected
    again = QuerySet((number, canonical(query)) for number, query in known.items())
    assert {(hit.query, hit.paper) for hit in match(batch, again)} == expected, (
        "the canonical text means something else"
    )
    corpus = Corpus(batch)
    assert {(number, place) for number, query in known.items() for place in corpus.match(query)} == expected
    for number, query in known.items():
        assert parse(canonical(query)) == query
        for place, paper in enumerate(batch):
            assert explain(query, paper).matched == ((number, place) in expected)


SPICE = st.text(
    st.sampled_from("aAsSéñßıΑαςσ推理のモ\u0301\u200b\u202e\u00ad\ufb01\ufdfa½²-‑_–'’.$\\{}()\"=*~:<> \n3x"),
    max_size=40,
)


@settings(max_examples=400, deadline=None)
@example("", "3:\u00ad:3")
@given(SPICE, SPICE)
def test_any_two_texts_can_be_matched_and_marked(title: str, other: str) -> None:
    paper = Paper(source="s", source_key="k", title=title, abstract=other + title, url="")
    for text in (title, other, f'"{other}"', f"={title}"):
        try:
            query = parse(text)
        except QueryError as error:
            assert 1 <= error.column <= len(text) + 1
            assert error.suggestion is None or parse(error.suggestion)
            continue
        assert parse(canonical(query)) == query
        assert bool(match([paper], {QueryId(1): query})) == explain(query, paper).matched
        found = marks([query], paper)
        for spans, whole in ((found.title, paper.title), (found.abstract, paper.abstract)):
            assert all(0 <= start < end <= len(whole) for start, end in spans)
            assert all(before[1] <= after[0] for before, after in pairwise(spans))


pieces = st.sampled_from([*SPELLED, "推理", "模型", "因果推理", "α", "don't", "3.5", "LLM's", r"$\tau$", "ﬁne", "x"])
joints = st.sampled_from([" ", " ", " ", "-", "/", ", ", "，", "\u200b", "", "\x1e", "’"])
mixed = st.lists(st.tuples(pieces, joints), max_size=10).map(lambda found: "".join(map("".join, found)))


@settings(max_examples=200, deadline=None)
@example(
    [("推理 模型", "", None), ("推理", "模型", None), ("推理模型", "", None)], [("", "推理模型"), ("", "推理 模型")]
)
@example(
    [("fine-tuning of graphs", "in formation", None), ("", "finetuning", "of graph")], [("", "finetuning of graph")]
)
@given(
    st.lists(st.tuples(mixed, mixed, st.none() | mixed), min_size=1, max_size=4),
    st.lists(st.tuples(scopes, mixed), min_size=1, max_size=6),
)
def test_a_batch_finds_what_reading_each_paper_finds(
    spelled: list[tuple[str, str, str | None]], asked: list[tuple[str, str]]
) -> None:
    batch = [
        Paper(source="s", source_key="k", title=title, abstract=abstract, url="", title_tex=tex)
        for title, abstract, tex in spelled
    ]
    queries = {}
    for scope, text in [*asked, *(("", title[:12]) for title, _, _ in spelled)]:
        try:
            queries[QueryId(len(queries))] = parse(f'{scope}"{text}"')
        except QueryError:
            continue
    expected = {
        (number, place)
        for number, query in queries.items()
        for place, paper in enumerate(batch)
        if explain(query, paper).matched
    }
    assert {(hit.query, hit.paper) for hit in match(batch, queries)} == expected
    corpus = Corpus(batch)
    assert {(number, place) for number, query in queries.items() for place in corpus.match(query)} == expected
