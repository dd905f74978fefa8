"""Infobip, SMS API v3: a message's id is the customer's own, and comes twice only to be refused."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from infra.local.vendors.authentication import token
from infra.local.vendors.parts import parts_of
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
    e164,
    is_good,
    text_of,
)

_DUPLICATE, _SYSTEM_ERROR, _FLOODING, _BAD_DESTINATION = 23, 21, 20, 52
_UNAUTHORIZED, _BAD_REQUEST = "E401", "E400"
_HTTP: Mapping[Code, int] = {_BAD_REQUEST: 400, _UNAUTHORIZED: 401, "E403": 403, "E429": 429, "E500": 500}
"""What is said of the request. All other codes are statuses of its message, in a 200."""
_SECONDS = {"SECONDS": 1, "MINUTES": 60, "HOURS": 3600}
_MOST_REMEMBERED = 100_000
_STATES: Mapping[State, tuple[int, str, int, str]] = {
    "sent": (1, "PENDING", 7, "PENDING_ENROUTE"),
    "delivered": (3, "DELIVERED", 5, "DELIVERED_TO_HANDSET"),
    "failed": (2, "UNDELIVERABLE", 9, "UNDELIVERABLE_NOT_DELIVERED"),
}


class Infobip:
    busy: Code = _SYSTEM_ERROR
    caps: tuple[Code, Code] | None = (_FLOODING, _FLOODING)

    def __init__(self, account: Account) -> None:
        self._key = account["api_key"]
        self._ids: OrderedDict[str, None] = OrderedDict()

    def take(self, call: Call) -> Sequence[Submission] | Approved | Answer:
        if token(call, "App") != self._key:
            raise Refused(_UNAUTHORIZED, "Unauthorized")
        if call.path == "/account/1/balance":
            return as_json({"balance": 47.79134, "currency": "EUR"})
        if call.path.startswith("/ct/1/log/end/"):
            return Approved(call.path.rpartition("/")[2], as_json({"processKey": "salvo"}))
        if call.path != "/sms/3/messages":
            return Answer(status=404, body=b"")
        return self._submissions(call.json)

    def message_id(self, submission: Submission, serial: int) -> str:
        return submission.reference or str(serial)

    def accepted(self, call: Call, sent: Sequence[Sent]) -> Answer:  # noqa: ARG002 - the same for all calls
        return _answer([self._told(one) for one in sent])

    def refused(self, call: Call, refusal: Refused) -> Answer:
        if refusal.code in _HTTP:
            body: dict[str, object] = {
                "errorCode": refusal.code,
                "description": refusal.detail,
                "action": "",
                "violations": [],
            }
            return as_json({**body, "resources": []}, _HTTP[refusal.code])
        destinations = [_destination(message) for message in call.json.get("messages") or [{}]]
        status = _rejected(int(refusal.code))
        return _answer([_message(f"+{text_of(to, 'to')}", text_of(to, "messageId"), status, 0) for to in destinations])

    def pushes(self, url: str, reports: Sequence[Report], at: float) -> Iterable[Push]:
        body = {"results": [_result(report, at) for report in reports]}
        yield Push(url=url, body=json.dumps(body).encode(), headers={"Content-Type": JSON})

    def acknowledged(self, status: int, body: bytes) -> bool:  # noqa: ARG002 - the status says it
        return is_good(status)

    def _submissions(self, body: Mapping[str, Any]) -> Sequence[Submission]:
        """What is malformed in one is the whole request's fault."""
        try:
            found = [self._with_its_fault(_submission(message)) for message in body["messages"]]
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Refused(_BAD_REQUEST, "Bad Request") from None
        if not found:
            raise Refused(_BAD_REQUEST, "Bad Request")
        return found

    def _with_its_fault(self, submission: Submission) -> Submission:
        if e164(submission.to) is None:
            return replace(submission, fault=Refused(_BAD_DESTINATION))
        return replace(submission, fault=Refused(_DUPLICATE)) if submission.reference in self._ids else submission

    def _told(self, sent: Sent) -> dict[str, Any]:
        to, refusal = sent.submission.to, sent.refusal
        if refusal is not None:
            return _message(to, sent.message_id, _rejected(int(refusal.code)), 0)
        self._ids[sent.message_id] = None
        if len(self._ids) > _MOST_REMEMBERED:
            self._ids.popitem(last=False)
        return _message(to, sent.message_id, (1, "PENDING", 26, "PENDING_ACCEPTED"), parts_of(sent.submission.text))


def _submission(message: Mapping[str, Any]) -> Submission:
    """Raises what a malformed one makes Python raise."""
    [destination] = message["destinations"]
    webhook, options = message.get("webhooks", {}), message.get("options", {})
    return Submission(
        to=f"+{destination['to']}",
        text=message["content"]["text"],
        reference=destination.get("messageId"),
        receipts=webhook.get("delivery", {}).get("url"),
        sender=message.get("sender"),
        valid_for=_validity(options.get("validityPeriod")),
        echo=webhook.get("callbackData"),
    )


def _destination(message: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (message.get("destinations") or [{}])[0]
    return found


def _rejected(number: int) -> tuple[int, str, int, str]:
    return (5, "REJECTED", number, f"REJECTED_{number}")


def _validity(period: Mapping[str, Any] | None) -> float | None:
    return None if period is None else int(period["amount"]) * _SECONDS[period["timeUnit"]]


def _answer(messages: Sequence[Mapping[str, Any]]) -> Answer:
    return as_json({"bulkId": "2034072219640523072", "messages": messages})


def _message(to: str, message_id: str, status: tuple[int, str, int, str], count: int) -> dict[str, Any]:
    return {
        "messageId": message_id,
        "status": _as_status(status),
        "destination": to.removeprefix("+"),
        **({"details": {"messageCount": count}} if count else {}),
    }


def _as_status(status: tuple[int, str, int, str]) -> dict[str, Any]:
    group, group_name, number, name = status
    return {"groupId": group, "groupName": group_name, "id": number, "name": name, "description": name}


def _result(report: Report, at: float) -> dict[str, Any]:
    then = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    failed = report.state == "failed"
    return {
        "bulkId": "2034072219640523072",
        "messageId": report.message_id,
        "to": report.submission.to.removeprefix("+"),
        "sender": report.submission.sender,
        "sentAt": then,
        "doneAt": then,
        "messageCount": parts_of(report.submission.text),
        "mccMnc": "26201",
        "price": {"pricePerMessage": 0.01, "currency": "EUR"},
        "status": _as_status(_STATES[report.state]),
        "error": {
            "groupId": 1 if failed else 0,
            "groupName": "HANDSET_ERRORS" if failed else "OK",
            "id": 1 if failed else 0,
            "name": "EC_UNKNOWN_SUBSCRIBER" if failed else "NO_ERROR",
            "permanent": failed,
        },
        "callbackData": report.submission.echo,
    }
