"""Yunpian's side of its protocol (SMS API v2): what it makes of a send, and the words in which it answers.

The adapter, functions/providers/yunpian.py, is written from the same documents and shares no code with this: a mistake
in one of the two shows up against the other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from math import ceil
from typing import Any

BUSY = -50
BAD_APIKEY = -1
MISSING_PARAMETER = 1
BAD_PARAMETER = 2
HOURLY_CAP = 22
INTERVAL_CAP = 33

_CHINESE = re.compile(r"1[0-9]{10}")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_CHINA = timezone(timedelta(hours=8))

_SINGLE, _PART = 70, 67
"""Characters. All texts are counted alike, plain Latin ones too, and the signature counts."""
_LONGEST_UID = 256
_FEE = 0.05

_MESSAGES = {
    BUSY: "未知异常",
    BAD_APIKEY: "非法的apikey",
    MISSING_PARAMETER: "请求参数缺失",
    BAD_PARAMETER: "请求参数格式错误",
    HOURLY_CAP: "验证码类短信1小时内同一手机号发送次数不能超过3次",
    INTERVAL_CAP: "30秒内同一手机号同一验证码模板只能发送一条",
}


class Refused(Exception):
    def __init__(self, code: int, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Submission:
    to: str
    """+E.164, whichever way it was spelled."""
    text: str
    uid: str | None
    callback_url: str | None


def parse(form: Mapping[str, str], apikey: str) -> Submission:
    """Raises Refused, for the first thing wrong in the order in which Yunpian looks."""
    if form.get("apikey", "") != apikey:
        raise Refused(BAD_APIKEY, "请检查apikey是否正确")
    for name in ("mobile", "text"):
        if not form.get(name):
            raise Refused(MISSING_PARAMETER, f"参数 {name} 必须传入")
    to = e164(form["mobile"])
    if to is None:
        raise Refused(BAD_PARAMETER, "参数 mobile 格式不正确，mobile无效")
    if len(form.get("uid", "")) > _LONGEST_UID:
        raise Refused(BAD_PARAMETER, "参数 uid 格式不正确，uid过长")
    return Submission(to, form["text"], form.get("uid"), form.get("callback_url"))


def e164(mobile: str) -> str | None:
    """A bare number is a Chinese one; all others start with +, which arrives as a space when it was not encoded."""
    if _CHINESE.fullmatch(mobile):
        return f"+86{mobile}"
    return mobile if _E164.fullmatch(mobile) else None


def accepted(submission: Submission, sid: int) -> dict[str, Any]:
    count = segments(submission.text)
    return {
        "code": 0,
        "msg": "发送成功",
        "count": count,
        "fee": round(count * _FEE, 3),
        "unit": "RMB",
        "mobile": _as_yunpian_spells_it(submission.to),
        "sid": sid,
    }


def refused(code: int, detail: str = "") -> dict[str, Any]:
    """The body that goes with HTTP status 400."""
    message = _MESSAGES.get(code)
    return {"http_status_code": 400, "code": code, "msg": message, "detail": detail or message or f"错误 {code}"}


def report(submission: Submission, sid: int, at: float) -> dict[str, Any]:
    """One entry of a status push: the phone has it."""
    return {
        "sid": sid,
        "uid": submission.uid,
        "user_receive_time": datetime.fromtimestamp(at, UTC).astimezone(_CHINA).strftime("%Y-%m-%d %H:%M:%S"),
        "error_msg": "DELIVRD",
        "mobile": _as_yunpian_spells_it(submission.to),
        "report_status": "SUCCESS",
    }


def account(form: Mapping[str, str], apikey: str) -> dict[str, Any]:
    """What user/get.json tells of the account. Raises Refused."""
    if form.get("apikey", "") != apikey:
        raise Refused(BAD_APIKEY, "请检查apikey是否正确")
    return {
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
