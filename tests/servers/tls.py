"""Throw-away certificates for servers on loopback, made by the `openssl` command."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificate:
    """A self-signed certificate: `file` is what a client may trust, `server` is what a server shows."""

    file: Path
    key: Path

    @property
    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file, self.key)
        return context


def certificate(folder: Path, *names: str, expired: bool = False) -> Certificate:
    """Make a certificate for `names` (`papers.example`, `IP:127.0.0.1`), valid since now or until long ago."""
    stem = "-".join(names).replace(":", "_") + ("-expired" if expired else "")
    made = Certificate(folder / f"{stem}.pem", folder / f"{stem}.key")
    alternatives = ",".join(name if ":" in name else f"DNS:{name}" for name in names)
    request = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    request += ["-subj", "/CN=test", "-keyout", str(made.key)]
    if not expired:
        command = [*request, "-x509", "-days", "7", "-addext", f"subjectAltName={alternatives}", "-out", str(made.file)]
        subprocess.run(command, check=True, capture_output=True)
        return made
    # Only `openssl ca` can set both dates in every version of openssl.
    extension = f"[ca]\ndefault_ca=d\n[d]\ndatabase={folder}/index\nserial={folder}/serial\nnew_certs_dir={folder}\n"
    extension += "default_md=sha256\npolicy=p\nx509_extensions=x\nunique_subject=no\n[p]\ncommonName=supplied\n"
    extension += f"[x]\nsubjectAltName={alternatives}\nbasicConstraints=CA:TRUE\n"
    (folder / "ca.cnf").write_text(extension)
    (folder / "index").write_text("")
    (folder / "serial").write_text("01\n")
    subprocess.run([*request, "-out", str(folder / "csr")], check=True, capture_output=True)
    sign = ["openssl", "ca", "-batch", "-selfsign", "-config", str(folder / "ca.cnf"), "-keyfile", str(made.key)]
    sign += ["-in", str(folder / "csr"), "-startdate", "20200101000000Z", "-enddate", "20200108000000Z"]
    subprocess.run([*sign, "-notext", "-out", str(made.file)], check=True, capture_output=True)
    return made
