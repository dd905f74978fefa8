"""The accounts at providers: each one's rate as the schedules that functions/stores/rates.py keeps, and who logs in.

A code of a campaign takes a place in the bulk schedule, which is a tenth slower than the account's own. When that has
come it takes one in the common schedule, in step with others, and only one that is near (functions/usecases/lanes.py).
A login takes one in the common schedule alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random  # noqa: TID251 - draws of a simulation, which must come out alike each time

from functions.usecases.lanes import AHEAD, STEP
from infra.scale.model import MARGIN, Fleet, Latency

LOGIN_TIMEOUT = 20.0
"""Seconds of the API's function, as in template.yaml."""


@dataclass(slots=True)
class Schedule:
    """Places at even distances: no time that nobody used is saved up."""

    rate: float
    free_from: float = 0.0

    def take(self, now: float, places: float = 1) -> float:
        """When the place begins."""
        place = max(now, self.free_from)
        self.free_from = place + places / self.rate
        return place


@dataclass(slots=True)
class Logins:
    """People who wait for a code each, beside the campaign and, to compare with, without one."""

    rate: float
    patience: float
    round_trips: float
    latency: Latency
    random: Random
    common: Schedule
    alone: Schedule
    seconds: list[float] = field(default_factory=list)
    seconds_alone: list[float] = field(default_factory=list)
    refused: int = 0
    _next: float = math.inf

    def __post_init__(self) -> None:
        if self.rate:
            self._next = self.random.expovariate(self.rate)

    def until(self, now: float) -> None:
        """Has everybody come who comes by now."""
        while self._next <= now:
            answer = self.round_trips + self.random.lognormvariate(self.latency.mu, self.latency.sigma)
            self.seconds_alone.append(self.alone.take(self._next) - self._next + answer)
            if self.common.free_from - self._next > self.patience:
                self.refused += 1
            else:
                self.seconds.append(self.common.take(self._next) - self._next + answer)
            self._next += self.random.expovariate(self.rate)


@dataclass(slots=True)
class Account:
    bulk: Schedule
    common: Schedule
    logins: Logins
    writes: int = 0
    """Of the two items: those that ask in the same step take their places in one write."""
    _now: float = 0.0
    """The common schedule knows all that came until then."""
    _step: float = -1.0

    def begin_group(self) -> None:
        """Codes of one invocation ask next, together."""
        self.writes += self.common.rate != math.inf
        self._step = -1.0

    def place(self, now: float, latest: float) -> float | None:
        """When a code of a campaign may go out that asks now. None where that is too late for its invocation."""
        if self.common.rate == math.inf:
            return now
        if self.bulk.free_from > latest:
            return None
        turn = max(_in_step(self.bulk.take(now)), self._now)
        while True:
            self.logins.until(turn)
            self._now = turn
            self._note_write(turn)
            if turn > latest or self.common.free_from - turn <= AHEAD:
                break
            turn = _in_step(self.common.free_from - AHEAD)  # logins need more than their tenth
        return self.common.take(turn) if turn <= latest else None

    def free_in(self, now: float) -> float:
        return max(self.bulk.free_from, self.common.free_from) - now

    def _note_write(self, step: float) -> None:
        self.writes += step != self._step
        self._step = step


def _in_step(when: float) -> float:
    return (math.floor(when / STEP + 1e-9) + 1) * STEP


def open_accounts(fleet: Fleet) -> list[Account]:
    return [_open(fleet, rate, number) for number, rate in enumerate(fleet.rates)]


def _open(fleet: Fleet, rate: float, number: int) -> Account:
    common = Schedule(rate)
    logins = Logins(
        rate=fleet.logins / len(fleet.rates),
        patience=LOGIN_TIMEOUT - fleet.provider_timeout - MARGIN,
        round_trips=fleet.round_trips,
        latency=fleet.latency,
        random=Random(fleet.seed * 1_000 + number + 1),  # noqa: S311 - no secret
        common=common,
        alone=Schedule(rate),
    )
    return Account(bulk=Schedule(rate * fleet.bulk_share), common=common, logins=logins)
