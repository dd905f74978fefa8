"""The CSV file as it stands: its columns, and its lines one by one.

A line is a record, for no field of ours has a line break: a quote that nobody closes spoils its own line and no other.
"""

from __future__ import annotations

import csv
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from infra.send.problems import BadLine, Unusable, quoted

LONGEST_LINE = 16_384
"""Bytes. All that the API takes for a number is less than half of it."""
COLUMNS = ("to", "service", "locale", "key", "app_hash", "domain", "metadata")
METADATA = "metadata."
"""What a column's name begins with that is an entry of the metadata."""

_DELIMITERS = (",", ";", "\t")
_BOM = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_EMPTY = b" \t\r\n,;"


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    """In the file, whose first line is the one of the columns."""
    begin: int
    end: int
    """Bytes of the file: where the line begins, and where the next one does."""
    raw: bytes | None
    """None where it is longer than a line may be."""


@dataclass(frozen=True, slots=True)
class Table:
    path: Path
    delimiter: str
    columns: tuple[str, ...]
    begin: int
    """The byte that the first line after the columns begins at."""

    def lines(self, *, begin: int | None = None, number: int = 2) -> Iterator[Line]:
        """From the byte and line number on, to the end; empty lines are none. Raises OSError."""
        with self.path.open("rb") as file:
            file.seek(self.begin if begin is None else begin)
            yield from _lines(file, number)

    def cells(self, line: Line) -> dict[str, str]:
        """By column, those that are not empty. Raises BadLine."""
        if line.raw is None:
            raise BadLine("invalid_request", f"has more than {LONGEST_LINE:,} bytes")
        try:
            cells = _split(line.raw.decode("utf-8"), self.delimiter)
        except UnicodeDecodeError:
            raise BadLine("invalid_request", "is not UTF-8") from None
        except csv.Error:
            raise BadLine("invalid_request", "has quotes that do not match") from None
        if len(cells) != len(self.columns):
            raise BadLine("invalid_request", f"has {len(cells)} cells, and the first line {len(self.columns)}")
        return {name: cell for name, cell in zip(self.columns, cells, strict=True) if cell}


def open_table(path: Path) -> Table:
    """Raises Unusable, and OSError."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise Unusable(f"{path} is no file: it is read more than once, so a pipe will not do")
    with path.open("rb") as file:
        first = file.readline(LONGEST_LINE + 1)
        begin = file.tell()
    text = _decode_first(first, path)
    delimiter, columns = _find_columns(text)
    _check_columns(columns, path)
    return Table(path=path, delimiter=delimiter, columns=columns, begin=begin)


def _lines(file: BinaryIO, number: int) -> Iterator[Line]:
    begin = file.tell()
    while raw := file.readline(LONGEST_LINE + 1):
        end, whole = begin + len(raw), raw
        if len(raw) > LONGEST_LINE:
            end, whole = _to_the_end(file, raw, end), b""
        if whole.strip(_EMPTY) or not whole:
            yield Line(number=number, begin=begin, end=end, raw=whole or None)
        begin, number = end, number + 1


def _to_the_end(file: BinaryIO, raw: bytes, end: int) -> int:
    while raw and not raw.endswith(b"\n"):
        raw = file.readline(LONGEST_LINE)
        end += len(raw)
    return end


def _split(text: str, delimiter: str) -> list[str]:
    """Raises csv.Error."""
    rows = list(csv.reader([text.rstrip("\r\n")], delimiter=delimiter, strict=True))
    return [cell.strip() for cell in rows[0]] if rows else []


def _decode_first(first: bytes, path: Path) -> str:
    if first.startswith(_UTF_16):
        raise Unusable(f"{path} is UTF-16: save it as UTF-8")
    if len(first) > LONGEST_LINE:
        raise Unusable(f"{path}: the first line is longer than {LONGEST_LINE:,} bytes, and no line of columns")
    try:
        text = first.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError:
        raise Unusable(f"{path} is not UTF-8: save it as that") from None
    if "\r" in text.rstrip("\r\n"):
        raise Unusable(f"{path}: its lines end as on the first Macs: save it with LF or CRLF")
    return text


def _find_columns(text: str) -> tuple[str, tuple[str, ...]]:
    """By the delimiter that makes the most columns of the first line and leaves `to` one of them."""
    found = [(delimiter, _columns(text, delimiter)) for delimiter in _DELIMITERS]
    with_to = [each for each in found if "to" in each[1]]
    return max(with_to or found, key=lambda each: len(each[1]))


def _columns(text: str, delimiter: str) -> tuple[str, ...]:
    try:
        return tuple(name.lower() if name.lower() in COLUMNS else name for name in _split(text, delimiter))
    except csv.Error:
        return ()


def _check_columns(columns: tuple[str, ...], path: Path) -> None:
    if "to" not in columns:
        raise Unusable(
            f"{path}: the first line has to name the columns, and has no `to`: {quoted(', '.join(columns)) or 'empty'}"
        )
    unknown = [name for name in columns if not _is_known(name)]
    if unknown:
        names = ", ".join(quoted(name) or "one without a name" for name in unknown)
        raise Unusable(f"{path}: unknown columns: {names}; there are {', '.join(COLUMNS)} and {METADATA}NAME")
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise Unusable(f"{path}: columns that are there twice: {', '.join(map(quoted, twice))}")
    if "metadata" in columns and any(name.startswith(METADATA) for name in columns):
        raise Unusable(f"{path}: metadata comes in one column as JSON, or in {METADATA}NAME columns, not in both")


def _is_known(name: str) -> bool:
    return name in COLUMNS or (name.startswith(METADATA) and len(name) > len(METADATA))
