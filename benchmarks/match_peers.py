"""Contenders of the benchmark of matching: each yields a function that matches once and returns what it found."""

from __future__ import annotations

import os
import re
import resource
import sqlite3
import subprocess
import tempfile
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.match_input import Alternative, Made, texts, written

SAMPLE = 500  # queries of the contenders that look at each query alone

Run = Callable[[], Iterable[tuple[int, int]]]


def ours(papers: list[tuple[str, str]], queries: list[Made]) -> Iterator[Run]:
    """Our engine, its queries added from canonical text."""
    from notifier.match import QuerySet
    from notifier.match.chunks import chunk
    from notifier.model import Paper, QueryId
    from notifier.query import canonical, parse
    from notifier.query.plurals import _without_s

    batch = [
        Paper(source="made-up", source_key=str(number), title=title, abstract=abstract, url="")
        for number, (title, abstract) in enumerate(papers)
    ]
    stored: Iterable[tuple[QueryId, str]] = ((QueryId(number), written(query)) for number, query in enumerate(queries))
    if len(queries) <= 100_000:  # what the database holds is canonical; here the difference is order only
        stored = [(number, canonical(parse(text))) for number, text in stored]
    before, started = memory(), time.perf_counter()
    known = QuerySet(stored)
    note("load seconds", time.perf_counter() - started)
    note("queries MB", memory() - before)

    def run() -> Iterable[tuple[int, int]]:
        chunk.cache_clear()  # every batch as if it were the first
        _without_s.cache_clear()
        found = list(known.match(batch))
        return ((number, place) for number, places in found for place in places.tolist())

    yield run


def c_floor(papers: list[tuple[str, str]], queries: list[Made]) -> Iterator[Run]:
    """The same answer by floor.c, which tells its own time."""

    def compiled(alternative: Alternative) -> str:
        wanted, excluded, phrases = alternative
        return " ".join(
            [
                *(f"+{word}" for word in wanted),
                *(f"={'_'.join(p)}" for p in phrases),
                *(f"-{word}" for word in excluded),
            ]
        )

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = Path(__file__).with_name("floor.c")
        subprocess.run(["gcc", "-O3", "-march=native", "-o", folder / "floor", source], check=True)
        (folder / "papers").write_text("".join(f"{text}\n" for text in texts(papers)))
        (folder / "queries").write_text("".join(" | ".join(map(compiled, made)) + "\n" for made in queries))

        def run() -> Iterable[tuple[int, int]]:
            command = [folder / "floor", folder / "papers", folder / "queries", folder / "pairs", "1"]
            note("seconds itself", float(subprocess.run(command, check=True, capture_output=True).stdout))
            pairs = array("i")
            pairs.frombytes((folder / "pairs").read_bytes())
            return zip(pairs[::2], pairs[1::2], strict=True)

        yield run


def tantivy(papers: list[tuple[str, str]], queries: list[Made]) -> Iterator[Run]:
    """Index the batch, one search per query."""
    import tantivy as engine

    schema = engine.SchemaBuilder().add_text_field("text", tokenizer_name="default").build()
    query = engine.Query

    def term(word: str) -> Any:
        return query.term_query(schema, "text", word, index_option="basic")

    def compiled(alternative: Alternative) -> Any:
        wanted, excluded, phrases = alternative
        parts = [(engine.Occur.Must, term(word)) for word in wanted]
        parts += [(engine.Occur.Must, query.phrase_query(schema, "text", phrase)) for phrase in phrases]
        parts += [(engine.Occur.MustNot, term(word)) for word in excluded]
        return parts[0][1] if len(parts) == 1 else query.boolean_query(parts)

    known = [
        compiled(made[0])
        if len(made) == 1
        else query.boolean_query([(engine.Occur.Should, compiled(alternative)) for alternative in made])
        for made in queries
    ]

    def run() -> Iterable[tuple[int, int]]:
        index = engine.Index(schema)
        writer = index.writer(heap_size=100_000_000, num_threads=1)
        for text in texts(papers):
            writer.add_document(engine.Document(text=text))
        writer.commit()
        writer.wait_merging_threads()
        index.reload()
        searcher = index.searcher()
        assert searcher.num_segments == 1, "documents are numbered in order within one segment"
        found = [searcher.search(each, limit=len(papers), count=False).hits for each in known]
        return ((number, at.doc) for number, hits in enumerate(found) for _, at in hits)

    yield run


