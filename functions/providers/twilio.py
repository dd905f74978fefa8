"""Twilio Programmable Messaging: one message a call, the status callbacks, and the feedback on codes that came to use.

Sources: Twilio's OpenAPI description of `Messages.json`, its error dictionary, and `request_validator.py` of its Python
SDK 9.13 for the two signatures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from functions.domain.delivery import DeliveryStatus, Message, Outcome, Receipt, Scope, SendResult
from functions.domain.errors import InvalidRequest
from functions.domain.part import part
from functions.domain.sensitive import Sensitive
from functions.providers.account import Account
from functions.providers.credentials import Credentials, Secret, read_secret
from functions.providers.gateway import USUAL, Gateway, Request, basic_authorization, by_status
from functions.providers.report_fields import ended
from functions.providers.transport import Answer, Timeouts
from functions.providers.twilio_signature import check_body, check_signature
from functions.usecases.ports import Acknowledgement, Push

NAME = "twilio"
BASE_URL = "https://api.twilio.com"

LONGEST_VALIDITY = 36_000
"""Seconds that a message may wait in Twilio's queue; 1 is the fewest."""

_SUCCESSES = frozenset({200, 201})
_REFUSED_CREDENTIALS = frozenset({401, 403})
_OUR_ERRORS = range(400, 500)
_TOO_MANY_REQUESTS = 429

_MESSAGING_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")

_GROUPS: tuple[tuple[Outcome, Scope, frozenset[int]], ...] = (
    # The number: 21211 21214 21217 21401 21604 none that can be reached, 21614 no mobile, 21635 a landline.
    (Outcome.REJECTED_NUMBER, Scope.PROVIDER, frozenset({21211, 21214, 21217, 21401, 21604, 21614, 21635})),
    # The number, from this sender.
    (Outcome.REJECTED_NUMBER, Scope.ROUTE, frozenset({21612})),
    # The person said STOP. That holds for whoever would send next.
    (Outcome.REJECTED_NUMBER, Scope.FORBIDDEN, frozenset({21610})),
    # The text: 21602 none, 21617 21658 too long, 21618 not to be sent.
    (Outcome.REJECTED_CONTENT, Scope.PROVIDER, frozenset({21602, 21617, 21618, 21658})),
    # The country is off in the account's geographic permissions, which is how an operator keeps fraud out.
    (Outcome.CONFIG, Scope.FORBIDDEN, frozenset({21408})),
    # The sender: 21212 21603 21606 21607 not valid or not ours, 21701 21703 21704 21705 21711 21712 messaging service.
    (Outcome.CONFIG, Scope.ROUTE, frozenset({21212, 21603, 21606, 21607, 21701, 21703, 21704, 21705, 21711, 21712})),
    # Content templates: 21654 to 21657. And 21608: a trial account reaches verified numbers only.
    (Outcome.CONFIG, Scope.ROUTE, frozenset({21608, 21654, 21655, 21656, 21657})),
    # Our request: 21609 callback address, 21624 validity.
    (Outcome.CONFIG, Scope.PROVIDER, frozenset({21609, 21624})),
    # The account: 10001 20005 not active, 20003 credentials, 20008 test credentials, 20404 not found, 30002 suspended.
    (Outcome.CONFIG, Scope.PROVIDER, frozenset({10001, 20003, 20005, 20008, 20404, 30002})),
    # Too much at once from this account, and nothing was processed.
    (Outcome.THROTTLED_ACCOUNT, Scope.PROVIDER, frozenset({14107, 20429, 63017})),
    # Too much from this sender: 21611 30001 ten hours wait in its queue, 30022 30023 30027 caps of US registration.
    (Outcome.THROTTLED_ACCOUNT, Scope.ROUTE, frozenset({21611, 30001, 30022, 30023, 30027})),
    # Twilio's own failure: 20500 internal, 20503 unavailable.
    (Outcome.TRANSIENT, Scope.PROVIDER, frozenset({20500, 20503})),
    # What a callback tells mostly, and an answer where it is known at once. 30005 30006 no number for SMS.
    (Outcome.REJECTED_NUMBER, Scope.PROVIDER, frozenset({30005, 30006})),
    # Blocked: 30004 by the person or the carrier, 30007 30018 as spam, 30450 60410 as fraud. Nobody walks around that.
    (Outcome.REJECTED_NUMBER, Scope.FORBIDDEN, frozenset({30004, 30450, 60410})),
    (Outcome.REJECTED_CONTENT, Scope.FORBIDDEN, frozenset({30007, 30018})),
    # Left, and may arrive yet: 30003 phone not reached, 30008 unnamed, 30017 congestion, 30410 slow carrier.
    (Outcome.UNKNOWN, Scope.ROUTE, frozenset({30003, 30008, 30017, 30410})),
    # The sender: 30024 30032 30033 30034 30035 not registered. 30010 dearer than our own limit.
    (Outcome.CONFIG, Scope.ROUTE, frozenset({30010, 30024, 30032, 30033, 30034, 30035})),
)
_MEANINGS: Mapping[int, tuple[Outcome, Scope]] = {
    code: (outcome, scope) for outcome, scope, codes in _GROUPS for code in codes
}

