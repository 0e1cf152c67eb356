"""A finding of the doctor: how bad, about what, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """Green: well. Yellow: works, but not as it should. Red: something that readers notice, or soon will."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table."""

    level: Level
    subject: str
    words: str


def green(subject: str, words: str) -> Finding:
    return Finding(Level.GREEN, subject, words)


def yellow(subject: str, words: str) -> Finding:
    return Finding(Level.YELLOW, subject, words)


def red(subject: str, words: str) -> Finding:
    return Finding(Level.RED, subject, words)
