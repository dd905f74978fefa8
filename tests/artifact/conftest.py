"""What each file's functions stand on: table, queues and secrets of their own, and a gateway of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeVar

import pytest

from infra.local.embedded_aws import EmbeddedAws, Resources, create_resources
from tests.gateway import Gateway

Found = TypeVar("Found")


class Eventually(Protocol):
    async def __call__(self, condition: Callable[[], Awaitable[Found]], *, within: float = 10.0) -> Found:
        """What the condition gives once it gives something true. Raises TimeoutError when that takes too long."""


@pytest.fixture(scope="session")
def eventually() -> Eventually:
    async def wait(condition: Callable[[], Awaitable[Found]], *, within: float = 10.0) -> Found:
        async with asyncio.timeout(within):
            while not (found := await condition()):  # noqa: ASYNC110 (what is waited for is in another process)
                await asyncio.sleep(0.02)
        return found

    return wait


@pytest.fixture(scope="module")
async def resources(aws: EmbeddedAws, request: pytest.FixtureRequest) -> Resources:
    prefix = request.module.__name__.rpartition("test_")[2].replace("_", "-")
    return await create_resources(aws.endpoint, visibility_timeout=90, prefix=prefix)


@pytest.fixture(scope="module")
async def gateway(resources: Resources) -> AsyncIterator[Gateway]:
    async with Gateway.start(resources.yunpian_apikey) as running:
        yield running


@pytest.fixture(scope="module")
def environment(resources: Resources, gateway: Gateway) -> dict[str, str]:
    return {**resources.environment(), "YUNPIAN_URL": gateway.url}
