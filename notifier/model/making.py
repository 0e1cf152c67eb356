"""Making frozen values by the thousand, at half the price of their own constructor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, make_dataclass
from typing import ParamSpec, TypeVar

_Fields = ParamSpec("_Fields")
_Value = TypeVar("_Value")


def making(frozen: Callable[_Fields, _Value]) -> Callable[_Fields, _Value]:
    """Return another constructor of a frozen, slotted dataclass without `__post_init__`, for keyword arguments alone.

    A frozen dataclass sets each of its fields by a call of `object.__setattr__`. Its twin, which is not frozen, sets
    them as any object does, and becomes a value of the frozen class before anybody has seen it.
    """
    assert isinstance(frozen, type)
    same = [(field.name, field.type, field) for field in fields(frozen)]
    twin: Callable[_Fields, _Value] = make_dataclass(frozen.__name__, same, slots=True, kw_only=True)

    def made(*args: _Fields.args, **kwargs: _Fields.kwargs) -> _Value:
        value = twin(*args, **kwargs)
        value.__class__ = frozen
        return value

    return made
