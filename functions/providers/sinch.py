"""Sinch, SMS REST API (XMS v1): one message a batch, and its recipient's delivery reports.

Sources: the official SDKs (PyPI `sinch` 2.3.0; sinch/sinch-sdk-java d747cc3: `DeliveryReceiptStatusCode`), the error
table of its documentation and, for the codes with 403, its community's article on statuses.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

import msgspec

from functions.domain.delivery import DeliveryStatus, Message, Outcome, Receipt, Scope, SendResult
from functions.domain.errors import InvalidRequest, InvalidSignature
from functions.domain.part import part
from functions.domain.sensitive import Sensitive
from functions.providers.account import Account
from functions.providers.credentials import Credentials, Secret, read_secret
from functions.providers.freshness import is_of_now
from functions.providers.gateway import USUAL, Gateway, Request, by_status
from functions.providers.report_fields import moment, word
from functions.providers.transport import Answer, Timeouts
from functions.usecases.ports import Acknowledgement, Push

NAME = "sinch"
BASE_URL = "https://{region}.sms.api.sinch.com"

LONGEST_VALIDITY = 3 * 86_400
"""Seconds: as long as Sinch keeps a message that names no end."""

_OK = frozenset({200, 201})
_FORBIDDEN = 403

_GROUPS: tuple[tuple[Outcome, frozenset[str]], ...] = (
    # Of a kind that this account's region does not send to.
    (Outcome.REJECTED_NUMBER, frozenset({"illegal_number_type"})),
    # The account, and what a campaign of the US has to have.
    (Outcome.CONFIG, frozenset({"blocked_account", "unknown_campaign"})),
    # Our request. The two that are about one field are the number's where they name it.
    (Outcome.CONFIG, frozenset({"syntax_invalid_json", "missing_callback_url", "unknown_group"})),
    (Outcome.CONFIG, frozenset({"syntax_invalid_parameter_format", "syntax_constraint_violation"})),
)
_OUTCOMES: Mapping[str, Outcome] = {code: outcome for outcome, codes in _GROUPS for code in codes}

_OF_A_FIELD = frozenset({"syntax_invalid_parameter_format", "syntax_constraint_violation"})
_OF_THE_ROUTE = frozenset({"illegal_number_type", "unknown_campaign"}) | _OF_A_FIELD
"""Kind of number, sender, or a field that comes from them: the next message may have others."""
_NAMES_THE_NUMBER = re.compile(r"""['"\[`]to['"\]`\[]|\bto\[|\brecipient""", re.IGNORECASE)

_BY_STATUS: Mapping[int, Outcome] = dict.fromkeys((400, 401, 403, 404), Outcome.CONFIG)
"""400 and 403 with a code that is not in the table, 401 token, 404 service plan or region."""


class SinchSecret(Secret, frozen=True, kw_only=True):
    service_plan_id: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_-]+\Z")]
    api_token: Sensitive
    region: Annotated[str, msgspec.Meta(pattern=r"\A(us|eu|au|br|ca)\Z")] = "us"
    webhook_secret: Sensitive | None = None
    """Where Sinch has switched signed callbacks on for the plan: each report then has to be signed."""


async def open_provider(account: Account, timeouts: Timeouts = USUAL) -> Gateway[SinchSecret]:
    """Sinch knows no idempotency key: the same request twice is two SMS."""
    return Gateway(
        name=NAME,
        account=account,
        credentials=Credentials(NAME, account.fetch_secret, SinchSecret),
        request=_batch,
        judge=_judge,
        timeouts=timeouts,
    )


def _batch(message: Message, secret: SinchSecret, account: Account) -> Request:
    batch: dict[str, object] = {
        "from": message.sender,
        "to": [message.to.e164],
        "body": message.text.reveal(),
        "type": "mt_text",
        "client_reference": message.reference,
        "expire_at": _expiry(message, account),
    }
    receipts = account.message_receipts(NAME, secret.receipt_token, message.reference)
    if receipts is not None:
        # The only kind that tells of the hand-over to the carrier, too.
        batch |= {"delivery_report": "per_recipient", "callback_url": receipts}
    base_url = account.url or BASE_URL.format(region=secret.region)
    return Request(
        url=f"{base_url}/xms/v1/{secret.service_plan_id}/batches",
        body=msgspec.json.encode(batch),
        headers={"Authorization": f"Bearer {secret.api_token.reveal()}", "Content-Type": "application/json"},
    )


