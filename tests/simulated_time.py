"""Fleets in simulated time over a real table: what hours of waiting come to, in seconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import field
from typing import Any

from functions.domain.part import part
from functions.stores.dynamodb import Table
from infra.local.embedded_aws import EmbeddedAws, Resources, aws_client
from tests.virtual_time import run_in_virtual_time


@part
class ObservedTable(Table):
    """Says whether anybody waits for it, so that the simulated time can wait too."""

    under_way: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """Every operation, in order."""

    async def _request(self, operation: str, **request: Any) -> dict[str, Any]:
        self.asked.append(operation)
        self.under_way.append(operation)
        try:
            return await Table._request(self, operation, **request)
        finally:
            self.under_way.remove(operation)


Work = Callable[[ObservedTable], Awaitable[None]]
Simulate = Callable[[Work], Awaitable[None]]


def simulation(aws: EmbeddedAws, resources: Resources) -> Simulate:
    """Runs work in simulated time, in a thread of its own: our loop goes on reading what the embedded AWS prints."""
    under_way: list[str] = []

    @asynccontextmanager
    async def table() -> AsyncIterator[ObservedTable]:
        async with aws_client("dynamodb", aws.endpoint) as client:
            yield ObservedTable(client, resources.table, under_way=under_way)

    async def with_table(work: Work) -> None:
        async with table() as opened:
            await work(opened)

    async def run(work: Work) -> None:
        await asyncio.to_thread(run_in_virtual_time, with_table(work), lambda: bool(under_way))

    return run


def most_in_a_second(times: Sequence[float]) -> int:
    """Of any second, wherever it begins: it is enough to look at those that begin with a message."""
    ordered = sorted(round(time, 6) for time in times)
    return max(sum(begin <= time < begin + 1 for time in ordered) for begin in ordered)
