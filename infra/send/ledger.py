"""What became of each line so far, beside the file: written before and after each step, to go on from after any end.

A chunk is written down before it is posted, with the bytes of the file that it is. So whoever goes on after a crash
posts the very same again, under the same Idempotency-Key. It is done when its results are in the result file; what
stands there behind the last one that is done is of no use.
"""

from __future__ import annotations

import contextlib
import fcntl
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from infra.send.problems import Unusable

_VERSION = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS campaign (
    name TEXT, file TEXT, target TEXT, service TEXT, messages INTEGER, bad INTEGER, rate REAL,
    finished INTEGER
);
CREATE TABLE IF NOT EXISTS bad (line INTEGER PRIMARY KEY, code TEXT);
CREATE TABLE IF NOT EXISTS chunks (
    number INTEGER PRIMARY KEY, begin INTEGER, stop INTEGER, first_line INTEGER, next_line INTEGER, items INTEGER,
    digest TEXT, posted_at INTEGER, sent_by TEXT, state TEXT, batch TEXT, answer TEXT,
    sent INTEGER, refused INTEGER, failed INTEGER, results_end INTEGER
);
"""


class State(StrEnum):
    POSTING = "posting"
    """Nobody knows whether the API has it."""
    POSTED = "posted"
    """The API has it, and told a batch."""
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A campaign that was confirmed."""

    name: str
    file: str
    """The file's SHA-256."""
    target: str
    """The API's address."""
    service: str
    """Of lines that name none."""
    messages: int
    bad: int
    """Lines."""
    rate: float
    """Messages a second, as estimated."""
    finished: int = 0
    """Whether it is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Lines of the file that follow each other, and are one batch."""

    number: int
    begin: int
    stop: int
    """Bytes of the file."""
    first_line: int
    next_line: int
    items: int
    """Lines that are not bad."""
    digest: str
    """SHA-256 of the body that was posted."""
    posted_at: int
    sent_by: str
    """The key, by the first characters of its digest."""
    state: str = State.POSTING
    batch: str | None = None
    answer: str | None = None
    """What the API said of each item at once, in JSON."""


@dataclass(frozen=True, slots=True)
class Counts:
    sent: int = 0
    refused: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        return self.sent + self.refused + self.failed


@dataclass(frozen=True, slots=True)
class Ledger:
    database: sqlite3.Connection

    def begun(self) -> Begun | None:
        row = self.database.execute("SELECT * FROM campaign").fetchone()
        return None if row is None else Begun(**row)

    def note_bad(self, line: int, code: str) -> None:
        """Kept once the campaign has begun."""
        self.database.execute("INSERT INTO bad VALUES (?, ?)", (line, code))

    def begin(self, campaign: Begun) -> None:
        with self.database:
            self._insert("campaign", campaign)

    def finish(self) -> None:
        with self.database:
            self.database.execute("UPDATE campaign SET finished = 1")

    def forget(self) -> None:
        """All of it: what was examined and never begun, or is done with."""
        self.database.rollback()
        with self.database:
            for table in ("campaign", "bad", "chunks"):
                self.database.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names

    def bad_code(self, line: int) -> str | None:
        row = self.database.execute("SELECT code FROM bad WHERE line = ?", (line,)).fetchone()
        return None if row is None else str(row["code"])

    def add(self, chunk: Chunk) -> None:
        with self.database:
            self._insert("chunks", chunk)

    def posted(self, number: int, *, batch: str, answer: str) -> None:
        with self.database:
            self.database.execute(
                "UPDATE chunks SET state = ?, batch = ?, answer = ? WHERE number = ?",
                (State.POSTED, batch, answer, number),
            )

    def done(self, number: int, counts: Counts, *, results_end: int) -> None:
        """`results_end` is how long the result file is with its lines."""
        with self.database:
            self.database.execute(
                "UPDATE chunks SET state = ?, answer = NULL, sent = ?, refused = ?, failed = ?, results_end = ?"
                " WHERE number = ?",
                (State.DONE, counts.sent, counts.refused, counts.failed, results_end, number),
            )

    def last(self) -> Chunk | None:
        """The one that ends where the next begins."""
        found = self._chunks("ORDER BY number DESC LIMIT 1")
        return found[0] if found else None

    def unfinished(self) -> list[Chunk]:
        return self._chunks(f"WHERE state != '{State.DONE}' ORDER BY number")

    def counts(self) -> Counts:
        """Of the chunks that are done."""
        row = self.database.execute(
            "SELECT COALESCE(SUM(sent), 0) AS sent, COALESCE(SUM(refused), 0) AS refused,"
            " COALESCE(SUM(failed), 0) AS failed FROM chunks"
        ).fetchone()
        return Counts(**row)

    def results_end(self) -> int:
        """Bytes of the result file that count."""
        row = self.database.execute("SELECT COALESCE(MAX(results_end), 0) AS length FROM chunks").fetchone()
        return int(row["length"])

    def _chunks(self, which: str) -> list[Chunk]:
        names = ", ".join(field.name for field in fields(Chunk))
        rows = self.database.execute(f"SELECT {names} FROM chunks {which}")  # noqa: S608 - our own names
        return [Chunk(**row) for row in rows]

    def _insert(self, table: str, record: Any) -> None:
        names = [field.name for field in fields(record)]
        values = ", ".join(f":{name}" for name in names)
        self.database.execute(
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values})",  # noqa: S608 - our own names
            asdict(record),
        )


def folder_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.salvo")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Ledger]:
    """The file's ledger, for one process at a time. Raises Unusable, sqlite3.Error and OSError."""
    folder = folder_of(path)
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unusable(
                f"{path} is being sent by another process: wait for its end, or stop it with Ctrl-C"
            ) from None
        with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite")) as database:
            database.row_factory = _as_dict
            _prepare(database, folder)
            yield Ledger(database)


def _prepare(database: sqlite3.Connection, folder: Path) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone().values()
    if version not in {0, _VERSION}:
        raise Unusable(f"{folder} is of another version of Salvo: go on with that one")
    database.executescript(_TABLES)
    database.execute(f"PRAGMA user_version = {_VERSION}")


def _as_dict(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}
