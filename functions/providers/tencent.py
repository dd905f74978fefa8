"""Tencent Cloud (腾讯云), short messages, `SendSms` of 2021-01-11: a template with the code in it, and its reports.

The template's variables are what the secret's `template_params` says, in its order: the code alone, or the minutes that
it still lives as well. A variable for a code takes up to six digits and nothing else. Templates for China know no other
country's numbers and the other way round: give each a route of its own. Outside China the account may be at another
address, https://sms.intl.tencentcloudapi.com, with another region.

Reports come to one address for all, which is set in the console and ends with the account's token; that they tell our
reference has to be asked for at Tencent's support. Tencent takes no validity, and tells no price.

Sources: PyPI `tencentcloud-sdk-python-sms` 3.1.153 (models.py, errorcodes.py) and `-common` 3.1.195 for call, codes and
signature; product 382's pages of cloud.tencent.com.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

import msgspec

from functions.domain.delivery import Message, Outcome, Receipt, Scope, SendResult
from functions.domain.errors import InvalidRequest
from functions.domain.part import part
from functions.domain.sensitive import Sensitive
from functions.providers.account import Account
from functions.providers.china import final_receipt
from functions.providers.credentials import Credentials, Secret
from functions.providers.gateway import FROM_ABROAD, Gateway, Request, by_status
from functions.providers.tencent_codes import meaning_of, wait_after
from functions.providers.transport import Answer, Timeouts
from functions.usecases.ports import Acknowledgement, Provider, Push

NAME = "tencent"
BASE_URL = "https://sms.tencentcloudapi.com"

_ALGORITHM = "TC3-HMAC-SHA256"
_CONTENT_TYPE = "application/json"
_SIGNED = "content-type;host"
_SUCCESS = 200
_TAKEN = "Ok"

_A_CODE_THAT_FITS = re.compile(r"[0-9]{1,6}")
_AN_ERROR_CODE = re.compile(r"[A-Za-z]+(\.[A-Za-z]+)*")
"""So spelled, it can name no number."""


class TencentSecret(Secret, frozen=True, kw_only=True):
    secret_id: Sensitive
    secret_key: Sensitive
    sdk_app_id: str
    """The application, such as 1400006666."""
    region: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]+\Z")] = "ap-guangzhou"
    template_params: tuple[Literal["code", "minutes"], ...] = ("code",)
    """What the templates' variables are, in their order."""

    def __post_init__(self) -> None:
        if "code" not in self.template_params:
            raise ValueError("`template_params` names no code")


async def open_provider(account: Account, timeouts: Timeouts = FROM_ABROAD) -> Provider:
    """Tencent knows no idempotency key: the same request twice is two SMS."""
    return Gateway(
        name=NAME,
        account=account,
        credentials=Credentials(NAME, account.fetch_secret, TencentSecret),
        request=_send_sms,
        judge=_judge,
        timeouts=timeouts,
    )


class _SendSms(msgspec.Struct, rename="pascal", omit_defaults=True, kw_only=True):
    phone_number_set: tuple[str]
    sms_sdk_app_id: str
    sign_name: str | None = None
    template_id: str
    template_param_set: tuple[str, ...]
    session_context: str
    sender_id: str | None = None


