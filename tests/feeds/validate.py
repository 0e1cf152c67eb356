"""Say what is wrong with a feed: by the schemas in this folder, and by the rules that no schema can say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
from lxml import etree

HERE = Path(__file__).parent
ATOM = "{http://www.w3.org/2005/Atom}"
TAGS = {"p", "a", "strong", "mark"}  # of the HTML of an item


def faults(content: bytes, form: str) -> list[str]:
    """Return what is wrong with a feed; `form` is rss, atom or json."""
    if form == "json":
        return _json(content)
    try:
        document = etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError as fault:
        return [f"no XML: {fault}"]
    schema = _schema(form)
    if not schema.validate(document):
        return [f"line {each.line}: {each.message}" for each in schema.error_log]
    return list(_rss(document) if form == "rss" else _atom(document))


@lru_cache
def _schema(form: str) -> etree.RelaxNG:
    return etree.RelaxNG(etree.parse(str(HERE / f"{form}.rng")))


def _rss(document: etree._Element) -> Iterable[str]:
    yield from _once([each.text or "" for each in document.iterfind("channel/item/guid")])
    if sum(each.get("rel") == "self" for each in document.iterfind(f"channel/{ATOM}link")) != 1:
        yield "a feed does not say where it is"
    for each in document.iter("pubDate", "lastBuildDate"):
        if f"{parsedate_to_datetime(each.text or ''):%a, %d %b %Y %H:%M:%S %z}" != each.text:
            yield f"{each.text} is no day of the week that there was"
    for each in document.iterfind("channel/item/description"):
        yield from _html(each.text or "")


def _atom(document: etree._Element) -> Iterable[str]:
    yield from _once([each.text or "" for each in document.iterfind(f"{ATOM}entry/{ATOM}id")])
    yield from _links(document)
    has_author = document.find(f"{ATOM}author") is not None
    for entry in document.iterfind(f"{ATOM}entry"):
        yield from _links(entry)
        content = entry.find(f"{ATOM}content")
        if not has_author and entry.find(f"{ATOM}author") is None:
            yield "an entry without an author"
        if content is None and not any(link.get("rel") == "alternate" for link in entry.iterfind(f"{ATOM}link")):
            yield "an entry with neither content nor an alternate link"
        if content is not None and content.get("type") == "html":
            yield from _html(content.text or "")


def _links(element: etree._Element) -> Iterable[str]:
    found = Counter(
        (each.get("type"), each.get("hreflang"))
        for each in element.iterfind(f"{ATOM}link")
        if each.get("rel") == "alternate"
    )
    yield from (f"{count} alternate links of one kind" for count in found.values() if count > 1)


def _json(content: bytes) -> list[str]:
    schema = json.loads((HERE / "jsonfeed.schema.json").read_text())
    found = json.loads(content)
    wrong = [each.message for each in jsonschema.Draft202012Validator(schema).iter_errors(found)]
    if wrong:
        return wrong
    items = found["items"]
    return [*_once([each["id"] for each in items]), *(each for item in items for each in _html(item["content_html"]))]


def _once(ids: list[str]) -> Iterable[str]:
    yield from (f"{each} is the id of {count} items" for each, count in Counter(ids).items() if count > 1)


def _html(text: str) -> Iterable[str]:
    """HTML that every reader shows alike: few elements, all closed, absolute links, nothing that runs."""
    found = _Elements()
    found.feed(text)
    found.close()
    yield from found.wrong
    yield from (f"<{each}> is not closed" for each in found.open)


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        if tag not in TAGS:
            self.wrong.append(f"<{tag}> in an item")
        self.wrong += [f"{name}={value} in <{tag}>" for name, value in attrs if (tag, name) != ("a", "href")]
        self.wrong += [
            f"a link to {value}" for _, value in attrs if not (value or "").startswith(("http://", "https://"))
        ]

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> closes nothing")

    def handle_comment(self, data: str) -> None:
        self.wrong.append(f"a comment: {data}")
