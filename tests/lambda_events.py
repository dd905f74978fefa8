"""What Lambda hands to the functions, and the functions as processes of their own."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from infra.local.execution_environment import ExecutionEnvironment

SENDER, API, RECEIPTS = "functions.handlers.sender", "functions.handlers.api", "functions.handlers.receipts"
ALL_DONE: dict[str, list[Any]] = {"batchItemFailures": []}
"""The answer to a batch of which nothing has to come again."""

Event = Mapping[str, Any]


@contextlib.asynccontextmanager
async def running(
    module: str, environment: Mapping[str, str], *, limit: float = 15.0
) -> AsyncIterator[ExecutionEnvironment]:
    """The module's handler in an environment of its own; `limit` is its time-out."""
    function = await ExecutionEnvironment.start(f"{module}.handler", environment, timeout=limit, name="function")
    try:
        yield function
    finally:
        await function.stop()


def http_event(method: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
    """HTTP API, payload format 2.0. `body` is JSON, or a text as it is."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "authorization": "Bearer local", **headers},
        "requestContext": {
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
            "stage": "$default",
        },
        "body": body if isinstance(body, str) else "" if body is None else json.dumps(body),
        "isBase64Encoded": False,
    }


def in_base64(event: Event) -> dict[str, Any]:
    """As API Gateway passes on a body whose content type it does not take for text."""
    return {**event, "body": base64.b64encode(event["body"].encode()).decode(), "isBase64Encoded": True}


def body_of(answer: Mapping[str, Any]) -> Any:
    body = answer["body"]
    return json.loads(base64.b64decode(body) if answer["isBase64Encoded"] else body)


def sqs_event(*bodies: str) -> dict[str, Any]:
    """Messages that came into their queue just now."""
    sent = str(int(time.time() * 1000))  # noqa: TID251 (SQS has a clock of its own)
    return {
        "Records": [
            {
                "messageId": secrets.token_hex(8),
                "receiptHandle": secrets.token_hex(8),
                "body": body,
                "attributes": {"SentTimestamp": sent, "ApproximateReceiveCount": "1"},
                "eventSource": "aws:sqs",
            }
            for body in bodies
        ]
    }


def failures(event: Event) -> list[dict[str, str]]:
    """The `batchItemFailures` that name all records of the batch."""
    return [{"itemIdentifier": record["messageId"]} for record in event["Records"]]
