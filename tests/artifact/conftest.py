"""What each file's functions stand on: table, queues and secrets of their own, and a gateway of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from infra.local.embedded_aws import EmbeddedAws, Resources, create_resources
from tests.gateway import Gateway


@pytest.fixture(scope="module")
async def resources(aws: EmbeddedAws, request: pytest.FixtureRequest) -> Resources:
    prefix = request.module.__name__.rpartition("test_")[2].replace("_", "-")
    return await create_resources(aws.endpoint, visibility_timeout=90, prefix=prefix)


@pytest.fixture(scope="module")
async def gateway(resources: Resources) -> AsyncIterator[Gateway]:
    async with Gateway.start(resources.accounts) as running:
        yield running


@pytest.fixture(scope="module")
def environment(resources: Resources, gateway: Gateway) -> dict[str, str]:
    return {**resources.environment(), **gateway.environment()}
