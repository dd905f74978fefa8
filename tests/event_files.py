"""The events in tests/events, as AWS sends them, with a test's own ids and numbers put in.

As they are they can be given to a function by hand: sam local invoke ApiFunction --event tests/events/http_start.json
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EVENTS = Path(__file__).parent / "events"

_LONG_FROM_NOW = 4_102_444_800
"""2100-01-01: a message goes stale by its own word or by its age in the queue, and a file gets older."""


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def http(name: str, body: str | None = None, **parameters: str) -> dict[str, Any]:
    """The request with another body, and other path parameters."""
    event = read(name)
    path = event["routeKey"].partition(" ")[2].format(**parameters)
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    if parameters:
        event["pathParameters"] = parameters
    if body is not None:
        event["headers"]["content-length"] = str(len(body.encode()))
        event["body"] = base64.b64encode(body.encode()).decode() if event["isBase64Encoded"] else body
    return event


def start(number: str, **headers: str) -> dict[str, Any]:
    event = http("http_start", json.dumps({"to": number}))
    event["headers"] |= headers
    return event


def check(verification: str, code: str) -> dict[str, Any]:
    return http("http_check", json.dumps({"code": code}), id=verification)


def receipt(verification: str, token: str) -> dict[str, Any]:
    """The gateway's report that the verification's first SMS is on the phone."""
    report = {"uid": f"{verification}.1", "report_status": "SUCCESS", "error_msg": "DELIVRD"}
    return http("http_receipt", f"sms_status={json.dumps([report])}", provider="yunpian", token=token)


def batch(numbers: Sequence[str]) -> dict[str, Any]:
    """A message for each number, as new as every other one is."""
    (record,) = read("sqs_one")["Records"]
    return {"Records": [carrying(record, message_to(number)) for number in numbers]}


def message_to(number: str) -> str:
    return json.dumps({"v": 1, "to": number, "send_by": _LONG_FROM_NOW})


def carrying(record: dict[str, Any], body: str) -> dict[str, Any]:
    """Another message than the record's, with ids of its own."""
    identity = {"messageId": secrets.token_hex(16), "receiptHandle": secrets.token_urlsafe(64)}
    digest = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()  # as SQS has it
    return {**record, **identity, "body": body, "md5OfBody": digest}