def fts5(papers: list[tuple[str, str]], queries: list[Made]) -> Iterator[Run]:
    """SQLite FTS5 in memory, one MATCH per query."""

    def compiled(alternative: Alternative) -> str:
        wanted, excluded, phrases = alternative
        parts = " AND ".join([*wanted, *(f'"{" ".join(phrase)}"' for phrase in phrases)])
        return f"(({parts}){''.join(f' NOT {word}' for word in excluded)})"

    known = [" OR ".join(map(compiled, made)) for made in queries]

    def run() -> Iterable[tuple[int, int]]:
        database = sqlite3.connect(":memory:")
        database.execute("CREATE VIRTUAL TABLE paper USING fts5(text, content='', tokenize='unicode61')")
        database.executemany("INSERT INTO paper(rowid, text) VALUES (?, ?)", enumerate(texts(papers)))
        found = [database.execute("SELECT rowid FROM paper WHERE paper MATCH ?", (each,)).fetchall() for each in known]
        return ((number, row[0]) for number, rows in enumerate(found) for row in rows)

    yield run


def _from_bits(queries: list[Made], bits: dict[str, int], every: int) -> list[tuple[int, int]]:
    """Evaluate queries over the papers of every term: what a set of literals needs on top of its scan."""
    found = []
    for number, made in enumerate(queries):
        union = 0
        for wanted, excluded, phrases in made:
            each = every
            for word in wanted:
                each &= bits.get(word, 0)
            for phrase in phrases:
                each &= bits.get(" ".join(phrase), 0)
            for word in excluded:
                each &= ~bits.get(word, 0)
            union |= each
        if union:
            found.append((number, union))
    return [(number, place) for number, union in found for place in range(union.bit_length()) if union >> place & 1]


def _literals(queries: list[Made]) -> list[str]:
    terms = {word for made in queries for wanted, excluded, _ in made for word in (*wanted, *excluded)}
    terms |= {" ".join(phrase) for made in queries for _, _, phrases in made for phrase in phrases}
    return sorted(terms)


def _plain(papers: list[tuple[str, str]]) -> list[str]:
    return [" " + re.sub(r"[^a-z]+", " ", text.lower()) + " " for text in texts(papers)]


def hyperscan(papers: list[tuple[str, str]], queries: list[Made]) -> Iterator[Run]:
    """One database of all terms, one scan per paper, then bit operations."""
    import hyperscan as engine

    terms = _literals(queries)
    database = engine.Database(mode=engine.HS_MODE_BLOCK)
    flags = engine.HS_FLAG_SINGLEMATCH
    started = time.perf_counter()
    database.compile(
        expressions=[rf"\b{term}\b".encode() for term in terms], ids=list(range(len(terms))), flags=[flags] * len(terms)
    )
    note("load seconds", time.perf_counter() - started)

    def run() -> Iterable[tuple[int, int]]:
        bits: dict[str, int] = {}
        for place, text in enumerate(_plain(papers)):
            here: list[int] = []
            database.scan(text.encode(), match_event_handler=lambda number, *_: here.append(number))  # noqa: B023
            for number in here:
                bits[terms[number]] = bits.get(terms[number], 0) | 1 << place
        return _from_bits(queries, bits, (1 << len(papers)) - 1)

    yield run


def ahocorasick(papers: list[tuple[str, str]], queries: list[Made]) -> Iterator[Run]:
    """One automaton of all terms, one scan per paper, then bit operations."""
    import ahocorasick as engine

    automaton = engine.Automaton()
    started = time.perf_counter()
    for term in _literals(queries):
        automaton.add_word(f" {term} ", term)
    automaton.make_automaton()
    note("load seconds", time.perf_counter() - started)

    def run() -> Iterable[tuple[int, int]]:
        bits: dict[str, int] = {}
        for place, text in enumerate(_plain(papers)):
            for term in {term for _, term in automaton.iter(text)}:
                bits[term] = bits.get(term, 0) | 1 << place
        return _from_bits(queries, bits, (1 << len(papers)) - 1)

    yield run


