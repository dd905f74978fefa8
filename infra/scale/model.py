"""A campaign, the stack that sends it, and the accounts that it goes by: what a simulation is asked about."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from functions.usecases.lanes import BULK_SHARE, STEP
from infra.usage import WHOLE_CPU

POST = 1_000
"""Codes of one call of POST /v1/verifications/batch, at most."""
TOGETHER = 25
"""Codes of an invocation that travel together: one call stores as many, and one write takes as many places of a
schedule."""
MARGIN = 1.5
"""Seconds of an invocation beside a provider's own, as in functions/usecases/submit.py."""

_P99 = NormalDist().inv_cdf(0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Of a gateway's answers: lognormal, by its median and the value that one in a hundred exceeds. Seconds."""

    p50: float
    p99: float

    @property
    def mu(self) -> float:
        return math.log(self.p50)

    @property
    def sigma(self) -> float:
        return math.log(self.p99 / self.p50) / _P99

    def slowest_of(self, count: int) -> float:
        """What the slowest of so many takes, as a rule."""
        if self.sigma == 0:
            return self.p50
        return math.exp(self.mu + self.sigma * NormalDist().inv_cdf(count / (count + 1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What the defaults say is what template.yaml deploys. Seconds and codes a second, unless it says otherwise."""

    codes: int = 1_000_000
    rates: tuple[float, ...] = (100.0,)
    """Of each account; infinite where none is kept to. A code goes by one of them, in proportion to the rates."""
    latency: Latency = Latency(p50=0.3, p99=1.0)
    fails: float = 0.0
    """Share of sends that a gateway does not take for now: they are tried again."""
    bulk_share: float = BULK_SHARE
    """Of each rate, what campaigns may have: the rest is for those who wait for a login code."""

    arriving: float = math.inf
    """Codes a second that are posted, a thousand a call."""
    unfinished: float = math.inf
    """Codes that may be posted and not yet be sent: `./salvo send` waits then. Infinite: all are posted at once."""
    logins: float = 1.0
    """Login codes a second, by the same accounts."""

    concurrency: int = 5
    """BulkConcurrency: invocations of the bulk sender at once."""
    batch_size: int = 100
    window: float = 1.0
    timeout: float = 60.0
    in_flight: int = 1_000
    """Codes of one invocation that are under way at once, at most."""
    memory: int = 512
    account_concurrency: int = 1_000
    """Invocations at once of all the functions of the AWS account in its region. A new account may have ten."""

    provider_timeout: float = 8.0
    """Connection and answer. A send is begun only with this and a margin left."""
    fresh_for: float = 3_600.0
    """The service's batch_send_within: a code that has waited for longer is not sent."""
    visibility: float = 360.0
    most_deliveries: int = 100
    table_units: float = 4_000.0
    """Write units a second that the table takes from the start. A new one takes 4,000."""
    table_tries: float = 1.0
    """Seconds for which the SDK repeats what the table throttles. Assumed: three tries with the waits between them."""

    cpu: float = 0.002
    """Seconds of a whole processor for each code."""
    batch_cpu: float = 0.01
    """Seconds of a whole processor for each invocation."""
    cold_start: float = 0.62
    """Measured, with what Lambda does before that left out: docs/benchmarks.md."""
    filling: float = 0.1
    """To receive a batch from a full queue, ten at a time. Assumed."""
    round_trips: float = 0.03
    """The ways to DynamoDB before a send, one after the other. Assumed, as in infra/usage.py."""
    seed: int = 0

    @property
    def processor(self) -> float:
        """Of a whole one, what this much memory comes with."""
        return min(1.0, self.memory / WHOLE_CPU)

    @property
    def bulk_rate(self) -> float:
        return sum(self.rates) * self.bulk_share

    @property
    def patience(self) -> float:
        """How long a code may wait within its invocation for its place in an account's rate."""
        return self.timeout - self.provider_timeout - MARGIN

    @property
    def batch_seconds(self) -> float:
        """What an invocation takes where no code waits for its place."""
        working = (self.batch_cpu + self.batch_size * self.cpu) / self.processor
        in_step = 0.0 if self.bulk_rate == math.inf else STEP
        return self.filling + working + self.round_trips + in_step + self.latency.slowest_of(self.batch_size)

    @property
    def usable_concurrency(self) -> int:
        """What the account has left for the bulk sender, beside the logins and their 0.5 s or so."""
        taken = math.ceil(self.logins * (self.latency.p50 + self.round_trips))
        return max(1, min(self.concurrency, self.account_concurrency - taken))


def as_salvo_send_does(fleet: Fleet) -> float:
    """How many codes it lets be unfinished: some thirty seconds of work, as in infra/send/pace.py."""
    return min(40_000.0, max(1.0 * POST, 30 * fleet.bulk_rate))
