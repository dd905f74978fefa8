"""Telnyx, API v2: one message a request, and the signed webhooks that tell what became of it.

Sources: the official SDK (PyPI `telnyx` 4.189.0), Telnyx's reference of messaging error codes and the article
«Telnyx Messaging Error Codes» of its help center.
"""

from __future__ import annotations

import base64
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
from functions.providers.freshness import is_of_now
from functions.providers.gateway import USUAL, Gateway, Request, by_status
from functions.providers.report_fields import ended, moment
from functions.providers.transport import Answer, Timeouts
from functions.usecases.ports import Acknowledgement, Push

NAME = "telnyx"
BASE_URL = "https://api.telnyx.com"

_OK = 200
_SERVER_ERROR = 500

_PROVIDER, _ROUTE = Scope.PROVIDER, Scope.ROUTE
_GROUPS: tuple[tuple[Outcome, Scope, frozenset[int]], ...] = (
    # The number: 10002 invalid, 10016 not E.164, 40001 landline or not routable, 40012 refused by its carrier, 40300 it
    # has answered STOP, 40310 invalid.
    (Outcome.REJECTED_NUMBER, _PROVIDER, frozenset({10002, 10016, 40001, 40012, 40300, 40310})),
    # Telnyx's way to it: 40008 the carrier did not take it, 40301 40319 it takes nothing of this kind.
    (Outcome.REJECTED_NUMBER, _ROUTE, frozenset({40008, 40301, 40319})),
    # The text: 40002 40003 40015 40017 taken for spam, 40004 refused where it was going, 40009 40322 its content.
    (Outcome.REJECTED_CONTENT, _PROVIDER, frozenset({40002, 40003, 40004, 40009, 40015, 40017, 40322})),
    # Too often from this account: 10011 requests, 40011 40016 40018 for a carrier, 40318 the queue is full.
    (Outcome.THROTTLED_ACCOUNT, _PROVIDER, frozenset({10011, 40011, 40016, 40018, 40318})),
    # The account: 10009 key, 10010 rights, 20002 20006 key of old, 20012 to 20017 not active, 20100 money.
    (Outcome.CONFIG, _PROVIDER, frozenset({10009, 10010, 20002, 20006, *range(20012, 20018), 20100})),
    # Our request: 10003 URL, 10004 parameter missing, 10005 10006 address, 40311 to 40314 profile.
    (Outcome.CONFIG, _PROVIDER, frozenset({10003, 10004, 10005, 10006, 40311, 40312, 40313, 40314})),
    # Malformed, which can be this message's alone.
    (Outcome.CONFIG, _ROUTE, frozenset({10015})),
    # The sender: 10001 not active, 40010 40329 not registered, 40013 refused, 40100 40150 40151 no messaging, 40305 and
    # 40306 not ours, 40315 in bad repute, 40320 not yet.
    (Outcome.CONFIG, _ROUTE, frozenset({10001, 40010, 40013, 40100, 40150, 40151, 40305, 40306, 40315, 40320, 40329})),
    # The pool: 40321 has no number left. The text: 40302 40328 too long, 40304 40316 none.
    (Outcome.CONFIG, _ROUTE, frozenset({40321, 40302, 40304, 40316, 40328})),
    # A profile has to be told where it may send: a country that is not there was left out on purpose.
    (Outcome.CONFIG, Scope.FORBIDDEN, frozenset({40309})),
    # A definite failure: 10007 of Telnyx, 40006 of the carrier, 40014 too long in the queue.
    (Outcome.TRANSIENT, _PROVIDER, frozenset({10007, 40006, 40014})),
    # 10008 took too long, 40005 ran out of its time on the way: may have arrived.
    (Outcome.UNKNOWN, _PROVIDER, frozenset({10008, 40005})),
)
_MEANINGS: Mapping[int, tuple[Outcome, Scope]] = {
    code: (outcome, scope) for outcome, scope, codes in _GROUPS for code in codes
}
_ABOUT_A_NUMBER = frozenset({10002, 10016})
"""Either of the two: the sender's, where the error points there."""

_BY_STATUS: Mapping[int, Outcome] = dict.fromkeys((400, 401, 402, 403, 404, 422), Outcome.CONFIG)

