"""The whole file, looked through before anything is sent: each bad line, and what the good ones amount to.

Of a line only its number is kept, on disk: a million lines take no more memory than ten thousand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from functions.service_file import Configuration
from infra.send.item import Message, as_item, as_message
from infra.send.numbers import Numbers
from infra.send.problems import BadLine
from infra.send.table import Line, Table
from infra.send.tally import Tally

_BLOCK = 1 << 20
_TELL_EVERY = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Examiner:
    table: Table
    configuration: Configuration
    service: str
    """Of lines that name none."""
    numbers: Numbers

    def examine(self, found_bad: Callable[[int, BadLine], None], told: Callable[[int], None] = lambda _: None) -> Tally:
        """Tells each bad line with its number, and now and then how many bytes it has come. Raises OSError."""
        tally = Tally()
        for count, line in enumerate(self.table.lines()):
            try:
                tally.add(self._message(line))
            except BadLine as error:
                tally.bad += 1
                found_bad(line.number, error)
            if not count % _TELL_EVERY:
                told(line.end)
        return tally

    def _message(self, line: Line) -> Message:
        """Raises BadLine."""
        message = as_message(as_item(self.table.cells(line)), self.configuration.services, self.service)
        first = self.numbers.first_line(message.service.name, message.to, line.number)
        if first is not None:
            raise BadLine("duplicate", f"the same number as line {first}")
        return message


def fingerprint(path: Path) -> str:
    """SHA-256 of the file. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
