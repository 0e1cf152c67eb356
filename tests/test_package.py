"""The wheel: what is installed must run without the source checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_the_wheel_runs_the_demo_away_from_its_source(tmp_path: Path) -> None:
    """Templates, samples and the migrations are in it; nothing is looked for beside the package."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(build, cwd=PROJECT, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
        names = archive.namelist()
    assert "notifier/_shipped/templates/email/digest.html" in names
    assert "notifier/_shipped/systemd/notifier.service" in names
    assert not [name for name in names if name.startswith("tests/")]
    where = "import notifier, sys; sys.stdout.write(notifier.__file__)"
    environment = {"PYTHONPATH": str(tmp_path / "site"), "PATH": "/usr/bin:/bin"}
    run = {"cwd": tmp_path, "env": environment, "check": True, "capture_output": True, "text": True}
    assert subprocess.run([sys.executable, "-c", where], **run).stdout.startswith(str(tmp_path / "site"))
    shown = subprocess.run([sys.executable, "-m", "notifier", "demo", "--folder", "out"], **run).stdout
    assert "What each subscriber got" in shown
    assert len(list((tmp_path / "out/mail/new").iterdir())) == 7
