"""Handlers that do nothing but post: on the session that the runtime keeps, and on a plain one.

The real ones write to the table first, which gives the loop time to hear of sockets that died in a freeze.
"""

from __future__ import annotations

from typing import Any

import aiohttp

from functions.runtime import Connections, Runtime

runtime = Runtime()
_connections = Connections(limit=1)
_plain: list[aiohttp.ClientSession] = []


def handler(event: dict[str, Any], context: Any) -> bool:
    """Whether the gateway answered."""
    return runtime.run(_on_a_plain_session(event["url"]) if event["plain"] else _on_ours(event["url"]))


async def _on_ours(url: str) -> bool:
    await _connections.wake()
    try:
        return await _post(_connections.session(), url)
    finally:
        _connections.rest()


async def _on_a_plain_session(url: str) -> bool:
    if not _plain:
        _plain.append(aiohttp.ClientSession())
    return await _post(_plain[0], url)


async def _post(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.post(f"{url}/v2/sms/single_send.json", data=b"") as answer:
            await answer.read()
    except aiohttp.ClientError:
        return False
    return True
