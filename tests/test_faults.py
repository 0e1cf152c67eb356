"""The table of faults is complete and names what exists: docs/faults.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parent
TABLE = TESTS.parent / "docs/faults.md"
NUMBERS = range(1, 131)


def rows() -> list[tuple[int, str, str, str]]:
    """Number, fault, what the program does, and what shows it, of every row of the table."""
    found = [re.fullmatch(r"\| (\d+) \| (.+?) \| (.+?) \| (.+?) \|", line) for line in TABLE.read_text().splitlines()]
    return [(int(row[1]), row[2], row[3], row[4]) for row in found if row]


def every_test() -> Iterator[str]:
    """Every test of the project as file::name."""
    for file in sorted(TESTS.glob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield f"{file.name}::{node.name}"


def named_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_fault_stands_in_the_table_once_and_in_order() -> None:
    assert [number for number, *_ in rows()] == list(NUMBERS)


def test_a_row_names_a_test_or_says_that_one_is_planned() -> None:
    silent = [number for number, _, _, cell in rows() if not named_in(cell) and "*planned*" not in cell]
    assert silent == []


def test_every_test_that_the_table_names_exists() -> None:
    known = set(every_test())
    missing = [f"row {number}: {name}" for number, _, _, cell in rows() for name in named_in(cell) if name not in known]
    assert missing == []


def test_every_numbered_test_is_named_in_its_rows() -> None:
    cells = {number: named_in(cell) for number, _, _, cell in rows()}
    forgotten = [
        f"add `{test}` to row {int(number)}"
        for test in every_test()
        for number in re.findall(r"(?<=_)f(\d{3})(?=_)", test.partition("::")[2])
        if test not in cells.get(int(number), [])
    ]
    assert forgotten == []
