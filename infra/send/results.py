"""The result file: a line for each line of the file, written as batches come to their end.

Its rows stand in the order in which batches ended; `line` is the line of the file.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from infra.send.chunks import Record
from infra.send.ledger import Counts
from infra.send.problems import Unusable

COLUMNS = ("line", "to", "status", "code", "id")


@dataclass(frozen=True, slots=True)
class Outcome:
    status: str
    """sent, refused, failed."""
    code: str = ""
    """Why not."""
    id: str = ""
    """Of the verification."""


@dataclass(frozen=True, slots=True)
class Results:
    file: BinaryIO

    def write(self, records: Iterator[Record], outcomes: Mapping[int, Outcome]) -> int:
        """Outcomes by place among the records that are not bad. Gives the file's length, once it is on the disk."""
        text = io.StringIO()
        rows, place = csv.writer(text, lineterminator="\n"), 0
        for record in records:
            if record.bad is not None:
                rows.writerow((record.line.number, record.to, "invalid", record.bad, ""))
                continue
            outcome = outcomes[place]
            rows.writerow((record.line.number, record.to, outcome.status, outcome.code, outcome.id))
            place += 1
        self.file.write(text.getvalue().encode())
        self.file.flush()
        os.fsync(self.file.fileno())
        return self.file.tell()


def counted(outcomes: Mapping[int, Outcome]) -> Counts:
    statuses = [outcome.status for outcome in outcomes.values()]
    return Counts(sent=statuses.count("sent"), refused=statuses.count("refused"), failed=statuses.count("failed"))


def result_path(path: Path) -> Path:
    """phones.csv has its results in phones.result.csv."""
    stem = path.name.removesuffix(".csv")
    return path.with_name(f"{stem}.result.csv")


def set_aside(path: Path, name: str) -> None:
    """The results of a campaign that is over get its name."""
    with contextlib.suppress(FileNotFoundError):
        result_path(path).rename(path.with_name(f"{path.name.removesuffix('.csv')}.result.{name}.csv"))


@contextlib.contextmanager
def opened(path: Path, length: int) -> Iterator[Results]:
    """The result file of `path`, as long as the ledger says: what stands behind that is written anew.

    Raises Unusable, and OSError.
    """
    target = result_path(path)
    if length and (not target.exists() or target.stat().st_size < length):
        raise Unusable(f"{target} is shorter than what was written: put it back as it was, and go on")
    with target.open("r+b" if length else "w+b") as file:
        file.truncate(length)
        file.seek(length)
        if not length:
            file.write((",".join(COLUMNS) + "\n").encode())
            _keep_name(target)
        yield Results(file)


def _keep_name(target: Path) -> None:
    """A new file's name is in its folder, and outlasts a power cut once that is on the disk too."""
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
