"""Vonage, SMS API: every answer is a 200, with one element for each part of the message."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from infra.local.vendors.authentication import basic
from infra.local.vendors.parts import in_gsm, parts_of
from infra.local.vendors.vendor import (
    JSON,
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
)

_THROTTLED, _MISSING, _INVALID, _CREDENTIALS, _INTERNAL, _BAD_CALLBACK = "1", "2", "3", "4", "5", "22"
_TTL = range(20_000, 604_800_001)
"""Milliseconds."""
_LONGEST = 100
"""Characters of a reference and of a callback address."""

_MD5HASH = "md5hash"
"""The oldest of the methods. All others are an HMAC's digest."""

_STATUSES: Mapping[State, tuple[str, str]] = {
    "sent": ("accepted", "0"),
    "delivered": ("delivered", "0"),
    "failed": ("failed", "9"),
}


class Vonage:
    busy: Code = _INTERNAL
    caps: tuple[Code, Code] | None = None

    def __init__(self, account: Account) -> None:
        self._key, self._secret = account["api_key"], account["api_secret"]
        self._signature_secret = account["signature_secret"]
        self._method = account.get("signature_method")

    def take(self, call: Call) -> Sequence[Submission] | Approved | Answer:
        form = call.form
        if (basic(call) or (form.get("api_key"), form.get("api_secret"))) != (self._key, self._secret):
            raise Refused(_CREDENTIALS, "Bad Credentials")
        if call.path == "/account/get-balance":
            return as_json({"value": 3.14159, "autoReload": False})
        if call.path == "/conversions/sms":
            return Approved(form.get("message-id", ""), Answer(status=200, body=b"OK", media_type="text/plain"))
        return [_submission(form)] if call.path == "/sms/json" else Answer(status=404, body=b"")

    def message_id(self, submission: Submission, serial: int) -> str:  # noqa: ARG002 - a number is all it is
        return f"{serial:016X}"

    def accepted(self, call: Call, sent: Sequence[Sent]) -> Answer:
        (one,) = sent
        part = {
            "to": one.submission.to.removeprefix("+"),
            "message-id": one.message_id,
            "status": "0",
            "remaining-balance": "3.14159265",
            "message-price": "0.03330000",
            "network": "12345",
            **({"client-ref": call.form["client-ref"]} if "client-ref" in call.form else {}),
        }
        parts = [part] * parts_of(one.submission.text)
        return as_json({"message-count": str(len(parts)), "messages": parts})

    def refused(self, call: Call, refusal: Refused) -> Answer:  # noqa: ARG002 - the same for all calls
        text = refusal.detail or f"Error {refusal.code}"
        return as_json({"message-count": "1", "messages": [{"status": str(refusal.code), "error-text": text}]})

    def pushes(self, url: str, reports: Sequence[Report], at: float) -> Iterable[Push]:
        for report in reports:
            receipt = self._signed(self._receipt(report, at), at)
            yield Push(url=url, body=json.dumps(receipt).encode(), headers={"Content-Type": JSON})

    def acknowledged(self, status: int, body: bytes) -> bool:  # noqa: ARG002 - the status says it
        return is_good(status)

    def _receipt(self, report: Report, at: float) -> dict[str, str]:
        status, error = _STATUSES[report.state]
        then = datetime.fromtimestamp(at, UTC)
        return {
            "msisdn": report.submission.to.removeprefix("+"),
            "to": report.submission.sender or "",
            "network-code": "12345",
            "messageId": report.message_id,
            "price": "0.03330000",
            "status": status,
            "scts": then.strftime("%y%m%d%H%M"),
            "err-code": error,
            "api-key": self._key,
            "message-timestamp": then.strftime("%Y-%m-%d %H:%M:%S"),
            **({"client-ref": report.submission.reference} if report.submission.reference else {}),
        }

    def _signed(self, receipt: dict[str, str], at: float) -> dict[str, Any]:
        """By the method that was chosen for the account; not where none was."""
        if self._method is None:
            return receipt
        receipt |= {"timestamp": str(int(at)), "nonce": "simulated"}
        text = "".join(f"&{name}={_without_separators(receipt[name])}" for name in sorted(receipt))
        if self._method == _MD5HASH:
            return {
                **receipt,
                "sig": hashlib.md5((text + self._signature_secret).encode(), usedforsecurity=False).hexdigest(),
            }
        return {**receipt, "sig": hmac.digest(self._signature_secret.encode(), text.encode(), self._method).hex()}


def _without_separators(value: str) -> str:
    return value.replace("&", "_").replace("=", "_")


def _submission(form: Mapping[str, str]) -> Submission:
    for name in ("from", "to", "text"):
        if not form.get(name):
            raise Refused(_MISSING, f"Missing {name} param")
    to = plus(form["to"])
    if to is None:
        raise Refused(_INVALID, "Invalid value for param: to")
    if len(form.get("client-ref", "")) > _LONGEST:
        raise Refused(_INVALID, "Invalid value for param: client-ref")
    if len(form.get("callback", "")) > _LONGEST:
        raise Refused(_BAD_CALLBACK, "Invalid callback")
    return Submission(
        to=to,
        text=form["text"] if form.get("type") == "unicode" else in_gsm(form["text"]),
        reference=form.get("client-ref"),
        receipts=form.get("callback"),
        sender=form["from"],
        valid_for=_validity(form),
    )


def _validity(form: Mapping[str, str]) -> float | None:
    if "ttl" not in form:
        return None
    if not form["ttl"].isdecimal() or int(form["ttl"]) not in _TTL:
        raise Refused(_INVALID, "Invalid value for param: ttl")
    return int(form["ttl"]) / 1000
