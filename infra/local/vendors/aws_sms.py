"""AWS End User Messaging SMS (`pinpoint-sms-voice-v2`): JSON 1.0, and events of a topic that a function is given."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from infra.local.vendors.aws import REQUEST_ID, in_a_notification, is_signed
from infra.local.vendors.parts import is_gsm, parts_of
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
    text_of,
)

_TARGET = "PinpointSMSVoiceV2."
_INTERNAL, _DENIED, _VALIDATION = "InternalServerException", "AccessDeniedException", "ValidationException"
_HTTP: Mapping[Code, int] = {_INTERNAL: 500, "ThrottlingException": 400}
"""All: 400, but for its own failures."""
_NUMBER = re.compile(r"\+?[1-9][0-9]{1,18}")
_LIFE = range(5, 259_201)
_LONGEST = 1600
_MEDIA_TYPE = "application/x-amz-json-1.0"
_STATES: Mapping[State, tuple[str, bool]] = {
    "sent": ("TEXT_SUCCESSFUL", False),
    "delivered": ("TEXT_DELIVERED", True),
    "failed": ("TEXT_UNREACHABLE", True),
}


class AwsSms:
    """Its codes are an exception's name, with its reason after a colon where it has one."""

    busy: Code = _INTERNAL
    caps: tuple[Code, Code] | None = None

    def __init__(self, account: Account) -> None:
        """There is no key: the role of whoever calls is enough."""

    def take(self, call: Call) -> Sequence[Submission] | Approved | Answer:
        if not is_signed(call, "sms-voice"):
            raise Refused(_DENIED, "The request is not signed.")
        target = call.headers.get("X-Amz-Target", "")
        if target == f"{_TARGET}PutMessageFeedback":
            message_id = text_of(call.json, "MessageId")
            return Approved(message_id, _answer({"MessageId": message_id, "MessageFeedbackStatus": "RECEIVED"}))
        if target != f"{_TARGET}SendTextMessage":
            raise Refused("UnknownOperationException")
        return [_submission(call.json)]

    def message_id(self, submission: Submission, serial: int) -> str:  # noqa: ARG002 - a number is all it is
        return str(UUID(int=serial, version=4))

    def accepted(self, call: Call, sent: Sequence[Sent]) -> Answer:  # noqa: ARG002 - the same for all calls
        (one,) = sent
        return _answer({"MessageId": one.message_id})

    def refused(self, call: Call, refusal: Refused) -> Answer:  # noqa: ARG002 - the same for all calls
        name, _, reason = str(refusal.code).partition(":")
        body: dict[str, Any] = {"__type": name, "Message": "It was refused."}
        if reason:
            body["Reason"] = reason
        if refusal.detail:
            body["Fields"] = [{"Name": refusal.detail, "Message": "is not valid"}]
        return _answer(body, _HTTP.get(name, 400))

    def pushes(self, url: str, reports: Sequence[Report], at: float) -> Iterable[Push]:
        """To a function and to no address: whoever runs the functions takes its event here."""
        for report in reports:
            notification = in_a_notification(json.dumps(_event(report, at)), at)
            yield Push(url=url, body=json.dumps(notification).encode(), headers={"Content-Type": JSON})

    def acknowledged(self, status: int, body: bytes) -> bool:  # noqa: ARG002 - the status says it
        return is_good(status)


def _submission(body: Mapping[str, Any]) -> Submission:
    number = text_of(body, "DestinationPhoneNumber")
    to = plus(number.removeprefix("+")) if _NUMBER.fullmatch(number) else None
    if to is None:
        raise Refused(f"{_VALIDATION}:CANNOT_PARSE", "DestinationPhoneNumber")
    text = text_of(body, "MessageBody")
    if not 1 <= len(text) <= _LONGEST:
        raise Refused(f"{_VALIDATION}:MAXIMUM_SIZE_EXCEEDED", "MessageBody")
    if "TimeToLive" in body and body["TimeToLive"] not in _LIFE:
        raise Refused(f"{_VALIDATION}:INVALID_PARAMETER", "TimeToLive")
    context = body.get("Context") or {}
    return Submission(
        to=to,
        text=text,
        reference=next(iter(context.values()), None),
        # Events are a configuration set's: of a message without one nothing is told.
        receipts=None if body.get("ConfigurationSetName") else "",
        sender=body.get("OriginationIdentity"),
        valid_for=body.get("TimeToLive"),
        echo=context,
    )


def _answer(content: Mapping[str, Any], status: int = 200) -> Answer:
    answer = as_json(content, status)
    headers = {"x-amzn-requestid": REQUEST_ID}
    return Answer(status=status, body=answer.body, media_type=_MEDIA_TYPE, headers=headers)


def _event(report: Report, at: float) -> dict[str, Any]:
    kind, final = _STATES[report.state]
    milliseconds = int(at * 1000)
    return {
        "eventType": kind,
        "eventVersion": "1.0",
        "eventTimestamp": milliseconds,
        "isFinal": final,
        "originationPhoneNumber": report.submission.sender or "",
        "destinationPhoneNumber": report.submission.to,
        "isoCountryCode": "DE",
        "messageId": report.message_id,
        "messageRequestTimestamp": milliseconds,
        "messageEncoding": "GSM" if is_gsm(report.submission.text) else "UNICODE",
        "messageType": "TRANSACTIONAL",
        "messageStatus": kind.removeprefix("TEXT_"),
        "messageStatusDescription": "simulated",
        "context": report.submission.echo,
        "totalMessageParts": parts_of(report.submission.text),
        "totalMessagePrice": 0.00645,
        "totalCarrierFee": 0.0,
    }
