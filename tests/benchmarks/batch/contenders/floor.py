"""The unit: for each code one bare UpdateItem by aiobotocore and one bare POST by aiohttp, on warm connections.

A few codes at a time, which is the cheapest way: one after the other the loop wakes for each answer alone, and many at
once want a connection each.
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

AT_ONCE = 8


def open_work(place: Place, at_once: int = AT_ONCE) -> Work:
    runner = asyncio.Runner()
    client, http = runner.run(_open())

    async def call_for_all(mobiles: Sequence[str]) -> None:
        waiting = deque(mobiles)
        await asyncio.gather(*(_call(waiting, place, client, http) for _ in range(at_once)))

    return lambda mobiles: runner.run(call_for_all(mobiles))


async def _open() -> tuple[Any, aiohttp.ClientSession]:
    stack = AsyncExitStack()
    client = await stack.enter_async_context(get_session().create_client("dynamodb"))
    return client, await stack.enter_async_context(aiohttp.ClientSession())


async def _call(waiting: deque[str], place: Place, client: Any, http: aiohttp.ClientSession) -> None:
    url = f"{place.gateway}/v2/sms/single_send.json"
    while waiting:
        mobile = waiting.popleft()
        await client.update_item(
            TableName=place.table,
            Key={"pk": {"S": mobile}},
            UpdateExpression="SET #code = :code, #ttl = :ttl",
            ExpressionAttributeNames={"#code": "code", "#ttl": "ttl"},
            ExpressionAttributeValues={":code": {"S": "123456"}, ":ttl": {"N": "4102444800"}},
        )
        form = {"apikey": place.apikey, "mobile": mobile, "text": "【Salvo】您的验证码是123456。"}
        async with http.post(url, data=form) as answer:
            answer.raise_for_status()
            await answer.read()
