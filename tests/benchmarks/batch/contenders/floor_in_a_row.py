"""The two bare calls, one code after the other."""

from __future__ import annotations

from tests.benchmarks.batch.contenders import floor
from tests.benchmarks.batch.place import Place, Work


def open_work(place: Place) -> Work:
    return floor.open_work(place, at_once=1)