def loop_of_in(papers: list[tuple[str, str]], queries: list[Made]) -> Iterator[Run]:
    """`term in text` for every query and paper."""
    sample = queries[:: max(1, len(queries) // SAMPLE)]
    note("share", len(sample) / len(queries))

    def run() -> Iterable[tuple[int, int]]:
        plain = _plain(papers)
        found = []
        for number, made in enumerate(sample):
            for place, text in enumerate(plain):
                for wanted, excluded, phrases in made:
                    if (
                        all(f" {word} " in text for word in wanted)
                        and all(f" {' '.join(phrase)} " in text for phrase in phrases)
                        and not any(f" {word} " in text for word in excluded)
                    ):
                        found.append((number, place))
                        break
        return found

    yield run


def one_re_each(papers: list[tuple[str, str]], queries: list[Made]) -> Iterator[Run]:
    """One compiled pattern of lookaheads per query, searched in every paper."""
    sample = queries[:: max(1, len(queries) // SAMPLE)]
    note("share", len(sample) / len(queries))

    def compiled(alternative: Alternative) -> str:
        wanted, excluded, phrases = alternative
        must = [*wanted, *(" ".join(phrase) for phrase in phrases)]
        if len(must) == 1 and not excluded:
            return rf"\b{must[0]}\b"
        return "^" + "".join(rf"(?=.*\b{term}\b)" for term in must) + "".join(rf"(?!.*\b{word}\b)" for word in excluded)

    known = [re.compile("|".join(map(compiled, made))) for made in sample]

    def run() -> Iterable[tuple[int, int]]:
        plain = _plain(papers)
        return [(n, place) for n, each in enumerate(known) for place, text in enumerate(plain) if each.search(text)]

    yield run


def postgresql(papers: list[tuple[str, str]], queries: list[Made]) -> Iterator[Run]:
    """tsquery against tsvector with a GIN index, one join, on a server of its own."""

    def compiled(alternative: Alternative) -> str:
        wanted, excluded, phrases = alternative
        parts = [*wanted, *(f"({' <-> '.join(phrase)})" for phrase in phrases), *(f"!{word}" for word in excluded)]
        return "(" + " & ".join(parts) + ")"

    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as sql:
        sql("CREATE TABLE query (id int, wanted tsquery)")
        rows = "".join(f"{number}\t{' | '.join(map(compiled, made))}\n" for number, made in enumerate(queries))
        sql("COPY query FROM STDIN", rows)
        sql("ANALYZE query")
        batch = "".join(f"{place}\t{text}\n" for place, text in enumerate(texts(papers)))

        def run() -> Iterable[tuple[int, int]]:
            sql("DROP TABLE IF EXISTS paper; CREATE TABLE paper (id int, text text, words tsvector)")
            sql("COPY paper (id, text) FROM STDIN", batch)
            out = sql(
                "UPDATE paper SET words = to_tsvector('simple', text); CREATE INDEX ON paper USING gin (words);"
                "ANALYZE paper; SET enable_seqscan = on;"
                "COPY (SELECT query.id, paper.id FROM query JOIN paper ON words @@ wanted) TO STDOUT"
            )
            pairs = (line.split("\t") for line in out.splitlines() if "\t" in line)
            return [(int(number), int(place)) for number, place in pairs]

        yield run


class server:
    """A PostgreSQL server on a socket in a folder, for as long as the context lasts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []

    def __enter__(self) -> Callable[..., str]:
        self.folder.chmod(0o777)
        tools = Path(
            subprocess.run(["pg_config", "--bindir"], check=True, capture_output=True, text=True).stdout.strip()
        )
        self.control = [*self.user, str(tools / "pg_ctl"), "-D", str(self.folder / "db"), "-w"]
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
        subprocess.run([*self.user, str(tools / "initdb"), "-D", str(self.folder / "db"), "-A", "trust"], **quiet)  # type: ignore[call-overload]
        settings = f"-k {self.folder} -c listen_addresses= -c fsync=off -c shared_buffers=512MB -c work_mem=64MB"
        subprocess.run([*self.control, "-o", settings, "-l", str(self.folder / "log"), "start"], **quiet)  # type: ignore[call-overload]
        owner = "postgres" if self.user else os.environ.get("USER", "postgres")
        client = ["psql", "-h", str(self.folder), "-U", owner, "-d", "postgres", "-qAt", "-v", "ON_ERROR_STOP=1"]

        def sql(statement: str, rows: str = "") -> str:
            command = [*client, "-c", statement]
            return subprocess.run(command, check=True, input=rows, capture_output=True, text=True).stdout

        return sql

    def __exit__(self, *_: object) -> None:
        subprocess.run([*self.control, "stop", "-m", "immediate"], check=False, stdout=subprocess.DEVNULL, cwd="/")


CONTENDERS: dict[str, Callable[[list[tuple[str, str]], list[Made]], Iterator[Run]]] = {
    "ours": ours,
    "C floor": c_floor,
    "tantivy": tantivy,
    "SQLite FTS5": fts5,
    "hyperscan": hyperscan,
    "pyahocorasick": ahocorasick,
    "PostgreSQL": postgresql,
    "loop of in": loop_of_in,
    "one re each": one_re_each,
}
TOOLS = {"C floor": "gcc", "PostgreSQL": "pg_config"}  # programs that a contender needs
OUT_OF_REACH = ("Lucene Monitor",)  # no package of it comes from PyPI

NOTES: dict[str, float] = {}


def note(name: str, value: float) -> None:
    """Remember a figure of this contender for the table."""
    NOTES[name] = value


def memory() -> float:
    """Return the resident memory of this process in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6
