"""The least that such a function can be: it imports mangum and aiobotocore, and opens a DynamoDB client."""

import asyncio
from typing import Any

import mangum  # noqa: F401 - what it costs is what is measured
from aiobotocore.session import get_session

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
client = loop.run_until_complete(get_session().create_client("dynamodb").__aenter__())


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return {}
