"""Waiting for what happens in another process: a condition with a deadline, and no sleeping for luck."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

Found = TypeVar("Found")


class Eventually(Protocol):
    async def __call__(self, condition: Callable[[], Awaitable[Found]], *, within: float = 10.0) -> Found:
        """What the condition gives once it gives something true. Raises TimeoutError when that takes too long."""


async def eventually(condition: Callable[[], Awaitable[Found]], *, within: float = 10.0) -> Found:
    async with asyncio.timeout(within):
        while not (found := await condition()):  # noqa: ASYNC110 (what is waited for is in another process)
            await asyncio.sleep(0.02)
    return found
