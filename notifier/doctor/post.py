"""What the relay says to us: greeting, capabilities, TLS, login. No message is sent."""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from notifier.doctor.finding import Finding, green, red, yellow

PATIENCE = 15.0  # seconds for each answer
SOON = 14  # days before a certificate ends


def post(relay: str, user: str, password: str, encryption: bool | None, now: datetime) -> list[Finding]:
    """Examine a relay by its URL, as the program uses it. Blocks: call it in a thread."""
    if relay.startswith("maildir:"):
        folder = Path(relay.removeprefix("maildir:"))
        return [yellow("relay", f"mail stays on this machine, in {folder}")]
    parts = urlsplit(relay)
    host, implicit = parts.hostname or "", parts.scheme == "smtps"
    port = parts.port or (465 if implicit else 25)
    try:
        return _spoken(host, port, implicit, user, password, encryption, now)
    except smtplib.SMTPAuthenticationError as refused:
        said = refused.smtp_error.decode("utf-8", "replace") if isinstance(refused.smtp_error, bytes) else ""
        return [red("relay login", f"{host} refuses {user}: {refused.smtp_code} {said[:200]}")]
    except ssl.SSLError as fault:
        return [red("relay tls", f"{host}:{port}: {fault.reason or fault}")]
    except (smtplib.SMTPException, OSError) as fault:
        return [red("relay", f"{host}:{port} does not talk to us: {str(fault)[:200]}")]


def _spoken(
    host: str, port: int, implicit: bool, user: str, password: str, encryption: bool | None, now: datetime
) -> list[Finding]:
    context = ssl.create_default_context()
    found: list[Finding] = []
    server: smtplib.SMTP
    if implicit:
        server = smtplib.SMTP_SSL(host, port, timeout=PATIENCE, context=context)
    else:
        server = smtplib.SMTP(host, port, timeout=PATIENCE)
    with contextlib.closing(server):
        server.ehlo()
        local = host in ("localhost", "127.0.0.1", "::1")
        if not implicit and server.has_extn("starttls") and encryption is not False:
            try:
                server.starttls(context=context)
                server.ehlo()
            except ssl.SSLCertVerificationError:
                if encryption or not local:
                    raise
                return [yellow("relay tls", f"{host}: STARTTLS with a certificate that is not trusted")]
        encrypted = isinstance(server.sock, ssl.SSLSocket)
        if encrypted and isinstance(server.sock, ssl.SSLSocket):
            found.append(_tls(server.sock, host, now))
        elif encryption or not local:
            found.append(red("relay tls", f"{host}:{port} offers no encryption"))
        if user and not encrypted and (encryption or not local):
            found.append(red("relay login", "not tried: the password would leave in clear text"))
        elif user:
            server.login(user, password)
            found.append(green("relay login", f"{user} at {host}"))
        extensions = ", ".join(sorted(name.upper() for name in server.esmtp_features))
        found.insert(0, green("relay", f"{host}:{port} answers: {extensions or 'no extensions'}"))
        with contextlib.suppress(smtplib.SMTPException, OSError):
            server.quit()
    return found


def _tls(connection: ssl.SSLSocket, host: str, now: datetime) -> Finding:
    certificate = connection.getpeercert() or {}
    ends = str(certificate.get("notAfter", ""))
    days = (ssl.cert_time_to_seconds(ends) - now.timestamp()) / 86_400 if ends else None
    words = f"{host}: {connection.version()}, certificate until {ends or 'unknown'}"
    return yellow("relay tls", words) if days is not None and days < SOON else green("relay tls", words)