def _expiry(message: Message, account: Account) -> str:
    """A moment, where others take seconds."""
    seconds = min(max(message.valid_for, 1), LONGEST_VALIDITY)
    return datetime.fromtimestamp(account.clock() + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Reply(msgspec.Struct):
    """An answer's body. `text` can name the number: it is looked through for the name of the number's field alone."""

    id: str | None = None
    code: str | None = None
    text: str | None = None


def _judge(answer: Answer) -> SendResult:
    """An id where it was taken; a code in the body of a refusal, which decides over the status."""
    reply = _parse(answer.body)
    taken = answer.status in _OK
    if taken and reply.id:
        return SendResult(provider=NAME, outcome=Outcome.ACCEPTED, message_id=reply.id)
    if taken or reply.code is None or reply.code not in _OUTCOMES:
        by = by_status(NAME, answer, _BY_STATUS)
        # Sinch refuses kinds of numbers with 403, too.
        return replace(by, scope=Scope.ROUTE) if reply.code and answer.status == _FORBIDDEN else by
    outcome, scope = _sense(reply.code, reply.text or "")
    return SendResult(
        provider=NAME,
        outcome=outcome,
        reason=f"{NAME}_{reply.code}",
        retry_after=answer.retry_after,
        scope=scope,
    )


def _sense(code: str, text: str) -> tuple[Outcome, Scope]:
    if code in _OF_A_FIELD and _NAMES_THE_NUMBER.search(text):
        return Outcome.REJECTED_NUMBER, Scope.PROVIDER
    return _OUTCOMES[code], Scope.ROUTE if code in _OF_THE_ROUTE else Scope.PROVIDER


def _parse(body: bytes) -> _Reply:
    """Empty where it is none of Sinch's."""
    try:
        return msgspec.json.decode(body, type=_Reply)
    except (ValueError, RecursionError):
        return _Reply()


class _Report(msgspec.Struct):
    type: str
    status: str | None = None
    code: int | None = None
    client_reference: str | None = None
    operator_status_at: str | None = None
    at: str | None = None


_REPORT = "recipient_delivery_report_sms"
_STATUSES: Mapping[str, DeliveryStatus] = {
    # The carrier's centre has it; «unknown» is what it gave no report of that could be read.
    "dispatched": DeliveryStatus.SENT,
    "unknown": DeliveryStatus.SENT,
    "delivered": DeliveryStatus.DELIVERED,
    # Before it reached the carrier, by the carrier, or on its way from there.
    "aborted": DeliveryStatus.FAILED,
    "cancelled": DeliveryStatus.FAILED,
    "rejected": DeliveryStatus.FAILED,
    "deleted": DeliveryStatus.FAILED,
    "failed": DeliveryStatus.FAILED,
    "expired": DeliveryStatus.FAILED,
}
"""In small letters: the documents write Delivered, the SDK DELIVERED."""


@part
class SinchReceipts:
    acknowledgement: ClassVar[Acknowledgement] = Acknowledgement()

    def read(self, push: Push, secret: Mapping[str, Any], now: int) -> tuple[Receipt, ...]:
        """None for what else Sinch calls an address with, and for a message that still waits in its queue."""
        key = read_secret(NAME, secret, SinchSecret).webhook_secret
        if key is not None:
            _check(push, key, now)
        report = _parse_report(push.body)
        status = _STATUSES.get((report.status or "").lower())
        reference = report.client_reference or push.reference
        if report.type != _REPORT or status is None or not reference:
            return ()
        failed = status is DeliveryStatus.FAILED and report.code is not None
        return (
            Receipt(
                provider=NAME,
                reference=reference,
                status=status,
                reason=word(str(report.code)) if failed else None,
                at=moment(report.operator_status_at or report.at, now),
            ),
        )


RECEIPTS = SinchReceipts()


def _check(push: Push, key: Sensitive, now: int) -> None:
    """The signature covers the body, a nonce and the time, one after the other with points between them."""
    signature, nonce, timestamp = (
        push.headers.get(f"x-sinch-webhook-signature{part}", "") for part in ("", "-nonce", "-timestamp")
    )
    signed = push.body + f".{nonce}.{timestamp}".encode()
    expected = base64.b64encode(hmac.digest(key.reveal().encode(), signed, hashlib.sha256))
    if not hmac.compare_digest(expected, signature.encode()):
        raise InvalidSignature("the report is not signed with our webhook secret")
    if not is_of_now(timestamp, now):
        raise InvalidSignature("the report was not signed now")


def _parse_report(body: bytes) -> _Report:
    try:
        return msgspec.json.decode(body, type=_Report)
    except (ValueError, RecursionError):
        raise InvalidRequest("not one of Sinch's callbacks") from None
