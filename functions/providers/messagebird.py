"""MessageBird, the REST API of rest.messagebird.com: one message, and the status reports about it.

Bird's newer API is another one, with other accounts and keys; this one goes on for those that MessageBird gave keys to.
Sources: messagebird/openapi-specs 214b70d (`sms/openapi.yaml`), the official SDKs (messagebird/php-rest-api; PyPI
`messagebird` 2.2.0: `request_validator.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import msgspec

from functions.domain.delivery import DeliveryStatus, Message, Outcome, Receipt, Scope, SendResult
from functions.domain.errors import InvalidRequest, InvalidSignature
from functions.domain.part import part
from functions.domain.sensitive import Sensitive
from functions.providers.account import Account
from functions.providers.credentials import Credentials, Secret, read_secret
from functions.providers.gateway import USUAL, Gateway, Request, by_status
from functions.providers.json_web_token import claims
from functions.providers.report_fields import moment, word
from functions.providers.transport import Answer, Timeouts
from functions.usecases.ports import Acknowledgement, Push

NAME = "messagebird"
BASE_URL = "https://rest.messagebird.com"

_OK = frozenset({200, 201})

_GROUPS: tuple[tuple[Outcome, frozenset[int]], ...] = (
    # The account: 2 key, 20 nothing there, 25 balance.
    (Outcome.CONFIG, frozenset({2, 20, 25})),
    # A field of ours: 9 missing or not right, 10 invalid. They are the number's where they name it.
    (Outcome.CONFIG, frozenset({9, 10})),
)
_OUTCOMES: Mapping[int, Outcome] = {code: outcome for outcome, codes in _GROUPS for code in codes}

_OF_A_FIELD = frozenset({9, 10})
_NUMBER = frozenset({"recipient", "recipients"})
"""The one in answers, the other in the request."""

_BY_STATUS: Mapping[int, Outcome] = dict.fromkeys((400, 401, 403, 404, 422), Outcome.CONFIG)
"""What its refusals come with: those whose code is not in the table are no less refusals."""

_ISSUER = "MessageBird"
_MOST_FIELDS = 32


class MessagebirdSecret(Secret, frozen=True, kw_only=True):
    access_key: Sensitive
    signing_key: Sensitive | None = None
    """Where it is there each report has to be signed with it."""


async def open_provider(account: Account, timeouts: Timeouts = USUAL) -> Gateway[MessagebirdSecret]:
    """MessageBird knows no idempotency key here: the same request twice is two SMS."""
    return Gateway(
        name=NAME,
        account=account,
        credentials=Credentials(NAME, account.fetch_secret, MessagebirdSecret),
        request=_message,
        judge=_judge,
        timeouts=timeouts,
    )


def _message(message: Message, secret: MessagebirdSecret, account: Account) -> Request:
    fields: dict[str, object] = {
        "originator": message.sender,
        "body": message.text.reveal(),
        "recipients": [int(message.to.e164[1:])],
        "type": "sms",
        "datacoding": "auto",
        "reference": message.reference,  # without one there are no reports
        "validity": max(message.valid_for, 1),  # seconds
    }
    receipts = account.message_receipts(NAME, secret.receipt_token, message.reference)
    if receipts is not None:
        fields["reportUrl"] = receipts
    return Request(
        url=f"{account.url or BASE_URL}/messages",
        body=msgspec.json.encode(fields),
        headers={"Authorization": f"AccessKey {secret.access_key.reveal()}", "Content-Type": "application/json"},
    )


class _Part(msgspec.Struct, rename="camel"):
    message_part_count: int | None = None


class _Recipients(msgspec.Struct):
    items: list[_Part] = []


class _Error(msgspec.Struct):
    """Its `description` stays unread: it can name the number."""

    code: int
    parameter: str | None = None


class _Reply(msgspec.Struct):
    id: str | None = None
    recipients: _Recipients | None = None
    errors: list[_Error] = []


def _judge(answer: Answer) -> SendResult:
    """An id where it was taken; the first of the errors of a refusal, which decides over the status."""
    reply = _parse(answer.body)
    taken = answer.status in _OK
    if taken and reply.id:
        items = reply.recipients.items if reply.recipients else []
        segments = items[0].message_part_count if items else None
        return SendResult(provider=NAME, outcome=Outcome.ACCEPTED, message_id=reply.id, segments=segments)
    error = reply.errors[0] if reply.errors else None
    if taken or error is None or error.code not in _OUTCOMES:
        return by_status(NAME, answer, _BY_STATUS)
    outcome, scope = _sense(error)
    return SendResult(
        provider=NAME,
        outcome=outcome,
        reason=f"{NAME}_{error.code}",
        retry_after=answer.retry_after,
        scope=scope,
    )


def _sense(error: _Error) -> tuple[Outcome, Scope]:
    field = error.parameter if error.code in _OF_A_FIELD else None
    if field in _NUMBER:
        return Outcome.REJECTED_NUMBER, Scope.PROVIDER
    # What a field of this message has, the next one's need not have.
    return _OUTCOMES[error.code], Scope.ROUTE if error.code in _OF_A_FIELD else Scope.PROVIDER


def _parse(body: bytes) -> _Reply:
    """Empty where it is none of MessageBird's."""
    try:
        return msgspec.json.decode(body, type=_Reply)
    except (ValueError, RecursionError):
        return _Reply()


_STATUSES: Mapping[str, DeliveryStatus] = {
    "sent": DeliveryStatus.SENT,
    "delivered": DeliveryStatus.DELIVERED,
    "expired": DeliveryStatus.FAILED,
    "delivery_failed": DeliveryStatus.FAILED,
}
"""Before them come scheduled and buffered."""


@part
class MessagebirdReceipts:
    """Reads status reports: the query of a GET, or the same fields as the form of a POST."""

    acknowledgement: ClassVar[Acknowledgement] = Acknowledgement()

    def read(self, push: Push, secret: Mapping[str, Any], now: int) -> tuple[Receipt, ...]:
        key = read_secret(NAME, secret, MessagebirdSecret).signing_key
        if key is not None:
            _check(push, key, now)
        report = {**push.query, **_parse_form(push.body)}
        if "status" not in report:
            raise InvalidRequest("a report without a status")
        status = _STATUSES.get(report["status"])
        reference = report.get("reference") or push.reference
        if status is None or not reference:
            return ()
        return (
            Receipt(
                provider=NAME,
                reference=reference,
                status=status,
                reason=word(report.get("statusErrorCode")) if status is DeliveryStatus.FAILED else None,
                # The + of its zone comes as a space where nobody escaped it.
                at=moment(report.get("statusDatetime", "").replace(" ", "+"), now),
            ),
        )


RECEIPTS = MessagebirdReceipts()


def _check(push: Push, key: Sensitive, now: int) -> None:
    """The token covers the address with its query, and the body where there is one; it lives for a minute."""
    said = claims(push.headers.get("messagebird-signature-jwt", ""), key, now)
    if said.get("iss") != _ISSUER or said.get("nbf") is None or said.get("exp") is None:
        raise InvalidSignature("the report's token lacks its issuer or its times")
    if said.get("url_hash") != _sha256(push.url.encode()):
        raise InvalidSignature("the report's token was made for another address")
    if said.get("payload_hash") != (_sha256(push.body) if push.body else None):
        raise InvalidSignature("the report's token was made for another body")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _parse_form(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=_MOST_FIELDS, errors="strict"))
    except ValueError:
        raise InvalidRequest("not a form") from None
