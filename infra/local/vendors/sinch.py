"""Sinch, SMS REST API (XMS v1): batches, and delivery reports signed with HMAC-SHA256."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from infra.local.vendors.authentication import mac64, token
from infra.local.vendors.parts import parts_of
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

_UNAUTHORIZED, _TOO_MANY = "unauthorized", "too_many_requests"
_FORMAT, _CONSTRAINT = "syntax_invalid_parameter_format", "syntax_constraint_violation"
_HTTP: Mapping[Code, int] = {_UNAUTHORIZED: 401, "blocked_account": 403, "not_found": 404, _TOO_MANY: 429}
"""All others: 400."""
_MOST_RECIPIENTS = 1000
_LONGEST_BODY = 2000
_PLACE = re.compile(r"\$\{([A-Za-z0-9._-]{1,16})\}")
_NONCE = "01FC66621XXXXX119Z8PMV1QPA"
_STATES: Mapping[State, tuple[int, str]] = {
    "sent": (401, "Dispatched"),
    "delivered": (0, "Delivered"),
    "failed": (402, "Aborted"),
}


class Sinch:
    busy: Code = _TOO_MANY
    caps: tuple[Code, Code] | None = None

    def __init__(self, account: Account) -> None:
        self._plan, self._token = account["service_plan_id"], account["api_token"]
        self._webhook_secret = account.get("webhook_secret")

    def take(self, call: Call) -> Sequence[Submission] | Answer:
        if token(call, "Bearer") != self._token:
            raise Refused(_UNAUTHORIZED, "The token is not valid")
        if call.path != f"/xms/v1/{self._plan}/batches":
            raise Refused("not_found", "There is no such resource")
        if call.method == "GET":
            return as_json({"page": 0, "page_size": 0, "count": 0, "batches": []})
        return _submissions(call)

    def message_id(self, submission: Submission, serial: int) -> str:  # noqa: ARG002 - a number is all it is
        return f"01FC{serial:022d}"

    def accepted(self, call: Call, sent: Sequence[Sent]) -> Answer:
        then = _moment(call.at)
        return as_json(
            {
                "id": sent[0].message_id,
                "to": [one.submission.to.removeprefix("+") for one in sent],
                "from": call.json["from"],
                "canceled": False,
                "body": call.json["body"],
                "type": "mt_text",
                "created_at": then,
                "modified_at": then,
                "delivery_report": call.json.get("delivery_report", "none"),
                "flash_message": False,
            },
            201,
        )

    def refused(self, call: Call, refusal: Refused) -> Answer:  # noqa: ARG002 - the same for all calls
        text = refusal.detail or "It was refused."
        return as_json({"code": refusal.code, "text": text}, _HTTP.get(refusal.code, 400))

    def pushes(self, url: str, reports: Sequence[Report], at: float) -> Iterable[Push]:
        for report in reports:
            body = json.dumps(_report(report, at)).encode()
            yield Push(url=url, body=body, headers={"Content-Type": JSON, **self._signature(body, str(int(at)))})

    def acknowledged(self, status: int, body: bytes) -> bool:  # noqa: ARG002 - the status says it
        return is_good(status)

    def _signature(self, body: bytes, stamp: str) -> dict[str, str]:
        """None where it is not switched on."""
        if self._webhook_secret is None:
            return {}
        name = "x-sinch-webhook-signature"
        return {
            name: mac64(self._webhook_secret.encode(), body + f".{_NONCE}.{stamp}".encode()),
            f"{name}-nonce": _NONCE,
            f"{name}-timestamp": stamp,
            f"{name}-algorithm": "HmacSHA256",
        }


def _submissions(call: Call) -> list[Submission]:
    """What is wrong with one recipient is wrong with the batch. Who has no value for a parameter gets no message."""
    body = call.json
    numbers = body.get("to")
    if not isinstance(numbers, list) or not 1 <= len(numbers) <= _MOST_RECIPIENTS:
        raise Refused(_CONSTRAINT, "Constraint violation on: 'to'")
    if not text_of(body, "from"):
        raise Refused(_CONSTRAINT, "Constraint violation on: 'from'")
    if not 1 <= len(text_of(body, "body")) <= _LONGEST_BODY:
        raise Refused(_CONSTRAINT, "Constraint violation on: 'body'")
    # A number that comes twice is one recipient.
    recipients = dict.fromkeys(_number(place, number) for place, number in enumerate(numbers))
    texts = {to: _filled(body, to) for to in recipients}
    found = [_submission(call, to, text) for to, text in texts.items() if text is not None]
    if not found:
        raise Refused(_CONSTRAINT, "Constraint violation on: 'parameters'")
    return found


def _number(place: int, number: object) -> str:
    to = plus(number.removeprefix("+")) if isinstance(number, str) else None
    if to is None:
        raise Refused(_FORMAT, f"Invalid format on: 'to[{place}]'")
    return to


def _filled(body: Mapping[str, Any], to: str) -> str | None:
    """The text for this recipient; None where a parameter has neither a value for it nor a default."""
    parameters = body.get("parameters", {})
    if not isinstance(parameters, dict) or not all(isinstance(values, dict) for values in parameters.values()):
        raise Refused(_FORMAT, "Invalid format on: 'parameters'")
    texts = {name: values.get(to.removeprefix("+"), values.get("default")) for name, values in parameters.items()}
    if None in texts.values():
        return None
    return _PLACE.sub(lambda place: str(texts.get(place[1], place[0])), text_of(body, "body"))


def _submission(call: Call, to: str, text: str) -> Submission:
    body = call.json
    return Submission(
        to=to,
        text=text,
        reference=body.get("client_reference"),
        # Asked for by the kind of report: an address alone asks for none.
        receipts=body.get("callback_url") if body.get("delivery_report", "none") != "none" else "",
        sender=text_of(body, "from"),
        valid_for=_validity(body, call.at),
    )


def _validity(body: Mapping[str, Any], at: float) -> float | None:
    if "expire_at" not in body:
        return None
    try:
        until = datetime.fromisoformat(text_of(body, "expire_at")).timestamp()
    except ValueError:
        raise Refused(_FORMAT, "Invalid format on: 'expire_at'") from None
    if until <= at:
        raise Refused(_CONSTRAINT, "Constraint violation on: 'expire_at'")
    return until - at


def _report(report: Report, at: float) -> dict[str, Any]:
    code, status = _STATES[report.state]
    return {
        "type": "recipient_delivery_report_sms",
        "batch_id": report.message_id,
        "recipient": report.submission.to.removeprefix("+"),
        "code": code,
        "status": status,
        "at": _moment(at),
        "operator_status_at": _moment(at),
        "applied_originator": report.submission.sender,
        "encoding": "GSM",
        "number_of_message_parts": parts_of(report.submission.text),
        **({"client_reference": report.submission.reference} if report.submission.reference else {}),
    }


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
