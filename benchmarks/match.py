"""Measure matching against what else could do it, in one run on one machine: `python benchmarks/match.py`.

Papers and queries are made up, deterministic and plain (lower-case words without plurals, Zipf's law), so that every
peer can be given the same meaning and must find the same pairs; ours runs with the whole language on. Each contender
runs in a process of its own, so that memory can be told apart, and is given its queries compiled before the clock
starts: the clock covers a new batch of papers until every query knows its papers. Ours forgets the words of earlier
batches each time. The C floor is floor.c beside this file: the same answer with nothing of the language.

Peers come from PyPI into build/peers; one that cannot be had is reported absent. What is too slow is run on a sample of
the queries, marked "~". `--quick` takes under a minute, `--growth` shows how time and memory grow with queries and
papers, `--queries 1000000 --only "ours,C floor,tantivy,SQLite FTS5"` is the large table.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import random
import re
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

VOCABULARY = 30_000  # distinct words of the papers
ABSTRACT_WORDS = 160
TITLE_WORDS = 10
COMMON = 60  # most frequent words, which nobody subscribes to
SAMPLE = 500  # queries of the contenders that look at each query alone
PEERS = Path("build/peers")
PACKAGES = ("tantivy", "hyperscan", "pyahocorasick")

# A query is alternatives; an alternative is (words wanted, words excluded, phrases wanted).
Alternative = tuple[list[str], list[str], list[list[str]]]
Made = list[Alternative]


# --- input ------------------------------------------------------------------------------------------------------------


def make_words(chance: random.Random) -> list[str]:
    """Return distinct words of five to eight letters, none of them a plural."""
    words: dict[str, None] = {}
    while len(words) < VOCABULARY:
        word = "".join(chance.choice("bcdfglmnprtvz") + chance.choice("aeiou") for _ in range(chance.choice((3, 3, 4))))
        words[word[: chance.choice((5, 6, 8))]] = None
    return list(words)


def make_papers(words: list[str], count: int, seed: int) -> list[tuple[str, str]]:
    """Return `(title, abstract)` of papers whose words follow Zipf's law."""
    chance = random.Random(seed)
    weights = list(accumulate(1 / (rank + 2.7) for rank in range(len(words))))
    found = []
    for _ in range(count):
        drawn = chance.choices(words, cum_weights=weights, k=TITLE_WORDS + ABSTRACT_WORDS)
        sentences = [" ".join(drawn[at : at + 20]) for at in range(TITLE_WORDS, len(drawn), 20)]
        found.append((" ".join(drawn[:TITLE_WORDS]), ". ".join(sentences) + "."))
    return found


def make_queries(words: list[str], count: int) -> list[Made]:
    """Return distinct queries: words, pairs, phrases from older papers, alternatives and exclusions."""
    chance = random.Random(7)
    weights = list(accumulate(1 / (rank + 2.7) for rank in range(COMMON, len(words))))
    older = [text.split() for text, _ in make_papers(words, 4_000, seed=11)]
    wanted = words[COMMON:]
    found: dict[str, Made] = {}
    while len(found) < count:
        one, two, three = chance.choices(wanted, cum_weights=weights, k=3)
        kind = chance.random()
        if kind < 0.25:
            made: Made = [([one], [], [])]
        elif kind < 0.60:
            made = [([one, two], [], [])] if one != two else [([one], [], [])]
        elif kind < 0.70:
            made = [([one, two, three], [], [])]
        elif kind < 0.85:
            at, size, text = chance.randrange(7), chance.choice((2, 2, 3)), chance.choice(older)
            made = (
                [([], [], [text[at : at + size]])] if chance.random() < 0.5 else [([one], [], [text[at : at + size]])]
            )
        elif kind < 0.95:
            made = [([one], [], []), ([two, three], [], [])]
        else:
            made = [([one], [two], [])] if one != two else [([one], [], [])]
        found.setdefault(written(made), made)
    return list(found.values())


def written(query: Made) -> str:
    """Write a query in the subscription language."""
    return " OR ".join(
        " ".join([*wanted, *(f'"{" ".join(phrase)}"' for phrase in phrases), *(f"-{word}" for word in excluded)])
        for wanted, excluded, phrases in query
    )


def texts(papers: list[tuple[str, str]]) -> list[str]:
    """Return one text per paper for the peers; a word of its own keeps phrases from running over the title's end."""
    return [f"{title} zzbreakzz {abstract}" for title, abstract in papers]


def fingerprint(pairs: Iterable[tuple[int, int]]) -> tuple[int, str]:
    """Return the number of distinct pairs and a digest of them all."""
    distinct = sorted(set(pairs))
    return len(distinct), hashlib.sha256(repr(distinct).encode()).hexdigest()[:16]


# --- contenders: each yields a function that matches once and returns (query, paper) pairs ----------------------------

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
QUICK = ("ours", "C floor", "tantivy", "SQLite FTS5", "loop of in")
GROWTH = (250_000, 500_000, 1_000_000)
BATCHES = (500, 1_000, 2_000)


# --- running ----------------------------------------------------------------------------------------------------------

NOTES: dict[str, float] = {}


def note(name: str, value: float) -> None:
    """Remember a figure of this contender for the table."""
    NOTES[name] = value


