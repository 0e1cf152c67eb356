"""What the DNS says of the sending domain: SPF (RFC 7208), DKIM (RFC 6376), DMARC (RFC 7489), PTR of the relay.

The home of dnspython. A name server that does not answer is a yellow finding: nothing is known then.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import dns.asyncresolver
import dns.exception
import dns.resolver
import dns.reversename

from notifier.doctor.finding import Finding, Level, green, red, yellow

PATIENCE = 8.0  # seconds for one name
MOST_LOOKUPS = 10  # that an SPF record may cause (RFC 7208 4.6.4)
COSTLY, COSTLY_WITH = ("a", "mx", "ptr"), ("include:", "exists:", "redirect=", "a:", "mx:")


def resolver(servers: Sequence[str] = (), port: int = 53) -> dns.asyncresolver.Resolver:
    """Return a resolver: this machine's, or one that asks these servers."""
    made = dns.asyncresolver.Resolver(configure=not servers)
    if servers:
        made.nameservers = list(servers)
        made.port = port
    made.lifetime = PATIENCE
    return made


async def names(
    asking: dns.asyncresolver.Resolver, domain: str, selectors: Sequence[str], relay: str | None
) -> list[Finding]:
    """Examine the records of a sending domain; `relay` is the host that mail leaves by, None for a Maildir."""
    try:
        found = [
            await _spf(asking, domain),
            *[await _dkim(asking, domain, selector) for selector in selectors],
            await _dmarc(asking, domain),
            *([await _ptr(asking, relay)] if relay else []),
            await _reached(asking, domain),
        ]
        return found if relay else [_later(each) for each in found]
    except (dns.exception.DNSException, OSError) as trouble:
        reason = str(trouble).partition(":")[0]
        return [yellow("dns", f"{domain} could not be looked up ({reason}): SPF, DKIM, DMARC and PTR are not known")]


async def _spf(asking: dns.asyncresolver.Resolver, domain: str) -> Finding:
    found = [text for text in await _texts(asking, domain) if text.lower().split(" ")[0] == "v=spf1"]
    if not found:
        return red("spf", f'{domain} has no SPF record: add a TXT record such as "v=spf1 mx include:your-relay -all"')
    if len(found) > 1:
        return red("spf", f"{domain} has {len(found)} SPF records: receivers treat that as an error; keep one")
    terms = [term.lstrip("+-~?").lower() for term in found[0].split()[1:]]
    if "+all" in found[0].split() or "all" in found[0].split():
        return red("spf", f"{domain} lets everybody send ({found[0]}): end it with -all or ~all")
    costly = sum(term.split("/")[0] in COSTLY or term.startswith(COSTLY_WITH) for term in terms)
    if costly > MOST_LOOKUPS:
        return red("spf", f"{domain}: {costly} lookups, and receivers stop at {MOST_LOOKUPS}: {found[0]}")
    if not any(term in ("all",) or term.startswith("redirect=") for term in terms):
        return yellow("spf", f"{domain} does not say what is forbidden: end the record with -all or ~all: {found[0]}")
    return green("spf", found[0])


async def _dkim(asking: dns.asyncresolver.Resolver, domain: str, selector: str) -> Finding:
    name = f"{selector}._domainkey.{domain}"
    found = [text for text in await _texts(asking, name) if "p=" in text]
    if not found:
        return red("dkim", f"{name} is not there: publish the record that `notifier dkim-key` printed")
    tags = dict(part.strip().partition("=")[::2] for part in found[0].split(";") if "=" in part)
    if not tags.get("p", "").strip():
        return red("dkim", f"{name} is revoked (p= is empty)")
    if "y" in tags.get("t", "").split(":"):
        return yellow("dkim", f"{name} is in test mode (t=y): receivers may ignore the signature")
    return green("dkim", f"{name} is published ({tags.get('k', 'rsa').strip()})")


async def _dmarc(asking: dns.asyncresolver.Resolver, domain: str) -> Finding:
    labels = domain.split(".")
    for start in range(len(labels) - 1):  # of the domain, else of what it is part of
        name = "_dmarc." + ".".join(labels[start:])
        found = [text for text in await _texts(asking, name) if text.upper().startswith("V=DMARC1")]
        if len(found) > 1:
            return red("dmarc", f"{name} has {len(found)} records: receivers ignore them all; keep one")
        if found:
            return green("dmarc", f"{name}: {found[0]}")
    return red("dmarc", f'_dmarc.{domain} is not there: add a TXT record such as "v=DMARC1; p=none"')


async def _ptr(asking: dns.asyncresolver.Resolver, host: str) -> Finding:
    """Examine whether the address of the relay has a name that leads back to it (RFC 8601 2.7.3)."""
    try:
        addresses = [str(ipaddress.ip_address(host))]
    except ValueError:
        addresses = await _values(asking, host, "A") + await _values(asking, host, "AAAA")
    if not addresses:
        return red("ptr", f"the relay {host} has no address")
    if all(ipaddress.ip_address(address).is_loopback for address in addresses):
        return green("ptr", f"the relay {host} is on this machine: its own address counts, see its documentation")
    for address in addresses:
        back = await _values(asking, str(dns.reversename.from_address(address)), "PTR")
        named = [name for name in back if address in [*await _values(asking, name, "A"),
                                                      *await _values(asking, name, "AAAA")]]  # fmt: skip
        if not named:
            return yellow("ptr", f"{address} of the relay {host} has no name that leads back to it; a provider's relay "
                                 "may send from another address")  # fmt: skip
    return green("ptr", f"the relay {host}: every address has a name that leads back")


async def _reached(asking: dns.asyncresolver.Resolver, domain: str) -> Finding:
    """Examine whether mail can be sent back to the domain of the sender (RFC 5321 5.1, RFC 7505)."""
    exchangers = [value.split()[1:] for value in await _values(asking, domain, "MX")]  # [] is the root: no mail
    if exchangers and all(exchangers):
        return green("sender", f"mail to {domain} goes to {exchangers[0][0]}")
    if not exchangers and (await _values(asking, domain, "A") or await _values(asking, domain, "AAAA")):
        return green("sender", f"mail to {domain} goes to its own address")
    why = "receivers refuse what comes from it, and no bounce can come back"
    return red("sender", f"{domain} takes no mail, or is not there: {why}; give it an MX record, or send from another")


def _later(finding: Finding) -> Finding:
    """What is wrong with a domain from which no mail leaves yet."""
    if finding.level is not Level.RED:
        return finding
    return yellow(finding.subject, f"before mail leaves this machine: {finding.words}")


async def _texts(asking: dns.asyncresolver.Resolver, name: str) -> list[str]:
    return [_text(record) for record in await _records(asking, name, "TXT")]


def _text(record: object) -> str:
    strings: tuple[bytes, ...] = getattr(record, "strings", ())
    return b"".join(strings).decode("utf-8", "replace")


async def _values(asking: dns.asyncresolver.Resolver, name: str, kind: str) -> list[str]:
    return [str(record).rstrip(".") for record in await _records(asking, name, kind)]


async def _records(asking: dns.asyncresolver.Resolver, name: str, kind: str) -> list[object]:
    try:
        return list(await asking.resolve(name, kind))
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
