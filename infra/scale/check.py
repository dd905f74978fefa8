"""The simulation against a real run at small scale: the real bulk sender in processes of its own, on this machine.

Two things of this machine are measured first, with a gateway that answers at once: what a code takes where one
invocation has the machine for itself, and how many a second the machine manages at all, whose one emulator stands for
the table. All else of the simulation's answer is foretold.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.environments import say
from infra.local.embedded_aws import aws_client
from infra.local.event_source import EventSource
from infra.local.execution_environment import Function
from infra.local.system import Base, start_base
from infra.local.trial_routes import write_services
from infra.scale.model import Fleet, Latency
from infra.scale.outcome import Run
from infra.scale.simulation import simulate
from infra.scale.table import SEND_UNITS

_PROVIDER = "twilio"
_SUBSCRIBERS, _APART = 100_000_000, 61_803_399
"""Each number is so far from the one before it: codes to one block of numbers in a row are what the guard is for."""
_IN_A_CALL = 10
_LOOK_EVERY = 0.05
_GIVE_UP = 300.0
_AT_ONCE = 0.001
"""Seconds of a gateway that is told to take none."""


class CheckFailed(Exception):
    """The real run did not come to its end. The message says how far it came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    seconds_a_code: float
    codes_a_second: float
    """By several invocations at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    name: str
    codes: int
    concurrency: int
    rate: float = math.inf
    latency: float = _AT_ONCE
    timeout: float = 60.0
    batch_size: int = 100

    def fleet(self, machine: Machine) -> Fleet:
        """The same, as a simulation is asked about it: warm sandboxes, a whole processor, nobody logs in."""
        return Fleet(
            codes=self.codes,
            concurrency=self.concurrency,
            rates=(self.rate,),
            latency=Latency(p50=self.latency, p99=self.latency),
            timeout=self.timeout,
            batch_size=self.batch_size,
            logins=0.0,
            cold_start=0.0,
            memory=1_769,
            cpu=machine.seconds_a_code,
            batch_cpu=0.0,
            table_units=machine.codes_a_second * SEND_UNITS,
            table_tries=math.inf,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    seconds: float
    busy: float
    """Seconds of all invocations together."""
    peak: int
    """Invocations at once."""
    invocations: int
    came_back: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    scenario: Scenario
    real: Measured
    simulated: Run


SCENARIOS = (
    Scenario(name="an account of 20 a second", codes=500, concurrency=4, rate=20.0, latency=0.3),
    Scenario(name="a gateway that takes 5 s", codes=600, concurrency=3, latency=5.0),
    Scenario(
        name="too many at once for 10 a second",
        codes=200,
        concurrency=3,
        batch_size=40,
        rate=10.0,
        latency=0.3,
        timeout=18.0,
    ),
)
"""Slow enough for a busy machine: what it can do at all is measured, but not how that changes."""
_ALONE = Scenario(name="one at a time", codes=300, concurrency=1)
_CROWDED = Scenario(name="as fast as it goes", codes=800, concurrency=4)


async def check(scenarios: Sequence[Scenario] = SCENARIOS) -> tuple[Machine, Sequence[Compared]]:
    """Each scenario both ways, on the machine that was measured. Raises CheckFailed."""
    alone, crowded = await measure(_ALONE), await measure(_CROWDED)
    machine = Machine(seconds_a_code=alone.busy / _ALONE.codes, codes_a_second=_CROWDED.codes / crowded.seconds)
    return machine, [
        Compared(scenario=scenario, real=await measure(scenario), simulated=simulate(scenario.fleet(machine)))
        for scenario in scenarios
    ]


@dataclass(slots=True)
class _Watched:
    """A function that is looked at while it is invoked."""

    function: Function
    busy: float = 0.0
    running: int = 0
    peak: int = 0
    last_end: float = field(default=0.0)

    async def invoke(self, event: Any) -> Any:
        began = time.monotonic()
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            return await self.function.invoke(event)
        finally:
            self.last_end = time.monotonic()
            self.running -= 1
            self.busy += self.last_end - began


async def measure(scenario: Scenario) -> Measured:
    """Runs it for real. Raises CheckFailed."""
    say(f"{scenario.name}: {scenario.codes:,} codes, {scenario.concurrency} at once")
    async with start_base(latency=scenario.latency, fail=0.0) as base, _sender(base, scenario) as sender:
        await _put(base, scenario.codes)
        began = time.monotonic()
        async with EventSource.start(
            sender,
            endpoint=base.resources.endpoint,
            queue_url=base.resources.bulk_queue_url,
            batch_size=scenario.batch_size,
            window=1.0,
            max_concurrency=scenario.concurrency,
        ) as source:
            while (done := source.counters.succeeded) < scenario.codes:
                if time.monotonic() - began > _GIVE_UP:
                    raise CheckFailed(
                        f"{scenario.name}: {done} of {scenario.codes} codes were sent in {_GIVE_UP:.0f} s"
                    )
                await asyncio.sleep(_LOOK_EVERY)
            counters = source.counters
        return Measured(
            seconds=sender.last_end - began,
            busy=sender.busy,
            peak=sender.peak,
            invocations=counters.invocations,
            came_back=counters.failed,
        )


@contextlib.asynccontextmanager
async def _sender(base: Base, scenario: Scenario) -> AsyncIterator[_Watched]:
    with tempfile.TemporaryDirectory(prefix="salvo-scale-") as folder:
        services = Path(folder) / "services.toml"
        write_services(services, {"default": [_PROVIDER]})
        if scenario.rate != math.inf:
            with services.open("a", encoding="utf-8") as file:
                file.write(f"[providers.{_PROVIDER}]\nrate = {scenario.rate:g}\n")
        environment = {**base.environment(services=services), **base.resources.bulk_environment()}
        async with Function(
            "functions.handlers.sender.handler",
            environment,
            timeout=scenario.timeout,
            name="bulk-sender",
            max_concurrency=scenario.concurrency,
            log=Path(folder) / "sender.log",
        ) as function:
            await function.warm(scenario.concurrency)
            yield _Watched(function)


async def _put(base: Base, codes: int) -> None:
    numbers = [f"+49151{number * _APART % _SUBSCRIBERS:08d}" for number in range(codes)]
    async with aws_client("sqs", base.resources.endpoint) as sqs:
        for start in range(0, codes, _IN_A_CALL):
            entries = [
                {"Id": str(place), "MessageBody": f'{{"v": 1, "to": "{number}"}}'}
                for place, number in enumerate(numbers[start : start + _IN_A_CALL])
            ]
            await sqs.send_message_batch(QueueUrl=base.resources.bulk_queue_url, Entries=entries)