_POOL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAME = re.compile(r"[A-Za-z]")
_NOT_IN_A_KEY = re.compile(r"[^A-Za-z0-9_-]")
_CODE = re.compile(r"[0-9]{5}")
_AMOUNT = re.compile(r"[0-9]{1,6}(\.[0-9]{1,8})?")
_CURRENCY = re.compile(r"[A-Z]{3}")


class TelnyxSecret(Secret, frozen=True, kw_only=True):
    api_key: Sensitive
    public_key: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9+/]{43}=\Z")]
    """Of the account, for its webhooks' signatures: base64, as the portal shows it."""
    messaging_profile_id: str | None = None
    """Sends from names, which belong to no profile by themselves as numbers do."""


async def open_provider(account: Account, timeouts: Timeouts = USUAL) -> Gateway[TelnyxSecret]:
    """Telnyx takes no validity, but an idempotency key: for a day, the same reference is one SMS."""
    return Gateway(
        name=NAME,
        account=account,
        credentials=Credentials(NAME, account.fetch_secret, TelnyxSecret),
        request=_message,
        judge=_judge,
        timeouts=timeouts,
    )


def _message(message: Message, secret: TelnyxSecret, account: Account) -> Request:
    described: dict[str, object] = {
        **_sender(message.sender or "", secret),
        "to": message.to.e164,
        "text": message.text.reveal(),
        "type": "SMS",
        "use_profile_webhooks": False,
    }
    receipts = account.message_receipts(NAME, secret.receipt_token, message.reference)
    if receipts is not None:
        described["webhook_url"] = receipts
    return Request(
        url=f"{account.url or BASE_URL}/v2/messages",
        body=msgspec.json.encode(described),
        headers={
            "Accept": "application/json",
            "Authorization": f"Bearer {secret.api_key.reveal()}",
            "Content-Type": "application/json",
            "Idempotency-Key": _NOT_IN_A_KEY.sub("-", message.reference),
        },
    )


def _sender(sender: str, secret: TelnyxSecret) -> dict[str, object]:
    """A number or a name; or a messaging profile's id, whose pool of numbers is then used."""
    if _POOL.fullmatch(sender):
        return {"messaging_profile_id": sender}
    if _NAME.search(sender) and secret.messaging_profile_id is not None:
        return {"from": sender, "messaging_profile_id": secret.messaging_profile_id}
    return {"from": sender}


class _Cost(msgspec.Struct):
    amount: str | float | None = None
    currency: str | None = None


class _Sent(msgspec.Struct):
    id: str
    parts: int | None = None
    cost: _Cost | None = None


class _Reply(msgspec.Struct):
    data: _Sent


class _Source(msgspec.Struct):
    pointer: str | None = None


class _Error(msgspec.Struct):
    """Its `title` and `detail` stay unread: they can name the number."""

    code: str | int
    source: _Source | None = None


class _Problem(msgspec.Struct):
    errors: Annotated[list[_Error], msgspec.Meta(min_length=1)]


def _judge(answer: Answer) -> SendResult:
    try:
        if answer.status == _OK:
            return _accepted(msgspec.json.decode(answer.body, type=_Reply).data)
        return _refused(msgspec.json.decode(answer.body, type=_Problem).errors[0], answer)
    except (ValueError, RecursionError):
        return by_status(NAME, answer, _BY_STATUS)


def _accepted(sent: _Sent) -> SendResult:
    return SendResult(
        provider=NAME, outcome=Outcome.ACCEPTED, message_id=sent.id, segments=sent.parts, price=_price(sent.cost)
    )


def _price(cost: _Cost | None) -> str | None:
    amount, currency = ("", "") if cost is None else (str(cost.amount), cost.currency or "")
    return f"{amount} {currency}" if _AMOUNT.fullmatch(amount) and _CURRENCY.fullmatch(currency) else None


