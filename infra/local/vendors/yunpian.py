"""Yunpian (云片), SMS API v2: what it makes of a send, and the words in which it answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from math import ceil
from typing import Any
from urllib.parse import quote, unquote_plus, urlencode

from infra.local.vendors.vendor import (
    FORM,
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

BUSY = -50
BAD_APIKEY = -1
MISSING_PARAMETER = 1
BAD_PARAMETER = 2
HOURLY_CAP = 22
COUNTS_DIFFER = 25
INTERVAL_CAP = 33

_CHINESE = re.compile(r"1[0-9]{10}")
_CHINA = timezone(timedelta(hours=8))

_SINGLE, _PART = 70, 67
"""Characters. All texts are counted alike, plain Latin ones too, and the signature counts."""
_LONGEST_UID = 256
_MOST_NUMBERS = 1000
_MOST_IN_A_PUSH = 50
_FEE = 0.05

_MESSAGES: Mapping[Code, str] = {
    BUSY: "未知异常",
    BAD_APIKEY: "非法的apikey",
    MISSING_PARAMETER: "请求参数缺失",
    BAD_PARAMETER: "请求参数格式错误",
    HOURLY_CAP: "验证码类短信1小时内同一手机号发送次数不能超过3次",
    COUNTS_DIFFER: "号码和内容个数不匹配",
    INTERVAL_CAP: "30秒内同一手机号同一验证码模板只能发送一条",
}
_REPORTS: Mapping[State, tuple[str, str]] = {"delivered": ("SUCCESS", "DELIVRD"), "failed": ("FAIL", "UNDELIV")}


class Yunpian:
    busy: Code = BUSY
    caps: tuple[Code, Code] | None = (INTERVAL_CAP, HOURLY_CAP)

    def __init__(self, account: Account) -> None:
        self._apikey = account["apikey"]

    def take(self, call: Call) -> Sequence[Submission] | Answer:
        form = call.form
        if form.get("apikey", "") != self._apikey:
            raise Refused(BAD_APIKEY, "请检查apikey是否正确")
        match call.path:
            case "/v2/user/get.json":
                return as_json(_ACCOUNT)
            case "/v2/sms/single_send.json":
                return [_single(form)]
            case "/v2/sms/multi_send.json":
                return _several(form)
        return Answer(status=404, body=b"")

    def message_id(self, submission: Submission, serial: int) -> str:  # noqa: ARG002 - a number is all it is
        return str(serial)

    def accepted(self, call: Call, sent: Sequence[Sent]) -> Answer:
        if not call.path.endswith("/multi_send.json"):
            return as_json(_taken(sent[0]))
        data = [_taken(one) if one.refusal is None else _not_taken(one, one.refusal) for one in sent]
        fee = sum(segments(one.submission.text) for one in sent if one.refusal is None) * _FEE
        return as_json({"total_count": len(data), "total_fee": f"{fee:.4f}", "unit": "RMB", "data": data})

    def refused(self, call: Call, refusal: Refused) -> Answer:  # noqa: ARG002 - the same for all calls
        message = _MESSAGES.get(refusal.code)
        detail = refusal.detail or message or f"错误 {refusal.code}"
        return as_json({"http_status_code": 400, "code": refusal.code, "msg": message, "detail": detail}, 400)

    def pushes(self, url: str, reports: Sequence[Report], at: float) -> Iterable[Push]:
        entries = [_entry(report, at) for report in reports if report.state in _REPORTS]
        for start in range(0, len(entries), _MOST_IN_A_PUSH):
            # Encoded once more than the form does it, as Yunpian has it in practice.
            form = {"sms_status": quote(json.dumps(entries[start : start + _MOST_IN_A_PUSH]))}
            yield Push(url=url, body=urlencode(form).encode(), headers={"Content-Type": FORM})

    def acknowledged(self, status: int, body: bytes) -> bool:  # noqa: ARG002 - the word decides
        return body.strip().upper() == b"SUCCESS"


def _single(form: Mapping[str, str]) -> Submission:
    for name in ("mobile", "text"):
        if not form.get(name):
            raise Refused(MISSING_PARAMETER, f"参数 {name} 必须传入")
    to = _number(form["mobile"])
    if to is None:
        raise Refused(BAD_PARAMETER, "参数 mobile 格式不正确，mobile无效")
    if len(form.get("uid", "")) > _LONGEST_UID:
        raise Refused(BAD_PARAMETER, "参数 uid 格式不正确，uid过长")
    return Submission(to=to, text=form["text"], reference=form.get("uid"), receipts=form.get("callback_url"))


def _several(form: Mapping[str, str]) -> list[Submission]:
    """Chinese numbers alone, each with a text that is encoded once more before they are joined."""
    mobiles, texts = form.get("mobile", "").split(","), form.get("text", "").split(",")
    if len(mobiles) != len(texts) or len(mobiles) > _MOST_NUMBERS:
        raise Refused(COUNTS_DIFFER)
    if any(_CHINESE.fullmatch(mobile) is None for mobile in mobiles):
        raise Refused(BAD_PARAMETER, "参数 mobile 格式不正确，mobile无效")
    uid, callback = form.get("uid"), form.get("callback_url")
    return [
        Submission(to=f"+86{mobile}", text=unquote_plus(text), reference=uid, receipts=callback)
        for mobile, text in zip(mobiles, texts, strict=True)
    ]


def _number(mobile: str) -> str | None:
    """A bare number is a Chinese one; all others start with +, which arrives as a space when it was not encoded."""
    return f"+86{mobile}" if _CHINESE.fullmatch(mobile) else e164(mobile)


def _taken(sent: Sent) -> dict[str, Any]:
    count = segments(sent.submission.text)
    return {
        "code": 0,
        "msg": "发送成功",
        "count": count,
        "fee": round(count * _FEE, 3),
        "unit": "RMB",
        "mobile": _as_yunpian_spells_it(sent.submission.to),
        "sid": int(sent.message_id),
    }


def _not_taken(sent: Sent, refusal: Refused) -> dict[str, Any]:
    mobile = _as_yunpian_spells_it(sent.submission.to)
    return {"code": refusal.code, "mobile": mobile, "msg": _MESSAGES.get(refusal.code)}


def _entry(report: Report, at: float) -> dict[str, Any]:
    status, message = _REPORTS[report.state]
    return {
        "sid": int(report.message_id),
        "uid": report.submission.reference,
        "user_receive_time": datetime.fromtimestamp(at, UTC).astimezone(_CHINA).strftime("%Y-%m-%d %H:%M:%S"),
        "error_msg": message,
        "mobile": _as_yunpian_spells_it(report.submission.to),
        "report_status": status,
    }


_ACCOUNT = {
    "nick": "salvo",
    "gmt_created": "2012-09-11 15:14:00",
    "mobile": "13800000000",
    "email": "salvo@example.com",
    "ip_whitelist": None,
    "api_version": "v2",
    "balance": 1000,
    "alarm_balance": 100,
    "emergency_contact": None,
    "emergency_mobile": None,
}


def segments(text: str) -> int:
    return 1 if len(text) <= _SINGLE else ceil(len(text) / _PART)


def _as_yunpian_spells_it(number: str) -> str:
    return number.removeprefix("+86")
