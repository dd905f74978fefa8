"""Tencent Cloud (腾讯云) SMS 2021-01-11: JSON, signed by TC3-HMAC-SHA256; every answer is a 200."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from infra.local.vendors.authentication import mac, sha256
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
)

_REQUEST_ID = "a0aabda6-cf91-4f3e-a81f-9198114a2279"
_BUSY = "InternalError.OtherError"
_SOON, _OFTEN = "LimitExceeded.PhoneNumberThirtySecondLimit", "LimitExceeded.PhoneNumberOneHourLimit"
_BAD_NUMBER = "InvalidParameterValue.IncorrectPhoneNumber"
_BAD_PARAMETERS = "InvalidParameterValue.TemplateParameterFormatError"
_OF_ONE_NUMBER = (
    "LimitExceeded.PhoneNumber",
    _BAD_NUMBER,
    _BAD_PARAMETERS,
    "FailedOperation.",
    "UnsupportedOperation.",
)
"""What is told in the number's own element. All else is about the request."""

_AUTHORIZATION = re.compile(
    r"TC3-HMAC-SHA256 Credential=([^/]+)/([0-9-]{10})/sms/tc3_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})"
)
_SKEW = 300
"""Seconds between the two clocks, at most."""
_DIGITS = re.compile(r"[0-9]{0,6}")
_CHINA = timezone(timedelta(hours=8))
_CHINESE_SIGN = "+86"
_REPORTS: Mapping[State, tuple[str, str]] = {"delivered": ("SUCCESS", "DELIVRD"), "failed": ("FAIL", "MK:0001")}


class Tencent:
    busy: Code = _BUSY
    caps: tuple[Code, Code] | None = (_SOON, _OFTEN)

    def __init__(self, account: Account) -> None:
        self._id, self._key, self._app = account["secret_id"], account["secret_key"], account["sdk_app_id"]

    def take(self, call: Call) -> Sequence[Submission] | Answer:
        self._authenticate(call)
        if call.headers.get("X-TC-Action") != "SendSms":
            # Whatever else may be asked for sends nothing.
            return as_json({"Response": {"RequestId": _REQUEST_ID}})
        if call.headers.get("X-TC-Version") != "2021-01-11" or not call.headers.get("X-TC-Region"):
            raise Refused("MissingParameter")
        return [self._submission(call.json)]

    def message_id(self, submission: Submission, serial: int) -> str:  # noqa: ARG002 - a number is all it is
        return f"5000:{serial}"

    def accepted(self, call: Call, sent: Sequence[Sent]) -> Answer:  # noqa: ARG002 - the same for all calls
        (one,) = sent
        return _element(
            {
                "SerialNo": one.message_id,
                "PhoneNumber": one.submission.to,
                "Fee": 1,
                "SessionContext": one.submission.reference or "",
                "Code": "Ok",
                "Message": "send success",
                "IsoCode": "CN" if one.submission.to.startswith(_CHINESE_SIGN) else "DE",
            }
        )

    def refused(self, call: Call, refusal: Refused) -> Answer:
        code, text = str(refusal.code), refusal.detail or f"error {refusal.code}"
        if not code.startswith(_OF_ONE_NUMBER):
            return as_json({"Response": {"Error": {"Code": code, "Message": text}, "RequestId": _REQUEST_ID}})
        number = "".join(call.json.get("PhoneNumberSet", [""])[:1])
        blank = {"SerialNo": "", "PhoneNumber": number, "Fee": 0, "SessionContext": "", "IsoCode": ""}
        return _element({**blank, "Code": code, "Message": text})

    def pushes(self, url: str, reports: Sequence[Report], at: float) -> Iterable[Push]:
        entries = [_entry(report, at) for report in reports if report.state in _REPORTS]
        if entries:
            yield Push(url=url, body=json.dumps(entries).encode(), headers={"Content-Type": JSON})

    def acknowledged(self, status: int, body: bytes) -> bool:
        try:
            told = json.loads(body)
        except ValueError:
            return False
        return status == 200 and isinstance(told, dict) and told.get("result") == 0  # noqa: PLR2004

    def _authenticate(self, call: Call) -> None:
        found = _AUTHORIZATION.fullmatch(call.headers.get("Authorization", ""))
        if found is None or not {"content-type", "host"} <= set(found[3].split(";")):
            raise Refused("AuthFailure.InvalidAuthorization")
        if found[1] != self._id:
            raise Refused("AuthFailure.SecretIdNotFound")
        stamp = call.headers.get("X-TC-Timestamp", "")
        if not stamp.isdecimal() or abs(int(stamp) - call.at) > _SKEW:
            raise Refused("AuthFailure.SignatureExpire")
        day = datetime.fromtimestamp(int(stamp), UTC).strftime("%Y-%m-%d")
        if day != found[2] or not hmac.compare_digest(_signature(call, found[3], self._key), found[4]):
            raise Refused("AuthFailure.SignatureFailure")

    def _submission(self, body: Mapping[str, Any]) -> Submission:
        numbers = body.get("PhoneNumberSet")
        if not isinstance(numbers, list) or len(numbers) != 1 or not isinstance(numbers[0], str):
            raise Refused("MissingParameter")
        to = e164(numbers[0])
        if to is None:
            raise Refused(_BAD_NUMBER)
        if body.get("SmsSdkAppId") != self._app:
            raise Refused("InvalidParameterValue.SdkAppIdNotExist")
        if not body.get("TemplateId") or (to.startswith(_CHINESE_SIGN) and not body.get("SignName")):
            raise Refused("FailedOperation.TemplateUnapprovedOrNotExist")
        text = f"【{body.get('SignName', '')}】您的验证码是{_code(body.get('TemplateParamSet'))}。"
        return Submission(to=to, text=text, reference=body.get("SessionContext"), sender=body.get("SenderId"))


