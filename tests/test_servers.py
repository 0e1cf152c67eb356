"""The tests' own servers leave nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import signal
from tests.servers.postgres import cluster
with cluster() as running:
    print(running.folder, flush=True)
    signal.pause()
"""


@pytest.mark.slow
def test_a_postgresql_ends_with_the_tests_that_are_killed(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--sqlite-only"):
        pytest.skip("of PostgreSQL alone")
    tests = subprocess.Popen(
        [sys.executable, "-c", RUN], cwd=Path(__file__).parent.parent, stdout=subprocess.PIPE, text=True
    )
    assert tests.stdout
    folder = Path(tests.stdout.readline().strip())
    assert (folder / "cluster" / "postmaster.pid").exists()
    tests.kill()
    tests.communicate()  # who ends it has our pipe, too: this is its end
    assert not folder.exists()
