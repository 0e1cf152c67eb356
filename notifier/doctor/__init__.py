"""Doctor: is everything around the program as it should be? Looks and changes nothing; sends no mail.

`examine` asks all at once and returns findings in the order of a mail's way: this machine, the listings, the site, the
relay, the DNS. Each stands alone: one that cannot be examined says so and hides no other.
"""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from dns.asyncresolver import Resolver

from notifier.confine import Worker
from notifier.doctor import host
from notifier.doctor.finding import Finding, Level, green, red, yellow
from notifier.doctor.names import names, resolver
from notifier.doctor.post import post
from notifier.errors import NotifierError
from notifier.fetch import Client
from notifier.model import Listing, Outcome
from notifier.probe import probe
from notifier.rehearse import rehearse

__all__ = ["Finding", "Level", "Patient", "examine", "resolver"]

PATIENCE = 15  # seconds for the site's answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What is examined: values of the configuration. `database` is None for PostgreSQL; `head` is our schema."""

    folder: Path
    database: Path | None
    head: str
    timezone: str
    templates: Path | None
    listings: Sequence[Listing]
    base_url: str
    relay: str
    user: str
    password: str
    encryption: bool | None
    sender: str
    selectors: Sequence[str]
    signing_domain: str


async def examine(patient: Patient, client: Client, worker: Worker, asking: Resolver, now: datetime) -> list[Finding]:
    """Examine everything; takes as long as the slowest answer."""
    domain = patient.sender.rpartition("@")[2]
    mail = urlsplit(patient.relay).hostname if not patient.relay.startswith("maildir:") else None
    local = patient.relay.startswith("maildir:") and "." not in domain
    parts: list[Awaitable[list[Finding]]] = [
        asyncio.to_thread(_machine, patient, now),
        _listings(patient.listings, client, worker, now),
        asyncio.to_thread(_site, patient.base_url),
        asyncio.to_thread(post, patient.relay, patient.user, patient.password, patient.encryption, now),
    ]
    if local:
        parts.append(_said(yellow("dns", f"{domain} is no domain that the world knows: nothing to look up")))
    else:
        parts.append(names(asking, domain, patient.selectors, mail))
    done = await asyncio.gather(*parts, return_exceptions=True)
    found: list[Finding] = []
    for each in done:
        found += [red("doctor", f"could not be examined: {each!r}"[:300])] if isinstance(each, BaseException) else each
    return found


def _machine(patient: Patient, now: datetime) -> list[Finding]:
    found = [host.clock(), host.zones(patient.timezone, now), host.space(patient.folder)]
    if patient.database is not None:
        kind = host.filesystem(patient.folder)
        found += [kind] if kind else []
        found.append(host.database(patient.database, patient.head))
    broken = rehearse(patient.templates) if patient.templates else []
    found += [red("templates", str(fault)) for fault in broken]
    if not broken:
        found.append(green("templates", str(patient.templates or "the built-in ones")))
    return found


async def _listings(listings: Sequence[Listing], client: Client, worker: Worker, now: datetime) -> list[Finding]:
    if not listings:
        return [yellow("listings", "none is watched: add a [[listing]]")]
    return [await _listing(listing, client, worker, now) for listing in listings]


async def _listing(listing: Listing, client: Client, worker: Worker, now: datetime) -> Finding:
    subject = f"listing {listing.name}"
    try:
        seen = await probe(client, worker, listing, now)
    except NotifierError as trouble:
        return red(subject, str(trouble)[:300])
    if seen.verdict.outcome is Outcome.FAILED:
        return red(subject, f"read, but {seen.verdict.reason}"[:300])
    return green(subject, f"{len(seen.batch.papers)} papers are read")


def _site(base_url: str) -> list[Finding]:
    """Ask the site by the address that stands in every mail."""
    parts = urlsplit(base_url)
    if parts.hostname in ("localhost", "127.0.0.1", "::1"):
        return [
            yellow("base_url", f"{base_url} is reachable from this machine alone: links in mails lead nowhere else")
        ]
    if parts.scheme != "https":
        return [yellow("base_url", f"{base_url} is http: one-click unsubscribe (RFC 8058) needs https")]
    url = f"{base_url}/feeds/all.rss"
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310  https, as was just seen
            return [green("base_url", f"{url} answers {answer.status}")]
    except urllib.error.HTTPError as answer:
        if answer.code == 404:
            return [yellow("base_url", f"{url} answers 404: no feed was written yet, or another site is there")]
        return [red("base_url", f"{url} answers {answer.code}")]
    except OSError as fault:
        why = fault.reason if isinstance(fault, urllib.error.URLError) else fault
        words = why.strerror if isinstance(why, OSError) and why.strerror else why
        return [red("base_url", f"{url} cannot be reached from here: {words}")]


async def _said(finding: Finding) -> list[Finding]:
    return [finding]
