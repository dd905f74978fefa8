"""The program that this project began as: all at once, a session for each message, and nothing is kept."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence

import aiohttp

from tests.benchmarks.batch.place import Place, Work


def open_work(place: Place) -> Work:
    async def send(mobile: str) -> None:
        text = f"【Salvo】您的验证码是{secrets.randbelow(10**6):06d}。"
        form = {"apikey": place.apikey, "mobile": mobile, "text": text}
        async with aiohttp.ClientSession() as session, session.post(_url(place), data=form) as answer:
            answer.raise_for_status()
            await answer.json()

    async def send_all(mobiles: Sequence[str]) -> None:
        await asyncio.gather(*(send(mobile) for mobile in mobiles))

    return lambda mobiles: asyncio.run(send_all(mobiles))  # noqa: TID251 - as it was


def _url(place: Place) -> str:
    return f"{place.gateway}/v2/sms/single_send.json"
