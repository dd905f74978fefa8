"""What AWS's services have in common: Signature Version 4, of which the form is looked at.

The secret of a function's role is known to nobody here, so what was signed cannot be checked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from infra.local.vendors.vendor import Call

REQUEST_ID = "4d6e1f10-0000-4000-8000-000000000000"

_SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/ ]+/([0-9]{8})/[a-z0-9-]+/([a-z-]+)/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=[0-9a-f]{64}"
)
_HOST, _DATE = "host", "x-amz-date"


def is_signed(call: Call, service: str) -> bool:
    """For this service, today, over the host and the time at least."""
    found = _SIGNED.fullmatch(call.headers.get("Authorization", ""))
    if found is None:
        return False
    today = datetime.fromtimestamp(call.at, UTC).strftime("%Y%m%d")
    covered = {_HOST, _DATE} <= set(found[3].split(";"))
    return covered and (found[1], found[2]) == (today, service) and call.headers.get(_DATE, "").startswith(today)


def in_a_notification(message: str, at: float) -> Mapping[str, Any]:
    """What Lambda gives to a function for a message of a topic that it is subscribed to."""
    topic = "arn:aws:sns:local:000000000000:receipts"
    return {
        "Records": [
            {
                "EventSource": "aws:sns",
                "EventVersion": "1.0",
                "EventSubscriptionArn": f"{topic}:{REQUEST_ID}",
                "Sns": {
                    "Type": "Notification",
                    "MessageId": REQUEST_ID,
                    "TopicArn": topic,
                    "Timestamp": datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                    "Message": message,
                    "MessageAttributes": {},
                },
            }
        ]
    }
