"""docs/benchmarks.md: each part of it is between two marks, and written anew by itself."""

from __future__ import annotations

import re
from pathlib import Path


class PartMissing(Exception):
    """The message says what to do."""


def check(file: Path, part: str) -> None:
    """Raises PartMissing: better before something is measured than after it."""
    if _place_of(part).search(file.read_text(encoding="utf-8")) is None:
        raise PartMissing(f"{file.name} has no lines {_begin(part)} and {_end(part)} for what is measured")


def write(file: Path, part: str, text: str) -> None:
    """Raises PartMissing."""
    check(file, part)
    document = file.read_text(encoding="utf-8")
    file.write_text(_place_of(part).sub(lambda _: f"\n{text.strip()}\n\n", document), encoding="utf-8")


def _place_of(part: str) -> re.Pattern[str]:
    return re.compile(f"(?<={re.escape(_begin(part))}\n).*(?={re.escape(_end(part))}\n)", re.DOTALL)


def _begin(part: str) -> str:
    return f"<!-- {part} -->"


def _end(part: str) -> str:
    return f"<!-- end of {part} -->"
