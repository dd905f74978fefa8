"""What was measured of batches, as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.benchmarks.batch.contestants import FLOOR, Contender
from tests.benchmarks.batch.tournament import EVENT, TOO_LONG, Race, Results
from tests.benchmarks.report import Table

NOT_MEASURED = "–"

_ALL = "All contenders in turns, each in a process of its own, on the same embedded AWS and simulated gateway"


def cpu(race: Race, results: Results) -> Table:
    def cell(contender: Contender, codes: int) -> str:
        mine, unit = results.cpu(contender, codes), results.cpu(FLOOR, codes)
        return NOT_MEASURED if mine is None or unit is None else f"{mine * 1e3:.2f} ({mine / unit:.2f})"

    return Table(
        title="CPU for a code",
        columns=("milliseconds, and in units of the two bare calls", *_codes(race)),
        rows=_rows(race, cell),
        note=(
            f"{_ALL}, without latency; medians of {race.rounds} rounds. User and system time of the contender's "
            f"process alone, without its start and a first order of 20 codes.{_failures(results)}"
        ),
    )


def wall(race: Race, results: Results) -> Table:
    def cell(contender: Contender, codes: int) -> str:
        seconds = results.wall(contender, codes)
        if seconds is not None:
            return f"{seconds:.2f}"
        waiting = contender.takes(codes, race.latency)
        return f"({waiting:,.0f})" if waiting > TOO_LONG else NOT_MEASURED

    return Table(
        title=f"A whole batch, where the gateway takes {race.latency:g} s",
        columns=("seconds", *_codes(race)),
        rows=_rows(race, cell),
        note=(
            f"{_ALL}. Medians of {race.rounds} rounds; what waits for the gateway longer than half a minute was "
            f"measured once, and what is in brackets is arithmetic.{_failures(results)}"
        ),
    )


def memory(race: Race, results: Results) -> Table:
    def cell(contender: Contender, codes: int) -> str:
        found = results.memory(contender, codes)
        return NOT_MEASURED if found is None else f"{found / 1e6:.1f}"

    gateway = f"takes {race.latency:g} s" if race.latency else "takes no time"
    return Table(
        title=f"Memory of a batch, where the gateway {gateway}",
        columns=("MB more than before", *_codes(race)),
        rows=_rows(race, cell),
        note=(
            "The most that the process held while it sent, above what it held after its first 20 codes. Of ours "
            f"{EVENT / 1e3:g} kB a code are the event, which grows with the batch whatever the sender does."
        ),
    )


def _failures(results: Results) -> str:
    return f" Did not send every code in one of the rounds: {'; '.join(results.failed)}." if results.failed else ""


def _codes(race: Race) -> list[str]:
    return [f"{codes:,} codes" for codes in race.sizes]


def _rows(race: Race, cell: Callable[[Contender, int], str]) -> Sequence[Sequence[str]]:
    return [(each.name, *(cell(each, codes) for codes in race.sizes)) for each in race.contenders]
