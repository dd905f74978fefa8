"""A warm start and a warm check beside the calls of AWS that they make, made bare: the same requests, in turns."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

from infra.local.emulator import EmulatedEnvironment
from tests import event_files
from tests.benchmarks.laboratory import API, Laboratory
from tests.benchmarks.report import Table
from tests.dropping_proxy import DroppingProxy
from tests.harness import fresh_number

_WARM_UP = 20


@dataclass(frozen=True, slots=True)
class Calls:
    """The requests that a start and a wrong guess make of DynamoDB, as they were overheard."""

    put: Mapping[str, Any]
    update: Mapping[str, Any]

    def put_another(self, pk: str) -> dict[str, Any]:
        return {**self.put, "Item": {**self.put["Item"], "pk": {"S": pk}}}

    def update_it(self, pk: str) -> dict[str, Any]:
        values = {**self.update["ExpressionAttributeValues"], ":request": {"S": secrets.token_hex(16)}}
        return {**self.update, "Key": {"pk": {"S": pk}}, "ExpressionAttributeValues": values}


async def measure(laboratory: Laboratory, rounds: int) -> Table:
    calls = await _overhear(laboratory)
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(await laboratory.ours(API))
        bare = await stack.enter_async_context(await laboratory.bare("bare_calls"))
        for _ in range(_WARM_UP + rounds):
            await _round(ours, bare, calls, laboratory.gateway.url)
        return _table(ours.invocations()[2 * _WARM_UP :], bare.invocations()[3 * _WARM_UP :])


async def _overhear(laboratory: Laboratory) -> Calls:
    async with DroppingProxy.start(laboratory.resources.endpoint, lose=()) as proxy:
        async with await laboratory.ours(API, AWS_ENDPOINT_URL_DYNAMODB=proxy.url) as api:
            started = await api.invoke(event_files.start(fresh_number().e164))
            await api.invoke(event_files.check(json.loads(started["body"])["id"], "000000"))
        # The guard's own are left out: what is made bare is the write that stores, and the one that counts a guess.
        (put,) = (call for call in proxy.of("PutItem") if call.body["Item"]["pk"]["S"].startswith("v#"))
        update = next(call for call in proxy.of("UpdateItem") if call.body["Key"]["pk"]["S"].startswith("v#"))
        return Calls(put.body, update.body)


async def _round(ours: EmulatedEnvironment, bare: EmulatedEnvironment, calls: Calls, gateway: str) -> None:
    """What is called in turns has the same neighbours on the machine."""
    started = await ours.invoke(event_files.start(fresh_number().e164))
    pk = f"v#{secrets.token_hex(16)}"
    put = {"operation": "put_item", "request": calls.put_another(pk)}
    await bare.invoke(put)
    await ours.invoke(event_files.check(json.loads(started["body"])["id"], "000000"))
    await bare.invoke({"operation": "update_item", "request": calls.update_it(pk)})
    send = {"url": f"{gateway}/v2/sms/single_send.json", "form": {"mobile": "+4915112345678", "text": "a" * 70}}
    await bare.invoke({**put, "request": calls.put_another(f"{pk}2"), **send})


def _table(ours: list[float], bare: list[float]) -> Table:
    starts, checks = ours[::2], ours[1::2]
    puts, updates, sends = bare[::3], bare[1::3], bare[2::3]
    pairs = (
        ("start", starts, "PutItem and the gateway's POST", sends),
        ("start", starts, "PutItem", puts),
        ("check", checks, "UpdateItem", updates),
    )
    return Table(
        title="Warm calls",
        columns=("call", "median, ms", "p99, ms", "made bare", "median, ms", "p99, ms", "median of bare"),
        rows=[
            (name, *_figures(mine), what, *_figures(theirs), f"{median(mine) / median(theirs):.2f}")
            for name, mine, what, theirs in pairs
        ],
        note=(
            f"{len(starts)} of each, in turns, in two sandboxes; durations from event to answer, by the runtime's own "
            "account. A gateway without latency, the embedded AWS on the same machine. The bare function makes the "
            "very requests that ours was overheard making."
        ),
    )


def _figures(milliseconds: list[float]) -> tuple[str, str]:
    return f"{median(milliseconds):.1f}", f"{quantiles(milliseconds, n=100)[98]:.1f}"
