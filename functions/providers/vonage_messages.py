"""Vonage, Messages API v1: one SMS a call, and the status webhooks, signed with the account's signature secret.

Signs in with the key and its secret. The account's API settings have to name this interface for SMS, and not the older
one, for webhooks of this shape; only a token signed with RSA would tie a message to an application's own settings.

Sources: Vonage's OpenAPI description (Messages 1.20.0), its guide to signed webhooks, and its Python SDK
(vonage-messages 1.8.1).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec

from functions.domain.delivery import DeliveryStatus, Message, Outcome, Receipt, Scope, SendResult
from functions.domain.errors import InvalidRequest, InvalidSignature
from functions.domain.part import part
from functions.domain.sensitive import Sensitive
from functions.providers.account import Account
from functions.providers.credentials import Credentials, Secret, read_secret
from functions.providers.freshness import TOLERANCE
from functions.providers.gateway import USUAL, Gateway, Request, basic_authorization, by_status
from functions.providers.json_web_token import claims
from functions.providers.report_fields import moment, word
from functions.providers.transport import Answer, Timeouts
from functions.usecases.ports import Acknowledgement, KeysUnavailable, Push

NAME = "vonage_messages"
BASE_URL = "https://api.nexmo.com"
"""https://api-us.vonage.com, api-eu and api-ap are regional ones."""

SHORTEST_TTL, LONGEST_TTL = 20, 604_800
"""Seconds, where the older interface counts milliseconds. A code with less than 20 to live may come late."""

_ACCEPTED = 202
_OUR_ERRORS = range(400, 500)

_BY_STATUS: Mapping[int, Outcome] = dict.fromkeys((401, 402, 404), Outcome.CONFIG)
"""Credentials, money, address: Vonage documents them by their status alone."""

_GROUPS: tuple[tuple[Outcome, Scope, frozenset[str]], ...] = (
    # Too much from this account.
    (Outcome.THROTTLED_ACCOUNT, Scope.PROVIDER, frozenset({"1000"})),
    # A parameter: 1010 missing, 1020 invalid. It is the number's fault where the number's is named.
    (Outcome.CONFIG, Scope.ROUTE, frozenset({"1010", "1020"})),
    # Vonage's own failure: 1030 internal, 1100 communication.
    (Outcome.TRANSIENT, Scope.PROVIDER, frozenset({"1030", "1100"})),
    # The way there: 1040 message not to be processed, as with a prefix that is not known, 1120 sender.
    (Outcome.CONFIG, Scope.ROUTE, frozenset({"1040", "1120"})),
    # The number is barred.
    (Outcome.REJECTED_NUMBER, Scope.PROVIDER, frozenset({"1050"})),
    # The account: 1060 barred, 1070 quota, 1080 not enabled. Our request: 1130 validity.
    (Outcome.CONFIG, Scope.PROVIDER, frozenset({"1060", "1070", "1080", "1130"})),
    # The text is too long.
    (Outcome.REJECTED_CONTENT, Scope.PROVIDER, frozenset({"1090"})),
)
_MEANINGS: Mapping[str, tuple[Outcome, Scope]] = {
    code: (outcome, scope) for outcome, scope, codes in _GROUPS for code in codes
}
_NUMBERS_PARAMETER = "to"
_CODE = re.compile(r"#([0-9]{1,6})$")


class VonageMessagesSecret(Secret, frozen=True, kw_only=True):
    """What this interface needs of the one secret for both."""

    api_key: str
    api_secret: Sensitive
    signature_secret: Sensitive | None = None
    """Signs the webhooks. Without it none can be believed, and messages go out all the same."""


async def open_provider(account: Account, timeouts: Timeouts = USUAL) -> Gateway[VonageMessagesSecret]:
    """Vonage knows no idempotency key: the same request twice is two SMS."""
    return Gateway(
        name=NAME,
        account=account,
        credentials=Credentials(NAME, account.fetch_secret, VonageMessagesSecret),
        request=_send_message,
        judge=_judge,
        timeouts=timeouts,
    )


def _send_message(message: Message, secret: VonageMessagesSecret, account: Account) -> Request:
    asked: dict[str, Any] = {
        "message_type": "text",
        "channel": "sms",
        "to": message.to.e164.removeprefix("+"),
        "from": (message.sender or "").removeprefix("+"),
        "text": message.text.reveal(),
        "ttl": min(max(message.valid_for, SHORTEST_TTL), LONGEST_TTL),
        "client_ref": message.reference,
        "sms": _options(message),
    }
    receipts = account.message_receipts(NAME, secret.receipt_token, message.reference)
    if receipts is not None:
        asked |= {"webhook_url": receipts, "webhook_version": "v1"}
    return Request(
        url=f"{account.url or BASE_URL}/v1/messages",
        body=msgspec.json.encode(asked),
        headers={
            "Accept": "application/json",
            "Authorization": basic_authorization(secret.api_key, secret.api_secret),
            "Content-Type": "application/json",
        },
    )


