"""Measure what hostile pages cost: `python benchmarks/hostile_pages.py` writes docs/hostile-pages.md.

Each attack is put into a page of every format whose shape it concerns, and the page is parsed as the daemon does it,
in a new worker process each time. Wall time is the caller's; processor time and peak memory are the worker's, read from
/proc every few milliseconds until it is gone, so they are low by at most what fits between two looks. "limit" says who
stopped it: the parser by its own bounds (a reason), the worker's limits (killed), or nobody (papers read).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

from notifier import __version__
from notifier.confine import Limits, confine
from notifier.errors import PageError, ParserFailed, ParserKilled
from notifier.model import Page
from notifier.parse import FORMATS

TICKS = os.sysconf("SC_CLK_TCK")
LOOK = 0.003  # seconds between two looks at a worker
LOOP_LOOK = 0.005  # seconds between two beats of the event loop
SECRET = "MIT License"  # in the file that an external entity asks for
REPORT = Path(__file__).resolve().parent.parent / "docs" / "hostile-pages.md"


# --- pages ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Form:
    """A page of one format in pieces; an entry holds NUMBER, TITLE and ABSTRACT, the head may hold COUNT."""

    format: str
    shape: str
    head: str
    entry: str
    tail: str
    between: str = ""

    def page(self, title: str = "Loud Ploughs", abstract: str = "We listen.", entries: int = 1) -> str:
        made = (
            self.entry.replace("NUMBER", f"{number:05}").replace("TITLE", title).replace("ABSTRACT", abstract)
            for number in range(1, entries + 1)
        )
        tail = self.tail.replace("TITLE", title).replace("ABSTRACT", abstract)
        return self.head.replace("COUNT", str(entries)) + self.between.join(made) + tail.replace("COUNT", str(entries))


LONG = "A gull that follows a plough follows the loudest thing in the field, as seven ploughs and one gull show. "
FORMS = [
    Form("arxiv-api", "xml",
         '<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom" '
         'xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/"><title>arXiv Query</title>'
         "<opensearch:totalResults>COUNT</opensearch:totalResults>"
         "<opensearch:startIndex>0</opensearch:startIndex><opensearch:itemsPerPage>COUNT</opensearch:itemsPerPage>",
         "<entry><id>http://arxiv.org/abs/2605.NUMBERv1</id><title>TITLE</title><summary>ABSTRACT</summary>"
         "<published>2026-05-01T08:18:33Z</published><author><name>Ines Quay</name></author></entry>\n", "</feed>"),
    Form("arxiv-feed", "xml",
         '<?xml version="1.0"?><rss version="2.0"><channel><title>phys.TD updates on arXiv.org</title>'
         "<link>http://rss.arxiv.org/rss/phys.TD</link><description>phys.TD updates on the arXiv.org e-print archive."
         "</description><pubDate>Tue, 05 May 2026 00:00:00 -0400</pubDate>",
         "<item><title>TITLE</title><link>https://arxiv.org/abs/2605.NUMBER</link><description>arXiv:2605.NUMBERv1 "
         "Announce Type: new\nAbstract: ABSTRACT</description><category>phys.TD</category></item>\n",
         "</channel></rss>"),
    Form("arxiv-list", "html",
         '<!DOCTYPE html><html><head><title>Tidal Dynamics</title></head><body><div id="dlpage"><h1>Tidal Dynamics</h1>'
         '<h3>Showing new listings for Tuesday, 5 May 2026</h3><dl id="articles">'
         "<h3>New submissions (showing COUNT of COUNT entries)</h3>",
         '<dt><a href="/abs/2605.NUMBER" title="Abstract" id="2605.NUMBER">arXiv:2605.NUMBER</a></dt><dd>'
         '<div class="meta"><div class="list-title mathjax"><span class="descriptor">Title:</span>TITLE</div>'
         '<div class="list-authors"><a href="/a">Ines Quay</a></div><div class="list-subjects">'
         '<span class="primary-subject">Tidal Dynamics (phys.TD)</span></div><p class="mathjax">ABSTRACT</p></div>'
         "</dd>\n",
         "</dl></div></body></html>"),
    Form("arxiv-mail", "text",
         "Date: Tue,  5 May 26 00:31:14 GMT\nSubject: phys daily COUNT new + 0 crosses received\n\n" + "-" * 78
         + "\n Submissions to:\nTidal Dynamics\n received from  Fri  1 May 26 18:00:00 GMT  to  Mon  4 May 26 18:00:00 "
         "GMT\n" + "-" * 78 + "\n" + "-" * 78 + "\n",
         "\\\\\narXiv:2605.NUMBER\nDate: Mon, 4 May 2026 09:00:06 GMT   (324kb,D)\n\nTitle: TITLE\n"
         "Authors: Ines Quay\nCategories: phys.TD\n\\\\\n  ABSTRACT\n"
         "\\\\ ( https://arxiv.org/abs/2605.NUMBER ,  324kb)\n" + "-" * 78 + "\n",
         "%%%---%%%---%%%---%%%---\n"),
    Form("biorxiv", "xml",
         '<?xml version="1.0"?><rdf:RDF xmlns="http://purl.org/rss/1.0/" '
         'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/">'
         '<channel rdf:about="http://biorxiv.org"><title>bioRxiv Subject Collection: Ornithology</title>'
         "<link>http://biorxiv.org</link><description>fictional</description></channel>",
         '<item rdf:about="http://biorxiv.org/cgi/content/short/2026.04.30.7NUMBERv1?rss=1"><title>TITLE</title>'
         "<link>http://biorxiv.org/cgi/content/short/2026.04.30.7NUMBERv1?rss=1</link><description>ABSTRACT</description>"
         "<dc:creator>Quay, A. B.</dc:creator><dc:date>2026-05-02</dc:date>"
         "<dc:identifier>doi:10.1101/2026.04.30.7NUMBER</dc:identifier></item>\n", "</rdf:RDF>"),
    Form("biorxiv", "json",
         '{"messages": [{"status": "ok", "cursor": 0, "count": COUNT, "total": "COUNT"}], "collection": [',
         '{"doi": "10.1101/2026.04.30.7NUMBER", "title": "TITLE", "authors": "Quay, A. B.", "date": "2026-05-02", '
         '"version": "1", "category": "ornithology", "abstract": "ABSTRACT", "server": "bioRxiv"}', "]}", ",\n"),
    Form("crossref", "json",
         '{"status": "ok", "message-type": "work-list", "message": {"total-results": COUNT, "items-per-page": COUNT, '
         '"items": [', '{"DOI": "10.5555/NUMBER", "title": ["TITLE"], "abstract": "ABSTRACT"}', "]}}", ",\n"),
    Form("daily-papers-text", "text",
         "new\n\nSubscribe\n\nDaily Papers\n\nbyAK and the research community\n\nAug 6\n\n",
         f"TITLE NUMBER\n\n{LONG}ABSTRACT\n\n", ""),
    Form("feed", "xml",
         '<?xml version="1.0"?><rss version="2.0"><channel><title>Journal of Tides</title>'
         "<link>https://tides.example/</link><description>Fictional papers</description>",
         '<item><title>TITLE</title><link>https://tides.example/NUMBER</link><guid isPermaLink="false">NUMBER</guid>'
         "<description>ABSTRACT</description></item>\n", "</channel></rss>"),
    Form("feed", "json",
         '{"version": "https://jsonfeed.org/version/1.1", "title": "Gull Papers", "items": [',
         '{"id": "https://gulls.example/NUMBER", "url": "https://gulls.example/NUMBER", "title": "TITLE", '
         '"content_text": "ABSTRACT"}', "]}", ",\n"),
    Form("hf-daily", "json", "[",
         '{"paper": {"id": "2605.NUMBER", "authors": [{"name": "Ines Quay"}], '
         '"publishedAt": "2026-05-01T17:59:02.000Z", "title": "TITLE", "summary": "ABSTRACT", "upvotes": 12}, '
         '"publishedAt": "2026-05-04T04:11:09.000Z", '
         '"title": "TITLE", "numComments": 2}', "]", ",\n"),
    Form("hf-daily", "html",
         '<!doctype html><html><head><title>Daily Papers</title></head><body><div data-target="DailyPapers" '
         'data-props="{&quot;date&quot;: &quot;2026-05-04T00:00:00.000Z&quot;, &quot;dailyPapers&quot;: [',
         "{&quot;paper&quot;: {&quot;id&quot;: &quot;2605.NUMBER&quot;, &quot;title&quot;: &quot;T&quot;, "
         "&quot;summary&quot;: &quot;A&quot;, &quot;upvotes&quot;: 1}, &quot;title&quot;: &quot;T&quot;}",
         ']}"></div><h3>TITLE</h3><p>ABSTRACT</p></body></html>', ",\n"),
    Form("html", "html",
         '<!DOCTYPE html><html><head><title>Journal of Tides</title></head><body><section id="issue">',
         '<article class="paper" data-id="jt-NUMBER"><h3 class="title"><a href="/NUMBER">TITLE</a></h3>'
         '<p class="by">Ada B. Quay</p><div class="abstract">ABSTRACT</div></article>\n', "</section></body></html>"),
    Form("oai-pmh", "xml",
         '<?xml version="1.0"?><OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><responseDate>2026-05-05T06:00:00Z'
         '</responseDate><request verb="ListRecords" metadataPrefix="arXiv">http://oaipmh.arxiv.org/oai</request>'
         "<ListRecords>",
         "<record><header><identifier>oai:arXiv.org:2605.NUMBER</identifier><datestamp>2026-05-05</datestamp></header>"
         '<metadata><arXiv xmlns="http://arxiv.org/OAI/arXiv/"><id>2605.NUMBER</id><created>2026-05-04</created><authors>'
         "<author><keyname>Quay</keyname></author></authors><title>TITLE</title><categories>phys.TD</categories>"
         "<abstract>ABSTRACT</abstract></arXiv></metadata></record>\n", "</ListRecords></OAI-PMH>"),
    Form("openreview", "json", '{"notes": [',
         '{"id": "note_NUMBER", "forum": "note_NUMBER", "cdate": 1777600000000, "content": '
         '{"title": {"value": "TITLE"}, "abstract": {"value": "ABSTRACT"}}}', '], "count": COUNT}', ",\n"),
]  # fmt: skip
SELECTORS = {"list": "#issue", "item": "article.paper", "title": ".title", "link": ".title a",
             "abstract": ".abstract", "authors": ".by", "id": "@data-id"}  # fmt: skip


# --- attacks ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attack:
    """A way to make a page expensive: `fault` is its number in the fault table, "" for one of our own."""

    name: str
    fault: str
    shapes: str
    make: Callable[[Form], str | bytes]


def behind_declaration(page: str, dtd: str) -> str:
    head, mark, rest = page.partition("?>")
    return head + mark + dtd + rest


def laughs() -> str:
    lines = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    return f'<!DOCTYPE x [<!ENTITY l0 "ha">{lines}]>'


def attributes(number: int) -> str:
    return "<b" + "".join(f' a{n}="1"' for n in range(number)) + ">x</b>"


def noise(size: int) -> bytes:
    return random.Random(1).randbytes(size)


def angle_noise(size: int) -> bytes:
    return bytes(random.Random(2).choices(b"<>&\"'/=!-[]{};: \nabcdefghij", k=size))


TEX = r"$\frac{a}{b}$ {\it x} "
LOCAL_FILE = REPORT.parent.parent / "LICENSE"
MARKUP, ALL = "html xml", "html xml json text"
ATTACKS = [
    Attack("a plain page, for comparison", "", ALL, lambda f: f.page(entries=50)),
    Attack("one element with 40,000 attributes", "26", MARKUP, lambda f: f.page(attributes(40_000))),
    Attack("one element with 200,000 attributes", "26", MARKUP, lambda f: f.page(attributes(200_000))),
    Attack("2,000 elements with 400 attributes each", "26", MARKUP, lambda f: f.page(attributes(400) * 2_000)),
    Attack("200,000 attributes of <html>", "26", "html",
           lambda f: f.page().replace("<html", "<html" + attributes(200_000)[2:-5], 1)),
    Attack("100,000 elements inside each other", "27", MARKUP,
           lambda f: f.page("<i>" * 100_000 + "x" + "</i>" * 100_000)),
    Attack("100,000 unclosed elements", "27", "html", lambda f: f.page("<div><b>" * 50_000)),
    Attack("100,000 misnested <a><b>", "27", "html", lambda f: f.page("<a><b><i>" * 400 + "</a>" * 100_000)),
    Attack("200,000 <!--", "28", MARKUP, lambda f: f.page("<!--" * 200_000)),
    Attack("200,000 closed comments", "28", MARKUP, lambda f: f.page("<!---->" * 200_000)),
    Attack("200,000 < and letters", "28", MARKUP, lambda f: f.page("<a " * 200_000)),
    Attack("an external entity (XXE)", "29", "xml",
           lambda f: behind_declaration(f.page("&x;"), f'<!DOCTYPE x [<!ENTITY x SYSTEM "{LOCAL_FILE.as_uri()}">]>')),
    Attack("an external DTD", "29", "xml",
           lambda f: behind_declaration(f.page(), f'<!DOCTYPE x SYSTEM "{LOCAL_FILE.as_uri()}">')),
    Attack("billion laughs", "30", "xml", lambda f: behind_declaration(f.page("&l9;"), laughs())),
    Attack("quadratic blow-up of one entity", "30", "xml",
           lambda f: behind_declaration(f.page("&a;" * 50_000), f'<!DOCTYPE x [<!ENTITY a "{"a" * 50_000}">]>')),
    Attack("1,000,000 combining marks", "36", ALL, lambda f: f.page("a" + "\u0301\u0323" * 500_000)),
    Attack("1,000,000 ligatures U+FDFA", "36", ALL, lambda f: f.page(abstract="\ufdfa" * 1_000_000)),
    Attack("a title of 5 MB", "37", ALL, lambda f: f.page("word " * 1_000_000)),
    Attack("a title of 5 MB without a blank", "37", ALL, lambda f: f.page("x" * 5_000_000)),
    Attack("an abstract of 5 MB of TeX", "37", ALL,
           lambda f: f.page(abstract=TEX.replace("\\", "\\\\") * 250_000 if f.shape == "json" else TEX * 250_000)),
    Attack("100,000 open braces of TeX", "37", ALL, lambda f: f.page("{" * 50_000 + "$" * 50_000)),
    Attack("50,000 entries", "40", ALL, lambda f: f.page(entries=50_000)),
    Attack("10,000 entries with abstracts of 1 kB", "40", ALL, lambda f: f.page(abstract=LONG * 10, entries=10_000)),
    Attack("1,000,000 entities", "", MARKUP, lambda f: f.page("&amp;" * 1_000_000)),
    Attack("1,000,000 references that name nothing", "", MARKUP, lambda f: f.page("&nosuch;" * 1_000_000)),
    Attack("1,000,000 bare ampersands", "", MARKUP, lambda f: f.page("& " * 1_000_000)),
    Attack("2,000,000 empty elements", "", MARKUP, lambda f: f.page("<i/>" * 2_000_000)),
    Attack("200,000 options of a select", "", "html", lambda f: f.page("<select>" + "<option>" * 200_000)),
    Attack("200,000 tables in tables", "", "html", lambda f: f.page("<table><td>" * 200_000)),
    Attack("JSON nested 100,000 deep", "", "json", lambda f: f.head + "[" * 100_000 + "]" * 100_000 + f.tail),
    Attack("a number of 5,000,000 digits", "", "json", lambda f: f.head + "1" * 5_000_000 + f.tail),
    Attack("1,000,000 keys of an object", "", "json",
           lambda f: f.head + "{" + ",".join(f'"k{n}": 1' for n in range(1_000_000)) + "}" + f.tail),
    Attack("5,000,000 empty lists", "", "json", lambda f: f.head + "[]," * 5_000_000 + "[]" + f.tail),
    Attack("1,000,000 blank lines", "", "text", lambda f: f.page(abstract="x\n" * 1_000_000)),
    Attack("500,000 rules of dashes", "", "text", lambda f: f.page(abstract=("-" * 78 + "\n\\\\\n") * 100_000)),
    Attack("10 MB of noise", "", ALL, lambda _: noise(10_000_000)),
    Attack("10 MB of noise made of markup", "", ALL, lambda _: angle_noise(10_000_000)),
    Attack("10 MB of noise inside a right page", "", ALL,
           lambda f: b"".join(part.encode() + angle_noise(10_000_000) * (n == 0)
                              for n, part in enumerate(f.page("XX").partition("XX")[::2]))),
    Attack("16 MB of NUL", "", ALL, lambda _: bytes(2**24)),
]  # fmt: skip


# --- measuring --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cost:
    """What one page cost: seconds, bytes; `stall` is the longest the event loop did not turn."""

    size: int
    outcome: str
    stopped_by: str
    wall: float
    cpu: float
    memory: int
    stall: float


async def measure(form: Form, content: bytes) -> Cost:
    """Parse one page in a new worker, and watch it."""
    plain = Page(url="https://listing.example/", content=form.page().encode(), fetched_at=datetime.now(UTC))
    page = Page(url="https://listing.example/", content=content, fetched_at=datetime.now(UTC))
    selectors = SELECTORS if form.format == "html" else {}
    async with confine() as worker:
        await worker.parse(plain, form.format, selectors)  # also shows that the form is a page of its format
        assert worker.pid
        with Watch(worker.pid) as watch:
            beat = asyncio.create_task(longest_stall())
            await asyncio.sleep(0)
            started = time.perf_counter()
            outcome, stopped_by = "", ""
            try:
                batch = await worker.parse(page, form.format, selectors)
                outcome = f"{len(batch.papers):,} papers"
                assert not any(SECRET in f"{paper.title}{paper.abstract}" for paper in batch.papers)
            except ParserKilled as fault:
                outcome, stopped_by = "killed", fault.reason.partition(": ")[2]
            except ParserFailed as fault:
                outcome, stopped_by = "FAILED", fault.reason
            except PageError as fault:
                outcome, stopped_by = "refused", fault.reason
            wall = time.perf_counter() - started
            await asyncio.sleep(0)
            beat.cancel()
            with suppress(asyncio.CancelledError):
                await beat
    return Cost(len(content), outcome, stopped_by, wall, watch.cpu, watch.memory, stall[0])


stall = [0.0]


async def longest_stall() -> None:
    """Note by how much the longest turn of the event loop was late."""
    stall[0], before = 0.0, time.perf_counter()
    while True:
        await asyncio.sleep(LOOP_LOOK)
        now = time.perf_counter()
        stall[0], before = max(stall[0], now - before - LOOP_LOOK), now


class Watch:
    """Reads a process's processor time and peak memory until it is gone or nobody watches any more."""

    def __init__(self, pid: int) -> None:
        self._pid, self._end = pid, Event()
        self._thread = Thread(target=self._look)
        self._before = self._seconds()
        self.cpu, self.memory = 0.0, 0

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        with suppress(OSError, LookupError):
            while True:
                ended = self._end.wait(LOOK)
                status = Path(f"/proc/{self._pid}/status").read_text()
                self.memory = max(self.memory, int(status.partition("VmHWM:")[2].split()[0]) * 1024)
                self.cpu = self._seconds() - self._before
                if ended:
                    return

    def _seconds(self) -> float:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


