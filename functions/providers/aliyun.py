"""Aliyun (阿里云), short messages, `SendSms` of 2017-05-25: a template with the code in it, and its status reports.

The template has one variable, `code`. Templates for China know no other country's numbers and the other way round: give
each a route of its own. Numbers abroad may need another address, dysmsapi.ap-southeast-1.aliyuncs.com for one.

Reports come to one address for all, which is set in the console and ends with the account's token. Aliyun takes no
validity, and tells no price.

Sources: PyPI `alibabacloud_dysmsapi20170525` 4.6.0 and `alibabacloud_openapi_util` 0.2.4 for call and signature; the
error-code, SendSms and SmsReport pages of help.aliyun.com.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

import msgspec
from yarl import URL

from functions.domain.delivery import Message, Outcome, Receipt, Scope, SendResult
from functions.domain.errors import InvalidRequest
from functions.domain.part import part
from functions.domain.phone import PhoneNumber
from functions.domain.sensitive import Sensitive
from functions.providers.account import Account
from functions.providers.china import final_receipt, is_chinese
from functions.providers.credentials import Credentials, Secret
from functions.providers.gateway import FROM_ABROAD, Gateway, Request, by_status
from functions.providers.transport import Answer, Timeouts
from functions.usecases.ports import Acknowledgement, Provider, Push

NAME = "aliyun"
BASE_URL = "https://dysmsapi.aliyuncs.com"

_ALGORITHM = "ACS3-HMAC-SHA256"
_NONCE_BYTES = 16
_OK = 200

_GROUPS: tuple[tuple[Outcome, Scope, str], ...] = (
    (Outcome.ACCEPTED, Scope.PROVIDER, "OK"),
    # No mobile number; a Chinese one with a template for abroad.
    (Outcome.REJECTED_NUMBER, Scope.PROVIDER, "isv.MOBILE_NUMBER_ILLEGAL"),
    (Outcome.REJECTED_NUMBER, Scope.ROUTE, "isv.DOMESTIC_NUMBER_NOT_SUPPORTED"),
    # Blocked words; a variable that the template does not take.
    (Outcome.REJECTED_CONTENT, Scope.PROVIDER, "isv.BLACK_KEY_CONTROL_LIMIT isv.SMS_CONTENT_ILLEGAL"),
    (Outcome.REJECTED_CONTENT, Scope.ROUTE, "isv.PARAM_NOT_SUPPORT_URL isv.PARAM_LENGTH_LIMIT"),
    # Whoever has the number wants no messages.
    (Outcome.REJECTED_NUMBER, Scope.FORBIDDEN, "isv.CUSTOMER_REFUSED MOBILE_IN_BLACK"),
    # A minute's, an hour's or a day's messages to this number: only the text tells which, and abroad the code.
    (Outcome.THROTTLED_RECIPIENT, Scope.PROVIDER, "isv.BUSINESS_LIMIT_CONTROL MOBILE_SEND_LIMIT"),
    (Outcome.THROTTLED_RECIPIENT, Scope.PROVIDER, "BUSINESS_LIMIT_CONTROL_MINUTE BUSINESS_LIMIT_CONTROL_PHONE"),
    (Outcome.THROTTLED_RECIPIENT, Scope.PROVIDER, "isv.BUSINESS_LIMIT_HOUR isv.BUSINESS_LIMIT_DAY"),
    (Outcome.THROTTLED_ACCOUNT, Scope.PROVIDER, "Throttling Throttling.User Throttling.Api"),
    # The account: its own caps, its rights, its money, its products, itself.
    (Outcome.CONFIG, Scope.PROVIDER, "isv.DAY_LIMIT_CONTROL isv.MONTH_LIMIT_CONTROL isp.RAM_PERMISSION_DENY"),
    (Outcome.CONFIG, Scope.PROVIDER, "isv.OUT_OF_SERVICE isv.AMOUNT_NOT_ENOUGH isv.PRODUCT_UN_SUBSCRIPT"),
    (Outcome.CONFIG, Scope.PROVIDER, "isv.PRODUCT_UNSUBSCRIBE isv.ACCOUNT_NOT_EXISTS isv.ACCOUNT_ABNORMAL"),
    # Messages to China have to come from an address in China, which a function at AWS elsewhere has not.
    (Outcome.CONFIG, Scope.ROUTE, "isv.DENY_IP_RANGE"),
    # The template and the signature that the route names.
    (Outcome.CONFIG, Scope.ROUTE, "isv.SMS_TEMPLATE_ILLEGAL isv.SMS_SIGNATURE_ILLEGAL isv.SIGN_STATE_ILLEGAL"),
    (Outcome.CONFIG, Scope.ROUTE, "isv.SMS_SIGN_ILLEGAL isv.SMS_SIGNATURE_SCENE_ILLEGAL"),
    (Outcome.CONFIG, Scope.ROUTE, "isv.TEMPLATE_MISSING_PARAMETERS isv.INVALID_PARAMETERS"),
    # Our request, our signature, our clock.
    (Outcome.CONFIG, Scope.PROVIDER, "isv.EXTEND_CODE_ERROR isv.INVALID_JSON_PARAM isv.MOBILE_COUNT_OVER_LIMIT"),
    (Outcome.CONFIG, Scope.PROVIDER, "SignatureDoesNotMatch IncompleteSignature SignatureNonceUsed"),
    (Outcome.TRANSIENT, Scope.PROVIDER, "isp.SYSTEM_ERROR ServiceUnavailable InternalError"),
)
_MEANINGS: Mapping[str, tuple[Outcome, Scope]] = {
    code: (outcome, scope) for outcome, scope, codes in _GROUPS for code in codes.split()
}
_FAMILIES: Mapping[str, tuple[Outcome, Scope]] = {
    "InvalidAccessKeyId": (Outcome.CONFIG, Scope.PROVIDER),
    "InvalidTimeStamp": (Outcome.CONFIG, Scope.PROVIDER),
    "Throttling": (Outcome.THROTTLED_ACCOUNT, Scope.PROVIDER),
    "isv": (Outcome.CONFIG, Scope.ROUTE),
}
"""By what stands before the dot, for codes that are in no list: isv is what the caller has to mend."""

_A_CODE = re.compile(r"[A-Za-z_]+(\.[A-Za-z_]+)?")
"""So spelled, it can name no number."""


class AliyunSecret(Secret, frozen=True, kw_only=True):
    access_key_id: Sensitive
    access_key_secret: Sensitive


async def open_provider(account: Account, timeouts: Timeouts = FROM_ABROAD) -> Provider:
    """Aliyun knows no idempotency key: the same request twice is two SMS."""
    return Gateway(
        name=NAME,
        account=account,
        credentials=Credentials(NAME, account.fetch_secret, AliyunSecret),
        request=_send_sms,
        judge=_judge,
        timeouts=timeouts,
    )


def _send_sms(message: Message, secret: AliyunSecret, account: Account) -> Request:
    """Everything stands in the query, and the body is empty."""
    url = f"{account.url or BASE_URL}/"
    query = _encode(
        {
            "OutId": message.reference,
            "PhoneNumbers": _number(message.to),
            "SignName": message.signature or "",
            "TemplateCode": message.template or "",
            "TemplateParam": msgspec.json.encode({"code": message.code.reveal()}).decode(),
        }
    )
    headers = {
        "host": urlsplit(url).netloc,
        "x-acs-action": "SendSms",
        "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
        "x-acs-date": datetime.fromtimestamp(account.clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": account.entropy(_NONCE_BYTES).hex(),
        "x-acs-version": "2017-05-25",
    }
    authorization = _authorization(urlsplit(url).path, query, headers, secret)
    return Request(
        url=URL(f"{url}?{query}", encoded=True),
        body=b"",
        headers={**headers, "accept": "application/json", "authorization": authorization},
    )


def _number(number: PhoneNumber) -> str:
    """Chinese numbers bare, all others with their country code and no +."""
    return number.national if is_chinese(number) else number.e164.removeprefix("+")


def _encode(query: Mapping[str, str]) -> str:
    """As it is signed, sorted and percent-encoded (RFC 3986), and as it is sent."""
    return "&".join(f"{name}={quote(query[name], safe='~')}" for name in sorted(query))


def _authorization(path: str, query: str, headers: Mapping[str, str], secret: AliyunSecret) -> str:
    """The signature covers all of `headers`, whose names are in lower case."""
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = "\n".join(("POST", path, query, lines, names, headers["x-acs-content-sha256"]))
    text = f"{_ALGORITHM}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.digest(secret.access_key_secret.reveal().encode(), text.encode(), hashlib.sha256).hex()
    return f"{_ALGORITHM} Credential={secret.access_key_id.reveal()},SignedHeaders={names},Signature={signature}"


class _Reply(msgspec.Struct, rename="pascal"):
    """An answer's body. Its `Message` stays unread: it can name the number."""

    code: str
    biz_id: str | None = None


