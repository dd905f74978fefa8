"""Vonage, Messages API (v1): JSON, and status webhooks with a signed token that vouches for their body."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from infra.local.vendors.authentication import basic, hs256, sha256
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
    State,
    Submission,
    as_json,
    is_good,
    plus,
    text_of,
)

_THROTTLED, _INVALID, _INTERNAL, _UNAUTHORIZED = 1000, 1150, 1030, "unauthorized"
_HTTP: Mapping[Code, int] = {_THROTTLED: 429, _UNAUTHORIZED: 401, 1070: 402, 1080: 402, _INTERNAL: 500, 1100: 500}
"""All others: 422."""
_TTL = range(20, 604_801)
"""Seconds."""
_LONGEST = 100
_STATUSES: Mapping[State, str] = {"sent": "submitted", "delivered": "delivered", "failed": "undeliverable"}
_ERRORS = "https://developer.vonage.com/api-errors/messages"


class VonageMessages:
    busy: Code = _THROTTLED
    caps: tuple[Code, Code] | None = None

    def __init__(self, account: Account) -> None:
        self._key, self._secret = account["api_key"], account["api_secret"]
        self._signature_secret = account["signature_secret"]

    def take(self, call: Call) -> Sequence[Submission] | Answer:
        if basic(call) != (self._key, self._secret):
            raise Refused(_UNAUTHORIZED, "You did not provide correct credentials.")
        if call.path != "/v1/messages":
            return Answer(status=404, body=b"")
        return [_submission(call.json)]

    def message_id(self, submission: Submission, serial: int) -> str:  # noqa: ARG002 - a number is all it is
        return str(UUID(int=serial, version=4))

    def accepted(self, call: Call, sent: Sequence[Sent]) -> Answer:  # noqa: ARG002 - the same for all calls
        (one,) = sent
        return as_json({"message_uuid": one.message_id}, 202)

    def refused(self, call: Call, refusal: Refused) -> Answer:  # noqa: ARG002 - the same for all calls
        status = _HTTP.get(refusal.code, 422)
        body: dict[str, Any] = {
            "type": f"{_ERRORS}#{refusal.code}",
            "title": "Invalid params" if refusal.code == _INVALID else f"Error {refusal.code}",
            "detail": refusal.detail or "See the type.",
            "instance": "bf0ca0bf927b3b52e3cb03217e1a1ddf",
        }
        if refusal.code == _INVALID:
            body["invalid_parameters"] = [{"name": refusal.detail, "reason": "is not valid"}]
        return as_json(body, status)

    def pushes(self, url: str, reports: Sequence[Report], at: float) -> Iterable[Push]:
        for report in reports:
            body = json.dumps(_status(report, at)).encode()
            claims = {
                "iat": int(at),
                "jti": report.message_id,
                "iss": "Vonage",
                "payload_hash": sha256(body),
                "api_key": self._key,
                "application_id": "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab",
            }
            authorization = f"Bearer {hs256(claims, self._signature_secret)}"
            yield Push(url=url, body=body, headers={"Content-Type": JSON, "Authorization": authorization})

    def acknowledged(self, status: int, body: bytes) -> bool:  # noqa: ARG002 - the status says it
        return is_good(status)


def _status(report: Report, at: float) -> dict[str, Any]:
    error = {"type": f"{_ERRORS}#1260", "title": "Undeliverable", "detail": "The phone is gone.", "instance": "bf0c"}
    return {
        "message_uuid": report.message_id,
        "to": report.submission.to.removeprefix("+"),
        "from": report.submission.sender,
        "timestamp": datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "status": _STATUSES[report.state],
        "channel": "sms",
        **({"error": error} if report.state == "failed" else {}),
        **({"client_ref": report.submission.reference} if report.submission.reference else {}),
        "usage": {"currency": "EUR", "price": "0.0333"},
    }


def _submission(body: Mapping[str, Any]) -> Submission:
    if (body.get("message_type"), body.get("channel")) != ("text", "sms"):
        raise Refused(_INVALID, "channel")
    to = plus(text_of(body, "to"))
    if to is None:
        raise Refused(_INVALID, "to")
    for name in ("from", "text"):
        if not text_of(body, name):
            raise Refused(_INVALID, name)
    if len(text_of(body, "client_ref")) > _LONGEST:
        raise Refused(_INVALID, "client_ref")
    if "ttl" in body and body["ttl"] not in _TTL:
        raise Refused(_INVALID, "ttl")
    return Submission(
        to=to,
        text=text_of(body, "text"),
        reference=body.get("client_ref"),
        receipts=body.get("webhook_url"),
        sender=text_of(body, "from"),
        valid_for=body.get("ttl"),
    )
