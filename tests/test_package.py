"""What is shipped: a wheel made of the source archive runs in an environment of its own, away from the checkout."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from pathlib import Path

import aiosmtpd
import pytest

PROJECT = Path(__file__).resolve().parent.parent
PINNED = re.compile(r"^([A-Za-z0-9._-]+==\S+)", re.MULTILINE)


@pytest.mark.slow
def test_a_wheel_of_the_source_archive_runs_in_an_environment_of_its_own(tmp_path: Path) -> None:
    """Templates, samples, units and the migrations are in it; nothing is looked for beside the package."""

    def run(*command: str | Path, cwd: Path = tmp_path) -> str:
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path / "dist", cwd=PROJECT)
    (archive,) = (tmp_path / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist", cwd=source)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "own")
    run(sys.executable, "-m", "uv", "pip", "install", "--offline", "--no-deps", "--python", tmp_path / "own", wheel)
    (packages,) = (tmp_path / "own/lib").glob("python3*/site-packages")
    (packages / "libraries.pth").write_text(f"{Path(aiosmtpd.__file__).parent.parent}\n")
    program = tmp_path / "own/bin/notifier"
    assert run(tmp_path / "own/bin/python", "-c", "import notifier; print(notifier.__file__)").startswith(str(packages))
    assert "What each subscriber got" in run(program, "demo", "--folder", "out")
    assert len(list((tmp_path / "out/mail/new").iterdir())) == 7
    (tmp_path / "config.toml").write_text('contact = "tests@example.org"\n')
    units = run(program, "install-service")
    assert f"ExecStart={program} run --config {tmp_path}/config.toml" in units
    assert not (packages / "tests").exists()


def test_what_runs_is_pinned_as_what_was_tested() -> None:
    runs, tested = (
        set(PINNED.findall((PROJECT / name).read_text())) for name in ("requirements.txt", "constraints.txt")
    )
    assert runs
    assert runs <= tested
