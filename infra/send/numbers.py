"""The numbers of a file, on disk: to find those that are there twice, and blocks with many.

SQLite's own temporary database: it has no name, and is gone with the process.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from functions.domain.phone import PhoneNumber

_CACHE_KB = 16_384
_TABLES = """
CREATE TABLE numbers (service TEXT, number INTEGER, line INTEGER, PRIMARY KEY (service, number)) WITHOUT ROWID;
CREATE TABLE blocks (service TEXT, block INTEGER, numbers INTEGER, PRIMARY KEY (service, block)) WITHOUT ROWID;
"""
_TENTH = 10


@dataclass(frozen=True, slots=True)
class Numbers:
    database: sqlite3.Connection

    def first_line(self, service: str, number: PhoneNumber, line: int) -> int | None:
        """The line that has the number already, for this service; else None, and it is remembered."""
        key = (service, int(number.e164))
        added = self.database.execute("INSERT OR IGNORE INTO numbers VALUES (?, ?, ?)", (*key, line)).rowcount
        if added:
            self._count_block(service, key[1] // 1000)
            return None
        query = "SELECT line FROM numbers WHERE service = ? AND number = ?"
        (first,) = self.database.execute(query, key).fetchone()
        return int(first)

    def above_1k(self, service: str, most: int) -> int:
        """How many numbers are above `most` in their blocks of a thousand."""
        return self._above("SELECT numbers FROM blocks WHERE service = ?", service, most)

    def above_10k(self, service: str, most: int) -> int:
        summed = f"SELECT SUM(numbers) AS numbers FROM blocks WHERE service = ? GROUP BY block / {_TENTH}"  # noqa: S608
        return self._above(summed, service, most)

    def _count_block(self, service: str, block: int) -> None:
        self.database.execute(
            "INSERT INTO blocks VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET numbers = numbers + 1", (service, block)
        )

    def _above(self, blocks: str, service: str, most: int) -> int:
        query = f"SELECT COALESCE(SUM(MAX(numbers - ?, 0)), 0) FROM ({blocks})"  # noqa: S608
        (found,) = self.database.execute(query, (most, service)).fetchone()
        return int(found)


@contextlib.contextmanager
def numbers_on_disk() -> Iterator[Numbers]:
    database = sqlite3.connect("", isolation_level=None)
    try:
        database.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        database.executescript(_TABLES)
        database.execute("BEGIN")  # one for all: what is written is not meant to outlast us
        yield Numbers(database)
    finally:
        database.close()