def memory() -> float:
    """Return the resident memory of this process in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def contend(name: str, papers: int, queries: int, rounds: int) -> None:
    """Run one contender and print what came of it as JSON."""
    words = make_words(random.Random(1))
    batch, made = make_papers(words, papers, seed=3), make_queries(words, queries)
    base = memory()
    for run in CONTENDERS[name](batch, made):
        seconds: list[float] = []
        cpu: list[float] = []
        gc.collect()
        gc.freeze()  # the made-up input is not the contender's to walk through
        for _ in range(rounds):
            pairs: Iterable[tuple[int, int]] = ()  # what the round before found is not freed on this one's time
            started, busy = time.perf_counter(), time.process_time()
            pairs = run()
            taken = time.perf_counter() - started
            cpu.append(time.process_time() - busy)
            seconds.append(NOTES.pop("seconds itself", taken))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        count, digest = fingerprint(pairs)
        print(
            json.dumps({"seconds": seconds, "cpu": cpu, "pairs": count, "digest": digest, "MB": peak - base, **NOTES})
        )


def python_for(name: str) -> str | None:
    """Return the interpreter that has a contender's package, if any; the first use installs them."""
    if name not in CONTENDERS or (name in TOOLS and not shutil.which(TOOLS[name])):
        return None
    module = {"tantivy": "tantivy", "hyperscan": "hyperscan", "pyahocorasick": "ahocorasick"}.get(name)
    if module is None:
        return sys.executable
    if not PEERS.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
        for package in PACKAGES:
            subprocess.run([str(PEERS / "bin/pip"), "install", "-q", package], check=False)
    python = str(PEERS / "bin/python")
    known = subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0
    return python if known else None


def measured(name: str, papers: int, queries: int, rounds: int) -> dict[str, Any] | str:
    """Run a contender in a process of its own; return its figures, or why there are none."""
    python = python_for(name)
    if python is None:
        return "absent"
    sizes = ["--papers", str(papers), "--queries", str(queries), "--rounds", str(rounds)]
    done = subprocess.run([python, __file__, "--contend", name, *sizes], capture_output=True, text=True)
    if done.returncode:
        return f"failed  {done.stderr.strip().splitlines()[-1][:80] if done.stderr else ''}"
    got: dict[str, Any] = json.loads(done.stdout)
    got["median"] = statistics.median(got["seconds"]) / got.get("share", 1.0)
    return got


def compare(names: Iterable[str], papers: int, queries: int, rounds: int) -> None:
    """Print the table of contenders beside ours."""
    print(f"{papers:,} papers x {queries:,} distinct queries, median of {rounds} runs\n")
    print(
        f"{'':16}{'match':>10}{'times ours':>12}{'cpu':>10}{'pairs found':>14}{'peak MB':>10}{'load':>9}{'others':>9}"
    )
    best, digest = 0.0, ""
    for name in names:
        busy = os.getloadavg()[0]
        got = measured(name, papers, queries, rounds)
        if isinstance(got, str):
            print(f"{name:16}{got[:6]:>10}{got[6:]}", flush=True)
            continue
        sample = "share" in got
        cpu = "" if name in TOOLS else f"{statistics.median(got['cpu']) / got.get('share', 1.0):.3f} s"
        seconds = got["median"]
        best, digest = (best, digest) if best else (seconds, got["digest"])
        same = "sample" if sample else "same" if got["digest"] == digest else "DIFFER"
        load = f"{got['load seconds']:.2f} s" if "load seconds" in got else ""
        print(
            f"{name:16}{'~' * sample + format(seconds, '.3f'):>8} s{seconds / best:>11.2f}x{cpu:>10}"
            f"{got['pairs']:>9,} {same:6}{got['MB']:>8.0f}{load:>9}{busy:>9.1f}",
            flush=True,
        )
    print("\ncpu: what the process itself used, which other work disturbs less. load: making the queries ready.")
    print("others: what else the machine was doing, as its load average before the row.")


def grow(rounds: int) -> None:
    """Print how ours grows with the queries and with the papers, each step as a multiple of the one before."""
    for axis, steps in (("queries", ((1_000, n) for n in GROWTH)), ("papers", ((n, 100_000) for n in BATCHES))):
        print(f"{axis:>10}{'match':>12}{'ratio':>8}{'peak MB':>10}{'load':>9}{'ratio':>8}")
        before: dict[str, Any] | None = None
        for papers, queries in steps:
            got = measured("ours", papers, queries, rounds)
            assert not isinstance(got, str), got
            ratios = [f"{got[key] / before[key]:.2f}x" if before else "" for key in ("median", "load seconds")]
            size = queries if axis == "queries" else papers
            print(
                f"{size:>10,}{got['median']:>10.3f} s{ratios[0]:>8}{got['MB']:>10.0f}{got['load seconds']:>7.2f} s"
                f"{ratios[1]:>8}",
                flush=True,
            )
            before = got
        print()


def main() -> None:
    """Run what is asked for."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--papers", type=int, default=1_000)
    arguments.add_argument("--queries", type=int, default=100_000)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--only", default="", help="names of contenders, with commas between them")
    arguments.add_argument("--quick", action="store_true", help="a smaller table in under a minute")
    arguments.add_argument("--growth", action="store_true", help="how ours grows with queries and papers")
    arguments.add_argument("--contend", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    names = chosen.only.split(",") if chosen.only else [*CONTENDERS, *OUT_OF_REACH]
    if chosen.contend:
        contend(chosen.contend, chosen.papers, chosen.queries, chosen.rounds)
    elif chosen.growth:
        grow(chosen.rounds)
    elif chosen.quick:
        compare(QUICK, chosen.papers, 20_000, 3)
    else:
        compare(names, chosen.papers, chosen.queries, chosen.rounds)


if __name__ == "__main__":
    main()
