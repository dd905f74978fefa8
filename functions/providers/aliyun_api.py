"""Aliyun (阿里云), short messages of 2017-05-25, as its two adapters speak it: the key, its signature, and the codes.

Sources: PyPI `alibabacloud_dysmsapi20170525` 4.6.0 and `alibabacloud_openapi_util` 0.2.4 for calls and signature; the
error-code, SendSms, SendBatchSms and SmsReport pages of help.aliyun.com.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from urllib.parse import quote, urlsplit

import msgspec
from yarl import URL

from functions.domain.delivery import Message, Outcome, Scope, SendResult
from functions.domain.phone import PhoneNumber
from functions.domain.sensitive import Sensitive
from functions.providers.account import Account
from functions.providers.china import is_chinese
from functions.providers.credentials import Credentials, Secret
from functions.providers.gateway import Gateway, Request, by_status
from functions.providers.transport import Answer, Timeouts

BASE_URL = "https://dysmsapi.aliyuncs.com"

_ALGORITHM = "ACS3-HMAC-SHA256"
_NONCE_BYTES = 16
_OK = 200
_FORM = "application/x-www-form-urlencoded"

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


def open_single(provider: str, account: Account, timeouts: Timeouts) -> Gateway[AliyunSecret]:
    """Sends through `SendSms`. Aliyun knows no idempotency key: the same request twice is two SMS."""
    return Gateway(
        name=provider,
        account=account,
        credentials=Credentials(provider, account.fetch_secret, AliyunSecret),
        request=_send_sms,
        judge=partial(judge, provider),
        timeouts=timeouts,
    )


def _send_sms(message: Message, secret: AliyunSecret, account: Account) -> Request:
    """Everything stands in the query, and the body is empty."""
    query = {
        "OutId": message.reference,
        "PhoneNumbers": spelled(message.to),
        "SignName": message.signature or "",
        "TemplateCode": message.template or "",
        "TemplateParam": msgspec.json.encode({"code": message.code.reveal()}).decode(),
    }
    return signed("SendSms", query, {}, secret, account)


def spelled(number: PhoneNumber) -> str:
    """Chinese numbers bare, all others with their country code and no +."""
    return number.national if is_chinese(number) else number.e164.removeprefix("+")


def signed(
    action: str, query: Mapping[str, str], form: Mapping[str, str], secret: AliyunSecret, account: Account
) -> Request:
    url, encoded, body = f"{account.url or BASE_URL}/", _encode(query), _encode(form).encode()
    headers = {
        "host": urlsplit(url).netloc,
        "x-acs-action": action,
        "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
        "x-acs-date": datetime.fromtimestamp(account.clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": account.entropy(_NONCE_BYTES).hex(),
        "x-acs-version": "2017-05-25",
        **({"content-type": _FORM} if body else {}),
    }
    authorization = _authorization(urlsplit(url).path, encoded, headers, secret)
    return Request(
        url=URL(f"{url}?{encoded}", encoded=True),
        body=body,
        headers={**headers, "accept": "application/json", "authorization": authorization},
    )


def _encode(parameters: Mapping[str, str]) -> str:
    """As it is signed, sorted and percent-encoded (RFC 3986), and as it is sent."""
    return "&".join(f"{name}={quote(parameters[name], safe='~')}" for name in sorted(parameters))


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


def judge(provider: str, answer: Answer) -> SendResult:
    """The code in the body decides, whatever the status: what the gateway refuses has 4xx, what SMS refuses has 200."""
    try:
        reply = msgspec.json.decode(answer.body, type=_Reply)
    except (ValueError, RecursionError):
        return by_status(provider, answer)
    meaning = _meaning(reply.code, answer.status)
    if meaning is None:
        return by_status(provider, answer)
    outcome, scope = meaning
    if outcome is Outcome.ACCEPTED:
        return SendResult(provider=provider, outcome=outcome, message_id=reply.biz_id or None)
    return SendResult(
        provider=provider,
        outcome=outcome,
        reason=f"aliyun_{reply.code}",
        retry_after=answer.retry_after,
        scope=scope,
    )


def _meaning(code: str, status: int) -> tuple[Outcome, Scope] | None:
    """None for what proves nothing: an OK with an error's status, or a code that nobody knows."""
    if not _A_CODE.fullmatch(code) or (code == "OK" and status != _OK):
        return None
    return _MEANINGS.get(code) or _FAMILIES.get(code.partition(".")[0])
