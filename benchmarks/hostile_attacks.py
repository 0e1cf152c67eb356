"""Pages made to cost more than a page may: a page of each format in pieces, and attacks that put something between.

What no attack may reach is the file of the licence: no page read shows its first words.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LOCAL_FILE = Path(__file__).resolve().parent.parent / "LICENSE"  # an external entity asks for it
SECRET = "MIT License"  # what it begins with


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
