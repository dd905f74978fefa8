"""Vonage, SMS API: one message a call, the delivery receipts, and word of the codes that came to use.

Sources: Vonage's OpenAPI descriptions (SMS 1.5.1, Conversion 1.0.1), its list of SMS errors, and its Python SDK
(vonage-sms 1.2.0).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode

import msgspec

from functions.domain.delivery import DeliveryStatus, Message, Outcome, Receipt, Scope, SendResult
from functions.domain.errors import InvalidRequest
from functions.domain.part import part
from functions.domain.segments import Encoding, count_segments
from functions.domain.sensitive import Sensitive
from functions.providers.account import Account
from functions.providers.credentials import Credentials, Secret, read_secret
from functions.providers.gateway import USUAL, Gateway, Request, basic_authorization, by_status
from functions.providers.report_fields import ended, moment
from functions.providers.transport import Answer, Timeouts
from functions.providers.vonage_signature import Method, check_signature
from functions.usecases.ports import Acknowledgement, Push

NAME = "vonage"
BASE_URL = "https://rest.nexmo.com"
CONVERSIONS_URL = "https://api.nexmo.com"
"""The conversions have another host than the messages."""

SHORTEST_TTL, LONGEST_TTL = 20_000, 604_800_000
"""Milliseconds. A code with less than 20 seconds to live may come late."""
LONGEST_CALLBACK = 100
"""Characters of a receipts address. One that is longer has to be set in the account's dashboard."""

_OK = 200
_TAKEN = "0"

_GROUPS: tuple[tuple[Outcome, Scope, frozenset[str]], ...] = (
    # Too much from this account: 1 throttled, 10 too many connections.
    (Outcome.THROTTLED_ACCOUNT, Scope.PROVIDER, frozenset({"1", "10"})),
    # Our request: 2 parameter missing, 23 callback address.
    (Outcome.CONFIG, Scope.PROVIDER, frozenset({"2", "23"})),
    # A parameter's value, such as the sender's. It is the number's fault where the text names it.
    (Outcome.CONFIG, Scope.ROUTE, frozenset({"3"})),
    # The account: 4 credentials, 8 barred, 9 money, 11 no HTTP, 14 signature, 32 signature and secret together.
    (Outcome.CONFIG, Scope.PROVIDER, frozenset({"4", "8", "9", "11", "14", "32"})),
    # The way there: 15 sender, 22 network code, 29 a trial reaches listed numbers only, 33 sender not active.
    (Outcome.CONFIG, Scope.ROUTE, frozenset({"15", "22", "29", "33"})),
    # Vonage's own failure.
    (Outcome.TRANSIENT, Scope.PROVIDER, frozenset({"5"})),
    # No way to this prefix. Ours have passed their country's numbering plan, so that another may know it.
    (Outcome.REJECTED_NUMBER, Scope.ROUTE, frozenset({"6"})),
    # The number is barred.
    (Outcome.REJECTED_NUMBER, Scope.PROVIDER, frozenset({"7"})),
    # The text: 12 too long, 17 blocked.
    (Outcome.REJECTED_CONTENT, Scope.PROVIDER, frozenset({"12", "17"})),
)
_MEANINGS: Mapping[str, tuple[Outcome, Scope]] = {
    code: (outcome, scope) for outcome, scope, codes in _GROUPS for code in codes
}
_INVALID_PARAMETER = "3"
_NAMES_THE_NUMBER = re.compile(r"\bto param\b|\bparam(?:eter)?\b\W*to\b", re.IGNORECASE)
_CODE = re.compile(r"[0-9]{1,4}")


class VonageSecret(Secret, frozen=True, kw_only=True):
    """One secret for both of Vonage's interfaces."""

    api_key: str
    api_secret: Sensitive
    signature_secret: Sensitive | None = None
    signature_method: Method | None = None
    """Set where Vonage signs this account's receipts, which has to be asked for; each has to be signed then."""
    conversions: bool = False
    """Whether Vonage has opened its Conversion API to this account, which has to be asked for as well."""

    def __post_init__(self) -> None:
        if self.signature_method is not None and self.signature_secret is None:
            raise ValueError("signature_method needs a signature_secret")


async def open_provider(account: Account, timeouts: Timeouts = USUAL) -> Gateway[VonageSecret]:
    """Vonage knows no idempotency key: the same request twice is two SMS."""
    return Gateway(
        name=NAME,
        account=account,
        credentials=Credentials(NAME, account.fetch_secret, VonageSecret),
        request=_submit,
        judge=_judge,
        timeouts=timeouts,
        feedback=_convert,
    )


def _submit(message: Message, secret: VonageSecret, account: Account) -> Request:
    text = message.text.reveal()
    form = {
        "from": (message.sender or "").removeprefix("+"),
        "to": message.to.e164.removeprefix("+"),
        "text": text,
        # Said wrongly, whatever is outside GSM-7 arrives as question marks.
        "type": "text" if count_segments(text).encoding is Encoding.GSM7 else "unicode",
        "ttl": str(min(max(message.valid_for * 1_000, SHORTEST_TTL), LONGEST_TTL)),
        "client-ref": message.reference,
    }
    if message.entity is not None:
        form["entity-id"] = message.entity
    if message.template is not None:
        form["content-id"] = message.template
    # A message's own address would be too long; the receipt tells the reference.
    receipts = account.account_receipts(NAME, secret.receipt_token)
    if receipts is not None and len(receipts) <= LONGEST_CALLBACK:
        form["callback"] = receipts
    return _post(f"{account.url or BASE_URL}/sms/json", form, secret)


