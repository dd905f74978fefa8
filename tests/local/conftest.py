from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest

from infra.local.embedded_aws import EmbeddedAws, aws_client

Found = TypeVar("Found")


class Eventually(Protocol):
    async def __call__(self, condition: Callable[[], Awaitable[Found]], *, within: float = 10.0) -> Found:
        """What the condition gives once it gives something true. Raises TimeoutError when that takes too long."""


@pytest.fixture
def eventually() -> Eventually:
    async def wait(condition: Callable[[], Awaitable[Found]], *, within: float = 10.0) -> Found:
        async with asyncio.timeout(within):
            while not (found := await condition()):  # noqa: ASYNC110 (what is waited for is in another process)
                await asyncio.sleep(0.02)
        return found

    return wait


@pytest.fixture(scope="session")
async def sqs(aws: EmbeddedAws) -> AsyncIterator[Any]:
    async with aws_client("sqs", aws.endpoint) as client:
        yield client


def is_running(pid: int) -> bool:
    """Whether the process still does anything; one that has ended and only waits to be buried does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {"Z", "X"}


@pytest.fixture
def running() -> Callable[[int], bool]:
    return is_running
