"""The templates of mails and web pages: finds them, lets the operator replace them one by one, renders them.

Owns Jinja. Promises: what is rendered sees plain values only (dict, list, str, int, float, bool, None), because the
sandbox would run methods of any object passed in; HTML is escaped because the caller asked for `html`, not because of
a file name, and no filter undoes it; a name that is not given is an error, not an empty string. A replaced template
that cannot be used is reported and the built-in one is rendered instead: papers still arrive.

Templates are code of the operator, who can spend any amount of time and memory in them: each is rehearsed in a process
with limits before it is used (`rehearse`), and a file of the override folder that everybody may write, or that a link
takes from elsewhere, is refused.
"""

from __future__ import annotations

import re
import stat
import textwrap
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, time
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateNotFound,
    TemplateSyntaxError,
    Undefined,
    meta,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment

from notifier.errors import TemplateError
from notifier.files import shipped

T = TypeVar("T")

MARK = re.compile("\x1a([A-Z][a-z]*(?:_[A-Z][a-z]*)*)\x1a")
MADE_UP = 30  # items of a list that nothing is known of
TEXT_COLUMNS = 74  # RFC 5322 2.1.1 advises 78; 75 and more would be broken by quoted-printable


def folder() -> Path:
    """Return the folder of the built-in templates."""
    place = shipped("templates")
    if (place / "email").is_dir():
        return place
    raise TemplateError("templates", f"not found at {place}: the installation is incomplete")


class Templates:
    """All templates, by name (`email/digest.html`); files of the folder `overrides` replace built-in ones.

    `report` is called with the reason each time a replaced template could not be used and the built-in one was.
    Of the folder, `only` these files are used if it is given, and none that were `refused` (by `rehearse`). Each file
    is read once: a change shows after a reload.
    """

    def __init__(
        self,
        overrides: Path | None = None,
        report: Callable[[TemplateError], None] | None = None,
        *,
        only: Collection[str] | None = None,
        refused: Sequence[TemplateError] = (),
    ) -> None:
        shipped = FileSystemLoader(folder())
        self._overrides = overrides
        self._refused = {fault.template: fault for fault in refused}
        self._report = report or (lambda _error: None)
        self._shipped = _environments([shipped])
        self._chosen = (
            _environments([_Guarded(overrides, only, {fault.template for fault in refused}), shipped])
            if overrides
            else self._shipped
        )

    def html(self, name: str, values: Mapping[str, object]) -> str:
        """Render the template as HTML, every value escaped. Raises TemplateError when even the built-in one fails."""
        return self._render("html", name, values, str)

    def text(self, name: str, values: Mapping[str, object]) -> str:
        """Render the template as plain text: nothing is escaped. Raises TemplateError as `html` does."""
        return self._render("text", name, values, str)

    def cut(
        self,
        kind: str,
        name: str,
        values: Mapping[str, object],
        slots: Mapping[str, bool],
        required: Sequence[str] = (),
    ) -> list[str]:
        """Render as "html" or "txt" with slots, and return the text cut at them: text, slot, text, .., text.

        A slot stands for what is different for each reader. A template finds it under `reader`, "" where `slots` says
        that there is nothing to fill it with, and can write it and ask whether it is there. One that computes with it,
        or leaves out a required one, is broken as any other: reported, and the built-in one is used.
        """
        given = {**values, "reader": {slot: _mark(slot) if there else "" for slot, there in slots.items()}}
        return self._render("html" if kind == "html" else "text", name, given, lambda text: _cut(name, text, required))

    def check(self) -> list[TemplateError]:
        """Return what is wrong with the operator's templates: refused, unreadable, unknown names, unknown variables."""
        if missing := self.missing():
            return [missing]
        found = [self._refused.get(name) or self.examine(name) for name in self.replaced()]
        return [fault for fault in found if fault]

    def missing(self) -> TemplateError | None:
        """Return that there is no folder of the operator's, if there should be one."""
        if not self._overrides or self._overrides.is_dir():
            return None
        return TemplateError(str(self._overrides), "the folder for replaced templates does not exist")

    def replaced(self) -> list[str]:
        """Return the names of the operator's files."""
        if not self._overrides or not self._overrides.is_dir():
            return []
        names = sorted(str(p.relative_to(self._overrides)) for p in self._overrides.rglob("*") if p.is_file())
        return [name for name in names if not name.startswith(".")]

    def made_up(self, name: str) -> str:
        """Render the operator's file with a value for everything that it asks for; "" where that cannot be had."""
        environment = self._chosen["html" if name.endswith(".html") else "text"].overlay(undefined=_MadeUp)
        try:
            return environment.get_template(name).render()
        except MemoryError:
            raise
        except Exception:
            return ""  # a value of the wrong kind says nothing about the template

    def examine(self, name: str) -> TemplateError | None:
        """Return what is wrong with a file of the operator's; reading it may already take any amount of memory."""
        kind = "html" if name.endswith(".html") else "text"
        ours, theirs = self._shipped[kind], self._chosen[kind]
        try:
            known = _variables(ours, name)
        except TemplateNotFound:
            return TemplateError(name, "replaces no built-in template of this name")
        try:
            theirs.get_template(name)
            unknown = _variables(theirs, name) - known
        except Exception as error:
            return _fault(name, error)
        return TemplateError(name, f"unknown variable: {', '.join(sorted(unknown))}") if unknown else None

    def _render(self, kind: str, name: str, values: Mapping[str, object], finish: Callable[[str], T]) -> T:
        given = {key: plain(value) for key, value in values.items()}
        chosen, shipped = self._chosen[kind], self._shipped[kind]
        if chosen is not shipped:
            try:
                return finish(chosen.get_template(name).render(given))
            except Exception as error:  # a broken replacement of any sort must not stop the mail
                self._report(_fault(name, error))
        try:
            return finish(shipped.get_template(name).render(given))
        except Exception as error:
            raise _fault(name, error) from error