def _judge(answer: Answer) -> SendResult:
    """The code in the body decides, whatever the status: what the gateway refuses has 4xx, what SMS refuses has 200."""
    try:
        reply = msgspec.json.decode(answer.body, type=_Reply)
    except (ValueError, RecursionError):
        return by_status(NAME, answer)
    meaning = _meaning(reply.code, answer.status)
    if meaning is None:
        return by_status(NAME, answer)
    outcome, scope = meaning
    if outcome is Outcome.ACCEPTED:
        return SendResult(provider=NAME, outcome=outcome, message_id=reply.biz_id or None)
    return SendResult(
        provider=NAME,
        outcome=outcome,
        reason=f"{NAME}_{reply.code}",
        retry_after=answer.retry_after,
        scope=scope,
    )


def _meaning(code: str, status: int) -> tuple[Outcome, Scope] | None:
    """None for what proves nothing: an OK with an error's status, or a code that nobody knows."""
    if not _A_CODE.fullmatch(code) or (code == "OK" and status != _OK):
        return None
    return _MEANINGS.get(code) or _FAMILIES.get(code.partition(".")[0])


class _Report(msgspec.Struct):
    success: bool
    out_id: str | None = None
    err_code: str | None = None
    report_time: str | None = None


@part
class AliyunReceipts:
    """Reads SmsReport, a JSON array. Nothing is signed: the token in the address is all that there is to check."""

    acknowledgement: ClassVar[Acknowledgement] = Acknowledgement(
        '{"code":0,"msg":"接收成功"}'.encode(), "application/json"
    )

    def read(self, push: Push, secret: Mapping[str, Any], now: int) -> tuple[Receipt, ...]:  # noqa: ARG002 - no signature
        """Raises InvalidRequest."""
        try:
            reports = msgspec.json.decode(push.body, type=list[_Report], strict=False)
        except (ValueError, RecursionError):
            raise InvalidRequest("not a list of status reports") from None
        named = [(report, report.out_id or push.reference) for report in reports]
        return tuple(
            final_receipt(
                NAME, reference, delivered=report.success, reason=report.err_code, at=report.report_time, now=now
            )
            for report, reference in named
            if reference
        )


RECEIPTS = AliyunReceipts()
