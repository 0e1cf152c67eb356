"""The memory of sending does not depend on how many messages wait: they are claimed in batches, never loaded."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parent.parent / "benchmarks/delivery.py"
SENT = 400
MOST = 300  # MB, for a million as for a thousand


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("smtp-sink") is None, reason="NOT TESTED HERE: memory (Debian's postfix is missing)")
def test_ten_times_as_many_due_digests_take_no_more_memory() -> None:
    """Most of them wait while some are sent; `benchmarks/delivery.py --memory 1000000` sends them all."""
    few, many = peak(800), peak(8_000)
    assert many < MOST
    assert many - few < 25, f"{few} MB for 800, {many} MB for 8000"


def peak(messages: int) -> float:
    command = [sys.executable, str(BENCHMARK), "--memory", str(messages), str(SENT)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"peak ([0-9]+) MB", said)
    assert found, said
    return float(found[1])
