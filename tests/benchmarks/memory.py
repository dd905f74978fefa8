"""What each memory size costs and how quick it is, with the processor that Lambda gives to it."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from statistics import median
from typing import Any

import aiohttp

from infra.environments import say
from infra.local.emulator import EmulatedEnvironment
from infra.local.execution_environment import FunctionTimeout
from infra.prices import PRICES
from tests import event_files
from tests.benchmarks.cpu_share import Share, a_share
from tests.benchmarks.laboratory import API, SENDER, Laboratory
from tests.benchmarks.report import Table
from tests.gateway import Gateway
from tests.harness import fresh_number

SIZES = (128, 256, 512, 1024, 1769)
GATEWAY = 0.3
"""Seconds that the gateway takes: what a start waits for, and pays for."""

_BATCH = 10
_LARGE = 1000
_SLOW = 7
"""Seconds that the gateway takes for each message of the large batch: only then all of them are under way at once."""
_MILLION = 1_000_000


class Starved(Exception):
    """A size, or this machine for now, has too little processor for a figure that means something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    memory: int
    first: float
    """Milliseconds of the first start after INIT: connections and keys are fetched then."""
    start: float
    check: float
    batch: float

    def usd(self, milliseconds: float) -> float:
        """A million invocations, without the price of a request."""
        billed = math.ceil(milliseconds) / 1000 * self.memory / 1024
        return PRICES["lambda_gb_second"].of(billed * _MILLION)


async def measure(laboratory: Laboratory, rounds: int) -> Table:
    """Raises NoShares. A size that is starved is left out, and told."""
    measured = []
    for memory in SIZES:
        try:
            measured.append(await _size(laboratory, memory, rounds))
        except (Starved, FunctionTimeout) as reason:
            say(f"{memory} MB is not measured: {reason}")
    return _table(measured, rounds)


async def peak(laboratory: Laboratory) -> Table:
    """A batch of a thousand codes in one invocation, and the most memory that the process had."""
    numbers = [fresh_number().e164 for _ in range(_LARGE)]
    async with await laboratory.ours(SENDER, memory=128) as sender, await laboratory.ours(API, memory=128) as api:
        async with aiohttp.ClientSession() as http, Gateway(laboratory.gateway.url, http).slow(_SLOW):
            await sender.invoke(event_files.batch(numbers))
        for _ in range(100):
            await _start(api)
        rows = [
            (f"sender, a batch of {_LARGE:,}", f"{sender.usage().peak / 1e6:.0f}"),
            ("api, 100 starts", f"{api.usage().peak / 1e6:.0f}"),
        ]
    return Table(
        title="Memory",
        columns=("function", "peak, MB"),
        rows=rows,
        note=(
            "The process's peak resident memory as the kernel has it (VmHWM). The gateway takes so long for the batch "
            "that all its messages are under way at once. Under 128 MB is wanted."
        ),
    )


async def _size(laboratory: Laboratory, memory: int, rounds: int) -> Measured:
    with a_share() as share:
        async with await laboratory.ours(API, memory=memory) as api:
            await _limit(api, share, memory, event_files.read("http_health"))
            first, _ = await _timed(api, lambda: _start(api))
            starts = [await _timed(api, lambda: _start(api)) for _ in range(rounds)]
            # Each of its own: after five wrong codes a verification takes no more.
            checks = [await _timed(api, partial(_check, api, started)) for _, started in starts]
    with a_share() as share:
        async with await laboratory.ours(SENDER, memory=memory) as sender:
            await _limit(sender, share, memory, {"Records": []})
            await sender.invoke(_batch())
            batches = [await _timed(sender, lambda: sender.invoke(_batch())) for _ in range(rounds)]
    return Measured(
        memory=memory,
        first=first,
        start=median(milliseconds for milliseconds, _ in starts),
        check=median(milliseconds for milliseconds, _ in checks),
        batch=median(milliseconds for milliseconds, _ in batches),
    )


async def _limit(environment: EmulatedEnvironment, share: Share, memory: int, event: Any) -> None:
    """After INIT, which Lambda gives a whole processor to."""
    await environment.invoke(event)
    for pid in (environment.emulator, environment.pid):
        if pid is not None:
            share.add(pid)
    share.limit(memory)


async def _timed(environment: EmulatedEnvironment, call: Callable[[], Awaitable[Any]]) -> tuple[float, Any]:
    answer = await call()
    return environment.invocations()[-1], answer


async def _start(api: EmulatedEnvironment) -> str:
    answer = await _answered(api, event_files.start(fresh_number().e164), HTTPStatus.CREATED)
    return str(json.loads(answer["body"])["id"])


async def _check(api: EmulatedEnvironment, started: str) -> None:
    await _answered(api, event_files.check(started, "000000"), HTTPStatus.OK)


async def _answered(api: EmulatedEnvironment, event: dict[str, Any], status: HTTPStatus) -> dict[str, Any]:
    answer: dict[str, Any] = await api.invoke(event)
    if answer["statusCode"] != status:
        raise Starved(f"a request was answered with {answer['statusCode']}: too little processor, within the time-outs")
    return answer


def _batch() -> dict[str, Any]:
    return event_files.batch([fresh_number().e164 for _ in range(_BATCH)])


def _table(sizes: list[Measured], rounds: int) -> Table:
    return Table(
        title="Memory sizes",
        columns=(
            "MB",
            "first start, ms",
            "start, ms",
            "check, ms",
            f"batch of {_BATCH}, ms",
            "$ a million starts",
            "$ a million checks",
            "$ a million codes in batches",
        ),
        rows=[
            (
                f"{size.memory:,}",
                *(f"{milliseconds:.0f}" for milliseconds in (size.first, size.start, size.check, size.batch)),
                *(f"{size.usd(milliseconds):.2f}" for milliseconds in (size.start, size.check)),
                f"{size.usd(size.batch) / _BATCH:.2f}",
            )
            for size in sizes
        ],
        note=(
            f"Medians of {rounds}, but for the first start of a sandbox. A control group limits the processor to "
            f"memory over 1,769 MB, as Lambda does, once INIT is over, which Lambda gives a whole one. The gateway "
            f"takes {GATEWAY:g} s. Dollars are for GB-seconds at the list price of us-east-1."
        ),
    )
