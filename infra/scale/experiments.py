"""The runs that docs/scale.md shows. Each campaign is posted as ./salvo send does, unless it says otherwise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from infra.bill import total
from infra.scale.choosing import good_batch_size, good_concurrency
from infra.scale.costs import costs
from infra.scale.model import Fleet, Latency, as_salvo_send_does
from infra.scale.outcome import Run
from infra.scale.simulation import simulate

SIZES = (10_000, 100_000, 1_000_000)
RATES = (10.0, 100.0, 1_000.0, 5_000.0)
ALL_RATES = (3.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0)
LATENCIES = (Latency(p50=0.1, p99=0.5), Latency(p50=0.3, p99=1.0), Latency(p50=1.0, p99=3.0), Latency(p50=2.0, p99=6.0))
WARM_TABLE = 40_000.0
"""Write units a second: an account's quota for a table. WarmThroughput brings a table there before a campaign."""
_A_FEW = 100_000
_LOGINS = 0.02
"""Share of the rate that people at sign-in forms take meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A campaign that something is wrong with."""

    name: str
    run: Run


def well_set(rate: float, codes: int = _A_FEW, *, table_units: float = WARM_TABLE) -> Fleet:
    """With the concurrency that suits the rate."""
    fleet = Fleet(codes=codes, rates=(rate,), logins=rate * _LOGINS, table_units=table_units)
    fleet = replace(fleet, batch_size=good_batch_size(fleet))
    return replace(fleet, concurrency=good_concurrency(fleet), unfinished=as_salvo_send_does(fleet))


def times() -> Mapping[tuple[int, float], Run]:
    return {(codes, rate): simulate(well_set(rate, codes)) for codes in SIZES for rate in RATES}


def by_rate(table_units: float) -> Sequence[tuple[float, Run]]:
    """A hundred thousand codes, or a minute's where that is more."""
    return [
        (rate, simulate(well_set(rate, max(_A_FEW, int(rate * 60)), table_units=table_units))) for rate in ALL_RATES
    ]


def by_concurrency(rate: float, concurrencies: Sequence[int], codes: int) -> Sequence[tuple[int, Run, float]]:
    """Each with the US dollars for a million codes that were sent. They are posted at once: there is always work."""
    found = []
    for concurrency in concurrencies:
        run = simulate(replace(well_set(rate, codes), concurrency=concurrency, unfinished=math.inf))
        found.append((concurrency, run, total(costs(run)) / max(1, run.counts.sent) * 1_000_000))
    return found


def by_logins(rate: float, shares: Sequence[float]) -> Sequence[tuple[float, Run]]:
    return [(share, simulate(replace(well_set(rate), logins=rate * share))) for share in shares]


def ramps() -> Sequence[tuple[str, Run]]:
    slow = replace(well_set(5_000.0, 500_000), latency=LATENCIES[-1])
    slow = replace(slow, concurrency=good_concurrency(slow))
    return [
        ("1,000 a second, gateway of 0.3 s", simulate(well_set(1_000.0, 300_000))),
        ("5,000 a second, gateway of 0.3 s", simulate(well_set(5_000.0, 500_000))),
        ("5,000 a second, gateway of 2 s", simulate(slow)),
    ]


def broken() -> Sequence[Broken]:
    hundred, ten, many = well_set(100.0), well_set(10.0, 20_000), well_set(5_000.0, 1_000_000)
    queued = replace(well_set(100.0, 1_000_000), unfinished=math.inf)
    return [
        Broken(name="nothing is wrong: 100,000 codes, 100 a second", run=simulate(hundred)),
        Broken(name="a million posted at once to 100 a second", run=simulate(queued)),
        Broken(name="the same, batch_send_within = 43,200", run=simulate(replace(queued, fresh_for=43_200.0))),
        Broken(name="BulkConcurrency 20 for 10 a second", run=simulate(replace(ten, concurrency=20))),
        Broken(name="BulkConcurrency 2 for 1,000 a second", run=simulate(replace(well_set(1_000.0), concurrency=2))),
        Broken(name="5,000 a second into a new table", run=simulate(replace(many, table_units=4_000.0))),
        Broken(name="an AWS account of 10 at once, 5,000 a second", run=simulate(_in_a_new_account(many))),
        Broken(name="logins take 15 % of the rate", run=simulate(replace(hundred, logins=15.0))),
        Broken(name="a third of the sends fails for now", run=simulate(replace(hundred, fails=0.33))),
        Broken(name="a gateway of 2 s, BulkConcurrency as for 0.3 s", run=simulate(_slower(well_set(1_000.0)))),
    ]


def _in_a_new_account(fleet: Fleet) -> Fleet:
    return replace(fleet, codes=_A_FEW, account_concurrency=10, logins=1.0)


def _slower(fleet: Fleet) -> Fleet:
    return replace(fleet, latency=LATENCIES[-1])