def plain(value: object) -> Any:
    """Return `value` as dict, list, str, int, float, bool or None; raises TypeError for anything else.

    Frozen dataclasses become dicts, instants and dates ISO 8601 text, subclasses of str and int the bare thing:
    a `Markup` would otherwise switch escaping off, and a method would be callable from a template.
    """
    if value is None or type(value) in (bool, str, int):
        return value
    if isinstance(value, str):
        return "".join(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, (date, time)):
        return value.isoformat()
    raise TypeError(f"a template may not see a {type(value).__name__}: pass plain values")


def _mark(slot: str) -> str:
    """Return what a template writes for a slot: foreign text has no control character, so it cannot forge one.

    Capitals and small letters, so that no filter of case leaves it whole.
    """
    return f"\x1a{slot.title()}\x1a"


def _cut(name: str, text: str, required: Sequence[str]) -> list[str]:
    parts = MARK.split(text)
    if any("\x1a" in part for part in parts[::2]):
        raise TemplateError(name, "computes with a value of `reader`, which can only be written or asked for")
    slots = [part.lower() for part in parts[1::2]]
    missing = [slot for slot in required if slot not in slots]
    if missing:
        raise TemplateError(name, f"leaves out {', '.join(f'reader.{slot}' for slot in missing)}")
    parts[1::2] = slots
    return parts


def wrap(text: str, indent: int = 0, first: int | None = None, columns: int = TEXT_COLUMNS) -> str:
    """Wrap `text` at `columns`, each line indented (the first one by `first`); a long URL is never broken."""
    return textwrap.fill(
        text,
        columns,
        initial_indent=" " * (indent if first is None else first),
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


class _Guarded(FileSystemLoader):
    """Loads the operator's files, refusing what somebody else may have put there."""

    def __init__(self, root: Path, only: Collection[str] | None, refused: Collection[str]) -> None:
        super().__init__(root)
        self._root = root
        self._only = only
        self._refused = refused

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        if template in self._refused or (self._only is not None and template not in self._only):
            raise TemplateNotFound(template)
        source, path, current = super().get_source(environment, template)
        real = Path(path).resolve()
        if not real.is_relative_to(self._root.resolve()):
            raise TemplateError(template, f"{path} is a link that leaves {self._root}")
        for place in (real, *(p for p in real.parents if p.is_relative_to(self._root.resolve()))):
            if place.stat().st_mode & stat.S_IWOTH:
                raise TemplateError(template, f"everybody may write {place}: chmod o-w it")
        return source, path, current


class _MadeUp(Undefined):
    """A value for a template of which nothing is known: a text, a list, a mapping, whatever is asked for."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, key: object) -> _MadeUp:  # type: ignore[override]
        return self

    def __iter__(self) -> Iterator[_MadeUp]:
        return iter([self] * MADE_UP)

    def __len__(self) -> int:
        return MADE_UP

    def __bool__(self) -> bool:
        return True

    def __str__(self) -> str:
        return "made up"


def _environments(loaders: Sequence[BaseLoader]) -> dict[str, Environment]:
    """Return the sandboxes, one that escapes (html) and one that does not (text), over the same files."""
    return {"html": _environment(loaders, escape=True), "text": _environment(loaders, escape=False)}


def _environment(loaders: Sequence[BaseLoader], *, escape: bool) -> Environment:
    made = ImmutableSandboxedEnvironment(
        loader=ChoiceLoader(loaders),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    made.filters["wrap"] = wrap
    for unsafe in ("safe", "mark_safe"):
        made.filters.pop(unsafe, None)
    made.globals.pop("lipsum", None)
    return made


def _variables(environment: Environment, name: str) -> set[str]:
    """Return the variables that a template expects from outside."""
    assert environment.loader is not None
    source, _, _ = environment.loader.get_source(environment, name)
    return meta.find_undeclared_variables(environment.parse(source, name))


def _fault(name: str, error: Exception) -> TemplateError:
    """Return the error as ours, with the line of the template where it happened."""
    if isinstance(error, TemplateError):
        return error
    if isinstance(error, TemplateSyntaxError):
        return TemplateError(error.name or name, error.message or "syntax error", error.lineno)
    if isinstance(error, TemplateNotFound):
        return TemplateError(name, f"needs {error.name}, which does not exist")
    if isinstance(error, UnicodeDecodeError):
        return TemplateError(name, f"is not UTF-8: {error.reason} at byte {error.start}")
    # Jinja rewrites the traceback so that frames of a template carry the template's own file and line.
    lines = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.endswith(".py")]
    where = lines[-1] if lines else None
    inside = "/".join(Path(where.filename).parts[-2:]) if where else name
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return TemplateError(inside, reason, where.lineno if where else None)
