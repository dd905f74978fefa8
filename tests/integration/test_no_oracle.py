"""No oracle: how long a check takes tells nothing of what is stored, beyond what its answer says (SEC-8).

Measured in this process, on a stub of the DynamoDB client: ministack's own time for a call varies by more than the
bound. The stub waits two milliseconds for each call, as DynamoDB does when it is quick, so that one call more or less
shows at once, and so does work of our own from some 100 µs on. Below that a duration says less than the answer: a wrong
code's (200) takes our code some 50 µs longer than the one for an unknown id (404), because there is a record to read.

A busy machine delays both sides alike, for they are measured in turns, and medians leave single delays out. What is
left is a burst that begins or ends within a round: so there are three rounds, and one within the bound is enough. A
real difference is in all of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.stores.dynamodb import Table
from functions.web.boundary import Boundary
from tests.harness import Harness, another, call, fresh_number

CALLS = 2_000
ROUNDS = 3
BOUND = 0.05
CODE = "314159"
PATH = "/v1/verifications"


@dataclass(slots=True)
class StubbedDynamoDb:
    """As much of DynamoDB as a start and a check need. Guesses are not kept: each finds all its attempts."""

    latency: float = 0
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    async def put_item(self, *, Item: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803 - DynamoDB's name
        await self._answer("put_item")
        self.items[Item["pk"]["S"]] = Item
        return {}

    async def get_item(self, *, Key: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        await self._answer("get_item")
        found = self.items.get(Key["pk"]["S"])
        return {} if found is None else {"Item": found}

    async def update_item(
        self,
        *,
        Key: dict[str, Any],  # noqa: N803
        ExpressionAttributeValues: dict[str, Any],  # noqa: N803
        **_: Any,
    ) -> dict[str, Any]:
        await self._answer("update_item")
        found, values = self.items.get(Key["pk"]["S"]), ExpressionAttributeValues
        if found is None or found["id"] != values[":id"]:
            error = {"Code": "ConditionalCheckFailedException", "Message": "The conditional request failed"}
            response: Any = {"Error": error} if found is None else {"Error": error, "Item": found}
            raise ClientError(response, "UpdateItem")
        counted = {"attempts": {"N": "1"}, "last_mac": values[":mac"], "last_request": values[":request"]}
        return {"Attributes": {**found, **counted}}

    async def _answer(self, operation: str) -> None:
        self.calls.append(operation)
        if self.latency:
            await asyncio.sleep(self.latency)


@dataclass(frozen=True, slots=True)
class Scene:
    dynamodb: StubbedDynamoDb
    app: Boundary
    id: str

    async def check(self, verification: str, code: str) -> int:
        return (await call(self.app, "POST", f"{PATH}/{verification}/check", {"code": code})).status

    async def seconds(self, verification: str, code: str) -> float:
        began = time.perf_counter()
        await self.check(verification, code)
        return time.perf_counter() - began


async def scene(latency: float) -> Scene:
    dynamodb = StubbedDynamoDb()
    app = Harness(Table(dynamodb, "stub")).app
    started = await call(app, "POST", PATH, {"to": fresh_number().e164, "code": CODE})
    dynamodb.latency = latency
    dynamodb.calls.clear()
    return Scene(dynamodb, app, started.json["id"])


def older_id(known: str) -> str:
    """As an older verification of the same number had it."""
    return known[:-16] + "a" * 16


def unknown_id(_: str) -> str:
    """Of a number that there is no record of."""
    return f"vfy_k1_{'a' * 40}"


async def difference(on: Scene) -> float:
    """Between the medians of an unknown id, an older one and a wrong code, in proportion to the smallest."""
    checks = [(unknown_id(on.id), CODE), (older_id(on.id), CODE), (on.id, another(CODE))]
    times: tuple[list[float], ...] = ([], [], [])
    for _ in range(CALLS):
        for taken, (verification, code) in zip(times, checks, strict=True):
            taken.append(await on.seconds(verification, code))
    medians = [median(taken) for taken in times]
    return max(medians) / min(medians) - 1


async def test_an_unknown_id_takes_as_long_as_a_wrong_code() -> None:
    on = await scene(latency=0.002)
    assert await on.check(unknown_id(on.id), CODE) == await on.check(older_id(on.id), CODE) == 404
    assert await on.check(on.id, another(CODE)) == 200

    rounds = [await difference(on)]
    while rounds[-1] > BOUND and len(rounds) < ROUNDS:
        rounds.append(await difference(on))

    assert min(rounds) <= BOUND


@pytest.mark.parametrize("make_id", [older_id, unknown_id])
async def test_the_store_is_asked_once_whether_there_is_such_an_id_or_not(make_id: Callable[[str], str]) -> None:
    on = await scene(latency=0)

    await on.check(make_id(on.id), CODE)

    assert on.dynamodb.calls == ["update_item"]


async def test_a_call_that_takes_twice_as_long_would_be_noticed() -> None:
    quick, slow = await scene(latency=0.001), await scene(latency=0.002)

    times = [[await on.seconds(on.id, another(CODE)) for on in (quick, slow)] for _ in range(100)]

    assert median(two for _, two in times) / median(one for one, _ in times) - 1 > 5 * BOUND
