"""Contenders in turns: each round has an embedded AWS of its own, and begins with another of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from infra.environments import say
from tests.benchmarks.batch.arena import Arena, Entrant, Failed, Measured
from tests.benchmarks.batch.contestants import Contender

LONG = 30.0
"""Seconds of waiting for the gateway from which on an order is measured once: it is arithmetic, and no noise."""
TOO_LONG = 200.0
"""From which on it is not measured at all."""

EVENT = 1_400
"""Bytes of memory that a record of an event takes, once it is read: 14.1 MB for 10,000."""

_SMALL = 100
"""Codes. Fewer are measured several times in a round: their CPU is milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    contenders: Sequence[Contender]
    sizes: Sequence[int]
    """Codes at once."""
    rounds: int
    latency: float = 0.0
    """Seconds that the gateway takes for each request."""

    def times(self, contender: Contender, codes: int, nth: int) -> int:
        """How often this is measured in the round."""
        waiting = contender.takes(codes, self.latency)
        if waiting > TOO_LONG or not contender.may(codes) or (waiting > LONG and nth > 0):
            return 0
        return 1 if self.latency else max(1, _SMALL // codes)


@dataclass(frozen=True, slots=True)
class Results:
    measured: Mapping[tuple[str, int], list[Measured]] = field(default_factory=dict)
    """By the contender's name and the codes at once."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """What a contender said when it did not send every code, by its name."""

    def of(self, contender: Contender, codes: int) -> Sequence[Measured]:
        return self.measured.get((contender.name, codes), ())

    def cpu(self, contender: Contender, codes: int) -> float | None:
        """Seconds for each code."""
        return _median([each.cpu / each.codes for each in self.of(contender, codes)])

    def wall(self, contender: Contender, codes: int) -> float | None:
        """Seconds for all of them."""
        return _median([each.wall for each in self.of(contender, codes)])

    def memory(self, contender: Contender, codes: int) -> float | None:
        return _median([each.memory for each in self.of(contender, codes)])


async def run(race: Race) -> Results:
    measured: dict[tuple[str, int], list[Measured]] = {}
    failed: dict[str, str] = {}
    for nth in range(race.rounds):
        async with Arena.open() as arena:
            for contender in _from(nth, race.contenders):
                say(f"round {nth + 1} of {race.rounds}: {contender.name}")
                try:
                    async with arena.enter(contender) as entrant:
                        await _turn(entrant, race, nth, measured)
                except Failed as failure:
                    failed[contender.name] = str(failure)
                    say(str(failure))
    return Results(measured, failed)


async def _turn(entrant: Entrant, race: Race, nth: int, measured: dict[tuple[str, int], list[Measured]]) -> None:
    """From the smallest size to the largest: the peak of memory grows with it. Raises Failed."""
    for codes in sorted(race.sizes):
        for _ in range(race.times(entrant.contender, codes, nth)):
            found = await entrant.send(codes, latency=race.latency)
            measured.setdefault((entrant.contender.name, codes), []).append(found)


def _from(nth: int, contenders: Sequence[Contender]) -> Sequence[Contender]:
    first = nth % len(contenders)
    return [*contenders[first:], *contenders[:first]]


def _median(figures: Sequence[float]) -> float | None:
    return median(figures) if figures else None