def _refused(error: _Error, answer: Answer) -> SendResult:
    """A code that is not in the table says no more than the status that it comes with."""
    by = by_status(NAME, answer, _BY_STATUS)
    code = _code(error)
    if code is None or (code not in _MEANINGS and answer.status >= _SERVER_ERROR):
        return by
    outcome, scope = _MEANINGS.get(code, (by.outcome, by.scope))
    if code in _ABOUT_A_NUMBER and error.source is not None and error.source.pointer == "/from":
        outcome, scope = Outcome.CONFIG, Scope.ROUTE
    retry_after = answer.retry_after if outcome is Outcome.THROTTLED_ACCOUNT else None
    return SendResult(provider=NAME, outcome=outcome, reason=f"{NAME}_{code}", retry_after=retry_after, scope=scope)


def _code(error: _Error) -> int | None:
    return int(error.code) if _CODE.fullmatch(str(error.code)) else None


class _Recipient(msgspec.Struct):
    status: str | None = None


class _Payload(msgspec.Struct):
    to: list[_Recipient] | str = []
    """A text where the event is of another kind."""
    errors: list[_Error] | None = None


class _Event(msgspec.Struct):
    event_type: str
    payload: _Payload
    occurred_at: str | None = None


class _Webhook(msgspec.Struct):
    data: _Event


_EVENTS = frozenset({"message.sent", "message.finalized"})
_STATUSES: Mapping[str | None, DeliveryStatus] = {
    "sent": DeliveryStatus.SENT,
    "delivered": DeliveryStatus.DELIVERED,
    "expired": DeliveryStatus.FAILED,
    "sending_failed": DeliveryStatus.FAILED,
    "delivery_failed": DeliveryStatus.FAILED,
}
"""Of delivery_unconfirmed nobody knows: what was known stands."""
_BLOCKED = frozenset(
    {"40300", *(str(code) for code, (outcome, _) in _MEANINGS.items() if outcome is Outcome.REJECTED_CONTENT)}
)
"""The person has answered STOP; or the text was taken for spam."""


@part
class TelnyxReceipts:
    """Reads the webhooks of one message: JSON, signed with the account's key (Ed25519) over time and body."""

    acknowledgement: ClassVar[Acknowledgement] = Acknowledgement()
    """Any 2xx. After another Telnyx pushes again."""

    def read(self, push: Push, secret: Mapping[str, Any], now: int) -> tuple[Receipt, ...]:
        """None for other events, and for those of the account's address: Telnyx sends no reference of ours along.

        Raises InvalidSignature, InvalidRequest, and KeysUnavailable.
        """
        _verify(push, read_secret(NAME, secret, TelnyxSecret).public_key, now)
        event = _parse(push.body)
        recipients = event.payload.to
        if event.event_type not in _EVENTS or push.reference is None or isinstance(recipients, str):
            return ()
        statuses = [_STATUSES[recipient.status] for recipient in recipients if recipient.status in _STATUSES]
        return tuple(_receipt(event, status, push.reference, now) for status in statuses)


RECEIPTS = TelnyxReceipts()


def _verify(push: Push, public_key: str, now: int) -> None:
    from nacl.exceptions import CryptoError  # noqa: PLC0415 - whoever only sends does not pay for it
    from nacl.signing import VerifyKey  # noqa: PLC0415

    signed_at = push.headers.get("telnyx-timestamp", "")
    if not is_of_now(signed_at, now):
        raise InvalidSignature("not signed, or not now")
    try:
        signature = base64.b64decode(push.headers.get("telnyx-signature-ed25519", ""), validate=True)
    except ValueError:
        signature = b""
    try:
        VerifyKey(base64.b64decode(public_key)).verify(f"{signed_at}|".encode() + push.body, signature)
    except CryptoError:  # of what is no signature, too
        raise InvalidSignature("not signed with this account's key") from None


def _parse(body: bytes) -> _Event:
    try:
        return msgspec.json.decode(body, type=_Webhook).data
    except (ValueError, RecursionError):
        raise InvalidRequest("not an event of a message") from None


def _receipt(event: _Event, status: DeliveryStatus, reference: str, now: int) -> Receipt:
    codes = [_code(error) for error in event.payload.errors or ()]
    status, reason = ended(status, str(codes[0]) if codes and codes[0] else None, _BLOCKED)
    return Receipt(provider=NAME, reference=reference, status=status, reason=reason, at=moment(event.occurred_at, now))
