"""Units: the systemd units that ship with the program, with the paths of an installation.

Pure: texts in, texts out. The shipped units name /opt/notifier and /etc/notifier/config.toml.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from notifier.files import shipped

PROGRAM, CONFIG, LISTEN = "/opt/notifier/bin/notifier", "/etc/notifier/config.toml", "127.0.0.1:8080"
POSTGRESQL_ONLY, SQLITE_ONLY = "notifier-worker@", "notifier-backup."
DYNAMIC = "DynamicUser=yes\n"
STATIC = "DynamicUser=no\n"


def units(
    program: Path,
    config: Path,
    listen: str,
    *,
    credentials: Mapping[str, Path],
    static_user: bool,
    postgresql: bool,
) -> dict[str, str]:
    """Return every unit by its file name, for a program and a configuration at these absolute paths.

    `credentials` maps an option such as `mail.password` to the file that holds it. The worker is for PostgreSQL, which
    has tools of its own for backups.
    """
    loaded = "".join(f"LoadCredential={name}:{file}\n" for name, file in credentials.items())
    written = {}
    for file in sorted(_shipped().iterdir()):
        if file.suffix == ".sysusers":
            if static_user:
                written["notifier.sysusers.conf"] = file.read_text()
            continue
        if file.name.startswith(SQLITE_ONLY if postgresql else POSTGRESQL_ONLY):
            continue
        text = file.read_text().replace(PROGRAM, str(program)).replace(CONFIG, str(config))
        text = text.replace(f"ListenStream={LISTEN}", f"ListenStream={listen}")
        if static_user:
            text = text.replace(DYNAMIC, STATIC)
        if loaded:
            text = text.replace("#LoadCredential=mail.password:/etc/notifier/mail.password\n", loaded)
        written[file.name] = text
    return written


def _shipped() -> Path:
    place = shipped("systemd")
    if place.is_dir():
        return place
    raise FileNotFoundError("the units did not come with the program: install it anew")
