"""The figures that a batch is held to, each beside what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.benchmarks.batch.contestants import FLOOR, FLOOR_IN_A_ROW, SINGLE, TOGETHER, Contender, salvo
from tests.benchmarks.batch.tournament import EVENT, Results
from tests.benchmarks.report import Table

FEW, MANY = 10, 1_000
"""Codes of which the whole time is looked at."""
SMALL, LARGE = 100, 10_000
"""Codes between which the CPU for each must stay the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    what: str
    most: float
    measured: float | None

    def row(self) -> Sequence[str]:
        if self.measured is None:
            return self.what, f"{self.most:g}", "–", "not measured"
        return self.what, f"{self.most:g}", f"{self.measured:.2f}", "yes" if self.measured <= self.most else "no"


def table(quick: Results, slow: Results, *, latency: float) -> Table:
    """`quick` is of a gateway without latency, `slow` of one that takes `latency` seconds."""
    rows = []
    for guarded in (False, True):
        with_it = "with the guard" if guarded else "without the guard"
        for figure in (*_time(slow, latency, guarded=guarded), *_cpu(quick, guarded=guarded)):
            what, *rest = figure.row()
            rows.append((f"{what}, {with_it}", *rest))
    return Table(
        title="Figures to reach",
        columns=("figure", "at most", "measured", "reached"),
        rows=rows,
        note=(
            f"The whole time over one send of {latency:g} s. CPU for a code, {MANY:,} at once, in units of the bare "
            "calls: made one after the other, and, which is cheaper, eight at a time. Then the CPU for a code at "
            f"{LARGE:,} at once over that at {SMALL}, and the memory at {LARGE:,} over that at {MANY:,}, without the "
            "event: 10 would be a sender that holds the whole batch open."
        ),
    )


def _time(results: Results, latency: float, *, guarded: bool) -> list[Figure]:
    ours = salvo(SINGLE, guarded=guarded, known=False)
    return [
        Figure(what=f"{codes:,} codes in one invocation", most=most, measured=_over(results.wall(ours, codes), latency))
        for codes, most in ((FEW, 1.05), (MANY, 1.3))
    ]


def _cpu(results: Results, *, guarded: bool) -> list[Figure]:
    single, known = (salvo(SINGLE, guarded=guarded, known=known) for known in (False, True))
    together = salvo(TOGETHER, guarded=guarded, known=False)
    growth = _over(results.cpu(single, LARGE), results.cpu(single, SMALL))
    memory = _over(_memory(results, single, LARGE), _memory(results, single, MANY))
    return [
        *(
            Figure(what=f"CPU of {what}, {unit}", most=most, measured=_in_units(results, contender, floor))
            for what, most, contender in (
                ("new numbers, a call each", 0.6, single),
                ("new numbers, one call for many", 0.35, together),
                ("numbers with a record, a call each", 1.15, known),
            )
            for unit, floor in (("one after the other", FLOOR_IN_A_ROW), ("eight at a time", FLOOR))
        ),
        Figure(what=f"CPU at {LARGE:,}", most=1.1, measured=growth),
        Figure(what=f"memory at {LARGE:,}", most=2, measured=memory),
    ]


def _memory(results: Results, contender: Contender, codes: int) -> float | None:
    """Bytes without the event."""
    found = results.memory(contender, codes)
    return None if found is None else found - EVENT * codes


def _in_units(results: Results, contender: Contender, floor: Contender) -> float | None:
    return _over(results.cpu(contender, MANY), results.cpu(floor, MANY))


def _over(figure: float | None, one: float | None) -> float | None:
    return None if figure is None or one is None else figure / one
