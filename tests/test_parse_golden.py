"""Every page in tests/golden reads as the file beside it says: pages of fictional papers, one for each oddity.

`<page>.expected.json` holds the batch as plain JSON without fields that are empty, or `{"error": reason}`. Its optional
"page" holds what was known besides the bytes: "url", "charset", "selectors".
"""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from notifier.errors import PageError
from notifier.model import Batch, Page, Paper
from notifier.parse import FORMATS, parse

GOLDEN = Path(__file__).resolve().parent / "golden"
PAGES = sorted(path for path in GOLDEN.glob("*/*") if not path.name.endswith(".expected.json"))


def plain(value: Any) -> Any:
    """A batch as JSON holds it, without fields that have their default."""
    if isinstance(value, Batch | Paper):
        shown = {}
        for field in fields(value):
            found = getattr(value, field.name)
            default = {} if field.default_factory is not MISSING else field.default
            if found != default:
                shown[field.name] = plain(found)
        return shown
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    return value.isoformat() if isinstance(value, date) else value


@pytest.mark.parametrize("path", PAGES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_page_reads_as_its_expectation_says(path: Path) -> None:
    expectation = path.with_name(path.name.rsplit(".", 1)[0] + ".expected.json")
    expected = json.loads(expectation.read_text()) if expectation.exists() else {}
    page = Page(
        url=expected.get("page", {}).get("url", "https://listing.example/"),
        charset=expected.get("page", {}).get("charset"),
        content=path.read_bytes(),
        fetched_at=datetime(2026, 5, 4, 8, 17, tzinfo=UTC),
    )
    try:
        found = plain(parse(page, path.parent.name, expected.get("page", {}).get("selectors")))
    except PageError as error:
        found = {"error": error.reason}
    found |= {"page": expected["page"]} if "page" in expected else {}
    written = json.dumps(found, indent=1, ensure_ascii=True) + "\n"
    assert expectation.exists(), f"check what was read, then save it as {expectation.name}:\n{written}"
    assert found == expected


def test_every_format_has_a_golden_page_and_an_error_page() -> None:
    for name in FORMATS:
        expectations = [json.loads(path.read_text()) for path in (GOLDEN / name).glob("*.expected.json")]
        assert any(one.get("papers") for one in expectations), f"no page with papers in tests/golden/{name}"
        assert any("error" in one for one in expectations), f"no page that is refused in tests/golden/{name}"


def test_no_expectation_is_without_its_page() -> None:
    stems = {path.with_suffix("").resolve() for path in PAGES}
    orphans = [
        path.name
        for path in GOLDEN.glob("*/*.expected.json")
        if path.with_suffix("").with_suffix("").resolve() not in stems
    ]
    assert orphans == []
