"""The unit: for each code one bare UpdateItem by aiobotocore and one bare POST by aiohttp, on warm connections.

A few at a time, which is the cheapest way to make them: one after the other the loop wakes for each answer alone, and
many at once open a connection each.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
from aiobotocore.session import get_session

from tests.benchmarks.batch.place import Place, Work

_AT_ONCE = 8


def open_work(place: Place) -> Work:
    runner = asyncio.Runner()
    client, http = runner.run(_open())

    async def all_of(numbers: Sequence[str]) -> None:
        waiting = deque(numbers)
        await asyncio.gather(*(_worker(waiting, place, client, http) for _ in range(_AT_ONCE)))

    return lambda numbers: runner.run(all_of(numbers))


async def _open() -> tuple[Any, aiohttp.ClientSession]:
    stack = AsyncExitStack()
    client = await stack.enter_async_context(get_session().create_client("dynamodb"))
    return client, await stack.enter_async_context(aiohttp.ClientSession())


async def _worker(waiting: deque[str], place: Place, client: Any, http: aiohttp.ClientSession) -> None:
    url = f"{place.gateway}/v2/sms/single_send.json"
    while waiting:
        number = waiting.popleft()
        await client.update_item(
            TableName=place.table,
            Key={"pk": {"S": number}},
            UpdateExpression="SET #code = :code, #ttl = :ttl",
            ExpressionAttributeNames={"#code": "code", "#ttl": "ttl"},
            ExpressionAttributeValues={":code": {"S": "123456"}, ":ttl": {"N": "4102444800"}},
        )
        form = {"apikey": place.apikey, "mobile": number, "text": "123456 is your code."}
        async with http.post(url, data=form) as answer:
            answer.raise_for_status()
            await answer.read()
