"""The accounts at providers: each one's rate as the schedules that functions/stores/rates.py keeps, and who logs in.

A code of a campaign takes a place in the bulk schedule, which is a tenth slower than the account's own, and when that
has come one in the common schedule. A login takes one in the common schedule alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random  # noqa: TID251 - draws of a simulation, which must come out alike each time

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

    def place(self, now: float, latest: float) -> float | None:
        """When a code of a campaign may go out that asks now. None where that is too late for its invocation."""
        if self.bulk.free_from > latest:
            return None
        turn = self.bulk.take(now)
        self.logins.until(turn)
        if self.common.free_from > latest:
            return None
        return self.common.take(turn)


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
