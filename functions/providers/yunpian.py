"""Yunpian (云片), SMS API v2: one send a call, and the status reports that it pushes.

Sources: the official SDKs (yunpian/yunpian-java-sdk c406a89: `Code.java`, `messages.properties`; PyPI
`yunpian-python-sdk` 1.0.0) and, for the codes above 28, the return-value page as other clients cite it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote_plus, urlencode

import msgspec

from functions.domain.delivery import DeliveryStatus, Message, Outcome, Receipt, Scope, SendResult
from functions.domain.errors import InvalidRequest
from functions.domain.phone import PhoneNumber
from functions.domain.sensitive import Sensitive
from functions.providers.account import Account
from functions.providers.credentials import Credentials, Secret
from functions.providers.gateway import FROM_ABROAD, Gateway, Request, by_status
from functions.providers.transport import Answer, Timeouts
from functions.usecases.ports import Acknowledgement, Push

NAME = "yunpian"
BASE_URL = "https://sms.yunpian.com"
"""For numbers in China and abroad; https://us.yunpian.com is its mirror overseas."""

_CHINA = 86
_OK = 200
_SERVER_ERROR = 500
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400

_HEADERS = {
    "Accept": "application/json;charset=utf-8",
    "Content-Type": "application/x-www-form-urlencoded;charset=utf-8",
}

_GROUPS: tuple[tuple[Outcome, frozenset[int]], ...] = (
    # The number: 2 and 56 bad format, 10 and 11 on a blacklist against harassment, 20 country not supported.
    (Outcome.REJECTED_NUMBER, frozenset({2, 10, 11, 20, 56})),
    # The text: 4 blocked keyword, 58 bad template variable.
    (Outcome.REJECTED_CONTENT, frozenset({4, 58})),
    # Too often to this number: 8 and 33 in 30 seconds, 9 in 5 minutes, 22 in an hour, 17 and 43 in a day, 53 generally.
    (Outcome.THROTTLED_RECIPIENT, frozenset({8, 9, 17, 22, 33, 43, 53})),
    # Too often from this account: -4 accesses, -5 rate.
    (Outcome.THROTTLED_ACCOUNT, frozenset({-4, -5})),
    # The account: -1 key, -2 API not permitted, -3 address not allowed, -6 no batches, -11 feature off, -57 signature,
    # -62 qualification, 3 and 26 and 27 money, 55 service offline.
    (Outcome.CONFIG, frozenset({-1, -2, -3, -6, -11, -57, -62, 3, 26, 27, 55})),
    # The templates: 5 none fits the text, 6 7 60 not usable, 13 no marketing now, 15 16 18 signature, 23 28 country or
    # carrier not included.
    (Outcome.CONFIG, frozenset({5, 6, 7, 13, 15, 16, 18, 23, 28, 60})),
    # Our request: 1 parameter missing, 12 method, 14 21 encoding, 19 clock, 24 25 and below calls that we never make.
    (Outcome.CONFIG, frozenset({1, 12, 14, 19, 21, 24, 25, -52, -54, -55, -56})),
    # The gateway's own failure: -50 unnamed, -51 database or busy, -53 not submitted.
    (Outcome.TRANSIENT, frozenset({-50, -51, -53})),
)
_OUTCOMES: Mapping[int, Outcome] = {code: outcome for outcome, codes in _GROUPS for code in codes}

_OF_THE_ROUTE = frozenset({5, 20, 23, 28, 58})
"""Country, carrier or template that this account does not reach or have."""

_WAIT: Mapping[int, int] = {
    8: 30,
    33: 30,
    9: 5 * _MINUTE,
    22: _HOUR,
    17: _DAY,
    43: _DAY,
}
"""Seconds until the periods that the codes speak of have surely passed."""

_UNIT = re.compile(r"[A-Z]{3}")
_NOT_IN_A_REASON = re.compile(r"[^A-Za-z0-9_:-]")
_LONGEST_REASON = 32
_MOST_FIELDS = 16


class YunpianSecret(Secret, frozen=True, kw_only=True):
    apikey: Sensitive


async def open_provider(account: Account, timeouts: Timeouts = FROM_ABROAD) -> Gateway[YunpianSecret]:
    """Sends through `single_send`. Yunpian knows no idempotency key: the same request twice is two SMS."""
    return Gateway(
        name=NAME,
        account=account,
        credentials=Credentials(NAME, account.fetch_secret, YunpianSecret),
        request=_single_send,
        judge=_judge,
        timeouts=timeouts,
    )


def _single_send(message: Message, secret: YunpianSecret, account: Account) -> Request:
    form = {
        "apikey": secret.apikey.reveal(),
        "mobile": _mobile(message.to),
        "text": message.text.reveal(),
        "uid": message.reference,
    }
    receipts = account.message_receipts(NAME, secret.receipt_token, message.reference)
    if receipts is not None:
        form["callback_url"] = receipts
    return Request(
        url=f"{account.url or BASE_URL}/v2/sms/single_send.json", body=urlencode(form).encode(), headers=_HEADERS
    )


