"""Anybody's own gateway, as `functions/providers/webhook.py` tells its owner to build it: JSON, Standard Webhooks."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from infra.local.vendors.authentication import mac64
from infra.local.vendors.vendor import (
    JSON,
    Account,
    Answer,
    Call,
    Code,
    Push,
    Refused,
    Report,
    Sent,
    Submission,
    as_json,
    e164,
    is_good,
    text_of,
)

_BUSY, _BAD_NUMBER, _CAPPED, _UNSIGNED = "transient", "rejected_number", "throttled_recipient", "config"
_TOLERANCE = 300
"""Seconds between the two clocks, at most."""


class Webhook:
    """Its codes are the classes of outcomes that its owner may answer with."""

    busy: Code = _BUSY
    caps: tuple[Code, Code] | None = (_CAPPED, _CAPPED)

    def __init__(self, account: Account) -> None:
        self._secret = account["signing_secret"]

    def take(self, call: Call) -> Sequence[Submission]:
        headers, body = call.headers, call.json
        message, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        expected = self._signature(message, stamp, call.body)
        if not stamp.isdecimal() or abs(int(stamp) - call.at) > _TOLERANCE:
            raise Refused(_UNSIGNED)
        if not any(hmac.compare_digest(expected, told) for told in headers.get("webhook-signature", "").split()):
            raise Refused(_UNSIGNED)
        return [_submission(body)]

    def message_id(self, submission: Submission, serial: int) -> str:  # noqa: ARG002 - a number is all it is
        return f"own-{serial}"

    def accepted(self, call: Call, sent: Sequence[Sent]) -> Answer:  # noqa: ARG002 - the same for all calls
        (one,) = sent
        return as_json({"id": one.message_id})

    def refused(self, call: Call, refusal: Refused) -> Answer:  # noqa: ARG002 - the same for all calls
        return as_json({"outcome": refusal.code}, 422)

    def pushes(self, url: str, reports: Sequence[Report], at: float) -> Iterable[Push]:
        for report in reports:
            body = json.dumps(_report(report, at)).encode()
            message, stamp = f"{report.message_id}-{report.state}", str(int(at))
            headers = {
                "Content-Type": JSON,
                "webhook-id": message,
                "webhook-timestamp": stamp,
                "webhook-signature": self._signature(message, stamp, body),
            }
            yield Push(url=url, body=body, headers=headers)

    def acknowledged(self, status: int, body: bytes) -> bool:  # noqa: ARG002 - the status says it
        return is_good(status)

    def _signature(self, message: str, stamp: str, body: bytes) -> str:
        key = base64.b64decode(self._secret.removeprefix("whsec_"))
        return f"v1,{mac64(key, f'{message}.{stamp}.'.encode() + body)}"


def _submission(body: Mapping[str, Any]) -> Submission:
    to = e164(text_of(body, "to"))
    if to is None:
        raise Refused(_BAD_NUMBER)
    return Submission(
        to=to,
        text=text_of(body, "text"),
        reference=body.get("reference"),
        receipts=body.get("receipts"),
        sender=body.get("sender"),
        valid_for=body.get("valid_for"),
    )


def _report(report: Report, at: float) -> dict[str, Any]:
    failed = {"reason": "unknown_subscriber"} if report.state == "failed" else {}
    return {"reference": report.submission.reference, "status": report.state, "at": int(at), **failed}
