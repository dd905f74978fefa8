"""Plivo, Message API v1: JSON in, and forms signed with V3 out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from infra.local.vendors.authentication import basic, mac64
from infra.local.vendors.parts import parts_of
from infra.local.vendors.vendor import (
    FORM,
    Account,
    Answer,
    Approved,
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

_API_ID = "948b0f6c-0000-4000-8000-000000000000"
_NONCE = "12345678901234567890"
_EXPIRY = range(5, 10_801)
"""Seconds."""
_STATES: Mapping[State, tuple[str, str]] = {
    "sent": ("sent", "000"),
    "delivered": ("delivered", "000"),
    "failed": ("undelivered", "50"),
}
_CONVERSION = re.compile(r"/message/([0-9a-f-]{36})/conversion/", re.IGNORECASE)


class Plivo:
    """Its refusals have no codes of their own: a status of HTTP, and a sentence."""

    busy: Code = 429
    caps: tuple[Code, Code] | None = None

    def __init__(self, account: Account) -> None:
        self._id, self._token = account["auth_id"], account["auth_token"]

    def take(self, call: Call) -> Sequence[Submission] | Approved | Answer:
        if basic(call) != (self._id, self._token):
            raise Refused(401, "Authentication credentials invalid.")
        below = call.path[len(f"/v1/Account/{self._id}") :]
        if found := _CONVERSION.fullmatch(below):
            return Approved(found[1], as_json({"api_id": _API_ID, "message": "converted"}, 202))
        if below == "/" and call.method == "GET":
            return as_json({"api_id": _API_ID, "auth_id": self._id, "cash_credits": "20.00000"})
        if below != "/Message/":  # without the slash at the end it would be redirected, and the body lost
            raise Refused(404, "not found")
        return [_submission(call.json)]

    def message_id(self, submission: Submission, serial: int) -> str:  # noqa: ARG002 - a number is all it is
        return str(UUID(int=serial, version=4))

    def accepted(self, call: Call, sent: Sequence[Sent]) -> Answer:  # noqa: ARG002 - the same for all calls
        (one,) = sent
        uuids = [one.message_id]
        return as_json({"api_id": _API_ID, "message": "message(s) queued", "message_uuid": uuids}, 202)

    def refused(self, call: Call, refusal: Refused) -> Answer:  # noqa: ARG002 - the same for all calls
        return as_json({"api_id": _API_ID, "error": refusal.detail or "it was refused"}, int(refusal.code))

    def pushes(self, url: str, reports: Sequence[Report], at: float) -> Iterable[Push]:  # noqa: ARG002 - it tells no time
        for report in reports:
            form = _callback(report)
            signed = f"{url}?" if "?" not in url else f"{url}."
            signed += "".join(name + form[name] for name in sorted(form)) + f".{_NONCE}"
            signature = mac64(self._token.encode(), signed)
            headers = {"X-Plivo-Signature-V3": signature, "X-Plivo-Signature-V3-Nonce": _NONCE}
            yield Push(url=url, body=urlencode(form).encode(), headers={"Content-Type": FORM, **headers})

    def acknowledged(self, status: int, body: bytes) -> bool:  # noqa: ARG002 - the status says it
        return is_good(status)


def _submission(body: Mapping[str, Any]) -> Submission:
    to = plus(text_of(body, "dst"))
    if to is None:
        raise Refused(400, "invalid dst number")
    if not (body.get("src") or body.get("powerpack_uuid")):
        raise Refused(400, "src parameter is missing")
    if not text_of(body, "text"):
        raise Refused(400, "text parameter is missing")
    if "message_expiry" in body and body["message_expiry"] not in _EXPIRY:
        raise Refused(400, "message_expiry is out of range")
    return Submission(
        to=to,
        text=text_of(body, "text"),
        receipts=body.get("url"),
        sender=body.get("src") or body["powerpack_uuid"],
        valid_for=body.get("message_expiry"),
    )


def _callback(report: Report) -> dict[str, str]:
    status, error = _STATES[report.state]
    return {
        "MessageUUID": report.message_id,
        "ParentMessageUUID": report.message_id,
        "Status": status,
        "From": report.submission.sender or "",
        "To": report.submission.to.removeprefix("+"),
        "ErrorCode": error,
        "Units": str(parts_of(report.submission.text)),
        "PartInfo": "1 of 1",
    }
