"""The file in pieces of up to a thousand numbers: cut as they are needed, and the very same once more after a crash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from infra.send.item import Item, as_item
from infra.send.ledger import Chunk, Ledger
from infra.send.problems import BadLine, Unusable
from infra.send.table import Line, Table

MOST_ITEMS = 1_000
_MOST_BYTES = 900_000
"""Of a body. The API takes 1 MiB."""
_MOST_LINES = 20_000
"""With those that are bad: their results are written with the chunk's."""


@dataclass(slots=True)
class Cut:
    """What is between two lines of the file."""

    begin: int
    stop: int
    first_line: int
    next_line: int
    items: list[Item] = field(default_factory=list)
    size: int = 0

    def body(self) -> bytes:
        """The batch's service is its first item's: a key may be for no other. Who has another one names it."""
        service = self.items[0]["service"] if self.items else ""
        items = [_without(item, "service") if item["service"] == service else item for item in self.items]
        return _json({"service": service, "items": items})


@dataclass(frozen=True, slots=True)
class Record:
    line: Line
    to: str
    """As it stands in the file, good or bad."""
    bad: str | None
    """The code that it was found bad with."""


@dataclass(frozen=True, slots=True)
class Chunks:
    table: Table
    ledger: Ledger
    service: str
    """Of lines that name none."""
    _seen: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_seen", _look(self.table.path))

    def cut(self, most: int, *, posted_at: int, sent_by: str) -> Chunk | None:
        """The next chunk with up to so many items, written into the ledger; None at the end of the file.

        Raises Unusable where the file has changed, and OSError.
        """
        last = self.ledger.last()
        begin, number = (last.stop, last.next_line) if last else (self.table.begin, 2)
        cut = self._collect(begin, number, most=most)
        if cut.stop == begin:
            return None
        chunk = Chunk(
            number=last.number + 1 if last else 0,
            begin=begin,
            stop=cut.stop,
            first_line=number,
            next_line=cut.next_line,
            items=len(cut.items),
            digest=_digest(cut.body()),
            posted_at=posted_at,
            sent_by=sent_by,
        )
        self.ledger.add(chunk)
        return chunk

    def body(self, chunk: Chunk) -> bytes:
        """What is posted for it: each time the same. Raises Unusable where the file has changed, and OSError."""
        body = self._collect(chunk.begin, chunk.first_line, stop=chunk.stop).body()
        if _digest(body) != chunk.digest:
            raise Unusable(
                f"lines {chunk.first_line} to {chunk.next_line - 1} read otherwise than when they were posted first: "
                "go on with the file and the version of Salvo that you began with"
            )
        return body

    def records(self, chunk: Chunk) -> Iterator[Record]:
        """Each of its lines. Raises as `body`."""
        self._check_unchanged()
        for line in self.table.lines(begin=chunk.begin, number=chunk.first_line):
            if line.begin >= chunk.stop:
                return
            yield Record(line, self._number(line), self.ledger.bad_code(line.number))

    def _collect(self, begin: int, number: int, *, most: int = MOST_ITEMS, stop: int | None = None) -> Cut:
        """Up to `stop`, else up to where it is enough."""
        self._check_unchanged()
        cut = Cut(begin=begin, stop=begin, first_line=number, next_line=number)
        for line in self.table.lines(begin=begin, number=number):
            if _is_over(cut, line, most) if stop is None else line.begin >= stop:
                break
            if self.ledger.bad_code(line.number) is None:
                item = {"service": self.service, **as_item(self.table.cells(line))}
                cut.items.append(item)
                cut.size += len(_json(item)) + 1
            cut.stop, cut.next_line = line.end, line.number + 1
        return cut

    def _number(self, line: Line) -> str:
        try:
            return self.table.cells(line).get("to", "")
        except BadLine:
            return ""

    def _check_unchanged(self) -> None:
        if _look(self.table.path) != self._seen:
            raise Unusable(f"{self.table.path} was changed while it is being sent: put it back as it was, and go on")


def _is_over(cut: Cut, line: Line, most: int) -> bool:
    too_many = len(cut.items) >= most or line.number - cut.first_line >= _MOST_LINES
    return too_many or cut.size >= _MOST_BYTES


def _without(item: Item, name: str) -> Item:
    return {key: value for key, value in item.items() if key != name}


def _json(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _look(path: Path) -> tuple[int, int]:
    seen = path.stat()
    return seen.st_size, seen.st_mtime_ns
