"""MessageBird, REST API of rest.messagebird.com: JSON in, and reports by GET with a token that vouches for the URL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from infra.local.vendors.authentication import hs256, sha256, token
from infra.local.vendors.parts import parts_of
from infra.local.vendors.vendor import (
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

_UNAUTHORIZED, _MISSING, _INVALID, _NOT_FOUND, _TOO_MANY = 2, 9, 10, 20, 429
_HTTP: Mapping[Code, int] = {_UNAUTHORIZED: 401, _NOT_FOUND: 404, _TOO_MANY: 429}
"""All others: 422."""
_PATHS = ("/messages", "/balance")
_LIFE = 60
"""Seconds that a report's token is good for."""
_STATES: Mapping[State, str] = {"sent": "sent", "delivered": "delivered", "failed": "delivery_failed"}


class MessageBird:
    busy: Code = _TOO_MANY
    caps: tuple[Code, Code] | None = None

    def __init__(self, account: Account) -> None:
        self._key, self._signing_key = account["access_key"], account.get("signing_key")

    def take(self, call: Call) -> Sequence[Submission] | Answer:
        if token(call, "AccessKey") != self._key:
            raise Refused(_UNAUTHORIZED, "access_key")
        if call.path not in _PATHS:
            raise Refused(_NOT_FOUND)
        if call.path == "/balance":
            return as_json({"payment": "prepaid", "type": "credits", "amount": 9.2})
        return [_submission(call.json)]

    def message_id(self, submission: Submission, serial: int) -> str:  # noqa: ARG002 - a number is all it is
        return f"{serial:032x}"

    def accepted(self, call: Call, sent: Sequence[Sent]) -> Answer:
        (one,) = sent
        item = {
            "recipient": int(one.submission.to.removeprefix("+")),
            "status": "sent",
            "statusDatetime": _moment(call.at),
            "messagePartCount": parts_of(one.submission.text),
        }
        recipients = {"totalCount": 1, "totalSentCount": 1, "totalDeliveredCount": 0, "items": [item]}
        return as_json({"id": one.message_id, "recipients": recipients}, 201)

    def refused(self, call: Call, refusal: Refused) -> Answer:  # noqa: ARG002 - the same for all calls
        if refusal.code == _TOO_MANY:
            return as_json({}, _TOO_MANY)
        error = {"code": refusal.code, "description": "Request not allowed", "parameter": refusal.detail or None}
        return as_json({"errors": [error]}, _HTTP.get(refusal.code, 422))

    def pushes(self, url: str, reports: Sequence[Report], at: float) -> Iterable[Push]:
        for report in reports:
            signed = f"{url}{'&' if '?' in url else '?'}{urlencode(_report(report, at))}"
            yield Push(method="GET", url=signed, body=b"", headers=self._signature(signed, int(at)))

    def acknowledged(self, status: int, body: bytes) -> bool:  # noqa: ARG002 - the status says it
        return is_good(status)

    def _signature(self, url: str, at: int) -> dict[str, str]:
        if self._signing_key is None:
            return {}
        claims = {
            "iss": "MessageBird",
            "nbf": at,
            "exp": at + _LIFE,
            "jti": sha256(url.encode())[:32],
            "url_hash": sha256(url.encode()),
        }
        return {"MessageBird-Signature-JWT": hs256(claims, self._signing_key)}


def _submission(body: Mapping[str, Any]) -> Submission:
    for name in ("originator", "body", "recipients"):
        if not body.get(name):
            raise Refused(_MISSING, name)
    numbers = body["recipients"]
    to = plus(str(numbers[0])) if isinstance(numbers, list) and len(numbers) == 1 else None
    if to is None:
        raise Refused(_INVALID, "recipients")
    validity = body.get("validity")
    if validity is not None and not (isinstance(validity, int) and validity > 0):
        raise Refused(_INVALID, "validity")
    return Submission(
        to=to,
        text=text_of(body, "body"),
        reference=body.get("reference"),
        # There are no reports for messages without a reference.
        receipts=body.get("reportUrl") if body.get("reference") else "",
        sender=text_of(body, "originator"),
        valid_for=validity,
    )


def _report(report: Report, at: float) -> dict[str, str]:
    failed = {"statusErrorCode": "1", "statusReason": "unknown subscriber"} if report.state == "failed" else {}
    return {
        "id": report.message_id,
        "reference": report.submission.reference or "",
        "recipient": report.submission.to.removeprefix("+"),
        "status": _STATES[report.state],
        "statusDatetime": _moment(at),
        **failed,
    }


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")