def _options(message: Message) -> dict[str, str]:
    told = {"encoding_type": "auto", "entity_id": message.entity, "content_id": message.template}
    return {name: value for name, value in told.items() if value is not None}


class _Taken(msgspec.Struct):
    message_uuid: Annotated[str, msgspec.Meta(min_length=1)]


class _Parameter(msgspec.Struct):
    """Its `reason` stays unread: it can quote the number."""

    name: str = ""


class _Problem(msgspec.Struct):
    """Its `title` and `detail` stay unread."""

    type: str
    invalid_parameters: list[_Parameter] = []


def _judge(answer: Answer) -> SendResult:
    if answer.status == _ACCEPTED:
        taken = _parse(answer.body, _Taken)
        if taken is not None:
            return SendResult(provider=NAME, outcome=Outcome.ACCEPTED, message_id=taken.message_uuid)
    # A server's error proves nothing here, whatever its body says.
    problem = _parse(answer.body, _Problem) if answer.status in _OUR_ERRORS else None
    code = None if problem is None else _CODE.search(problem.type)
    if problem is None or code is None:
        return by_status(NAME, answer, _BY_STATUS)
    outcome, scope = _meaning(code[1], problem, answer.status)
    return SendResult(
        provider=NAME,
        outcome=outcome,
        reason=f"{NAME}_{code[1]}",
        retry_after=answer.retry_after,
        scope=scope,
    )


def _meaning(code: str, problem: _Problem, status: int) -> tuple[Outcome, Scope]:
    """By the parameter that is named, by the table, or by the status: another code refuses as well."""
    if any(parameter.name == _NUMBERS_PARAMETER for parameter in problem.invalid_parameters):
        return Outcome.REJECTED_NUMBER, Scope.PROVIDER
    if code in _MEANINGS:
        return _MEANINGS[code]
    return Outcome.CONFIG, Scope.PROVIDER if status in _BY_STATUS else Scope.ROUTE


def _parse(body: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (ValueError, RecursionError):
        return None


class _Fault(msgspec.Struct):
    type: str = ""


class _Status(msgspec.Struct):
    message_uuid: str
    status: str
    client_ref: str | None = None
    timestamp: str | None = None
    error: _Fault | None = None


_STATUSES: Mapping[str, DeliveryStatus] = {
    "submitted": DeliveryStatus.SENT,
    "delivered": DeliveryStatus.DELIVERED,
    "read": DeliveryStatus.DELIVERED,
    "rejected": DeliveryStatus.FAILED,
    "undeliverable": DeliveryStatus.FAILED,
}


@part
class VonageMessagesReceipts:
    """Reads one status webhook. A JSON web token in its header signs the body by its hash."""

    acknowledgement: ClassVar[Acknowledgement] = Acknowledgement()

    def read(self, push: Push, secret: Mapping[str, Any], now: int) -> tuple[Receipt, ...]:
        """Raises InvalidSignature, InvalidRequest and KeysUnavailable."""
        keys = read_secret(NAME, secret, VonageMessagesSecret)
        if keys.signature_secret is None:
            raise KeysUnavailable(f"{NAME}: its secret has no signature_secret, which receipts are checked with")
        _check(push, keys.signature_secret, now)
        told = _parse(push.body, _Status)
        if told is None:
            raise InvalidRequest("no message's status")
        status = _STATUSES.get(told.status)
        reference = told.client_ref or push.reference
        if status is None or not reference:
            return ()
        return (
            Receipt(
                provider=NAME,
                reference=reference,
                status=status,
                reason=_reason(told.error) if status is DeliveryStatus.FAILED else None,
                at=moment(told.timestamp, now),
            ),
        )


RECEIPTS = VonageMessagesReceipts()


def _check(push: Push, secret: Sensitive, now: int) -> None:
    """Raises InvalidSignature."""
    scheme, _, token = push.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise InvalidSignature("there is no token in the Authorization header")
    said = claims(token.strip(), secret, now)
    issued, payload = said.get("iat"), said.get("payload_hash")
    if not (isinstance(issued, int | float) and abs(now - issued) <= TOLERANCE):
        raise InvalidSignature("the token is not of now")
    if not (isinstance(payload, str) and _is_hash(payload, push.body)):
        raise InvalidSignature("the token is another body's")


def _is_hash(payload: str, body: bytes) -> bool:
    return hmac.compare_digest(payload.lower().encode(errors="replace"), hashlib.sha256(body).hexdigest().encode())


def _reason(error: _Fault | None) -> str | None:
    """Errors are told as a page's address with the number behind it."""
    return None if error is None else word(error.type.rpartition("#")[2])
