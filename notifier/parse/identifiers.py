"""Identifiers of a paper in what a page says of it: guids, links, "doi:" fields. Not in prose, which names others' too.

Owns what publishers put around a DOI in an address: "/doi/full/10.5555/ab.12?af=R", "/content/10.5555/12v2.full.pdf".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from notifier.identity import arxiv_id, doi

LENGTH_LIMIT = 500  # characters of one text that are looked at

_BEHIND_DOI = re.compile(
    r"(?:/(?:full|abstract|abs|pdf|epdf|pdfdirect|html|meta|summary)|\.(?:full|abstract|short|pdf|html?))+$",
    re.IGNORECASE,
)
_PREPRINT_VERSION = re.compile(r"^(10\.(?:1101|64898)/.*\d)v\d{1,3}$")  # bioRxiv and medRxiv


@dataclass(frozen=True, slots=True)
class Identifiers:
    """What was found; `arxiv` has no version."""

    arxiv: str | None = None
    version: int | None = None
    doi: str | None = None


def identifiers(texts: Iterable[str]) -> Identifiers:
    """Find the first arXiv id and the first DOI in identifiers and links, best ones first."""
    arxiv: tuple[str, int | None] | None = None
    name = None
    for text in filter(None, dict.fromkeys(texts)):
        written = text.strip()[:LENGTH_LIMIT]
        arxiv = arxiv or arxiv_id(written)
        name = name or _doi(written)
    return Identifiers(arxiv[0] if arxiv else None, arxiv[1] if arxiv else None, name)


def _doi(text: str) -> str | None:
    """Find a DOI, in a link in its path only."""
    if "://" in text:
        text = unquote(re.split("[?#]", text, maxsplit=1)[0])
    found = doi(text)
    if found is None:
        return None
    bare = _BEHIND_DOI.sub("", found)
    version = _PREPRINT_VERSION.match(bare)
    return version[1] if version else bare