def _code(parameters: Any) -> str:
    """The first variable is the code, and a variable of a code's template is of at most six digits."""
    if not isinstance(parameters, list) or not parameters or not all(isinstance(value, str) for value in parameters):
        raise Refused("FailedOperation.TemplateParamSetNotMatchApprovedTemplate")
    if not all(_DIGITS.fullmatch(value) for value in parameters):
        raise Refused(_BAD_PARAMETERS)
    return str(parameters[0])


def _signature(call: Call, signed: str, secret: str) -> str:
    headers = "".join(f"{name}:{call.headers.get(name, '').strip().lower()}\n" for name in signed.split(";"))
    canonical = "\n".join([call.method, call.full_path, call.query, headers, signed, sha256(call.body)])
    stamp = call.headers["X-TC-Timestamp"]
    day = datetime.fromtimestamp(int(stamp), UTC).strftime("%Y-%m-%d")
    text = f"TC3-HMAC-SHA256\n{stamp}\n{day}/sms/tc3_request\n{sha256(canonical.encode())}"
    key = f"TC3{secret}".encode()
    for step in (day, "sms", "tc3_request"):
        key = mac(key, step)
    return mac(key, text).hex()


def _element(element: Mapping[str, Any]) -> Answer:
    return as_json({"Response": {"SendStatusSet": [element], "RequestId": _REQUEST_ID}})


def _entry(report: Report, at: float) -> dict[str, Any]:
    status, message = _REPORTS[report.state]
    number = report.submission.to
    return {
        "user_receive_time": datetime.fromtimestamp(at, UTC).astimezone(_CHINA).strftime("%Y-%m-%d %H:%M:%S"),
        "nationcode": number[1:3],
        "mobile": number[3:],
        "report_status": status,
        "errmsg": message,
        "description": "用户短信送达成功" if report.state == "delivered" else "空号",
        "sid": report.message_id,
        "ext": report.submission.reference or "",
    }