def _convert(message_id: str, secret: VonageSecret, account: Account) -> Request | None:
    if not secret.conversions:
        return None
    now = datetime.fromtimestamp(account.clock(), UTC)
    form = {"message-id": message_id, "delivered": "true", "timestamp": f"{now:%Y-%m-%d %H:%M:%S}"}
    return _post(f"{account.url or CONVERSIONS_URL}/conversions/sms", form, secret)


def _post(url: str, form: Mapping[str, str], secret: VonageSecret) -> Request:
    return Request(
        url=url,
        body=urlencode(form).encode(),
        headers={
            "Accept": "application/json",
            "Authorization": basic_authorization(secret.api_key, secret.api_secret),
            "Content-Type": "application/x-www-form-urlencoded",
        },
    )


class _Part(msgspec.Struct, rename="kebab"):
    """One SMS of the message. Its `error_text` can name the number: it is searched for one parameter's name only."""

    status: str
    message_id: str | None = None
    message_price: str | None = None
    error_text: str = ""


class _Reply(msgspec.Struct):
    messages: list[_Part]


def _judge(answer: Answer) -> SendResult:
    """The parts' statuses decide. A message that was taken in part is taken: another try would be a second one."""
    parts = _parse(answer.body)
    taken = [part for part in parts if part.status == _TAKEN]
    if taken and answer.status == _OK:
        return SendResult(
            provider=NAME,
            outcome=Outcome.ACCEPTED,
            message_id=taken[0].message_id or None,
            segments=len(parts),
            price=_price(taken),
        )
    if taken or not parts or not _CODE.fullmatch(parts[0].status):
        return by_status(NAME, answer)
    outcome, scope = _meaning(parts[0])
    return SendResult(
        provider=NAME,
        outcome=outcome,
        reason=f"{NAME}_{parts[0].status}",
        retry_after=answer.retry_after,
        scope=scope,
    )


def _meaning(part: _Part) -> tuple[Outcome, Scope]:
    """A status that is not in the table refuses as well, and says nothing of the next message."""
    if part.status == _INVALID_PARAMETER and _NAMES_THE_NUMBER.search(part.error_text):
        return Outcome.REJECTED_NUMBER, Scope.PROVIDER
    return _MEANINGS.get(part.status, (Outcome.CONFIG, Scope.ROUTE))


def _parse(body: bytes) -> list[_Part]:
    try:
        return msgspec.json.decode(body, type=_Reply).messages
    except (ValueError, RecursionError):
        return []


def _price(parts: list[_Part]) -> str | None:
    """Of all parts. Vonage's balances and prices are in euros, which the answer does not repeat."""
    amounts = [part.message_price for part in parts if part.message_price is not None]
    if not amounts or not all(re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,10})?", amount) for amount in amounts):
        return None
    return f"{sum(map(Decimal, amounts))} EUR"


_STATUSES: Mapping[str, DeliveryStatus] = {
    "delivered": DeliveryStatus.DELIVERED,
    "expired": DeliveryStatus.FAILED,
    "failed": DeliveryStatus.FAILED,
    "rejected": DeliveryStatus.FAILED,
}
_BLOCKED = frozenset({"4", "6", "14", "53"})
"""4 by the person, 6 as spam, 14 the number by its carrier, 53 for want of consent."""
_MOST_FIELDS = 64


@part
class VonageReceipts:
    """Reads one delivery receipt, in the query, a form or JSON, as the account's settings have it; one a part."""

    acknowledgement: ClassVar[Acknowledgement] = Acknowledgement()

    def read(self, push: Push, secret: Mapping[str, Any], now: int) -> tuple[Receipt, ...]:
        """Raises InvalidSignature, InvalidRequest and KeysUnavailable.

        Unless the account's receipts are signed, the token in the address is all that there is to check.
        """
        keys = read_secret(NAME, secret, VonageSecret)
        told = _fields(push)
        if keys.signature_method is not None and keys.signature_secret is not None:
            check_signature(told, keys.signature_secret, keys.signature_method, now)
        if "status" not in told or "messageId" not in told:
            raise InvalidRequest("no delivery receipt")
        status = _STATUSES.get(told["status"])
        reference = told.get("client-ref") or push.reference
        if status is None or not reference:
            return ()
        status, reason = ended(status, told.get("err-code"), _BLOCKED)
        at = moment(told.get("message-timestamp"), now)
        return (Receipt(provider=NAME, reference=reference, status=status, reason=reason, at=at),)


RECEIPTS = VonageReceipts()


def _fields(push: Push) -> dict[str, str]:
    """Raises InvalidRequest."""
    if push.method == "GET":
        return dict(push.query)
    try:
        if push.headers.get("content-type", "").startswith("application/json"):
            told = msgspec.json.decode(push.body, type=dict[str, Any])
            return {name: str(value) for name, value in told.items() if isinstance(value, str | int | float)}
        return dict(parse_qsl(push.body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"))
    except (ValueError, RecursionError):
        raise InvalidRequest("neither a form nor JSON") from None
