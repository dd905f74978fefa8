"""docs/benchmarks.md: each part of it is between two marks, and written anew by itself."""

from __future__ import annotations

import re
from pathlib import Path


class PartMissing(Exception):
    """The message says what to do."""


def write(file: Path, part: str, text: str) -> None:
    """Raises PartMissing."""
    begin, end = f"<!-- {part} -->\n", f"<!-- end of {part} -->\n"
    found = re.compile(f"(?<={re.escape(begin)}).*(?={re.escape(end)})", re.DOTALL)
    document = file.read_text(encoding="utf-8")
    if found.search(document) is None:
        raise PartMissing(f"{file.name} has no lines {begin.strip()} and {end.strip()} for what was measured")
    file.write_text(found.sub(lambda _: f"\n{text.strip()}\n\n", document), encoding="utf-8")
