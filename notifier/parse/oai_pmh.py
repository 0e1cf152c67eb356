"""Records harvested by OAI-PMH 2.0 (`ListRecords`, `GetRecord`), as arXiv serves them: `oaipmh.arxiv.org/oai`.

Landmarks: `OAI-PMH` with a list of records or an error. `noRecordsMatch` is a quiet day, any other error a `PageError`.
Metadata formats: `arXiv`, `arXivRaw` (the only one with versions) and `oai_dc` (of any repository). A resumption token
becomes `Batch.next_url`, by the rules of section 3.5: the verb and the token alone. A record whose header says
"deleted" has no metadata: it is noted and counted among the skipped. A list states no dependable count of its own
(`completeListSize` may be an estimate); that it is whole shows in its being well-formed.

A harvest lists what was *changed* since a day, not what is new. So a record whose paper was submitted long before its
datestamp is read as a replacement: first met here, it is not news. `listed_on` is the newest datestamp.

Specified by http://www.openarchives.org/OAI/openarchivesprotocol.html and https://info.arxiv.org/help/oa/index.html.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, datetime, timedelta
from urllib.parse import quote, urlsplit, urlunsplit

from notifier.errors import PageError
from notifier.identity import arxiv_id, doi
from notifier.model import AnnounceType, Batch, Page, Paper
from notifier.parse.arxiv_paper import arxiv_paper
from notifier.parse.byline import byline, person
from notifier.parse.dates import instant, stamp, utc
from notifier.parse.entries import BadEntry, Entries
from notifier.parse.text import ABSTRACT_LIMIT, NAME_LIMIT, TITLE_LIMIT, line, link, names, reading
from notifier.parse.xml import Element, Parts, attribute, document, first, local, parts, text_of

FORMAT = "oai-pmh"
OLD = timedelta(days=30)  # submitted this long before its datestamp, a record is a change and not an announcement
LISTS = ("ListRecords", "GetRecord")

_NOTE = re.compile(r"^Comments?:\s*", re.IGNORECASE)


def oai_pmh(page: Page) -> Batch:
    """Read one response with records."""
    found = document(page)
    if local(found.root) != "OAI-PMH":
        raise PageError(f"no OAI-PMH response: the document is <{line(local(found.root), 40)}>")
    response = parts(found.root)
    entries = Entries(found.oddities)
    errors = {attribute(one, "code") or "error": line(text_of(one), 200) for one in response.get("error", ())}
    if errors and set(errors) <= {"noRecordsMatch"}:
        return entries.batch(stated=0)
    if errors:
        raise PageError("; ".join(f"the repository answers {code}: {text}" for code, text in errors.items())[:400])
    listed = next((parts(one) for name in LISTS for one in response.get(name, ())), None)
    if listed is None or not (listed.get("record") or first(listed, "resumptionToken")):
        raise PageError(f"neither records nor an error, but {', '.join(sorted(response))[:200]}")
    stamps = [_read_record(record, entries) for record in listed.get("record", ())]
    return entries.batch(
        listed_on=max((day for day in stamps if day), default=None),
        next_url=_next(page.url, first(listed, "resumptionToken").strip()),
    )


def _next(url: str, token: str) -> str | None:
    """Return the address of the rest of the list; an empty token is its end."""
    if not token:
        return None
    query = f"verb=ListRecords&resumptionToken={quote(token, safe='')}"
    return urlunsplit(urlsplit(url)._replace(query=query, fragment=""))


def _read_record(record: Element, entries: Entries) -> date | None:
    """Read one record into the entries; returns the day of its datestamp."""
    shown = parts(record)
    header = parts(shown["header"][0]) if "header" in shown else {}
    identifier = first(header, "identifier").strip()
    changed = instant(first(header, "datestamp"))
    if any(attribute(one, "status") == "deleted" for one in shown.get("header", ())):
        entries.leave_out(f"deleted: {identifier}")
        return changed.date() if changed else None
    metadata = next((one for outer in shown.get("metadata", ()) for one in outer), None)
    try:
        if metadata is None:
            raise BadEntry(f"a record without metadata ({line(identifier, 60)})")
        read = {"arXiv": _arxiv, "arXivRaw": _arxiv_raw, "dc": _dublin_core}.get(local(metadata))
        if read is None:
            raise BadEntry(f"metadata in an unknown format ({line(local(metadata), 40)})")
        entries.add(read(parts(metadata), header, identifier, changed))
    except BadEntry as bad:
        entries.skip(bad)
    return changed.date() if changed else None


def _arxiv(shown: Parts, _: Parts, identifier: str, changed: datetime | None) -> Paper:
    """Read `metadataPrefix=arXiv` (http://arxiv.org/OAI/arXiv.xsd)."""
    authors = [_name(one) for group in shown.get("authors", ()) for one in group]
    submitted = instant(first(shown, "created"))
    return arxiv_paper(
        source=FORMAT,
        identifier=first(shown, "id") or identifier,
        title=first(shown, "title"),
        abstract=first(shown, "abstract"),
        authors=names(authors),
        categories=first(shown, "categories").split(),
        doi_text=first(shown, "doi"),
        comments=first(shown, "comments"),
        journal_ref=first(shown, "journal-ref"),
        announce_type=_kind(submitted, changed),
        published_at=submitted,
        updated_at=instant(first(shown, "updated")),
    )


def _name(author: Element) -> str:
    said: dict[str, str] = {}
    for part in author:
        name = local(part)
        said[name] = said.get(name) or text_of(part).strip()
    return person(said.get("forenames", ""), said.get("keyname", ""), said.get("suffix", ""))


def _arxiv_raw(shown: Parts, _: Parts, identifier: str, changed: datetime | None) -> Paper:
    """Read `metadataPrefix=arXivRaw` (http://arxiv.org/OAI/arXivRaw.xsd)."""
    dates = {
        _version(attribute(one, "version")): utc(stamp(first(parts(one), "date"))) for one in shown.get("version", ())
    }
    newest = max(dates, default=0)
    submitted = dates.get(1)
    return arxiv_paper(
        source=FORMAT,
        identifier=first(shown, "id") or identifier,
        version=newest or None,
        title=first(shown, "title"),
        abstract=first(shown, "abstract"),
        authors=byline(first(shown, "authors")),
        categories=first(shown, "categories").split(),
        doi_text=first(shown, "doi"),
        comments=first(shown, "comments"),
        journal_ref=first(shown, "journal-ref"),
        submitter=first(shown, "submitter"),
        announce_type=_kind(submitted, changed),
        published_at=submitted,
        updated_at=dates[newest] if newest > 1 else None,
    )


def _version(text: str) -> int:
    """Read "v2" as 2; 0 for anything else."""
    digits = text.removeprefix("v")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 4 else 0


def _kind(submitted: datetime | None, changed: datetime | None) -> AnnounceType | None:
    old = submitted and changed and changed - submitted > OLD
    return AnnounceType.REPLACE if old else None


def _dublin_core(shown: Parts, header: Parts, identifier: str, changed: datetime | None) -> Paper:
    """Read `metadataPrefix=oai_dc`, unqualified Dublin Core: of arXiv, or of any other repository."""
    named = [identifier, *_texts(shown, "identifier")]
    key = next((text for text in named if arxiv_id(text[:300])), "")
    doi_text = next((text for text in named[1:] if doi(text) and not arxiv_id(text[:300])), "")
    descriptions = _texts(shown, "description")
    notes = [text for text in descriptions if _NOTE.match(text)]
    abstract = next((text for text in descriptions if text not in notes), "")
    authors = names([_given_first(text) for text in _texts(shown, "creator")])
    days = sorted(moment for text in _texts(shown, "date") if (moment := instant(text)))
    submitted = days[0] if days else None
    updated = days[-1] if len(days) > 1 else None
    if key:
        paper = arxiv_paper(
            source=FORMAT,
            identifier=key,
            title=first(shown, "title"),
            abstract=abstract,
            authors=authors,
            categories=[code for spec in _texts(header, "setSpec") if (code := _code(spec))],
            doi_text=doi_text,
            comments=_NOTE.sub("", notes[0]) if notes else "",
            announce_type=_kind(submitted, changed),
            published_at=submitted,
            updated_at=updated,
        )
        return replace(paper, primary_category=None)  # sets are in no order
    title, title_tex = reading(first(shown, "title"), TITLE_LIMIT)
    shown_abstract, abstract_tex = reading(abstract, ABSTRACT_LIMIT)
    if not identifier or not title:
        raise BadEntry(f"a record without identifier or title ({line(identifier, 60)})")
    return Paper(
        source=FORMAT,
        source_key=line(identifier, NAME_LIMIT),
        title=title,
        url=next((url for text in named if (url := link(text))), ""),
        title_tex=title_tex,
        abstract=shown_abstract,
        abstract_tex=abstract_tex,
        doi=doi(doi_text),
        authors=authors,
        announce_type=_kind(submitted, changed),
        published_at=submitted,
        updated_at=updated,
    )


def _texts(found: Parts, name: str) -> list[str]:
    return [text for one in found.get(name, ()) if (text := text_of(one).strip())]


def _given_first(creator: str) -> str:
    """Turn "Family, Given" or "Family, Given, Jr." around."""
    family, *rest = [part.strip() for part in creator.split(",", 2)]
    return person(*rest[:1], family, *rest[1:])


def _code(spec: str) -> str | None:
    """Read a category out of arXiv's sets: "cs:cs:CL" is cs.CL, "physics:hep-th" is hep-th, "cs" alone is none."""
    levels = spec.split(":")
    return {2: levels[-1], 3: ".".join(levels[1:])}.get(len(levels))
