"""Yunpian (云片), SMS API v2, as its two adapters speak it: the key, a single message, and what the codes mean.

Sources: the official SDKs (yunpian/yunpian-java-sdk c406a89: `Code.java`, `messages.properties`; PyPI
`yunpian-python-sdk` 1.0.0) and, for the codes above 28, the return-value page as other clients cite it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from urllib.parse import urlencode

import msgspec

from functions.domain.delivery import Message, Outcome, Scope, SendResult
from functions.domain.phone import PhoneNumber
from functions.domain.sensitive import Sensitive
from functions.providers.account import Account
from functions.providers.china import is_chinese
from functions.providers.credentials import Credentials, Secret
from functions.providers.gateway import Gateway, Request, by_status
from functions.providers.transport import Answer, Timeouts

BASE_URL = "https://sms.yunpian.com"
"""For numbers in China and abroad; https://us.yunpian.com is its mirror overseas."""
HEADERS = {
    "Accept": "application/json;charset=utf-8",
    "Content-Type": "application/x-www-form-urlencoded;charset=utf-8",
}

_OK = 200
_SERVER_ERROR = 500
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400

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

_OF_THE_ROUTE = frozenset({5, 6, 7, 13, 15, 16, 18, 20, 23, 28, 58, 60, -57})
"""Countries and carriers that this account does not reach, and the templates and signatures of one service. Of a code
above 0 that is in no list nobody knows whether it is about more than this message."""

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


class YunpianSecret(Secret, frozen=True, kw_only=True):
    apikey: Sensitive


def open_single(provider: str, account: Account, timeouts: Timeouts) -> Gateway[YunpianSecret]:
    """Sends through `single_send`. Yunpian knows no idempotency key: the same request twice is two SMS."""
    return Gateway(
        name=provider,
        account=account,
        credentials=Credentials(provider, account.fetch_secret, YunpianSecret),
        request=partial(_single_send, provider),
        judge=partial(judge, provider),
        timeouts=timeouts,
    )


def _single_send(provider: str, message: Message, secret: YunpianSecret, account: Account) -> Request:
    form = {
        "apikey": secret.apikey.reveal(),
        "mobile": _mobile(message.to),
        "text": message.text.reveal(),
        "uid": message.reference,
    }
    receipts = account.message_receipts(provider, secret.receipt_token, message.reference)
    if receipts is not None:
        form["callback_url"] = receipts
    return Request(
        url=f"{account.url or BASE_URL}/v2/sms/single_send.json", body=urlencode(form).encode(), headers=HEADERS
    )


def _mobile(number: PhoneNumber) -> str:
    """Chinese numbers bare, all others with their +: Yunpian takes a number without one for a Chinese number."""
    return number.national if is_chinese(number) else number.e164


class Reply(msgspec.Struct):
    """What became of a message. Its `msg` and `detail` stay unread: they can name the number."""

    code: int
    sid: int | None = None
    count: int | None = None
    fee: Decimal | None = None
    unit: str | None = None


def judge(provider: str, answer: Answer) -> SendResult:
    """The code in the body decides: Yunpian answers its refusals with 400, and with every other status alike."""
    try:
        # Not strict: a number in quotes is a number, as fees in Yunpian's batch answers are.
        reply = msgspec.json.decode(answer.body, type=Reply, strict=False)
    except (ValueError, RecursionError):
        return by_status(provider, answer)
    return result_of(provider, reply, answer)


def result_of(provider: str, reply: Reply, answer: Answer) -> SendResult:
    outcome = _outcome(reply.code, answer.status)
    if outcome is None:
        return by_status(provider, answer)
    if outcome is Outcome.ACCEPTED:
        return _accepted(provider, reply)
    return SendResult(
        provider=provider,
        outcome=outcome,
        reason=f"yunpian_{reply.code}",
        retry_after=_WAIT.get(reply.code) if answer.retry_after is None else answer.retry_after,
        scope=_scope(reply.code),
    )


def _outcome(code: int, status: int) -> Outcome | None:
    """None where the code may not be Yunpian's: a 0 with an error's status, or what a proxy in between made up."""
    if code == 0:
        return Outcome.ACCEPTED if status == _OK else None
    if code not in _OUTCOMES and status >= _SERVER_ERROR:
        return None
    return _OUTCOMES.get(code, Outcome.CONFIG if code > 0 else Outcome.TRANSIENT)


def _scope(code: int) -> Scope:
    return Scope.ROUTE if code in _OF_THE_ROUTE or (code > 0 and code not in _OUTCOMES) else Scope.PROVIDER


def _accepted(provider: str, reply: Reply) -> SendResult:
    """Taken, with or without a sid: the code says so, and receipts are found by our own reference."""
    priced = reply.fee is not None and reply.unit is not None and _UNIT.fullmatch(reply.unit)
    return SendResult(
        provider=provider,
        outcome=Outcome.ACCEPTED,
        message_id=None if reply.sid is None else str(reply.sid),
        segments=reply.count,
        price=f"{reply.fee} {reply.unit}" if priced else None,
    )
