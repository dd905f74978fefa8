"""Twilio Programmable Messaging (2010-04-01): one message a call, status callbacks signed with SHA-1."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlencode

from infra.local.vendors.authentication import basic
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
    e164,
    is_good,
)

_AUTHENTICATE, _NOT_FOUND, _UNAVAILABLE, _TOO_MANY = 20003, 20404, 20503, 20429
_BAD_TO, _NO_TO, _NO_FROM, _NO_BODY, _LONG_BODY, _BAD_VALIDITY = 21211, 21604, 21603, 21602, 21617, 21624
_LONGEST = 1600
_VALIDITY = range(1, 36_001)

_HTTP: Mapping[Code, int] = {
    _AUTHENTICATE: 401,
    20008: 403,
    _NOT_FOUND: 404,
    _TOO_MANY: 429,
    20500: 500,
    _UNAVAILABLE: 503,
}
"""All others: 400."""
_STATUSES: Mapping[State, str] = {"sent": "sent", "delivered": "delivered", "failed": "undelivered"}
_UNKNOWN_HANDSET = "30005"
_FEEDBACK = re.compile(r"/Messages/(SM[0-9a-f]{32})/Feedback\.json")


class Twilio:
    busy: Code = _UNAVAILABLE
    caps: tuple[Code, Code] | None = None

    def __init__(self, account: Account) -> None:
        self._sid, self._token = account["account_sid"], account["auth_token"]

    def take(self, call: Call) -> Sequence[Submission] | Approved | Answer:
        if basic(call) != (self._sid, self._token):
            raise Refused(_AUTHENTICATE, "Authenticate")
        below = call.path.removeprefix(f"/2010-04-01/Accounts/{self._sid}")
        if below == ".json" and call.method == "GET":
            return as_json({"sid": self._sid, "status": "active", "type": "Full", "friendly_name": "salvo"})
        if found := _FEEDBACK.fullmatch(below):
            outcome = call.form.get("Outcome", "unconfirmed")
            return Approved(found[1], as_json({"message_sid": found[1], "outcome": outcome}, 201))
        if below != "/Messages.json" or call.method != "POST":
            raise Refused(_NOT_FOUND, "The requested resource was not found")
        return [_submission(call.form)]

    def message_id(self, submission: Submission, serial: int) -> str:  # noqa: ARG002 - a number is all it is
        return f"SM{serial:032x}"

    def accepted(self, call: Call, sent: Sequence[Sent]) -> Answer:
        (one,) = sent
        form, by_service = call.form, call.form.get("MessagingServiceSid")
        return as_json(
            {
                "sid": one.message_id,
                "account_sid": self._sid,
                "status": "accepted" if by_service else "queued",
                "to": one.submission.to,
                "from": form.get("From"),
                "messaging_service_sid": by_service,
                "body": one.submission.text,
                "num_segments": "0" if by_service else str(parts_of(one.submission.text)),
                "num_media": "0",
                "direction": "outbound-api",
                "price": None,
                "price_unit": "USD",
                "error_code": None,
                "error_message": None,
                "api_version": "2010-04-01",
            },
            201,
        )

    def refused(self, call: Call, refusal: Refused) -> Answer:  # noqa: ARG002 - the same for all calls
        status = _HTTP.get(refusal.code, 400)
        more = f"https://www.twilio.com/docs/errors/{refusal.code}"
        message = refusal.detail or f"Error {refusal.code}"
        return as_json({"code": refusal.code, "message": message, "more_info": more, "status": status}, status)

    def pushes(self, url: str, reports: Sequence[Report], at: float) -> Iterable[Push]:  # noqa: ARG002 - it tells no time
        for report in reports:
            form = self._callback(report)
            signed = url + "".join(name + form[name] for name in sorted(form))
            signature = base64.b64encode(hmac.digest(self._token.encode(), signed.encode(), "sha1")).decode()
            headers = {"Content-Type": FORM, "X-Twilio-Signature": signature, "I-Twilio-Idempotency-Token": "0"}
            yield Push(url=url, body=urlencode(form).encode(), headers=headers)

    def acknowledged(self, status: int, body: bytes) -> bool:  # noqa: ARG002 - the status says it
        return is_good(status)

    def _callback(self, report: Report) -> dict[str, str]:
        status = _STATUSES[report.state]
        return {
            "MessageSid": report.message_id,
            "SmsSid": report.message_id,
            "AccountSid": self._sid,
            "From": report.submission.sender or "",
            "To": report.submission.to,
            "MessageStatus": status,
            "SmsStatus": status,
            "ApiVersion": "2010-04-01",
            **({"ErrorCode": _UNKNOWN_HANDSET} if report.state == "failed" else {}),
        }


def _submission(form: Mapping[str, str]) -> Submission:
    if not form.get("To"):
        raise Refused(_NO_TO, "A 'To' phone number is required.")
    to = e164(form["To"])
    if to is None:
        raise Refused(_BAD_TO, f"The 'To' number {form['To']} is not a valid phone number.")
    if bool(form.get("From")) is bool(form.get("MessagingServiceSid")):
        raise Refused(_NO_FROM, "A 'From' phone number is required.")
    return Submission(
        to=to,
        text=_body(form),
        receipts=form.get("StatusCallback"),
        sender=form.get("From") or form.get("MessagingServiceSid"),
        valid_for=_validity(form),
    )


def _body(form: Mapping[str, str]) -> str:
    body = form.get("Body", "")
    if not body:
        raise Refused(_NO_BODY, "Message body is required.")
    if len(body) > _LONGEST:
        raise Refused(_LONG_BODY, "The concatenated message body exceeds the 1600 character limit.")
    return body


def _validity(form: Mapping[str, str]) -> float | None:
    stated = form.get("ValidityPeriod")
    if stated is None:
        return None
    if not stated.isdecimal() or int(stated) not in _VALIDITY:
        raise Refused(_BAD_VALIDITY, "ValidityPeriod is out of range")
    return int(stated)
