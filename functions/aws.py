"""AWS clients, with time-outs that fit an invocation: botocore's own are a minute long."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from aiobotocore.session import get_session
from botocore.config import Config

CONNECTIONS = 8
"""To DynamoDB. At its few milliseconds a call they carry more than a sandbox's CPU can ask for, and with 1,000 sends in
flight, the others' two and the runtime's own dozen they stay under a sandbox's 1,024 file descriptors."""
_OTHERS = 2

# Three tries of a second each, and the SDK's waits of up to 1 and 2 seconds between them: 6 seconds until the API tells
# its caller that the table does not answer. DynamoDB takes milliseconds; a lost answer should not cost two seconds.
CONFIG = Config(
    connect_timeout=1,
    read_timeout=1,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=_OTHERS,
    # The shape of our own few calls is the tests' business; checking it again costs CPU in each of them.
    parameter_validation=False,
)
_OF_DYNAMODB = CONFIG.merge(Config(max_pool_connections=CONNECTIONS))


class Clients:
    """Opens clients that live as long as `resources`. Region, credentials and endpoint come from the environment."""

    def __init__(self, resources: AsyncExitStack) -> None:
        self._resources = resources
        self._session = get_session()  # one for all: it parses botocore's own tables once

    async def open(self, service: str) -> Any:
        config = _OF_DYNAMODB if service == "dynamodb" else CONFIG
        return await self._resources.enter_async_context(self._session.create_client(service, config=config))