_OVER = frozenset({"failed", "undelivered", "canceled"})

_AMOUNT = re.compile(r"-?([0-9]+(?:\.[0-9]+)?)")
_CURRENCY = re.compile(r"[A-Za-z]{3}")


class TwilioSecret(Secret, frozen=True, kw_only=True):
    """Requests go out with the auth token, or with an API key, which can be revoked by itself."""

    account_sid: Annotated[str, msgspec.Meta(pattern=r"\AAC[0-9a-fA-F]{32}\Z")]
    auth_token: Sensitive
    """Signs the callbacks, whatever the requests go out with."""
    api_key_sid: Annotated[str, msgspec.Meta(pattern=r"\ASK[0-9a-fA-F]{32}\Z")] | None = None
    api_key_secret: Sensitive | None = None
    shared_key: Sensitive | None = None
    """Signs the callbacks with SHA-256, where that is switched on."""

    def __post_init__(self) -> None:
        if (self.api_key_sid is None) != (self.api_key_secret is None):
            raise ValueError("api_key_sid and api_key_secret come together")


async def open_provider(account: Account, timeouts: Timeouts = USUAL) -> Gateway[TwilioSecret]:
    """Twilio knows no idempotency key: the same request twice is two SMS."""
    return Gateway(
        name=NAME,
        account=account,
        credentials=Credentials(NAME, account.fetch_secret, TwilioSecret),
        request=_create_message,
        judge=_judge,
        timeouts=timeouts,
        feedback=_confirm,
    )


def _create_message(message: Message, secret: TwilioSecret, account: Account) -> Request:
    sender = message.sender or ""
    form = {
        "To": message.to.e164,
        "MessagingServiceSid" if _MESSAGING_SERVICE.fullmatch(sender) else "From": sender,
        "Body": message.text.reveal(),
        "ValidityPeriod": str(min(max(message.valid_for, 1), LONGEST_VALIDITY)),
        # Feedback is taken for messages that announce it, and for no others.
        "ProvideFeedback": "true",
    }
    receipts = account.message_receipts(NAME, secret.receipt_token, message.reference)
    if receipts is not None:
        form["StatusCallback"] = receipts
    return _post("Messages.json", form, secret, account)


def _confirm(message_id: str, secret: TwilioSecret, account: Account) -> Request:
    return _post(f"Messages/{quote(message_id, safe='')}/Feedback.json", {"Outcome": "confirmed"}, secret, account)


def _post(resource: str, form: Mapping[str, str], secret: TwilioSecret, account: Account) -> Request:
    user, password = secret.account_sid, secret.auth_token
    if secret.api_key_sid is not None and secret.api_key_secret is not None:
        user, password = secret.api_key_sid, secret.api_key_secret
    return Request(
        url=f"{account.url or BASE_URL}/2010-04-01/Accounts/{secret.account_sid}/{resource}",
        body=urlencode(form).encode(),
        headers={
            "Accept": "application/json",
            "Authorization": basic_authorization(user, password),
            "Content-Type": "application/x-www-form-urlencoded",
        },
    )


class _Created(msgspec.Struct):
    """The message that was made. Its `body`, `to` and `error_message` stay unread."""

    sid: Annotated[str, msgspec.Meta(min_length=1)]
    status: str | None = None
    error_code: int | None = None
    num_segments: str | None = None
    price: str | None = None
    price_unit: str | None = None


class _Refusal(msgspec.Struct):
    """Of Twilio's own shape or of RFC 9457's: both have the code. The free texts can name the number."""

    code: int


