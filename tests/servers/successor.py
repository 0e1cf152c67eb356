"""A later version of the program: a copy of it with one more migration, for tests of an upgrade and of a downgrade."""

from __future__ import annotations

import shutil
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
REVISION = "9000"
MIGRATION = '''
"""A schema of a later version."""

from alembic import op

revision = "{revision}"
down_revision = "{last}"


def upgrade() -> None:
    op.execute("CREATE TABLE later (number INTEGER)")
    op.execute("INSERT INTO later SELECT count(*) FROM (WITH RECURSIVE n(i) AS "
               "(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {work}) SELECT i FROM n)")
'''


def successor(folder: Path, work: int = 1) -> Path:
    """Put a later version into `folder`, whose migration counts to `work`; return what belongs into PYTHONPATH."""
    shutil.copytree(PROJECT / "notifier", folder / "notifier", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("templates", "systemd"):
        shutil.copytree(PROJECT / name, folder / name)
    versions = folder / "notifier/store/migrations/versions"
    last = max(file.name[1:5] for file in versions.glob("m[0-9]*.py"))
    (versions / f"m{REVISION}_later.py").write_text(MIGRATION.format(revision=REVISION, last=last, work=work))
    return folder
