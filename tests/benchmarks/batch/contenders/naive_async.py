"""aiobotocore and aiohttp as their manuals have them: one client, one session, gather. Stored, then sent."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
from aiobotocore.session import get_session

from tests.benchmarks.batch.place import Place, Work

_LIFETIME = 600
"""Seconds."""


def open_work(place: Place) -> Work:
    runner = asyncio.Runner()
    dynamodb, http = runner.run(_open())

    async def send(mobile: str) -> None:
        code = f"{secrets.randbelow(10**6):06d}"
        expires = int(time.time()) + _LIFETIME  # noqa: TID251 - as its author would
        item = {"pk": {"S": mobile}, "code": {"S": code}, "ttl": {"N": str(expires)}}
        await dynamodb.put_item(TableName=place.table, Item=item)
        form = {"apikey": place.apikey, "mobile": mobile, "text": f"【Salvo】您的验证码是{code}。"}
        async with http.post(f"{place.gateway}/v2/sms/single_send.json", data=form) as answer:
            answer.raise_for_status()
            await answer.read()

    async def send_all(mobiles: Sequence[str]) -> None:
        await asyncio.gather(*(send(mobile) for mobile in mobiles))

    return lambda mobiles: runner.run(send_all(mobiles))


async def _open() -> tuple[Any, aiohttp.ClientSession]:
    stack = AsyncExitStack()
    client = await stack.enter_async_context(get_session().create_client("dynamodb"))
    return client, await stack.enter_async_context(aiohttp.ClientSession())