def _judge(answer: Answer) -> SendResult:
    if answer.status not in _SUCCESSES:
        refusal = _parse(answer.body, _Refusal)
        return by_status(NAME, answer) if refusal is None else _refused(refusal.code, answer)
    created = _parse(answer.body, _Created)
    if created is None:
        return by_status(NAME, answer)
    if created.status in _OVER:
        # No callback tells a message's first state, so that this answer is the only word of it.
        return by_status(NAME, answer) if created.error_code is None else _refused(created.error_code, answer)
    return SendResult(
        provider=NAME,
        outcome=Outcome.ACCEPTED,
        message_id=created.sid,
        segments=_segments(created.num_segments),
        price=_price(created.price, created.price_unit),
    )


def _refused(code: int, answer: Answer) -> SendResult:
    outcome, scope = _meaning(code, answer.status)
    if outcome is Outcome.UNKNOWN:
        return by_status(NAME, answer)
    return SendResult(
        provider=NAME, outcome=outcome, reason=f"{NAME}_{code}", retry_after=answer.retry_after, scope=scope
    )


def _meaning(code: int, status: int) -> tuple[Outcome, Scope]:
    """Of the table, or by the status for one of the two thousand codes that are not in it.

    What Twilio refuses with a code is not sent. Whose fault it is stays open: another provider may be asked, and this
    one's circuit is no wiser, unless it is our credentials that the status speaks of.
    """
    if code in _MEANINGS:
        return _MEANINGS[code]
    if status == _TOO_MANY_REQUESTS:
        return Outcome.THROTTLED_ACCOUNT, Scope.PROVIDER
    if status in _REFUSED_CREDENTIALS:
        return Outcome.CONFIG, Scope.PROVIDER
    if status in _OUR_ERRORS or status in _SUCCESSES:
        return Outcome.CONFIG, Scope.ROUTE
    return Outcome.UNKNOWN, Scope.PROVIDER


def _parse(body: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (ValueError, RecursionError):
        return None


def _segments(told: str | None) -> int | None:
    """A messaging service has not counted yet, and tells 0."""
    return int(told) if told is not None and re.fullmatch("[1-9][0-9]?", told) else None


def _price(amount: str | None, unit: str | None) -> str | None:
    """What is charged is told as a negative amount, and mostly not yet."""
    told = _AMOUNT.fullmatch(amount or "")
    return f"{told[1]} {unit}" if told and unit and _CURRENCY.fullmatch(unit) else None


_STATUSES: Mapping[str, DeliveryStatus] = {
    "sent": DeliveryStatus.SENT,
    "delivered": DeliveryStatus.DELIVERED,
    "read": DeliveryStatus.DELIVERED,
    "undelivered": DeliveryStatus.FAILED,
    "failed": DeliveryStatus.FAILED,
    "canceled": DeliveryStatus.FAILED,
}
_BLOCKED = frozenset(
    str(code) for code, (outcome, scope) in _MEANINGS.items() if outcome.is_final_refusal and scope is Scope.FORBIDDEN
)
_MOST_FIELDS = 128


@part
class TwilioReceipts:
    """Reads one status callback, a form or JSON. It names our message by the address alone."""

    acknowledgement: ClassVar[Acknowledgement] = Acknowledgement()

    def read(self, push: Push, secret: Mapping[str, Any], now: int) -> tuple[Receipt, ...]:
        """Raises InvalidSignature, InvalidRequest and KeysUnavailable.

        At `now`: the only time in a callback (RawDlrDoneDate) is the carrier's, to the minute and of any zone.
        """
        keys = read_secret(NAME, secret, TwilioSecret)
        fields = _fields(push)
        signed = () if _is_json(push) else fields
        check_signature(push, signed, {"HMAC_SHA1": keys.auth_token, "HMAC_SHA256": keys.shared_key})
        told = dict(fields)
        status = _STATUSES.get(told.get("MessageStatus") or told.get("SmsStatus") or "")
        if "MessageSid" not in told and "SmsSid" not in told:
            raise InvalidRequest("no callback about a message")
        if status is None or push.reference is None:
            return ()
        status, reason = ended(status, told.get("ErrorCode"), _BLOCKED)
        return (Receipt(provider=NAME, reference=push.reference, status=status, reason=reason, at=now),)


RECEIPTS = TwilioReceipts()


def _is_json(push: Push) -> bool:
    return push.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def _fields(push: Push) -> list[tuple[str, str]]:
    """Raises InvalidRequest; InvalidSignature for JSON that is not what was signed."""
    if _is_json(push):
        check_body(push)
        told = _parse(push.body, dict[str, Any]) or {}
        return [(name, str(value)) for name, value in told.items() if isinstance(value, str | int)]
    try:
        return parse_qsl(push.body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        raise InvalidRequest("not a form") from None
