"""What a check found, and what there is to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    """Works, and somebody should know."""
    FAIL = "FAIL"
    """Does not do what was promised, now or when it matters."""


@dataclass(frozen=True, slots=True)
class Finding:
    about: str
    level: Level
    found: str
    """Never a secret's content, a code or a phone number."""
    advice: str = ""
    """What to do; empty where all is well."""


def ok(about: str, found: str) -> Finding:
    return Finding(about, Level.OK, found)


def warn(about: str, found: str, advice: str) -> Finding:
    return Finding(about, Level.WARN, found, advice)


def fail(about: str, found: str, advice: str) -> Finding:
    return Finding(about, Level.FAIL, found, advice)
