"""Aliyun (阿里云) Dysmsapi 2017-05-25: parameters in the query, signed by ACS3-HMAC-SHA256; templates and no texts."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, quote

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
    plus,
)

_BUSY, _CAPPED = "isp.SYSTEM_ERROR", "isv.BUSINESS_LIMIT_CONTROL"
_BAD_NUMBER, _BAD_TEMPLATE, _BAD_SIGNATURE = (
    "isv.MOBILE_NUMBER_ILLEGAL",
    "isv.SMS_TEMPLATE_ILLEGAL",
    "isv.SIGN_STATE_ILLEGAL",
)
_BAD_JSON, _TOO_MANY = "isv.INVALID_JSON_PARAM", "isv.MOBILE_COUNT_OVER_LIMIT"
_INCOMPLETE, _NO_SUCH_KEY, _MISMATCH = "IncompleteSignature", "InvalidAccessKeyId.NotFound", "SignatureDoesNotMatch"
_EXPIRED = "InvalidTimeStamp.Expired"
_HTTP: Mapping[Code, int] = {
    _INCOMPLETE: 400,
    _MISMATCH: 400,
    _EXPIRED: 400,
    "SignatureNonceUsed": 400,
    _NO_SUCH_KEY: 404,
    "Throttling": 400,
    "Throttling.User": 400,
    "Throttling.Api": 400,
    "InternalError": 500,
    "ServiceUnavailable": 503,
}
"""Of the gateway in front. What the SMS service itself refuses is a 200."""

_AUTHORIZATION = re.compile(r"ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]{64})")
_MOST_NUMBERS = 100
_SIGNED = ("host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version")
_DATE = "%Y-%m-%dT%H:%M:%SZ"
_SKEW = 900.0
"""Seconds between the two clocks, at most."""
_CHINESE = re.compile(r"(?:\+86|0086|86)?(1[0-9]{10})")
_CHINA = timezone(timedelta(hours=8))
_TEMPLATE = "【{signature}】您的验证码是{code}。"
_REPORTS: Mapping[State, tuple[bool, str]] = {"delivered": (True, "DELIVERED"), "failed": (False, "UNDELIV")}


class Aliyun:
    busy: Code = _BUSY
    caps: tuple[Code, Code] | None = (_CAPPED, _CAPPED)

    def __init__(self, account: Account) -> None:
        self._key_id, self._secret = account["access_key_id"], account["access_key_secret"]

    def take(self, call: Call) -> Sequence[Submission] | Answer:
        self._authenticate(call)
        parameters = dict(parse_qsl(call.query, keep_blank_values=True)) | call.form
        match call.headers.get("x-acs-action"):
            case "SendSms":
                return [_submission(parameters)]
            case "SendBatchSms":
                return _several(parameters)
        # Whatever else may be asked for sends nothing.
        return as_json({"Code": "OK", "Message": "OK", "RequestId": "F655A8D5-B967-440B-8683-DAD6FF8DE990"})

    def message_id(self, submission: Submission, serial: int) -> str:  # noqa: ARG002 - a number is all it is
        return f"{serial}^0"

    def accepted(self, call: Call, sent: Sequence[Sent]) -> Answer:  # noqa: ARG002 - the same for all calls
        """One code for all: whom a cap keeps from his message it does not tell."""
        request = "F655A8D5-B967-440B-8683-DAD6FF8DE990"
        return as_json({"Message": "OK", "RequestId": request, "Code": "OK", "BizId": sent[0].message_id})

    def refused(self, call: Call, refusal: Refused) -> Answer:
        status = _HTTP.get(refusal.code, 200)
        body = {"Message": refusal.detail or f"错误 {refusal.code}", "RequestId": "F655A8D5", "Code": refusal.code}
        return as_json(body if status == 200 else {**body, "HostId": call.host}, status)  # noqa: PLR2004

    def pushes(self, url: str, reports: Sequence[Report], at: float) -> Iterable[Push]:
        entries = [_entry(report, at) for report in reports if report.state in _REPORTS]
        if entries:
            yield Push(url=url, body=json.dumps(entries).encode(), headers={"Content-Type": JSON})

    def acknowledged(self, status: int, body: bytes) -> bool:
        try:
            told = json.loads(body)
        except ValueError:
            return False
        return status == 200 and isinstance(told, dict) and told.get("code") == 0  # noqa: PLR2004

    def _authenticate(self, call: Call) -> None:
        found = _AUTHORIZATION.fullmatch(call.headers.get("Authorization", ""))
        if found is None or not set(_SIGNED) <= set(found[2].split(";")):
            raise Refused(_INCOMPLETE)
        if call.headers["x-acs-content-sha256"] != sha256(call.body):
            raise Refused(_MISMATCH)
        if found[1] != self._key_id:
            raise Refused(_NO_SUCH_KEY)
        if abs(_seconds(call.headers["x-acs-date"]) - call.at) > _SKEW:
            raise Refused(_EXPIRED)
        if not hmac.compare_digest(_signature(call, found[2], self._secret), found[3]):
            raise Refused(_MISMATCH)


def _seconds(date: str) -> float:
    try:
        return datetime.strptime(date, _DATE).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise Refused("InvalidTimeStamp.Format") from None


def _signature(call: Call, signed: str, secret: str) -> str:
    pairs = sorted(parse_qsl(call.query, keep_blank_values=True))
    query = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs)
    headers = "".join(f"{name}:{call.headers.get(name, '').strip()}\n" for name in signed.split(";"))
    canonical = "\n".join([call.method, call.full_path, query, headers, signed, sha256(call.body)])
    return mac(secret.encode(), f"ACS3-HMAC-SHA256\n{sha256(canonical.encode())}").hex()


def _submission(query: Mapping[str, str]) -> Submission:
    number = query.get("PhoneNumbers", "")
    chinese = _CHINESE.fullmatch(number)
    to = f"+86{chinese[1]}" if chinese else plus(number)
    if to is None:
        raise Refused(_BAD_NUMBER)
    if not query.get("SignName"):
        raise Refused(_BAD_SIGNATURE)
    if not query.get("TemplateCode", "").startswith("SMS_"):
        raise Refused(_BAD_TEMPLATE)
    text = _TEMPLATE.format(signature=query["SignName"], code=_code(query.get("TemplateParam", "")))
    return Submission(to=to, text=text, reference=query.get("OutId"), sender=query["SignName"])


def _several(parameters: Mapping[str, str]) -> list[Submission]:
    """A number, a signature and the template's variables for each. What is wrong with one is wrong with the call."""
    lists = [_list(parameters, name) for name in ("PhoneNumberJson", "SignNameJson", "TemplateParamJson")]
    if len({len(each) for each in lists}) != 1:
        raise Refused(_BAD_JSON)
    if len(lists[0]) > _MOST_NUMBERS:
        raise Refused(_TOO_MANY)
    common = {name: parameters[name] for name in ("TemplateCode", "OutId") if name in parameters}
    return [
        _submission({**common, "PhoneNumbers": str(to), "SignName": str(name), "TemplateParam": json.dumps(variables)})
        for to, name, variables in zip(*lists, strict=True)
    ]


def _list(parameters: Mapping[str, str], name: str) -> list[Any]:
    try:
        found = json.loads(parameters.get(name, ""))
    except ValueError:
        raise Refused(_BAD_JSON) from None
    if not isinstance(found, list):
        raise Refused(_BAD_JSON)
    return found


def _code(parameters: str) -> str:
    try:
        found = json.loads(parameters)
    except ValueError:
        raise Refused(_BAD_JSON) from None
    if not isinstance(found, dict) or not isinstance(found.get("code"), str):
        raise Refused("isv.TEMPLATE_MISSING_PARAMETERS")
    return str(found["code"])


def _entry(report: Report, at: float) -> dict[str, Any]:
    success, code = _REPORTS[report.state]
    then = datetime.fromtimestamp(at, UTC).astimezone(_CHINA).strftime("%Y-%m-%d %H:%M:%S")
    return {
        "phone_number": report.submission.to.removeprefix("+86").removeprefix("+"),
        "send_time": then,
        "report_time": then,
        "success": success,
        "err_code": code,
        "err_msg": "用户接收成功" if success else "空号",
        "sms_size": "1",
        "biz_id": report.message_id,
        "out_id": report.submission.reference or "",
    }