def _send_sms(message: Message, secret: TencentSecret, account: Account) -> Request | SendResult:
    if not _A_CODE_THAT_FITS.fullmatch(message.code.reveal()):
        return SendResult(provider=NAME, outcome=Outcome.CONFIG, reason=f"{NAME}_code_format", scope=Scope.ROUTE)
    variables = {"code": message.code.reveal(), "minutes": str(max(1, message.valid_for // 60))}
    call = _SendSms(
        phone_number_set=(message.to.e164,),
        sms_sdk_app_id=secret.sdk_app_id,
        sign_name=message.signature,
        template_id=message.template or "",
        template_param_set=tuple(variables[name] for name in secret.template_params),
        session_context=message.reference,
        sender_id=message.sender,
    )
    url, body, now = f"{account.url or BASE_URL}/", msgspec.json.encode(call), account.clock()
    headers = {
        "Content-Type": _CONTENT_TYPE,
        "Host": urlsplit(url).netloc,
        "X-TC-Action": "SendSms",
        "X-TC-Version": "2021-01-11",
        "X-TC-Region": secret.region,
        "X-TC-Timestamp": str(now),
        "Authorization": _authorization(url, body, now, secret),
    }
    return Request(url=url, body=body, headers=headers)


def _authorization(url: str, body: bytes, now: int, secret: TencentSecret) -> str:
    """Covers host, path, body and time (`now`, Unix seconds): Tencent's clock allows five minutes."""
    parts = urlsplit(url)
    lines = f"content-type:{_CONTENT_TYPE}\nhost:{parts.netloc}\n"
    request = "\n".join(("POST", parts.path, "", lines, _SIGNED, hashlib.sha256(body).hexdigest()))
    date = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")
    scope = f"{date}/sms/tc3_request"
    text = "\n".join((_ALGORITHM, str(now), scope, hashlib.sha256(request.encode()).hexdigest()))
    signature = _mac(_signing_key(secret.secret_key, date), text).hex()
    credential = f"{secret.secret_id.reveal()}/{scope}"
    return f"{_ALGORITHM} Credential={credential}, SignedHeaders={_SIGNED}, Signature={signature}"


def _signing_key(secret_key: Sensitive, date: str) -> bytes:
    key = f"TC3{secret_key.reveal()}".encode()
    for step in (date, "sms", "tc3_request"):
        key = _mac(key, step)
    return key


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), hashlib.sha256)


class _Error(msgspec.Struct, rename="pascal"):
    """Its `Message` stays unread: it can name the number."""

    code: str


class _SendStatus(_Error, rename="pascal"):
    serial_no: str | None = None
    fee: int | None = None


class _Response(msgspec.Struct, rename="pascal"):
    error: _Error | None = None
    send_status_set: tuple[_SendStatus, ...] = ()


class _Reply(msgspec.Struct, rename="pascal"):
    response: _Response


def _judge(answer: Answer) -> SendResult:
    """A whole call's error, or the status of the one message in it: both come with a 200."""
    said = _said(answer.body)
    if isinstance(said, _SendStatus) and said.code == _TAKEN and answer.status == _SUCCESS:
        return SendResult(provider=NAME, outcome=Outcome.ACCEPTED, message_id=said.serial_no or None, segments=said.fee)
    meaning = None if said is None or not _AN_ERROR_CODE.fullmatch(said.code) else meaning_of(said.code)
    if said is None or meaning is None:
        return by_status(NAME, answer)
    outcome, scope = meaning
    return SendResult(
        provider=NAME,
        outcome=outcome,
        reason=f"{NAME}_{said.code}",
        retry_after=wait_after(said.code) if answer.retry_after is None else answer.retry_after,
        scope=scope,
    )


def _said(body: bytes) -> _Error | _SendStatus | None:
    try:
        response = msgspec.json.decode(body, type=_Reply).response
    except (ValueError, RecursionError):
        return None
    if response.error is not None:
        return response.error
    return response.send_status_set[0] if len(response.send_status_set) == 1 else None


class _Report(msgspec.Struct):
    report_status: str
    ext: str | None = None
    errmsg: str | None = None
    user_receive_time: str | None = None


_DELIVERED: Mapping[str, bool] = {"SUCCESS": True, "FAIL": False}


@part
class TencentReceipts:
    """Reads its push, a JSON array. Nothing is signed: the token in the address is all that there is to check."""

    acknowledgement: ClassVar[Acknowledgement] = Acknowledgement(b'{"result":0,"errmsg":"OK"}', "application/json")

    def read(self, push: Push, secret: Mapping[str, Any], now: int) -> tuple[Receipt, ...]:  # noqa: ARG002 - no signature
        """Raises InvalidRequest."""
        try:
            reports = msgspec.json.decode(push.body, type=list[_Report])
        except (ValueError, RecursionError):
            raise InvalidRequest("not a list of status reports") from None
        named = [(report, report.ext or push.reference) for report in reports]
        return tuple(
            final_receipt(
                NAME,
                reference,
                delivered=_DELIVERED[report.report_status],
                reason=report.errmsg,
                at=report.user_receive_time,
                now=now,
            )
            for report, reference in named
            if reference and report.report_status in _DELIVERED
        )


RECEIPTS = TencentReceipts()