def _mobile(number: PhoneNumber) -> str:
    """Chinese numbers bare, all others with their +: Yunpian takes a number without one for a Chinese number."""
    return number.national if number.country_code == _CHINA else number.e164


class _Reply(msgspec.Struct):
    """An answer's body. Its `msg` and `detail` stay unread: they can name the number."""

    code: int
    sid: int | None = None
    count: int | None = None
    fee: Decimal | None = None
    unit: str | None = None


def _judge(answer: Answer) -> SendResult:
    """The code in the body decides: Yunpian answers its refusals with 400, and with every other status alike."""
    reply = _parse(answer.body)
    outcome = None if reply is None else _outcome(reply.code, answer.status)
    if reply is None or outcome is None:
        return by_status(NAME, answer)
    if outcome is Outcome.ACCEPTED:
        return _accepted(reply)
    return SendResult(
        provider=NAME,
        outcome=outcome,
        reason=f"{NAME}_{reply.code}",
        retry_after=_WAIT.get(reply.code) if answer.retry_after is None else answer.retry_after,
        scope=Scope.ROUTE if reply.code in _OF_THE_ROUTE else Scope.PROVIDER,
    )


def _outcome(code: int, status: int) -> Outcome | None:
    """None where the code may not be Yunpian's: a 0 with an error's status, or what a proxy in between made up."""
    if code == 0:
        return Outcome.ACCEPTED if status == _OK else None
    if code not in _OUTCOMES and status >= _SERVER_ERROR:
        return None
    return _OUTCOMES.get(code, Outcome.CONFIG if code > 0 else Outcome.TRANSIENT)


def _parse(body: bytes) -> _Reply | None:
    try:
        # Not strict: a number in quotes is a number, as fees in Yunpian's batch answers are.
        return msgspec.json.decode(body, type=_Reply, strict=False)
    except (ValueError, RecursionError):
        return None


def _accepted(reply: _Reply) -> SendResult:
    """Taken, with or without a sid: the code says so, and receipts are found by our own reference."""
    priced = reply.fee is not None and reply.unit is not None and _UNIT.fullmatch(reply.unit)
    return SendResult(
        provider=NAME,
        outcome=Outcome.ACCEPTED,
        message_id=None if reply.sid is None else str(reply.sid),
        segments=reply.count,
        price=f"{reply.fee} {reply.unit}" if priced else None,
    )


class _Report(msgspec.Struct):
    """One entry of a status push."""

    report_status: str
    uid: str | None = None
    error_msg: str | None = None
    user_receive_time: str | None = None


_STATUSES: Mapping[str, DeliveryStatus] = {"SUCCESS": DeliveryStatus.DELIVERED, "FAIL": DeliveryStatus.FAILED}


@dataclass(frozen=True, slots=True)
class YunpianReceipts:
    """Reads the status push: a form whose `sms_status` is a JSON array, url-encoded by the form and often once more.

    Nothing is signed: the token in the address is all that there is to check.
    """

    acknowledgement: ClassVar[Acknowledgement] = Acknowledgement(b"SUCCESS")
    """What Yunpian wants to hear for every push that was understood, news or not."""

    def read(self, push: Push, secret: Mapping[str, Any], now: int) -> tuple[Receipt, ...]:  # noqa: ARG002 - no signature
        """None for a person's reply (`sms_reply`). Raises InvalidRequest."""
        form = _parse_form(push.body)
        if "sms_status" not in form and "sms_reply" in form:
            return ()
        reports = _parse_reports(form.get("sms_status", ""))
        # Accounts that echo no uid (it is switched on by request) are found by the message's own address.
        named = [(report, report.uid or push.reference) for report in reports]
        return tuple(
            _receipt(report, reference, now)
            for report, reference in named
            if reference and report.report_status in _STATUSES
        )


RECEIPTS = YunpianReceipts()


def _parse_form(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"))
    except ValueError:
        raise InvalidRequest("not a form") from None


def _parse_reports(text: str) -> list[_Report]:
    try:
        array = unquote_plus(text, errors="strict") if text[:3].upper() == "%5B" else text
        return msgspec.json.decode(array, type=list[_Report])
    except (ValueError, RecursionError):
        raise InvalidRequest("sms_status is not a list of status reports") from None


def _receipt(report: _Report, reference: str, now: int) -> Receipt:
    status = _STATUSES[report.report_status]
    reason = _NOT_IN_A_REASON.sub("", report.error_msg or "")[:_LONGEST_REASON]
    return Receipt(
        provider=NAME,
        reference=reference,
        status=status,
        reason=(reason or None) if status is DeliveryStatus.FAILED else None,
        at=_received_at(report.user_receive_time, now),
    )


def _received_at(text: str | None, now: int) -> int:
    """Yunpian tells the time in China. What is no time, or one that has not come yet, is now."""
    try:
        at = int(datetime.strptime(f"{text} +0800", "%Y-%m-%d %H:%M:%S %z").timestamp())
    except ValueError:
        return now
    return at if 0 <= at <= now else now