# --- the report -------------------------------------------------------------------------------------------------------


def report(costs: list[tuple[Attack, Form, Cost]]) -> str:
    """Return the page: what is measured, the worst, then every line."""
    limits = Limits()
    worst = {
        "longest": max(costs, key=lambda each: each[2].wall),
        "most memory": max(costs, key=lambda each: each[2].memory),
        "longest stall of the event loop": max(costs, key=lambda each: each[2].stall),
    }
    kills = sum(cost.outcome == "killed" for _, _, cost in costs)
    lines = [
        "# Hostile pages",
        "",
        "Pages made to cost more than a page may, each put into a page of every format whose shape it concerns and",
        "parsed as the daemon parses: in a worker process of its own (`notifier/confine.py`). Written by",
        f"`python benchmarks/hostile_pages.py`, version {__version__}, Python {platform.python_version()}, on a",
        f"machine of {os.cpu_count()} cores that had other work too: wall-clock times and stalls are on the high side.",
        "",
        "## Limits",
        "",
        "| what one page may cost | limit | how it is held |",
        "|---|---|---|",
        "| bytes | 16 MiB decoded | `fetch` stops reading; also a gzip bomb |",
        f"| processor time | {limits.cpu:g} s + {limits.cpu_per_mib:g} s per MiB | `ITIMER_PROF` of the worker: the "
        "kernel ends it, in the middle of C too |",
        f"| wall-clock time | {limits.wall:g} s | `ITIMER_REAL` of the worker, and the caller's own clock |",
        f"| memory | {limits.memory // 2**20} MiB of address space | `RLIMIT_AS` |",
        "| files | none written, few open, no core dump, no process | `RLIMIT_FSIZE`, `_NOFILE`, `_CORE`, `_NPROC` |",
        "",
        "Most attacks never meet these: the parsers look for them first and refuse the page with a reason. A page that",
        "does kill the worker three times is *quarantined*: not parsed again until it changes, or the program does. A",
        "page that changes at every look and kills every time is not caught by that; it is asked for ever more rarely,",
        "up to 6 hours apart, as every listing that fails.",
        "",
        "The worker runs as the same user as the program, so this is a fence against cost and crashes, not a sandbox",
        "against somebody who takes over a parser; for that there is the systemd unit around both.",
        "",
        "## The worst",
        "",
        f"{len(costs)} pages; {kills} killed the worker; none failed in another way than with a reason."
        if not any(cost.outcome == "FAILED" for _, _, cost in costs)
        else f"{len(costs)} pages; {kills} killed the worker; SOME FAILED WITHOUT A REASON.",
        "",
    ]
    for what, (attack, form, cost) in worst.items():
        shown = {"longest": f"{cost.wall:.2f} s", "most memory": f"{cost.memory / 2**20:.0f} MiB"}
        lines.append(f"- {what}: {shown.get(what, f'{cost.stall * 1000:.0f} ms')} ({attack.name}, {form.format})")
    lines += [
        "",
        "## Every page",
        "",
        "Memory is the peak of the worker, of which it needs some 34 MiB for itself; the stall is the longest that the",
        "event loop of the program did not turn.",
        "",
        "| fault | attack | format | page | outcome | wall s | CPU s | peak MiB | stall ms | stopped by |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for attack, form, cost in costs:
        shape = f" ({form.shape})" if form.format in ("biorxiv", "feed", "hf-daily") else ""
        stopped = "".join(c for c in cost.stopped_by[:90] if c.isprintable()).replace("|", "\\|").replace("<", "&lt;")
        stopped += "…" if len(cost.stopped_by) > 90 else ""
        lines.append(
            f"| {attack.fault} | {attack.name.replace('<', '&lt;')} | {form.format}{shape} | {cost.size / 1e6:.2f} MB "
            f"| {cost.outcome} | {cost.wall:.2f} | {cost.cpu:.2f} | {cost.memory / 2**20:.0f} "
            f"| {cost.stall * 1000:.0f} | {stopped} |"
        )
    return "\n".join(lines) + "\n"


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--format", default="", help="only this one; nothing is written")
    options.add_argument("--attack", default="", help="only those whose name holds this; nothing is written")
    chosen = options.parse_args()
    missing = set(FORMATS) - {form.format for form in FORMS}
    assert not missing, f"no form for {missing}"
    costs = []
    for attack in ATTACKS:
        for form in FORMS:
            if form.shape not in attack.shapes.split() or chosen.attack not in attack.name:
                continue
            if chosen.format not in ("", form.format):
                continue
            content = attack.make(form)
            cost = await measure(form, content.encode() if isinstance(content, str) else content)
            costs.append((attack, form, cost))
            print(f"{attack.name:42.42} {form.format:18} {cost.size / 1e6:6.2f} MB  {cost.outcome:14} "
                  f"{cost.wall:6.2f} s "
                  f"{cost.cpu:6.2f} CPU-s {cost.memory / 2**20:5.0f} MiB {cost.stall * 1000:4.0f} ms  "
                  f"{cost.stopped_by[:100]!r}", flush=True)  # fmt: skip
    if not chosen.format and not chosen.attack:
        REPORT.write_text(report(costs))
        print(f"written: {REPORT}")


if __name__ == "__main__":
    asyncio.run(main())
