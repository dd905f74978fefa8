"""The engines that the tests stand on: one embedded AWS a session, and a deployment on it for each test that asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.config import Config

from functions.stores.dynamodb import Table
from infra.local.embedded_aws import EmbeddedAws, Resources, aws_client, create_resources
from tests.eventually import Eventually
from tests.eventually import eventually as wait_for
from tests.harness import Harness


@pytest.fixture(scope="session")
async def aws() -> AsyncIterator[EmbeddedAws]:
    async with EmbeddedAws.start() as running:
        yield running


@pytest.fixture(scope="session")
async def resources(aws: EmbeddedAws) -> Resources:
    return await create_resources(aws.endpoint, visibility_timeout=2, prefix="tests")


@pytest.fixture(scope="session")
async def dynamodb(aws: EmbeddedAws) -> AsyncIterator[Any]:
    async with aws_client("dynamodb", aws.endpoint, config=Config(max_pool_connections=100)) as client:
        yield client


@pytest.fixture
def harness(dynamodb: Any, resources: Resources) -> Harness:
    return Harness(Table(dynamodb, resources.table))


@pytest.fixture
def eventually() -> Eventually:
    return wait_for
