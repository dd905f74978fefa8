"""Telnyx, Messaging API v2: JSON, webhooks signed with Ed25519, and an idempotency key that is held to."""

from __future__ import annotations

import base64
import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.local.vendors.authentication import sha256, token
from infra.local.vendors.parts import is_gsm, parts_of
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
    e164,
    is_good,
    text_of,
)

_INTERNAL, _AUTHENTICATION, _BAD_NUMBER, _BAD_PARAMETER, _TOO_MANY = "10007", "10009", "10016", "10015", "10011"
_OTHER_BODY = "10026"
_HTTP: Mapping[Code, int] = {
    _INTERNAL: 500,
    _AUTHENTICATION: 401,
    "10010": 403,
    _TOO_MANY: 429,
    "40011": 429,
    "40318": 429,
    "40300": 400,
    _OTHER_BODY: 422,
}
"""All others: 400."""
_MOST_REMEMBERED = 100_000
_STATES: Mapping[State, tuple[str, str]] = {
    "sent": ("message.sent", "sent"),
    "delivered": ("message.finalized", "delivered"),
    "failed": ("message.finalized", "delivery_failed"),
}


class Telnyx:
    busy: Code = _INTERNAL
    caps: tuple[Code, Code] | None = None

    def __init__(self, account: Account) -> None:
        self._key = account["api_key"]
        self._signs = Ed25519PrivateKey.from_private_bytes(base64.b64decode(account["private_key"]))
        self._answers: OrderedDict[str, tuple[str, Answer]] = OrderedDict()

    def take(self, call: Call) -> Sequence[Submission] | Answer:
        if token(call, "Bearer") != self._key:
            raise Refused(_AUTHENTICATION, "Authentication failed")
        if call.path == "/v2/balance":
            return as_json({"data": {"record_type": "balance", "balance": "300.00", "currency": "USD"}})
        if call.path != "/v2/messages":
            return Answer(status=404, body=b"")
        return self._replayed(call) or [_submission(call.json)]

    def message_id(self, submission: Submission, serial: int) -> str:  # noqa: ARG002 - a number is all it is
        return str(UUID(int=serial, version=4))

    def accepted(self, call: Call, sent: Sequence[Sent]) -> Answer:
        (one,) = sent
        answer = as_json({"data": _message(one.submission, one.message_id, "queued")})
        if key := call.headers.get("Idempotency-Key"):
            self._answers[key] = (sha256(call.body), answer)
            if len(self._answers) > _MOST_REMEMBERED:
                self._answers.popitem(last=False)
        return answer

    def refused(self, call: Call, refusal: Refused) -> Answer:  # noqa: ARG002 - the same for all calls
        error: dict[str, Any] = {"code": str(refusal.code), "title": "Error", "detail": "It was refused."}
        if refusal.detail.startswith("/"):
            error["source"] = {"pointer": refusal.detail}
        return as_json({"errors": [error]}, _HTTP.get(refusal.code, 400))

    def pushes(self, url: str, reports: Sequence[Report], at: float) -> Iterable[Push]:
        for report in reports:
            body = json.dumps(_event(report, url, at)).encode()
            stamp = str(int(at))
            signature = base64.b64encode(self._signs.sign(f"{stamp}|".encode() + body)).decode()
            headers = {"Content-Type": JSON, "telnyx-signature-ed25519": signature, "telnyx-timestamp": stamp}
            yield Push(url=url, body=body, headers=headers)

    def acknowledged(self, status: int, body: bytes) -> bool:  # noqa: ARG002 - the status says it
        return is_good(status)

    def _replayed(self, call: Call) -> Answer | None:
        """The answer from before, where the key was there before."""
        before = self._answers.get(call.headers.get("Idempotency-Key", ""))
        if before is None:
            return None
        digest, answer = before
        if digest != sha256(call.body):
            raise Refused(_OTHER_BODY)
        return Answer(status=answer.status, body=answer.body, headers={"IdempotentReplayed": "true"})


def new_private_key() -> tuple[str, str]:
    """It and its public key, in base64."""
    key = Ed25519PrivateKey.generate()
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    return base64.b64encode(key.private_bytes_raw()).decode(), public


def _submission(body: Mapping[str, Any]) -> Submission:
    to = e164(text_of(body, "to"))
    if to is None:
        raise Refused(_BAD_NUMBER, "/to")
    if not text_of(body, "text"):
        raise Refused(_BAD_PARAMETER, "/text")
    if not (body.get("from") or body.get("messaging_profile_id")):
        raise Refused(_BAD_PARAMETER, "/from")
    sender = body.get("from") or body["messaging_profile_id"]
    return Submission(to=to, text=text_of(body, "text"), receipts=body.get("webhook_url"), sender=sender)


def _event(report: Report, url: str, at: float) -> dict[str, Any]:
    kind, status = _STATES[report.state]
    payload = _message(report.submission, report.message_id, status)
    if report.state == "failed":
        payload["errors"] = [{"code": "40001", "title": "Not routable"}]
    occurred = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000+00:00")
    event = {"event_type": kind, "id": report.message_id, "occurred_at": occurred, "payload": payload}
    return {"data": {"record_type": "event", **event}, "meta": {"attempt": 1, "delivered_to": url}}


def _message(submission: Submission, message_id: str, status: str) -> dict[str, Any]:
    return {
        "record_type": "message",
        "direction": "outbound",
        "id": message_id,
        "type": "SMS",
        "from": {"phone_number": submission.sender},
        "to": [{"phone_number": submission.to, "status": status, "carrier": "", "line_type": "Wireless"}],
        "text": submission.text,
        "parts": parts_of(submission.text),
        "encoding": "GSM-7" if is_gsm(submission.text) else "UCS-2",
        "cost": {"amount": "0.0040", "currency": "USD"},
        "errors": [],
    }
