"""A handler that does everything wrong that the real ones must not: proof that the tests would see it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import aiohttp
from mangum import Mangum

from functions.runtime import Runtime

runtime = Runtime()
_sessions: list[aiohttp.ClientSession] = []
_forgotten: set[asyncio.Task[None]] = set()


async def _app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


_asgi = Mangum(_app)


def handler(event: dict[str, Any], context: Any) -> Any:
    runtime.loop = asyncio.new_event_loop()
    asyncio.set_event_loop(runtime.loop)
    runtime.run(_leave_things_behind())
    return _asgi(event, context)


async def _leave_things_behind() -> None:
    logging.getLogger("salvo").warning("here")
    _sessions.append(aiohttp.ClientSession())
    _forgotten.add(asyncio.create_task(asyncio.sleep(3600)))
