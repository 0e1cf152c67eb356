"""The import rules of the design: who may know whom. A module in the wrong room fails here, not in review."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "notifier"
EDGES = {"store", "config", "log", "fetch", "deliver", "mailbox", "web", "daemon", "cli", "pipeline"}
PURE = [
    "parse",
    "retry",
    "tex",
    "identity",
    "diff",
    "query",
    "match",
    "compose",
    "bounce",
    "verp",
    "feed",
    "alarm",
    "exchange",
    "cadence",
    "rhythm",
    "templates",
    "sign",
]
HOMES = {
    "httpx": {"fetch"},
    "jinja2": {"templates"},
    "feedgen": {"feed"},
    "aiosmtplib": {"deliver"},
    "apscheduler": {"daemon"},
    "pydantic_settings": {"config"},
    "pydantic": {"config"},
    "sqlalchemy": {"store"},
    "alembic": {"store"},
    "numpy": {"match"},
    "selectolax": {"parse"},
    "feedparser": {"parse"},
    "lxml": {"parse"},
    "pylatexenc": {"tex"},
    "lark": {"query"},
    "email_validator": {"address"},
    "starlette": {"web"},
    "uvicorn": {"web", "daemon", "demo"},
    "typer": {"cli"},
    "dns": {"doctor"},
    "prometheus_client": {"daemon"},
    "procrastinate": {"worker"},
    "dkim": {"sign"},
    "cryptography": {"sign"},
}


def imports(path: Path) -> set[str]:
    """Names of the modules that a file imports: `notifier.x` for ours, the top package for others."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{a.name}" for a in node.names} if node.module == "notifier" else {node.module}
    return {".".join(n.split(".")[:2]) if n.startswith("notifier.") else n.split(".")[0] for n in found}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = sorted(p for p in PACKAGE.rglob("*.py") if "_shipped" not in p.parts)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_what_its_room_allows(path: Path) -> None:
    here, names = room(path), imports(path)
    if here in ("model", "errors"):
        foreign = {n for n in names - {"notifier.model"} if n.split(".")[0] not in sys.stdlib_module_names}
        assert not foreign, f"{here} may import the standard library only, not {foreign}"
    if here in PURE:
        reached = {n for n in names if n.startswith("notifier.") and n.split(".")[1] in EDGES}
        assert not reached, f"{here} is a pure stage and may not reach {reached}"
    if here not in ("config", "cli", "daemon", "demo"):
        assert "notifier.config" not in names, "config is read by cli and daemon only; stages receive values"
    for name in names:
        if name in HOMES:
            assert here in HOMES[name], f"{name} lives in {HOMES[name]}, not in {here}"


def test_no_test_imports_another_one() -> None:
    """What several of them set up stands in modules of its own, in which no test is."""
    borrowed = [
        (file.name, name)
        for file in Path(__file__).parent.glob("*.py")
        for name in re.findall(r"^(?:from|import) (?:tests\.)?(test_\w+)", file.read_text(), re.MULTILINE)
    ]
    assert borrowed == []
