"""What the other ways of sending a batch leave out. None of it is measured: it is read in contenders/."""

from __future__ import annotations

from tests.benchmarks.batch.contestants import LOOP, NAIVE, ORIGIN, THREADS
from tests.benchmarks.report import Table

_YES, _NO = "yes", "no"


def table() -> Table:
    stored = (LOOP, THREADS, NAIVE)
    return Table(
        title="What they leave out",
        columns=("", "code is stored", "is checked once", "a repeat sends nothing", "limits for a number", "failures"),
        rows=[
            (ORIGIN.name, _NO, _NO, _NO, _NO, "the first ends the program"),
            *((each.name, "as it is", _NO, _NO, _NO, "the first ends the program") for each in stored),
            ("salvo", "its digest", _YES, _YES, _YES, "each message for itself; another provider, or later again"),
        ],
        note="So their figures are those of a part of the work.",
    )
