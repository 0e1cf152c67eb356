"""Where options come from: config.toml, then NOTIFIER_* variables, then $CREDENTIALS_DIRECTORY; later ones win."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    ValidationError,
)

from notifier.config.tables import PREFIX, TABLES, Config, misfits
from notifier.config.values import near
from notifier.errors import ConfigError

OUTSIDE = {"NOTIFIER_CONFIG", "NOTIFIER_CAPTURES"}  # variables of the command line and of the tests, not options
# A service's configuration and what it works on: a person's command finds the database that the service has.
SERVICE, STATE = Path("/etc/notifier"), Path("/var/lib/notifier")
MOST_BYTES = 1_000_000  # of a config.toml
# What tomllib says -> what is most often meant.
HINTS = {
    "Invalid value": "; text stands in quotes",
    "Expected newline": "; text stands in quotes",
    "Cannot overwrite a value": "; an option may be there once only",
    "Cannot declare": "; a table may be there once only, but for [[listing]] and [[subscription]]",
}


def load(path: Path, environment: Mapping[str, str] = os.environ) -> Config:
    """Read and check the configuration; raises ConfigError with every problem found, each naming its key."""
    problems: list[str] = []
    values = _read_toml(path)
    for source, name, keys, value in [*_variables(environment, problems), *_credentials(environment, problems)]:
        if not _put(values, keys, value):
            problems.append(f"{source} {name}: {'.'.join(keys[:-1])} is not a table in {path}")
    values["folder"] = _folder(path.absolute().parent, environment)
    try:
        config = Config(**values)
    except ValidationError as fault:
        found = [_problem(error) for error in fault.errors(include_input=False, include_url=False)]
        problems += [*found, *(each for each in misfits(_listings(values)) if not any(each in one for one in found))]
        raise ConfigError([f"{path}: {problem}" for problem in problems]) from None
    if problems:
        raise ConfigError([f"{path}: {problem}" for problem in problems])
    return config


def _listings(values: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """The listings that have a name, with what they are compared with, of a configuration that has other mistakes."""
    tables = values.get("listing")
    written = [each for each in tables if isinstance(each, dict)] if isinstance(tables, list) else []
    return [
        (each["name"], other if isinstance(other := each.get("compare_with"), str) else None)
        for each in written
        if isinstance(each.get("name"), str)
    ]


def _folder(beside: Path, environment: Mapping[str, str]) -> Path:
    """Return what relative paths are relative to."""
    given = environment.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(given) if given else STATE if beside == SERVICE else beside


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        raw = path.read_bytes()
    except OSError as fault:
        owner = ": run this as its owner, or as root" if isinstance(fault, PermissionError) else ""
        raise ConfigError([f"{path}: cannot be read: {fault.strerror}{owner}"]) from None
    if len(raw) > MOST_BYTES:
        raise ConfigError([f"{path}: {len(raw):,} bytes are no configuration; the limit is {MOST_BYTES:,}"])
    try:
        values = tomllib.loads(raw.decode("utf-8-sig").replace("\r\n", "\n"))
    except UnicodeDecodeError as fault:
        raise ConfigError([f"{path}: not UTF-8 at byte {fault.start}: save it as UTF-8"]) from None
    except tomllib.TOMLDecodeError as fault:
        hint = next((hint for said, hint in HINTS.items() if said in str(fault)), "")
        raise ConfigError([f"{path}: not TOML: {fault}{hint}"]) from None
    values.pop("folder", None)
    return values


def _variables(environment: Mapping[str, str], problems: list[str]) -> Iterator[tuple[str, str, list[str], str]]:
    names = {PREFIX + "__".join(keys).upper(): keys for keys in _leaves(Config)}
    for name, value in environment.items():
        if not name.upper().startswith(PREFIX) or name in OUTSIDE:
            continue
        if name in names:
            yield "variable", name, names[name], value
        else:
            problems.append(f"variable {name}: there is no such option{near(name, names)}")


def _credentials(environment: Mapping[str, str], problems: list[str]) -> Iterator[tuple[str, str, list[str], str]]:
    names = {".".join(keys): keys for keys in _leaves(Config)}
    folder = environment.get("CREDENTIALS_DIRECTORY")
    for file in sorted(Path(folder).iterdir()) if folder and Path(folder).is_dir() else []:
        if file.name not in names:
            problems.append(f"credential {file.name}: there is no such option{near(file.name, names)}")
            continue
        try:
            value = file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            problems.append(f"credential {file.name}: cannot be read as UTF-8 text")
            continue
        if not value:
            problems.append(f"credential {file.name}: is empty")
        yield "credential", file.name, names[file.name], value


def _leaves(model: type[BaseModel]) -> Iterator[list[str]]:
    """The keys of every option that holds one value, as paths."""
    for name, field in model.model_fields.items():
        if name in ("folder", "listing", "subscription"):
            continue
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from ([name, *rest] for rest in _leaves(kind))
        else:
            yield [field.alias or name]


def _put(values: dict[str, Any], keys: list[str], value: str) -> bool:
    table: Any = values
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            return False
    table[keys[-1]] = value
    return True


# Option -> which letters it may hold and how many, where a pattern says so.
LETTERS = {
    "name": "may hold letters, digits, blanks and . : / + - _, at least one and at most 100",
    "domain": "may hold letters, digits, dots and hyphens",
    "selector": "may hold letters, digits, dots, hyphens and underscores",
    "ed25519_selector": "may hold letters, digits, dots, hyphens and underscores",
    "listen": 'is "", "off" or an address postgresql://...',
    "contact": "is a mail address or a URL, without blanks",
}


def _problem(error: Any) -> str:
    where = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).lstrip(".")
    kind, text = error["type"], error["msg"].removeprefix("Value error, ").replace("Input should be", "must be", 1)
    if kind == "extra_forbidden":
        table = [part for part in error["loc"][:-1] if not isinstance(part, int)]
        model = TABLES.get(str(table[-1]), Config) if table else Config
        known = [field.alias or name for name, field in model.model_fields.items() if name != "folder"]
        return f"{where}: there is no such option{near(str(error['loc'][-1]), known)}"
    if kind == "missing":
        return f"{where}: is required"
    if kind == "tuple_type":
        text = (
            f"write [[{where}]], in two brackets, before each one" if where in TABLES else "write a list, in brackets"
        )
    elif kind in ("int_parsing", "int_type", "int_from_float"):
        text = "must be a whole number"
    elif kind == "bool_parsing":
        text = "must be true or false"
    elif kind in ("string_pattern_mismatch", "string_too_short", "string_too_long"):
        text = LETTERS.get(str(error["loc"][-1]), text)
    return f"{where}: {text}" if where else text
